package ctl

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/paths"
)

// logChildren are the processes that have a log of their own.
func logChildren(layout paths.Layout) []string {
	children := []string{"init", initapi.ChildContainerd, initapi.ChildHAProxy, initapi.ChildNode}
	// Machines alone have an SSH server.
	if _, err := os.Stat(layout.ChildLog(initapi.ChildSSH)); err == nil {
		children = append(children, initapi.ChildSSH)
	}
	return children
}

// runLogs prints log lines from the files, so that it works while the node is down.
func runLogs(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	follow := flags.set.Bool("follow", false, "")
	flags.set.BoolVar(follow, "f", false, "")
	tail := flags.set.Int("tail", -1, "")
	withInput := flags.untilEOF()
	others, err := flags.parse(arguments, 0, 1)
	if err != nil {
		return err
	}
	if *tail < -1 {
		return &usageError{"--tail may not be negative"}
	}
	component := ""
	if len(others) == 1 {
		component = others[0]
	}
	logs := &logs{component: component, output: bufio.NewWriter(env.Stdout), seen: map[string]bool{}}
	defer logs.close()
	var watch *inotify
	if *follow {
		// Before anything is read, so that no line is written unseen.
		if watch, err = newInotify(); err != nil {
			return err
		}
		defer watch.close()
		if err := watch.add(env.Layout.Log(), syscall.IN_MODIFY|syscall.IN_CREATE|syscall.IN_MOVED_TO); err != nil {
			return err
		}
	}
	children := logChildren(env.Layout)
	for _, child := range children {
		if component != "" && component != child && (child != initapi.ChildNode || slices.Contains(children, component)) {
			continue
		}
		file, err := openLog(child, env.Layout.ChildLog(child))
		if err != nil {
			return err
		}
		logs.files = append(logs.files, file)
	}
	if err := logs.past(*tail, !*follow); err != nil {
		return err
	}
	if !*follow {
		return logs.checkComponent(ctx, env)
	}
	ctx, cancel := untilEOF(ctx, *withInput, env.Stdin)
	defer cancel()
	return logs.follow(ctx, watch)
}

// logs merges several logs.
type logs struct {
	// component is whose lines are wanted; empty means everyone's.
	component string
	files     []*logFile
	output    *bufio.Writer
	// seen are the components that lines were read of.
	seen map[string]bool
}

func (l *logs) close() {
	for _, file := range l.files {
		file.close()
	}
}

// past prints what is written so far, in the order of time; with a tail, only so many last lines. At the end of it, lines
// without an end are printed too.
func (l *logs) past(tail int, atEnd bool) error {
	type head struct {
		line logLine
		file *logFile
	}
	var heads []*head
	advance := func(h *head) (bool, error) {
		for {
			line, found, err := h.file.next()
			if !found && err == nil && atEnd {
				line, found = h.file.rest()
			}
			if err != nil || !found {
				return false, err
			}
			if l.wanted(h.file, line) {
				h.line = line
				return true, nil
			}
		}
	}
	for _, file := range l.files {
		h := &head{file: file}
		if found, err := advance(h); err != nil {
			return err
		} else if found {
			heads = append(heads, h)
		}
	}
	var kept []string
	var current *head
	for len(heads) > 0 {
		// A message's further lines have its time: the file that was printed last goes first among equals.
		oldest := heads[0]
		for _, h := range heads[1:] {
			if h.line.time.Before(oldest.line.time) || h == current && !oldest.line.time.Before(h.line.time) {
				oldest = h
			}
		}
		current = oldest
		switch text := l.format(oldest.file, oldest.line); {
		case tail < 0:
			if err := l.write(text); err != nil {
				return err
			}
		case tail > 0:
			if len(kept) == tail {
				kept = append(kept[:0], kept[1:]...)
			}
			kept = append(kept, text)
		}
		if found, err := advance(oldest); err != nil {
			return err
		} else if !found {
			heads = slices.DeleteFunc(heads, func(h *head) bool { return h == oldest })
		}
	}
	for _, text := range kept {
		if err := l.write(text); err != nil {
			return err
		}
	}
	return l.flush()
}

// follow prints lines as they are written, until ctx ends.
func (l *logs) follow(ctx context.Context, watch *inotify) error {
	stop := context.AfterFunc(ctx, watch.close)
	defer stop()
	for {
		for _, file := range l.files {
			if err := l.drain(file); err != nil {
				return err
			}
		}
		if err := l.flush(); err != nil {
			return err
		}
		if _, err := watch.wait(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// drain prints what was added to a log, across a rotation.
func (l *logs) drain(file *logFile) error {
	for {
		line, found, err := file.next()
		switch {
		case err != nil:
			return err
		case found:
			if l.wanted(file, line) {
				if err := l.write(l.format(file, line)); err != nil {
					return err
				}
			}
		default:
			// Looked for only after the end of the old file: what is written to it before its rotation is read then.
			if again, err := file.rotated(); err != nil || !again {
				return err
			}
		}
	}
}

// wanted says whether a line is to be printed.
func (l *logs) wanted(file *logFile, line logLine) bool {
	l.seen[line.component] = true
	return l.component == "" || l.component == file.child || l.component == line.component
}

// format puts the name of the process in front of lines that do not have one, where several are merged.
func (l *logs) format(file *logFile, line logLine) string {
	if l.component != "" || file.child == initapi.ChildNode || file.child == "init" {
		return line.text
	}
	return file.child + ": " + line.text
}

func (l *logs) write(text string) error {
	if _, err := l.output.WriteString(text + "\n"); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func (l *logs) flush() error {
	if err := l.output.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// checkComponent is an error when the component is not one: no line is its, and the node does not know it.
func (l *logs) checkComponent(ctx context.Context, env *Environment) error {
	if l.component == "" || l.seen[l.component] || slices.Contains(logChildren(env.Layout), l.component) {
		return nil
	}
	status, err := env.node().Status(ctx)
	if err != nil {
		return &exitError{exitFailed, fmt.Sprintf("there are no lines of a component named %q", l.component)}
	}
	names := logChildren(env.Layout)
	for _, part := range status.Components {
		if part.Name == l.component {
			return nil
		}
		if !slices.Contains(names, part.Name) {
			names = append(names, part.Name)
		}
	}
	slices.Sort(names)
	return &usageError{fmt.Sprintf("there is no component %q; there are %s", l.component, strings.Join(names, ", "))}
}
