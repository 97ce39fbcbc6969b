package images_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sandbar.dev/node/internal/api"
	"sandbar.dev/node/internal/api/client"
	"sandbar.dev/node/internal/images"
)

const (
	benchmarkLayers    = 4
	benchmarkLayerSize = 25 << 20
)

// BenchmarkImport imports 100 MB in four layers that are new each time: by the store, through the API's socket, and by
// containerd's own ctr where it is installed, for comparison.
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
	measure := func(b *testing.B, store *images.Store, load func(io.Reader) error) {
		b.Helper()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			name := fmt.Sprintf("localhost/benchmark:%d", i)
			source, err := os.Open(archive(b, name))
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if err := load(source); err != nil {
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
	}
	b.Run("store", func(b *testing.B) {
		store := newStore(b)
		measure(b, store, func(source io.Reader) error {
			_, err := store.Import(context.Background(), source, nil)
			return err
		})
	})
	b.Run("socket", func(b *testing.B) {
		store := newStore(b)
		socket := filepath.Join(b.TempDir(), "node.sock")
		server := api.New(api.Options{Socket: socket})
		listener, err := server.Listen()
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() { _ = server.Serve(ctx, listener) }()
		server.Update(func(s *api.Sources) { s.Images = store })
		node := client.New(socket)
		measure(b, store, func(source io.Reader) error {
			_, err := node.Import(context.Background(), source, nil)
			return err
		})
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
