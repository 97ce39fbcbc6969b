package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// file is a file for a tar archive; with a link, a symbolic link.
type file struct {
	name string
	data []byte
	link string
}

// tarOf makes a tar archive.
func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), Typeflag: tar.TypeReg, ModTime: time.Unix(1, 0)}
		if f.link != "" {
			header.Typeflag, header.Linkname = tar.TypeSymlink, f.link
		}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// layerOf makes a layer with one file of random content, always the same for a seed.
func layerOf(t testing.TB, seed uint64, size int) []byte {
	t.Helper()
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	if _, err := source.Read(data); err != nil {
		t.Fatal(err)
	}
	return tarOf(t, file{name: fmt.Sprintf("file-%d", seed), data: data})
}

func gzipOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	if _, err := writer.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func jsonOf(t testing.TB, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// configOf makes the configuration of an image of uncompressed layers.
func configOf(t testing.TB, architecture string, layers ...[]byte) []byte {
	t.Helper()
	config := ocispec.Image{Platform: ocispec.Platform{Architecture: architecture, OS: "linux"}}
	config.RootFS.Type = "layers"
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(layer))
	}
	return jsonOf(t, config)
}

// dockerFiles are the files of a docker-archive as Podman writes it.
func dockerFiles(t testing.TB, config []byte, names []string, layers ...[]byte) []file {
	t.Helper()
	var files []file
	var paths []string
	for i, layer := range layers {
		path := digest.FromBytes(layer).Encoded() + ".tar"
		files = append(files, file{name: path, data: layer})
		files = append(files, file{name: fmt.Sprintf("%064d/layer.tar", i), link: "../" + path})
		paths = append(paths, path)
	}
	path := digest.FromBytes(config).Encoded() + ".json"
	files = append(files, file{name: path, data: config})
	return append(files, file{name: "manifest.json", data: jsonOf(t, []map[string]any{
		{"Config": path, "RepoTags": names, "Layers": paths},
	})})
}

func blobFile(data []byte) file {
	return file{name: "blobs/sha256/" + digest.FromBytes(data).Encoded(), data: data}
}

func descriptorOf(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// manifestOf makes a manifest of gzip layers.
func manifestOf(t testing.TB, config []byte, layers ...[]byte) []byte {
	t.Helper()
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: descriptorOf(ocispec.MediaTypeImageConfig, config),
	}
	for _, layer := range layers {
		manifest.Layers = append(manifest.Layers, descriptorOf(ocispec.MediaTypeImageLayerGzip, layer))
	}
	return jsonOf(t, manifest)
}

// indexOf makes an index.
func indexOf(t testing.TB, descriptors ...ocispec.Descriptor) []byte {
	t.Helper()
	return jsonOf(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: descriptors,
	})
}

// named adds the annotation of a name.
func named(descriptor ocispec.Descriptor, name string) ocispec.Descriptor {
	descriptor.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	return descriptor
}
