package pki

import (
	"fmt"
	"os"
	"path/filepath"
)

// writeFile replaces a file so that after a crash either the old or the whole new content is there. Mode 0600.
func writeFile(path string, data []byte) error { return replace(path, data, true) }

// writeVolatile is writeFile for a tmpfs, where nothing outlives a crash.
func writeVolatile(path string, data []byte) error { return replace(path, data, false) }

func replace(path string, data []byte, durable bool) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // the first error is what the caller needs to know
		}
	}()
	if _, err := file.Write(data); err != nil {
		_ = file.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if durable {
		if err := file.Sync(); err != nil {
			_ = file.Close()
			return fmt.Errorf("sync %s: %w", path, err)
		}
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	if !durable {
		return nil
	}
	return syncDir(dir)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // opened for reading only
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
