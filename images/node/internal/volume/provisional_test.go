package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"sandbar.dev/node/internal/paths"
)

func TestProvisional(t *testing.T) {
	layout := paths.Layout{Data: filepath.Join(t.TempDir(), "data")}
	begin := func(want bool) {
		t.Helper()
		if may, err := BeginProvisional(layout); err != nil || may != want {
			t.Fatalf("begin: %v %v", may, err)
		}
	}
	fill := func() {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(layout.Etcd(), "member"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	there := func() bool {
		_, err := os.Stat(layout.Etcd())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return err == nil
	}
	if err := DiscardProvisional(layout); err != nil {
		t.Fatal(err)
	}
	begin(true)
	fill()
	// As after a crash.
	begin(true)
	if there() {
		t.Error("what an earlier attempt began is still there")
	}
	fill()
	if err := DiscardProvisional(layout); err != nil || there() {
		t.Errorf("discard: %v, %v", err, there())
	}
	begin(true)
	fill()
	if err := KeepProvisional(layout); err != nil {
		t.Fatal(err)
	}
	if err := DiscardProvisional(layout); err != nil || !there() {
		t.Errorf("what is a cluster's was removed: %v", err)
	}
	begin(false)
	if err := os.RemoveAll(layout.Etcd()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(layout.DataVersion(), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	begin(false)
}
