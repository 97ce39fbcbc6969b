// Package durable replaces files so that after a crash either the old or the whole new content is there.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path and returns when the new content and its name are on disk.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	if err := replace(path, data, mode, (*os.File).Sync); err != nil {
		return err
	}
	return Sync(filepath.Dir(path))
}

// WriteVolatile replaces the file at path for readers that may come at any time. It does not wait for a disk: it is for a
// tmpfs, where nothing outlives a crash.
func WriteVolatile(path string, data []byte, mode fs.FileMode) error {
	return replace(path, data, mode, func(*os.File) error { return nil })
}

// Sync waits until a file, or the names in a folder, are on disk.
func Sync(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// SyncTree is Sync for a folder and all that is in it.
func SyncTree(root string) error {
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return Sync(path)
	})
}

// replace writes a file under another name in the same folder and renames it.
func replace(path string, data []byte, mode fs.FileMode, sync func(*os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600 until it is complete
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), sync(file), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
