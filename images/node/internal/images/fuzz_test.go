package images

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// memory is a sink that keeps nothing and a store that has nothing.
type memory struct{}

func (memory) holds(context.Context, digest.Digest) (bool, error) { return false, nil }

func (memory) keep(_ context.Context, source io.Reader, size int64, expected digest.Digest) (digest.Digest, bool, error) {
	digester := digest.Canonical.Digester()
	count, err := io.CopyN(digester.Hash(), source, size)
	if count < size {
		return "", false, readError{io.ErrUnexpectedEOF}
	}
	if err != nil {
		return "", false, readError{err}
	}
	if expected != "" && digester.Digest() != expected {
		return "", false, &digestError{"its content has another digest"}
	}
	return digester.Digest(), true, nil
}

func (memory) expect([]digest.Digest) {}

func (memory) expects(blob digest.Digest) bool { return blob == digest.FromString("layer") }

func (memory) blob(context.Context, digest.Digest) ([]byte, error) { return nil, errdefs.ErrNotFound }

// FuzzArchive: no archive makes the reader or the planner panic, and what is planned is consistent.
func FuzzArchive(f *testing.F) {
	add := func(files map[string]string, links map[string]string) {
		var buffer bytes.Buffer
		writer := tar.NewWriter(&buffer)
		for name, data := range files {
			if err := writer.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
				f.Fatal(err)
			}
			if _, err := writer.Write([]byte(data)); err != nil {
				f.Fatal(err)
			}
		}
		for name, target := range links {
			if err := writer.WriteHeader(&tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}); err != nil {
				f.Fatal(err)
			}
		}
		if err := writer.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(buffer.Bytes())
	}
	config := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + digest.FromString("layer").String() + `"]}}`
	add(map[string]string{
		"manifest.json": `[{"Config":"c","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]`, "c": config, "m/layer.tar": "layer",
	}, map[string]string{"l/layer.tar": "../m/layer.tar", "loop": "loop"})
	manifest := `{"config":{"digest":"` + digest.FromString(config).String() + `"},"layers":[{"digest":"` + digest.FromString("layer").String() + `"}]}`
	add(map[string]string{
		"index.json":                          `{"manifests":[{"digest":"` + digest.FromString(manifest).String() + `","annotations":{"io.containerd.image.name":"a:1"}}]}`,
		blobPath(digest.FromString(manifest)): manifest, blobPath(digest.FromString(config)): config,
		blobPath(digest.FromString("layer")): "layer",
	}, nil)
	add(map[string]string{"index.json": `{"manifests":[{"digest":"x"}]}`, "../../manifest.json": "[{}]"}, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := readArchive(context.Background(), bytes.NewReader(data), memory{})
		if err != nil {
			return
		}
		planned, err := (&planner{archive: read, store: memory{}, architectures: []string{"amd64"}}).plan(context.Background())
		if err != nil {
			return
		}
		for _, image := range planned {
			if len(image.layers) != len(image.image.RootFS.DiffIDs) {
				t.Errorf("%s has %d layers and %d digests", image.title(), len(image.layers), len(image.image.RootFS.DiffIDs))
			}
			for _, layer := range image.layers {
				if layer.diffID.Validate() != nil {
					t.Errorf("a layer has the digest %q", layer.diffID)
				}
			}
		}
	})
}
