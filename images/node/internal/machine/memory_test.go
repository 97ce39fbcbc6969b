package machine

import (
	"os"
	"path/filepath"
	"testing"
)

// A kernel without a setting is left as it is.
func TestSet(t *testing.T) {
	folder := tree(t, map[string]string{"order": "9"})
	for _, name := range []string{"order", "missing"} {
		if err := set(filepath.Join(folder, name), 2); err != nil {
			t.Error(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(folder, "order")); err != nil || string(got) != "2" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(folder, "missing")); !os.IsNotExist(err) {
		t.Errorf("it was made: %v", err)
	}
	if err := set(folder, 2); err == nil {
		t.Error("a folder was written to")
	}
}
