// Package ctl is sandbarctl: the commands of the node contract, which the laptop's CLI calls in the node.
//
// It links nothing of Kubernetes and starts in a few milliseconds. It reads no environment and never exits: Run takes
// the arguments and returns the exit code.
package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"sandbar.dev/node/internal/api/client"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/paths"
)

// Exit codes of the contract.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitTimedOut    = 4
	exitUnreachable = 6
)

// Environment is what a command works with.
type Environment struct {
	// Stdin, Stdout and Stderr are the process' own.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Layout says where the node's files are.
	Layout paths.Layout
	// Hostname is the machine's.
	Hostname string
}

// command is one thing that sandbarctl does.
type command struct {
	name    string
	usage   string
	summary string
	run     func(ctx context.Context, env *Environment, arguments []string) error
}

// commands lists what there is, in the order of the help.
func commands() []command {
	return []command{
		{"status", "[--wait healthy|NAME] [--timeout D] [--watch [--until-eof]] [--output table|json]", "what every component does", runStatus},
		{"version", "[--output table|json]", "versions of the node and its contract", runVersion},
		{"kubeconfig", "--server URL [--name N] [--timeout D]", "the administrator's kubeconfig", runKubeconfig},
		{"image ls", "[--output table|json]", "the images in the node", runImageList},
		{"image missing", "< DIGESTS", "those of the digests that the node does not hold", runImageMissing},
		{"image import", "[--name REF]… < ARCHIVE", "read a docker-archive or OCI layout", runImageImport},
		{"image tag", "ID NAME…", "name an image that is there", runImageTag},
		{"image rm", "NAME…", "take names away", runImageRemove},
		{"logs", "[--follow [--until-eof]] [--tail N] [COMPONENT]", "log lines of all or of one component", runLogs},
		{"config", "[--mode effective|default]", "the configuration with everything filled in", runConfig},
		{"host-check", "[--output table|json]", "what a node would find here; in a container of its own", runHostCheck},
		{"stop", "[--grace D]", "end the node, with that grace for pods", runStop},
	}
}

// usageError is a wrong command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// exitError ends with a code, and prints its message unless that is empty.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

// Run does what the arguments (without the program's name) say and returns the exit code. Errors are printed.
func Run(ctx context.Context, env *Environment, arguments []string) int {
	err := dispatch(ctx, env, arguments)
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	if message := err.Error(); message != "" {
		// There is nowhere to report that standard error is closed.
		_, _ = fmt.Fprintf(env.Stderr, "sandbarctl: %s\n", strings.ReplaceAll(message, "\n", "; "))
	}
	return code
}

// exitCode is the contract's code for an error.
func exitCode(err error) int {
	var usage *usageError
	var exit *exitError
	var failure *client.Failure
	var invalid *config.Error
	switch {
	case errors.As(err, &usage), errors.As(err, &invalid):
		return exitUsage
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &failure):
		return failure.Code
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimedOut
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	default:
		return exitFailed
	}
}

func dispatch(ctx context.Context, env *Environment, arguments []string) error {
	if len(arguments) == 0 {
		return &usageError{"a command is missing; see `sandbarctl help`"}
	}
	switch arguments[0] {
	case "help", "-h", "--help":
		return printHelp(env)
	case "--version":
		arguments[0] = "version"
	case "manifests", "snapshot":
		return &usageError{arguments[0] + " is reserved and does nothing yet"}
	}
	for _, candidate := range commands() {
		words := strings.Fields(candidate.name)
		if len(arguments) < len(words) || strings.Join(arguments[:len(words)], " ") != candidate.name {
			continue
		}
		err := candidate.run(ctx, env, arguments[len(words):])
		if errors.Is(err, errHelp) {
			return print(env.Stdout, "Usage: sandbarctl %s %s\n\n%s\n", candidate.name, candidate.usage, candidate.summary)
		}
		return err
	}
	name := arguments[0]
	if name == "image" {
		if len(arguments) == 1 {
			return &usageError{"image needs one of: ls, missing, import, tag, rm"}
		}
		name += " " + arguments[1]
	}
	return &usageError{fmt.Sprintf("there is no command %q; see `sandbarctl help`", name)}
}

func printHelp(env *Environment) error {
	if err := print(env.Stdout, "sandbarctl speaks to this node.\n\nCommands:\n"); err != nil {
		return err
	}
	for _, candidate := range commands() {
		if err := print(env.Stdout, "  %-14s %s\n                 %s\n", candidate.name, candidate.usage, candidate.summary); err != nil {
			return err
		}
	}
	return print(env.Stdout, "\nExit codes: 0 done, 1 failed or not healthy, 2 usage or bad configuration, 4 timed out, 6 sandbar-node cannot be reached.\n")
}

// print writes to standard output; a reader that went away is an error.
func print(to io.Writer, format string, arguments ...any) error {
	if _, err := fmt.Fprintf(to, format, arguments...); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func (env *Environment) node() *client.Client { return client.New(env.Layout.NodeSocket()) }

func (env *Environment) init() *initapi.Client { return initapi.Dial(env.Layout.InitSocket()) }
