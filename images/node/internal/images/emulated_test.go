package images

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// layoutOf is a layout with one image for several architectures, of which some are left out.
func layoutOf(t *testing.T, left string, architectures ...string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	add := func(name, content string) {
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	var descriptors []string
	for _, architecture := range architectures {
		config := fmt.Sprintf(`{"os":"linux","architecture":%q,"rootfs":{"type":"layers","diff_ids":[]}}`, architecture)
		manifest := `{"config":{"digest":"` + digest.FromString(config).String() + `"},"layers":[]}`
		descriptors = append(descriptors, fmt.Sprintf(
			`{"digest":%q,"platform":{"os":"linux","architecture":%q},"annotations":{"io.containerd.image.name":"a:1"}}`,
			digest.FromString(manifest), architecture))
		if architecture != left {
			add(blobPath(digest.FromString(manifest)), manifest)
			add(blobPath(digest.FromString(config)), config)
		}
	}
	add("index.json", `{"manifests":[`+strings.Join(descriptors, ",")+`]}`)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// A node takes its own architecture where an image has it, and one that it emulates where not.
func TestPlanOfANodeThatEmulates(t *testing.T) {
	for _, c := range []struct {
		name          string
		archive       []byte
		architectures []string
		// want is the architecture, or what the error says.
		want string
	}{
		{"its own, which comes last", layoutOf(t, "", "s390x", "amd64", "arm64"), []string{"arm64", "amd64"}, "arm64"},
		{"its own, without the other", layoutOf(t, "amd64", "amd64", "arm64"), []string{"arm64", "amd64"}, "arm64"},
		{"the other among several", layoutOf(t, "s390x", "s390x", "amd64"), []string{"arm64", "amd64"}, "amd64"},
		{"the other alone", layoutOf(t, "", "amd64"), []string{"arm64", "amd64"}, "amd64"},
		{"none", layoutOf(t, "", "s390x"), []string{"arm64", "amd64"}, "a:1 is for linux/s390x, this node is linux/arm64"},
		{"the other, where it does not run", layoutOf(t, "", "amd64"), []string{"arm64"}, "a:1 is for linux/amd64, this node is linux/arm64"},
	} {
		read, err := readArchive(context.Background(), bytes.NewReader(c.archive), memory{})
		if err != nil {
			t.Fatal(err)
		}
		planned, err := (&planner{archive: read, store: memory{}, architectures: c.architectures}).plan(context.Background())
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case len(planned) == 1:
			got = planned[0].image.Architecture
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
