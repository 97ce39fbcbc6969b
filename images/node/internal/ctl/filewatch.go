package ctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// fileWatch tells when a path is made.
type fileWatch struct {
	// changed is closed when something was made or moved in at the path, or anywhere on the way to it.
	changed chan struct{}
	events  *os.File
}

// watchFile watches for the path with inotify; where its folder is not there yet, the nearest one above is watched.
func watchFile(ctx context.Context, path string) (*fileWatch, error) {
	descriptor, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	// In non-blocking mode the runtime's poller reads it, so that closing it wakes the reader.
	watch := &fileWatch{changed: make(chan struct{}), events: os.NewFile(uintptr(descriptor), "inotify")}
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		_, err = syscall.InotifyAddWatch(descriptor, folder, syscall.IN_CREATE|syscall.IN_MOVED_TO)
		if err == nil || folder == "/" || !errors.Is(err, syscall.ENOENT) {
			break
		}
		path = folder
	}
	if err != nil {
		watch.close()
		return nil, fmt.Errorf("watch for %s: %w", path, err)
	}
	go watch.read(ctx, filepath.Base(path))
	return watch, nil
}

// read waits for an event about name.
func (w *fileWatch) read(ctx context.Context, name string) {
	buffer := make([]byte, 64*(syscall.SizeofInotifyEvent+syscall.NAME_MAX+1))
	for {
		count, err := w.events.Read(buffer)
		if err != nil || ctx.Err() != nil {
			return
		}
		// The events' names follow each header, padded with zeros; any mention is enough, and a false one only costs a look.
		if strings.Contains(string(buffer[:count]), name) {
			close(w.changed)
			return
		}
	}
}

// close ends the watch. An error of closing means nothing to anybody.
func (w *fileWatch) close() { _ = w.events.Close() }
