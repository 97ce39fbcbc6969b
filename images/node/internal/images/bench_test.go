package images_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	benchmarkLayers    = 4
	benchmarkLayerSize = 25 << 20
)

// BenchmarkImport imports 100 MB in four layers that are new each time: by the store, and by containerd's own ctr where it
// is installed, for comparison.
func BenchmarkImport(b *testing.B) {
	seed := uint64(1000)
	archive := func(b *testing.B, name string) string {
		b.Helper()
		var layers [][]byte
		for range benchmarkLayers {
			seed++
			layers = append(layers, layerOf(b, seed, benchmarkLayerSize))
		}
		path := filepath.Join(b.TempDir(), "archive.tar")
		data := tarOf(b, dockerFiles(b, configOf(b, "amd64", layers...), []string{name}, layers...)...)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	b.Run("store", func(b *testing.B) {
		store := newStore(b)
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			name := fmt.Sprintf("localhost/benchmark:%d", i)
			source, err := os.Open(archive(b, name))
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if _, err := store.Import(context.Background(), source, nil); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := source.Close(); err != nil {
				b.Fatal(err)
			}
			if err := store.Remove(context.Background(), []string{name}); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("ctr", func(b *testing.B) {
		newStore(b)
		program, err := exec.LookPath("ctr")
		if err != nil {
			b.Skip(err)
		}
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			name := fmt.Sprintf("localhost/benchmark:%d", i)
			path := archive(b, name)
			run := func(arguments ...string) {
				all := append([]string{"--address", shared.socket, "--namespace", "k8s.io", "images"}, arguments...)
				if output, err := exec.Command(program, all...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, output)
				}
			}
			b.StartTimer()
			run("import", "--snapshotter", shared.snapshotter, path)
			b.StopTimer()
			run("rm", "--sync", name)
			b.StartTimer()
		}
	})
}
