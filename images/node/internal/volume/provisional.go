package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sandbar.dev/node/internal/durable"
	"sandbar.dev/node/internal/paths"
)

// BeginProvisional says whether a datastore may be begun in the volume before it is known whose it is, which is so in a new one,
// and marks it as such: until [KeepProvisional], [DiscardProvisional] removes it.
func BeginProvisional(layout paths.Layout) (bool, error) {
	if err := DiscardProvisional(layout); err != nil {
		return false, err
	}
	for _, sign := range []string{layout.DataVersion(), layout.Etcd()} {
		if _, err := os.Stat(sign); err == nil {
			return false, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	if err := os.MkdirAll(layout.Data, 0o755); err != nil {
		return false, err
	}
	return true, durable.WriteFile(layout.Provisional(), nil, 0o600)
}

// KeepProvisional makes what was begun the cluster's.
func KeepProvisional(layout paths.Layout) error {
	if err := os.Remove(layout.Provisional()); err != nil {
		return err
	}
	return durable.Sync(filepath.Dir(layout.Provisional()))
}

// DiscardProvisional removes a datastore that was begun and is nobody's.
func DiscardProvisional(layout paths.Layout) error {
	if _, err := os.Stat(layout.Provisional()); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.RemoveAll(layout.Etcd()); err != nil {
		return err
	}
	return KeepProvisional(layout)
}
