package ctl

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// inotify watches folders for changes of what is in them.
type inotify struct {
	descriptor int
	events     *os.File
	buffer     []byte
}

func newInotify() (*inotify, error) {
	descriptor, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	// In non-blocking mode the runtime's poller reads it, so that closing it wakes the reader.
	events := os.NewFile(uintptr(descriptor), "inotify")
	return &inotify{descriptor, events, make([]byte, 64*(syscall.SizeofInotifyEvent+syscall.NAME_MAX+1))}, nil
}

// add watches a folder for the events of the mask.
func (i *inotify) add(folder string, mask uint32) error {
	if _, err := syscall.InotifyAddWatch(i.descriptor, folder, mask); err != nil {
		return fmt.Errorf("watch %s: %w", folder, err)
	}
	return nil
}

// wait returns the next events as they are. Their names follow each header, padded with zeros.
func (i *inotify) wait() ([]byte, error) {
	count, err := i.events.Read(i.buffer)
	if err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	return i.buffer[:count], nil
}

// close ends the watch and wakes who waits. An error of closing means nothing to anybody.
func (i *inotify) close() { _ = i.events.Close() }

// fileWatch tells when a path is made.
type fileWatch struct {
	*inotify
	// changed is closed when something was made or moved in at the path, or anywhere on the way to it.
	changed chan struct{}
}

// watchFile watches for the path; where its folder is not there yet, the nearest one above is watched.
func watchFile(path string) (*fileWatch, error) {
	events, err := newInotify()
	if err != nil {
		return nil, err
	}
	watch := &fileWatch{events, make(chan struct{})}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		err = events.add(folder, syscall.IN_CREATE|syscall.IN_MOVED_TO)
		if err == nil || folder == "/" || !errors.Is(err, syscall.ENOENT) {
			break
		}
		path = folder
	}
	if err != nil {
		watch.close()
		return nil, err
	}
	go watch.read([]byte(filepath.Base(path)))
	return watch, nil
}

// read waits for an event about name. Any mention of it is enough: a false one only costs a look.
func (w *fileWatch) read(name []byte) {
	for {
		events, err := w.wait()
		if err != nil {
			return
		}
		if bytes.Contains(events, name) {
			close(w.changed)
			return
		}
	}
}
