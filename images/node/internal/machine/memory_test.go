package machine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadFreeMemory(t *testing.T) {
	folder := tree(t, map[string]string{
		"arm64": "Node 0, zone      DMA      2      1      0      0      0      0      0      0      1      8    601 \n",
		"amd64": "Node 0, zone    DMA32      0      0      0      0      0      0      0      0      0      0      1 \n" +
			"Node 0, zone   Normal      3      0      0      0      0      0      0      0      0      0      0 \n",
		"other": "Zones: 3\n",
		"word":  "Node 0, zone      DMA      many\n",
	})
	for name, want := range map[string][]zone{
		"arm64": {{"0,DMA", 2 + 2, 4 + 256 + 8<<9 + 601<<10}},
		"amd64": {{"0,DMA32", 0, 1 << 10}, {"0,Normal", 3, 3}},
	} {
		got, err := readFreeMemory(filepath.Join(folder, name))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"other", "word", "missing"} {
		if got, err := readFreeMemory(filepath.Join(folder, name)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	// This kernel's own.
	if _, err := os.Stat(buddyInfo); err == nil {
		if got, err := readFreeMemory(buddyInfo); err != nil || len(got) == 0 {
			t.Errorf("%v, %v", got, err)
		}
	}
}

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

func TestDirty(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after []zone
		want          uint64
	}{
		{"nothing is free", []zone{{"a", 0, 0}}, []zone{{"a", 0, 0}}, 0},
		{"small blocks alone", []zone{{"a", 100, 9000}}, []zone{{"a", 100, 9000}}, 100},
		{"what became free", []zone{{"a", 100, 9000}}, []zone{{"a", 300, 9500}}, 600},
		{"less is free", []zone{{"a", 100, 9000}}, []zone{{"a", 20, 8000}}, 100},
		{"the zone before is not reached", []zone{{"a", 500, 9000}, {"b", 100, 9000}}, []zone{{"a", 500, 9900}, {"b", 100, 9600}}, 700},
		{"the last zone is used up", []zone{{"a", 500, 9000}, {"b", 10, 10}}, []zone{{"a", 500, 9000}, {"b", 20, 20}}, 520},
		{"half is left", []zone{{"a", 700, 700}}, []zone{{"a", 800, 900}}, 450},
		{"a zone that is new", nil, []zone{{"a", 1, 900}}, 1},
	} {
		if got := dirty(c.before, c.after); got != c.want {
			t.Errorf("%s: %d pages, not %d", c.name, got, c.want)
		}
	}
}

func TestZero(t *testing.T) {
	for _, bytes := range []uint64{0, 1, 3 << 20} {
		if err := zero(bytes); err != nil {
			t.Errorf("%d bytes: %v", bytes, err)
		}
	}
}
