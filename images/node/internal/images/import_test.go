package images_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/images"
)

// find returns the image of a name.
func find(t testing.TB, store *images.Store, name string) *contract.Image {
	t.Helper()
	list, err := store.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if slices.Contains(list[i].Names, name) {
			return &list[i]
		}
	}
	return nil
}

// expect compares what an import did.
func expect(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDockerArchive(t *testing.T) {
	store := newStore(t)
	first, second := layerOf(t, 1, 1<<20), layerOf(t, 2, 100)
	config := configOf(t, "amd64", first, second)
	files := dockerFiles(t, config, []string{"localhost/docker:1", "docker:2"}, first, second)
	expect(t, importAll(t, store, tarOf(t, files...)),
		"localhost/docker:1 moved 2 present 0", "docker.io/library/docker:2 moved 2 present 0")

	list, err := store.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	contracttest.ValidateValue(t, "images.schema.json", contract.ImageList{Images: list})
	image := find(t, store, "localhost/docker:1")
	if image == nil || image.ID != digest.FromBytes(config).String() || len(image.DiffIDs) != 2 {
		t.Fatalf("got %+v", image)
	}
	if !slices.Equal(image.Names, []string{"docker.io/library/docker:2", "localhost/docker:1"}) {
		t.Errorf("got names %v", image.Names)
	}
	missing, err := store.Missing(context.Background(), []string{image.DiffIDs[0], image.DiffIDs[1], image.ID, digest.FromString("none").String()})
	if err != nil || !slices.Equal(missing, []string{digest.FromString("none").String()}) {
		t.Errorf("got missing %v, %v", missing, err)
	}

	// The same again moves nothing, compressed or not.
	expect(t, importAll(t, store, gzipOf(t, tarOf(t, files...)), "localhost/docker:3"), "localhost/docker:3 moved 0 present 2")
	// The layers may be left out.
	without := slices.DeleteFunc(slices.Clone(files), func(f file) bool { return strings.HasSuffix(f.name, ".tar") })
	expect(t, importAll(t, store, tarOf(t, without...), "localhost/docker:4"), "localhost/docker:4 moved 0 present 2")
	// A further layer on those that are there.
	third := layerOf(t, 3, 1<<20)
	more := dockerFiles(t, configOf(t, "amd64", first, second, third), []string{"localhost/docker:5"}, first, second, third)
	more = slices.DeleteFunc(more, func(f file) bool { return strings.HasPrefix(f.name, digest.FromBytes(first).Encoded()) })
	expect(t, importAll(t, store, tarOf(t, more...)), "localhost/docker:5 moved 1 present 2")
}

func TestOldDockerArchive(t *testing.T) {
	store := newStore(t)
	layer := layerOf(t, 4, 1<<20)
	config := configOf(t, "amd64", layer, layer)
	archive := tarOf(t,
		file{name: "./aaa/layer.tar", data: layer}, file{name: "./bbb/layer.tar", link: "../aaa/layer.tar"},
		file{name: "./aaa/json", data: []byte("{}")}, file{name: "./config", data: config},
		file{name: "./manifest.json", data: jsonOf(t, []map[string]any{
			{"Config": "config", "RepoTags": []string{"localhost/old:1"}, "Layers": []string{"aaa/layer.tar", "bbb/layer.tar"}},
		})},
	)
	expect(t, importAll(t, store, archive), "localhost/old:1 moved 2 present 0")
}

func TestLayout(t *testing.T) {
	store := newStore(t)
	layer := layerOf(t, 5, 1<<20)
	compressed := gzipOf(t, layer)
	config := configOf(t, "amd64", layer)
	manifest := manifestOf(t, config, compressed)
	foreignConfig := configOf(t, "arm64", layer)
	foreign := manifestOf(t, foreignConfig, compressed)
	amd64, arm64 := descriptorOf(ocispec.MediaTypeImageManifest, manifest), descriptorOf(ocispec.MediaTypeImageManifest, foreign)
	amd64.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	nested := indexOf(t, arm64, amd64)
	archive := tarOf(t,
		file{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		file{name: "index.json", data: indexOf(t, named(descriptorOf(ocispec.MediaTypeImageIndex, nested), "localhost/layout:1"))},
		blobFile(nested), blobFile(manifest), blobFile(config), blobFile(compressed),
	)
	expect(t, importAll(t, store, archive), "localhost/layout:1 moved 1 present 0")
	image := find(t, store, "localhost/layout:1")
	if image == nil || image.Digest != digest.FromBytes(manifest).String() || image.ID != digest.FromBytes(config).String() {
		t.Fatalf("got %+v", image)
	}
	// The layer counts as held by either digest, and a docker-archive of the same layer need not bring it.
	missing, err := store.Missing(context.Background(), []string{digest.FromBytes(layer).String(), digest.FromBytes(compressed).String()})
	if err != nil || len(missing) != 0 {
		t.Errorf("got missing %v, %v", missing, err)
	}
	expect(t, importAll(t, store, tarOf(t, dockerFiles(t, config, []string{"localhost/layout:2"}, layer)...)), "localhost/layout:2 moved 0 present 1")
}

func TestLayoutThatDockerWrites(t *testing.T) {
	store := newStore(t)
	layer := layerOf(t, 6, 1000)
	config := configOf(t, "amd64", layer)
	manifest := jsonOf(t, ocispec.Manifest{
		Config: descriptorOf(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{descriptorOf(ocispec.MediaTypeImageLayer, layer)},
	})
	archive := tarOf(t,
		file{name: "index.json", data: indexOf(t, descriptorOf(ocispec.MediaTypeImageManifest, manifest))},
		blobFile(manifest), blobFile(config), blobFile(layer),
		file{name: "manifest.json", data: jsonOf(t, []map[string]any{{
			"Config": blobFile(config).name, "RepoTags": []string{"localhost/both:1"}, "Layers": []string{blobFile(layer).name},
		}})},
	)
	expect(t, importAll(t, store, archive), "localhost/both:1 moved 1 present 0")
}

func TestRefused(t *testing.T) {
	store := newStore(t)
	layer, other, damaged := layerOf(t, 7, 1<<20), layerOf(t, 8, 1<<20), layerOf(t, 11, 1<<20)
	config := configOf(t, "amd64", layer)
	good := dockerFiles(t, config, []string{"localhost/refused:1"}, layer)
	whole := tarOf(t, good...)
	layerName := digest.FromBytes(layer).Encoded() + ".tar"
	compressed := gzipOf(t, other)
	arm64 := manifestOf(t, configOf(t, "arm64", other), compressed)
	platform := func(architecture string) ocispec.Descriptor {
		descriptor := descriptorOf(ocispec.MediaTypeImageManifest, arm64)
		descriptor.Digest = digest.FromString(architecture)
		descriptor.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		return named(descriptor, "localhost/refused:1")
	}
	for name, test := range map[string]struct {
		archive []byte
		names   []string
		want    string
	}{
		"empty":             {nil, nil, "the archive is empty"},
		"no tar":            {bytes.Repeat([]byte("no tar "), 1000), nil, "this is not a tar archive"},
		"end in a layer":    {whole[:500_000], nil, fmt.Sprintf("the archive ends in the middle of %s (499488 of %d bytes are there)", layerName, len(layer))},
		"end in a header":   {whole[:len(layer)+512+100], nil, "the archive ends in the middle of the header after " + layerName},
		"end between files": {whole[:len(layer)+512], nil, "the archive has neither a manifest.json nor an index.json: it is no image archive, or its end is missing"},
		"other content":     {tarOf(t, file{name: digest.FromBytes(damaged).Encoded() + ".tar", data: other}), nil, fmt.Sprintf("%s.tar is damaged: its content has the digest %s", digest.FromBytes(damaged).Encoded(), digest.FromBytes(other))},
		"other layer": {
			tarOf(t, file{name: "layer", data: other}, file{name: "config", data: config}, file{name: "manifest.json", data: jsonOf(t, []map[string]any{
				{"Config": "config", "RepoTags": []string{"localhost/refused:1"}, "Layers": []string{"layer"}},
			})}), nil,
			fmt.Sprintf("localhost/refused:1 is damaged: its configuration says that layer 1 is %s, its content is %s", digest.FromBytes(layer), digest.FromBytes(other)),
		},
		"other architecture":  {tarOf(t, dockerFiles(t, configOf(t, "arm64", layer), []string{"localhost/refused:1"}, layer)...), nil, "localhost/refused:1 is for linux/arm64, this node is linux/amd64"},
		"other architectures": {tarOf(t, file{name: "index.json", data: indexOf(t, platform("s390x"), platform("arm64"))}), nil, "localhost/refused:1 is for linux/arm64 and linux/s390x, this node is linux/amd64"},
		"no image":            {tarOf(t, file{name: "manifest.json", data: []byte("[]")}), nil, "the archive has no image"},
		"no configuration":    {tarOf(t, file{name: "manifest.json", data: []byte(`[{"Config":"x.json","RepoTags":["localhost/refused:1"]}]`)}), nil, "the archive lacks the configuration x.json of localhost/refused:1"},
		"contradiction":       {tarOf(t, dockerFiles(t, configOf(t, "amd64"), []string{"localhost/refused:1"}, layer)...), nil, "localhost/refused:1 contradicts itself: its configuration has 0 layers, its manifest 1"},
		"lacking layer":       {tarOf(t, dockerFiles(t, configOf(t, "amd64", []byte("nowhere")), []string{"localhost/refused:1"}, nil)...), nil, ""},
		"bad name":            {tarOf(t, dockerFiles(t, config, []string{"UPPER"}, layer)...), nil, `"UPPER" is not the name of an image: invalid reference format: repository name (library/UPPER) must be lowercase`},
		"bad new name":        {whole, []string{"a b"}, `"a b" is not the name of an image: invalid reference format`},
		"no name":             {tarOf(t, dockerFiles(t, config, nil, layer)...), nil, fmt.Sprintf("the archive gives image %s no name; give it one", digest.FromBytes(config))},
		"damaged blob": {
			tarOf(t, file{name: "index.json", data: indexOf(t)}, file{name: blobFile(damaged).name, data: other}), nil,
			fmt.Sprintf("%s is damaged: its content has the digest %s", blobFile(damaged).name, digest.FromBytes(other)),
		},
		"lacking manifest": {
			tarOf(t, file{name: "index.json", data: indexOf(t, named(descriptorOf(ocispec.MediaTypeImageManifest, arm64), "localhost/refused:1"))}), nil,
			fmt.Sprintf("the archive lacks %s, and the node does not have it either", blobFile(arm64).name),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == "" {
				files := dockerFiles(t, configOf(t, "amd64", []byte("nowhere")), []string{"localhost/refused:1"}, layer)
				test.archive = tarOf(t, slices.DeleteFunc(files, func(f file) bool { return f.name == layerName })...)
				test.want = fmt.Sprintf("the archive lacks 1 of the 1 layers of localhost/refused:1, and the node does not have them either: %s", digest.FromString("nowhere"))
			}
			_, err := store.Import(context.Background(), bytes.NewReader(test.archive), test.names)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %v", err, test.want)
			}
			if image := find(t, store, "localhost/refused:1"); image != nil {
				t.Errorf("a refused archive must not leave a name: %+v", image)
			}
		})
	}
}

// TestTruncatedAnywhere: no beginning of an archive passes for the whole.
func TestTruncatedAnywhere(t *testing.T) {
	store := newStore(t)
	layer := layerOf(t, 9, 2000)
	whole := tarOf(t, dockerFiles(t, configOf(t, "amd64", layer), []string{"localhost/truncated:1"}, layer)...)
	end := len(bytes.TrimRight(whole, "\x00"))
	for length := 0; length < end; length += 97 {
		_, err := store.Import(context.Background(), bytes.NewReader(whole[:length]), nil)
		if err == nil {
			t.Fatalf("%d of %d bytes were taken", length, len(whole))
		}
	}
}

func TestTagAndRemove(t *testing.T) {
	store := newStore(t)
	ctx := context.Background()
	layer := layerOf(t, 10, 1<<20)
	config := configOf(t, "amd64", layer)
	id := digest.FromBytes(config).String()
	importAll(t, store, tarOf(t, dockerFiles(t, config, []string{"localhost/tag:1"}, layer)...))
	tagged, err := store.Tag(ctx, id, []string{"tag:2"})
	contracttest.ValidateValue(t, "import.schema.json", contract.ImportReport{Images: tagged})
	if err != nil || len(tagged) != 1 || tagged[0].Name != "docker.io/library/tag:2" || tagged[0].ID != id || tagged[0].LayersPresent != 1 {
		t.Fatalf("got %+v, %v", tagged, err)
	}
	unknown := digest.FromString("unknown").String()
	if _, err := store.Tag(ctx, unknown, []string{"tag:3"}); err == nil || err.Error() != "the node has no image "+unknown {
		t.Errorf("got %v", err)
	}
	if err := store.Remove(ctx, []string{"localhost/tag:1"}); err != nil {
		t.Fatal(err)
	}
	if find(t, store, "localhost/tag:1") != nil || find(t, store, "docker.io/library/tag:2") == nil {
		t.Error("removing one name must leave the other")
	}
	if err := store.Remove(ctx, []string{"localhost/tag:1"}); err == nil || err.Error() != "the node has no image localhost/tag:1" {
		t.Errorf("got %v", err)
	}
	if err := store.Remove(ctx, []string{id}); err != nil {
		t.Fatal(err)
	}
	missing, err := store.Missing(ctx, []string{digest.FromBytes(layer).String()})
	if err != nil || len(missing) != 1 {
		t.Errorf("what no image needs must be collected: missing %v, %v", missing, err)
	}
}

// TestRemoveOneOfTwoCopies: an image that is there compressed and uncompressed stays when one of them goes.
func TestRemoveOneOfTwoCopies(t *testing.T) {
	store := newStore(t)
	layer := layerOf(t, 40, 1000)
	compressed, config := gzipOf(t, layer), configOf(t, "amd64", layer)
	manifest := manifestOf(t, config, compressed)
	importAll(t, store, tarOf(t, dockerFiles(t, config, []string{"localhost/copy:1"}, layer)...))
	importAll(t, store, tarOf(t,
		file{name: "index.json", data: indexOf(t, named(descriptorOf(ocispec.MediaTypeImageManifest, manifest), "localhost/copy:2"))},
		blobFile(manifest), blobFile(config), blobFile(compressed),
	))
	if err := store.Remove(context.Background(), []string{"localhost/copy:1"}); err != nil {
		t.Fatal(err)
	}
	tagged, err := store.Tag(context.Background(), digest.FromBytes(config).String(), []string{"localhost/copy:3"})
	if err != nil || len(tagged) != 1 {
		t.Fatalf("got %v, %v", tagged, err)
	}
	if err := store.Remove(context.Background(), []string{digest.FromBytes(config).String()}); err != nil {
		t.Fatal(err)
	}
	if find(t, store, "localhost/copy:2") != nil || find(t, store, "localhost/copy:3") != nil {
		t.Error("removing by ID must remove every name")
	}
}

// TestNameMoves: a name that is imported again belongs to the new image.
func TestNameMoves(t *testing.T) {
	store := newStore(t)
	for seed := range uint64(2) {
		layer := layerOf(t, 20+seed, 1000)
		config := configOf(t, "amd64", layer)
		importAll(t, store, tarOf(t, dockerFiles(t, config, []string{"localhost/moves:1"}, layer)...))
		if image := find(t, store, "localhost/moves:1"); image == nil || image.ID != digest.FromBytes(config).String() {
			t.Fatalf("got %+v", image)
		}
	}
}

func TestEnsure(t *testing.T) {
	store := newStore(t)
	ctx := context.Background()
	layer := layerOf(t, 30, 1000)
	path := filepath.Join(t.TempDir(), "own.tar")
	if err := os.WriteFile(path, tarOf(t, dockerFiles(t, configOf(t, "amd64", layer), nil, layer)...), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := store.Ensure(ctx, "localhost/own:1", path); err != nil {
			t.Fatal(err)
		}
		if find(t, store, "localhost/own:1") == nil {
			t.Fatal("the image must be there")
		}
		// The second time it is there, and the archive is not needed.
		_ = os.Remove(path)
	}
	if err := store.Ensure(ctx, "localhost/other:1", path); err == nil {
		t.Error("a missing archive must be an error")
	}
}
