package pool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T) (*Directory, string) {
	t.Helper()
	root := t.TempDir()
	d, err := OpenDirectory("default", root)
	if err != nil {
		t.Fatal(err)
	}
	return d, root
}

func TestCreateIsIdempotentAndKeepsData(t *testing.T) {
	d, _ := open(t)
	first, err := d.Create(context.Background(), "pvc-1", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	path, err := d.Path(first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "note"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := d.Create(context.Background(), "pvc-1", 1<<20)
	if err != nil || second != first {
		t.Fatalf("got %+v, %v; want %+v", second, err, first)
	}
	if content, err := os.ReadFile(filepath.Join(path, "note")); err != nil || string(content) != "kept" {
		t.Fatalf("the data is %q, %v", content, err)
	}
	if _, err := d.Create(context.Background(), "pvc-1", 2<<20); !errors.Is(err, ErrSizeDiffers) {
		t.Fatalf("got %v, want ErrSizeDiffers", err)
	}
}

func TestAnyUserMayWriteWhateverTheUmask(t *testing.T) {
	d, _ := open(t)
	volume, err := d.Create(context.Background(), "pvc-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	path, _ := d.Path(volume.ID)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestNoSpaceSaysTheNumbers(t *testing.T) {
	d, _ := open(t)
	_, err := d.Create(context.Background(), "pvc-huge", 1<<62)
	var full *NoSpaceError
	if !errors.As(err, &full) || full.Requested != 1<<62 || full.Available <= 0 {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "4611686018427387904 bytes requested") {
		t.Fatalf("got %q", err)
	}
	if volumes, err := d.List(context.Background()); err != nil || len(volumes) != 0 {
		t.Fatalf("left behind: %v, %v", volumes, err)
	}
}

func TestDeleteIsIdempotent(t *testing.T) {
	d, root := open(t)
	volume, err := d.Create(context.Background(), "pvc-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Delete(context.Background(), volume.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Get(context.Background(), volume.ID); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}
	if left, err := os.ReadDir(filepath.Join(root, trashDir)); err != nil || len(left) != 0 {
		t.Fatalf("trash holds %v, %v", left, err)
	}
}

func TestOpenClearsWhatACrashLeft(t *testing.T) {
	d, root := open(t)
	if _, err := d.Create(context.Background(), "pvc-1", 0); err != nil {
		t.Fatal(err)
	}
	unfinished := filepath.Join(root, volumesDir, unfinishedPrefix+"pvc-2", dataDir)
	deleted := filepath.Join(root, trashDir, "pvc-3-1", "volume", dataDir)
	for _, dir := range []string{unfinished, deleted} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenDirectory("default", root)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{unfinished, deleted} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", dir)
		}
	}
	volumes, err := d.List(context.Background())
	if err != nil || len(volumes) != 1 || volumes[0].ID != "pvc-1" {
		t.Fatalf("got %v, %v", volumes, err)
	}
}

func TestIDsCannotLeaveThePool(t *testing.T) {
	d, _ := open(t)
	for _, id := range []string{"", "..", "../x", "a/b", ".new-x", "A", "-x", strings.Repeat("a", 129), "a\x00b"} {
		if _, err := d.Path(id); !errors.Is(err, ErrInvalidID) {
			t.Errorf("Path(%q): %v", id, err)
		}
		if err := d.Delete(context.Background(), id); !errors.Is(err, ErrInvalidID) {
			t.Errorf("Delete(%q): %v", id, err)
		}
	}
}

func FuzzNamesBecomeSafeIDs(f *testing.F) {
	for _, name := range []string{"pvc-1", "../../etc", "h-1", "ü", strings.Repeat("x", 300)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		id := idFor(name)
		if err := checkID(id); err != nil {
			t.Fatalf("idFor(%q) = %q: %v", name, id, err)
		}
	})
}
