package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"sandbar.dev/node/internal/images"
)

// witness looks into containerd past the store.
type witness struct {
	snapshotter string
	snapshots   snapshotsapi.SnapshotsClient
	content     contentapi.ContentClient
	leases      leasesapi.LeasesClient
}

func newWitness(t testing.TB, snapshotter string) *witness {
	t.Helper()
	connection, err := grpc.NewClient("unix://"+shared.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return &witness{
		snapshotter, snapshotsapi.NewSnapshotsClient(connection), contentapi.NewContentClient(connection), leasesapi.NewLeasesClient(connection),
	}
}

// newStoreWith connects with another snapshotter than the best.
func newStoreWith(t testing.TB, snapshotter string) *images.Store {
	t.Helper()
	newStore(t)
	store, err := images.New(images.Options{Socket: shared.socket, Snapshotter: snapshotter, Architecture: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func kubernetes() context.Context { return namespaces.WithNamespace(context.Background(), "k8s.io") }

// collect has containerd remove what nothing needs, and returns when it has.
func (w *witness) collect(t testing.TB) {
	t.Helper()
	id := fmt.Sprintf("collect-%d", time.Now().UnixNano())
	if _, err := w.leases.Create(kubernetes(), &leasesapi.CreateRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.leases.Delete(kubernetes(), &leasesapi.DeleteRequest{ID: id, Sync: true}); err != nil {
		t.Fatal(err)
	}
}

// remains lists everything that an import could leave behind.
func (w *witness) remains(t testing.TB) []string {
	t.Helper()
	w.collect(t)
	ctx := kubernetes()
	var all []string
	snapshots, err := w.snapshots.List(ctx, &snapshotsapi.ListSnapshotsRequest{Snapshotter: w.snapshotter})
	for err == nil {
		var response *snapshotsapi.ListSnapshotsResponse
		if response, err = snapshots.Recv(); err == nil {
			for _, info := range response.GetInfo() {
				all = append(all, "snapshot "+info.GetName())
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	blobs, err := w.content.List(ctx, &contentapi.ListContentRequest{})
	for err == nil {
		var response *contentapi.ListContentResponse
		if response, err = blobs.Recv(); err == nil {
			for _, info := range response.GetInfo() {
				all = append(all, "blob "+info.GetDigest())
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	all = append(all, w.ingests(t)...)
	leases, err := w.leases.List(ctx, &leasesapi.ListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, lease := range leases.GetLeases() {
		all = append(all, "lease "+lease.GetID())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, shared.root) || strings.Contains(line, "containerd-mount") {
			all = append(all, "mount "+line)
		}
	}
	slices.Sort(all)
	return all
}

// ingests lists the blobs that are on their way through containerd's socket.
func (w *witness) ingests(t testing.TB) []string {
	t.Helper()
	response, err := w.content.ListStatuses(kubernetes(), &contentapi.ListStatusesRequest{})
	if err != nil {
		t.Error(err)
	}
	var all []string
	for _, status := range response.GetStatuses() {
		all = append(all, "ingest "+status.GetRef())
	}
	return all
}

// unpacked waits until the layers up to a chain ID are unpacked.
func (w *witness) unpacked(t testing.TB, layers ...[]byte) {
	t.Helper()
	for range 1000 {
		_, err := w.snapshots.Stat(kubernetes(), &snapshotsapi.StatSnapshotRequest{Snapshotter: w.snapshotter, Key: chainOf(layers...).String()})
		if err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the layer is not unpacked while the archive is not over")
}

func chainOf(layers ...[]byte) digest.Digest {
	var order []digest.Digest
	for _, layer := range layers {
		order = append(order, digest.FromBytes(layer))
	}
	return identity.ChainID(order)
}

// tree describes everything that a layer's snapshot has on disk, one line a file.
func (w *witness) tree(t testing.TB, begin time.Time, layers ...[]byte) []string {
	t.Helper()
	key := fmt.Sprintf("view-%d", time.Now().UnixNano())
	view, err := w.snapshots.View(kubernetes(), &snapshotsapi.ViewSnapshotRequest{
		Snapshotter: w.snapshotter, Key: key, Parent: chainOf(layers...).String(),
		Labels: map[string]string{"containerd.io/gc.root": "now"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_, err := w.snapshots.Remove(kubernetes(), &snapshotsapi.RemoveSnapshotRequest{Snapshotter: w.snapshotter, Key: key})
		if err != nil {
			t.Error(err)
		}
	}()
	root := view.GetMounts()[0].GetSource()
	for _, option := range view.GetMounts()[0].GetOptions() {
		if lower, found := strings.CutPrefix(option, "lowerdir="); found {
			root, _, _ = strings.Cut(lower, ":")
		}
	}
	var lines []string
	firsts := map[uint64]string{}
	err = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return err
		}
		changed := fmt.Sprint(stat.Mtim.Sec, ".", stat.Mtim.Nsec)
		if time.Unix(stat.Mtim.Unix()).After(begin.Add(-time.Second)) {
			changed = "now"
		}
		line := fmt.Sprintf("%s mode %o owner %d:%d device %x changed %s", name, stat.Mode, stat.Uid, stat.Gid, stat.Rdev, changed)
		switch stat.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" size %d %s", stat.Size, digest.FromBytes(data))
			if first, seen := firsts[stat.Ino]; seen {
				line += " is " + first
			}
			firsts[stat.Ino] = name
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " to " + target
		}
		buffer := make([]byte, 4096)
		if size, err := unix.Llistxattr(path, buffer); err == nil {
			names := strings.FieldsFunc(string(buffer[:size]), func(r rune) bool { return r == 0 })
			slices.Sort(names)
			for _, name := range names {
				value := make([]byte, 4096)
				size, err := unix.Lgetxattr(path, name, value)
				if err != nil {
					return err
				}
				line += fmt.Sprintf(" %s=%q", name, value[:size])
			}
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// richLayers are layers with everything that a layer can have.
func richLayers(t testing.TB) [][]byte {
	t.Helper()
	moment := time.Unix(1_500_000_000, 123_456_789)
	make := func(headers ...tar.Header) []byte {
		var buffer bytes.Buffer
		writer := tar.NewWriter(&buffer)
		for _, header := range headers {
			header.Format, header.ModTime = tar.FormatPAX, moment
			moment = moment.Add(time.Hour)
			if err := writer.WriteHeader(&header); err != nil {
				t.Fatal(err)
			}
			if _, err := writer.Write(bytes.Repeat([]byte(header.Name), int(header.Size)/len(header.Name)+1)[:header.Size]); err != nil {
				t.Fatal(err)
			}
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		return buffer.Bytes()
	}
	extended := func(pairs ...string) map[string]string {
		records := map[string]string{}
		for n := 0; n < len(pairs); n += 2 {
			records["SCHILY.xattr."+pairs[n]] = pairs[n+1]
		}
		return records
	}
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	return [][]byte{
		make(
			tar.Header{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
			tar.Header{Name: "etc/gone", Typeflag: tar.TypeReg, Mode: 0o644, Size: 10},
			tar.Header{Name: "data/", Typeflag: tar.TypeDir, Mode: 0o2770, Uid: 12, Gid: 34, PAXRecords: extended("user.kind", "folder")},
			tar.Header{Name: "data/deep/", Typeflag: tar.TypeDir, Mode: 0o1777, Uid: 5},
			tar.Header{Name: "data/deep/old", Typeflag: tar.TypeReg, Mode: 0o600, Size: 3},
			tar.Header{Name: "hidden/", Typeflag: tar.TypeDir, Mode: 0o700},
			tar.Header{Name: "hidden/below", Typeflag: tar.TypeReg, Mode: 0o600, Size: 3},
			tar.Header{Name: "bin/program", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 3_000_001, PAXRecords: extended("security.capability", capability)},
			tar.Header{Name: "bin/again", Typeflag: tar.TypeLink, Mode: 0o4755, Linkname: "bin/program", PAXRecords: extended("security.capability", capability)},
			tar.Header{Name: "bin/way", Typeflag: tar.TypeSymlink, Linkname: "../bin/program", Uid: 7},
			tar.Header{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o620},
			tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3},
		),
		make(
			tar.Header{Name: "etc/.wh.gone", Typeflag: tar.TypeReg},
			tar.Header{Name: "data/deep/new", Typeflag: tar.TypeReg, Mode: 0o640, Size: 700_000},
			tar.Header{Name: "hidden/", Typeflag: tar.TypeDir, Mode: 0o711},
			tar.Header{Name: "hidden/.wh..wh..opq", Typeflag: tar.TypeReg},
			tar.Header{Name: "hidden/above", Typeflag: tar.TypeReg, Mode: 0o600, Size: 4},
		),
		// Small enough to be kept in memory.
		make(
			tar.Header{Name: "bin/program", Typeflag: tar.TypeReg, Mode: 0o755, Size: 9},
			tar.Header{Name: "bin/third", Typeflag: tar.TypeLink, Mode: 0o755, Linkname: "bin/program"},
			tar.Header{Name: ".wh.pipe", Typeflag: tar.TypeReg},
		),
	}
}

// hint is the file that says which layers come.
func hint(layers ...[]byte) file {
	var lines strings.Builder
	for _, layer := range layers {
		fmt.Fprintln(&lines, digest.FromBytes(layer))
	}
	return file{name: "sandbar-layers", data: []byte(lines.String())}
}

// hinted is an archive as Podman writes it, with a hint before it.
func hinted(t testing.TB, name string, layers ...[]byte) []byte {
	t.Helper()
	return tarOf(t, append([]file{hint(layers...)}, dockerFiles(t, configOf(t, "amd64", layers...), []string{name}, layers...)...)...)
}

// TestExtractedIsTheSame: what is unpacked while it comes is what containerd makes of it afterwards.
func TestExtractedIsTheSame(t *testing.T) {
	newStore(t)
	for _, snapshotter := range slices.Compact([]string{"native", shared.snapshotter}) {
		t.Run(snapshotter, func(t *testing.T) {
			store, witness := newStoreWith(t, snapshotter), newWitness(t, snapshotter)
			layers := richLayers(t)
			begin := time.Now()
			look := func() (trees [][]string) {
				for n := range layers {
					trees = append(trees, witness.tree(t, begin, layers[:n+1]...))
				}
				return trees
			}
			before := witness.remains(t)
			name := "localhost/rich:1"
			plain := tarOf(t, dockerFiles(t, configOf(t, "amd64", layers...), []string{name}, layers...)...)
			expect(t, importAll(t, store, plain), name+" moved 3 present 0")
			want := look()
			whole := witness.remains(t)
			if err := store.Remove(context.Background(), []string{name}); err != nil {
				t.Fatal(err)
			}
			expect(t, witness.remains(t), before...)

			// The archive stops before its last files: by then the layers must be unpacked.
			archive := hinted(t, name, layers...)
			read, write := io.Pipe()
			go func() {
				at := bytes.Index(archive, []byte(fmt.Sprintf("%064d/layer.tar", 2)))
				_, _ = write.Write(archive[:at])
				witness.unpacked(t, layers...)
				_, _ = write.Write(archive[at:])
				_ = write.Close()
			}()
			imported, err := store.Import(context.Background(), read, nil)
			if err != nil || len(imported) != 1 || imported[0].LayersMoved != 3 || imported[0].LayersPresent != 0 {
				t.Fatalf("got %+v, %v", imported, err)
			}
			for n, got := range look() {
				if !slices.Equal(got, want[n]) {
					t.Errorf("layer %d: got\n%s\nwant\n%s", n+1, strings.Join(got, "\n"), strings.Join(want[n], "\n"))
				}
			}
			expect(t, witness.remains(t), whole...)
			if len(want[0]) < 12 || !slices.ContainsFunc(want[0], func(line string) bool { return strings.Contains(line, "security.capability") }) {
				t.Errorf("the first layer's tree is not what the test is about:\n%s", strings.Join(want[0], "\n"))
			}
			if err := store.Remove(context.Background(), []string{name}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestHintsThatDoNotHold: a hint makes things faster or does nothing.
func TestHintsThatDoNotHold(t *testing.T) {
	store := newStore(t)
	witness := newWitness(t, shared.snapshotter)
	name := "localhost/hint:1"
	first, second, other := layerOf(t, 50, 1<<20), layerOf(t, 51, 1<<20), layerOf(t, 52, 1<<20)
	files := func(layers ...[]byte) []file {
		return dockerFiles(t, configOf(t, "amd64", layers...), []string{name}, layers...)
	}
	with := func(hint file, files []file) []byte { return tarOf(t, append([]file{hint}, files...)...) }
	compressed := gzipOf(t, first)
	config := configOf(t, "amd64", first)
	manifest := manifestOf(t, config, compressed)
	// Podman writes such a layer once.
	twice := files(first, second, first)
	twice = slices.Delete(twice, 4, 5)
	swapped := files(first, second)
	swapped[0], swapped[2] = swapped[2], swapped[0]
	for title, test := range map[string]struct {
		archive []byte
		want    string
	}{
		"right":              {with(hint(first, second), files(first, second)), " moved 2 present 0"},
		"other order":        {with(hint(second, first), files(first, second)), " moved 2 present 0"},
		"other layers":       {with(hint(other, first, second), files(first, second)), " moved 2 present 0"},
		"too short":          {with(hint(first), files(first, second)), " moved 2 present 0"},
		"parents come later": {with(hint(first, second), swapped), " moved 2 present 0"},
		"no digests":         {with(file{name: "sandbar-layers", data: []byte("sha256:x\n")}, files(first, second)), " moved 2 present 0"},
		"empty":              {with(file{name: "sandbar-layers"}, files(first, second)), " moved 2 present 0"},
		"not the first file": {tarOf(t, append(files(first, second)[:1], append([]file{hint(second, first)}, files(first, second)[1:]...)...)...), " moved 2 present 0"},
		"a layer twice":      {with(hint(first, second, first), twice), " moved 3 present 0"},
		"its configuration":  {with(hint(configOf(t, "amd64", first, second), second), files(first, second)), " moved 2 present 0"},
		"a compressed layer": {
			with(hint(compressed), []file{
				{name: "index.json", data: indexOf(t, named(descriptorOf(ocispec.MediaTypeImageManifest, manifest), name))}, blobFile(manifest), blobFile(config), blobFile(compressed),
			}), " moved 1 present 0",
		},
	} {
		t.Run(title, func(t *testing.T) {
			before := witness.remains(t)
			expect(t, importAll(t, store, test.archive), name+test.want)
			again := importAll(t, store, test.archive)
			if !strings.Contains(again[0], " moved 0 ") {
				t.Errorf("the same again moved something: %v", again)
			}
			if err := store.Remove(context.Background(), []string{name}); err != nil {
				t.Fatal(err)
			}
			expect(t, witness.remains(t), before...)
		})
	}
}

// TestExtractedOnWhatIsThere: the layers below may be in the node already, and need not be in the archive.
func TestExtractedOnWhatIsThere(t *testing.T) {
	store := newStore(t)
	witness := newWitness(t, shared.snapshotter)
	first, second := layerOf(t, 60, 1<<20), layerOf(t, 61, 1<<20)
	importAll(t, store, hinted(t, "localhost/below:1", first))
	above := dockerFiles(t, configOf(t, "amd64", first, second), []string{"localhost/above:1"}, first, second)
	above = append([]file{hint(first, second)}, above[1:]...)
	archive := tarOf(t, above...)
	read, write := io.Pipe()
	go func() {
		at := bytes.Index(archive, []byte(fmt.Sprintf("%064d/layer.tar", 1)))
		_, _ = write.Write(archive[:at])
		witness.unpacked(t, first, second)
		_, _ = write.Write(archive[at:])
		_ = write.Close()
	}()
	imported, err := store.Import(context.Background(), read, nil)
	if err != nil || imported[0].LayersMoved != 1 || imported[0].LayersPresent != 1 {
		t.Fatalf("got %+v, %v", imported, err)
	}
	if err := store.Remove(context.Background(), []string{"localhost/below:1", "localhost/above:1"}); err != nil {
		t.Fatal(err)
	}
}

// TestPlaced: large blobs do not go through containerd's socket where its folder is in reach, and do where it is not.
func TestPlaced(t *testing.T) {
	newStore(t)
	for title, test := range map[string]struct {
		root    func(t *testing.T, store *images.Store)
		ingests int
	}{
		"in reach":       {func(*testing.T, *images.Store) {}, 0},
		"unknown":        {func(_ *testing.T, store *images.Store) { store.SetContentRoot("") }, 1},
		"no such folder": {func(_ *testing.T, store *images.Store) { store.SetContentRoot("/does/not/exist") }, 1},
		"no such files":  {func(_ *testing.T, store *images.Store) { store.SetContentRoot("/proc") }, 1},
		"another folder": {func(t *testing.T, store *images.Store) { store.SetContentRoot(t.TempDir()) }, 0},
	} {
		t.Run(title, func(t *testing.T) {
			store, witness := newStore(t), newWitness(t, shared.snapshotter)
			test.root(t, store)
			before := witness.remains(t)
			name := "localhost/placed:1"
			layer := layerOf(t, 80, 4<<20)
			archive := hinted(t, name, layer)
			read, write := io.Pipe()
			go func() {
				// Who has taken this has begun to write the layer.
				_, _ = write.Write(archive[:3<<20])
				got := witness.ingests(t)
				for range 20 {
					if len(got) > 0 {
						break
					}
					time.Sleep(10 * time.Millisecond)
					got = witness.ingests(t)
				}
				if len(got) != test.ingests {
					t.Errorf("got ingests %v", got)
				}
				_, _ = write.Write(archive[3<<20:])
				_ = write.Close()
			}()
			imported, err := store.Import(context.Background(), read, nil)
			if err != nil || imported[0].LayersMoved != 1 {
				t.Fatalf("got %+v, %v", imported, err)
			}
			info, err := witness.content.Info(kubernetes(), &contentapi.InfoRequest{Digest: digest.FromBytes(layer).String()})
			if err != nil || info.GetInfo().GetLabels()["containerd.io/uncompressed"] != digest.FromBytes(layer).String() {
				t.Errorf("got %v, %v", info, err)
			}
			if again := importAll(t, store, archive); again[0] != name+" moved 0 present 1" {
				t.Errorf("the same again: %v", again)
			}
			if err := store.Remove(context.Background(), []string{name}); err != nil {
				t.Fatal(err)
			}
			expect(t, witness.remains(t), before...)
		})
	}
}

// TestBrokenExtractions: what goes wrong while a layer is unpacked leaves nothing behind.
func TestBrokenExtractions(t *testing.T) {
	store := newStore(t)
	witness := newWitness(t, shared.snapshotter)
	name := "localhost/broken:1"
	first, second, other := layerOf(t, 70, 1<<20), layerOf(t, 71, 8<<20), layerOf(t, 72, 8<<20)
	whole := hinted(t, name, first, second)
	secondName := digest.FromBytes(second).Encoded() + ".tar"
	at := bytes.Index(whole, []byte(secondName))
	damaged := dockerFiles(t, configOf(t, "amd64", first, second), []string{name}, first, second)
	damaged[2].data = other
	cut := second[:len(second)/2+100]
	noTar := bytes.Repeat([]byte("no tar "), 1<<18)
	foreign := append([]file{hint(first, second)}, dockerFiles(t, configOf(t, "arm64", first, second), []string{name}, first, second)...)
	for title, test := range map[string]struct {
		archive []byte
		want    string
	}{
		"truncated":          {whole[:at+512+5<<20], fmt.Sprintf("the archive ends in the middle of %s (%d of %d bytes are there)", secondName, 5<<20, len(second))},
		"wrong digest":       {tarOf(t, append([]file{hint(first, second)}, damaged...)...), fmt.Sprintf("%s is damaged: its content has the digest %s", secondName, digest.FromBytes(other))},
		"truncated layer":    {hinted(t, name, first, cut), "unexpected EOF"},
		"no tar":             {hinted(t, name, first, noTar), "archive/tar: invalid tar header"},
		"no manifest":        {whole[:at+512+len(second)], "the archive has neither a manifest.json nor an index.json"},
		"other architecture": {tarOf(t, foreign...), name + " is for linux/arm64, this node is linux/amd64"},
	} {
		t.Run(title, func(t *testing.T) {
			before := witness.remains(t)
			_, err := store.Import(context.Background(), bytes.NewReader(test.archive), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %v", err, test.want)
			}
			if image := find(t, store, name); image != nil {
				t.Errorf("a refused archive must not leave a name: %+v", image)
			}
			expect(t, witness.remains(t), before...)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		before := witness.remains(t)
		for _, length := range []int{0, 100, at, at + 512 + 1<<20, at + 512 + 7<<20, len(whole)} {
			ctx, cancel := context.WithCancel(context.Background())
			read, write := io.Pipe()
			go func() {
				_, _ = write.Write(whole[:length])
				cancel()
				// What a server does with the body of a request whose client went away.
				_ = write.CloseWithError(context.Canceled)
			}()
			if _, err := store.Import(ctx, read, nil); err == nil {
				t.Errorf("%d of %d bytes were taken", length, len(whole))
			}
			cancel()
			expect(t, witness.remains(t), before...)
		}
	})
}

// TestFollowersDoNotHang: an extraction that fails early does not keep the sender waiting.
func TestFollowersDoNotHang(t *testing.T) {
	store := newStore(t)
	done := make(chan error, 1)
	junk := bytes.Repeat([]byte{0xff}, 32<<20)
	go func() {
		_, err := store.Import(context.Background(), bytes.NewReader(hinted(t, "localhost/junk:1", junk)), nil)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "invalid tar header") {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the import hangs")
	}
}
