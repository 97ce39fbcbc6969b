package kubelet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// waitForSocket returns when something accepts connections on the UNIX socket at path.
func waitForSocket(ctx context.Context, path string) error {
	if accepts(ctx, path) {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", filepath.Dir(path), err)
	}
	defer func() { _ = watcher.Close() }()
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watch %s: %w", filepath.Dir(path), err)
	}
	// The name appears with bind, connections are taken from listen on: nothing tells the second, so it is asked for.
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	_, err = os.Stat(path)
	for exists := err == nil; ; {
		if exists && accepts(ctx, path) {
			return nil
		}
		tick := retry.C
		if !exists {
			tick = nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event, open := <-watcher.Events:
			if !open {
				return fmt.Errorf("watch %s: the watcher ended", filepath.Dir(path))
			}
			if event.Name == path {
				exists = !event.Has(fsnotify.Remove)
			}
		case err := <-watcher.Errors:
			return fmt.Errorf("watch %s: %w", filepath.Dir(path), err)
		case <-tick:
		}
	}
}

func accepts(ctx context.Context, path string) bool {
	connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}
