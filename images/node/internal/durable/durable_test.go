package durable

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReplaces(t *testing.T) {
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{
		"durable": WriteFile, "volatile": WriteVolatile,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			for _, content := range []string{"a longer first content", "second"} {
				if err := write(path, []byte(content), 0o640); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(path)
				if err != nil || string(got) != content {
					t.Errorf("got %q %v, want %q", got, err, content)
				}
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v %v", info.Mode(), err)
			}
			if err := write(filepath.Join(dir, "missing", "file"), nil, 0o600); err == nil {
				t.Error("no error for a folder that is missing")
			}
			// A folder cannot be replaced by a file; what was written for it goes away.
			if err := os.MkdirAll(filepath.Join(dir, "folder", "in it"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := write(filepath.Join(dir, "folder"), nil, 0o600); err == nil {
				t.Error("no error for a name that a folder has")
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != 2 {
				t.Errorf("left: %v %v", left, err)
			}
		})
	}
}
