package dns

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// settle is how long a file must be quiet before it counts as changed: editors write in several steps.
const settle = 500 * time.Millisecond

// watchFile tells on its channel that the file at path has changed. With an empty path it never does.
func watchFile(ctx context.Context, path string) (<-chan struct{}, error) {
	if path == "" {
		return nil, nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	// The folder, since editors replace the file.
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		_ = watcher.Close()
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	changes := make(chan struct{}, 1)
	go func() {
		defer func() { _ = watcher.Close() }()
		quiet := time.NewTimer(settle)
		quiet.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case event := <-watcher.Events:
				// A ConfigMap-like folder changes by a link of another name.
				if filepath.Dir(event.Name) == filepath.Dir(path) {
					quiet.Reset(settle)
				}
			case err := <-watcher.Errors:
				klog.FromContext(ctx).Error(err, "Watching the Corefile", "file", path)
			case <-quiet.C:
				select {
				case changes <- struct{}{}:
				default:
				}
			}
		}
	}()
	return changes, nil
}
