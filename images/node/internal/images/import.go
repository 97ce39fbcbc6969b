package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sandbar.dev/node/internal/contract"
)

// Import reads a docker-archive or an OCI layout as tar, from which blobs that the node has may be left out. With names,
// they replace those in the archive, which must then have one image. No name is set before everything is complete,
// verified and unpacked.
func (s *Store) Import(ctx context.Context, source io.Reader, names []string) ([]contract.ImportedImage, error) {
	replacements, err := normalNames(names)
	if err != nil {
		return nil, err
	}
	var imported []contract.ImportedImage
	err = s.leased(scoped(ctx), func(ctx context.Context, lease leases.Lease) error {
		imports := &importer{Store: s, lease: lease}
		// Nothing may go on when the lease ends.
		defer func() { _ = imports.settle() }()
		read, err := readArchive(ctx, source, imports)
		if err != nil {
			return err
		}
		planned, err := (&planner{archive: read, store: s, architectures: s.architectures}).plan(ctx)
		if err != nil {
			return err
		}
		if len(replacements) > 0 {
			if len(planned) > 1 {
				return fmt.Errorf("the archive has %d images; names can be given to one only", len(planned))
			}
			planned[0].names = replacements
		}
		var complete []*completeImage
		for _, image := range planned {
			finished, err := imports.complete(ctx, image)
			if err != nil {
				return err
			}
			complete = append(complete, finished)
		}
		imported, err = s.publish(ctx, complete)
		return err
	})
	return imported, err
}

// Ensure imports the archive at a path under a name, unless the store has an image of that name already. Nodes bring
// images of their own in this way.
func (s *Store) Ensure(ctx context.Context, name, path string) error {
	records, err := s.records(scoped(ctx), "name=="+name)
	if err != nil || len(records) > 0 {
		return err
	}
	source, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("bring image %s: %w", name, err)
	}
	defer func() { _ = source.Close() }() // only read
	if _, err := s.Import(ctx, source, []string{name}); err != nil {
		return fmt.Errorf("bring image %s from %s: %w", name, path, err)
	}
	return nil
}

// holds says whether a layer is there, and keeps it for as long as the import takes.
func (i *importer) holds(ctx context.Context, wanted digest.Digest) (bool, error) {
	info, found, err := i.layer(ctx, wanted)
	if err != nil || !found {
		return false, err
	}
	return true, i.protect(ctx, info.Digest)
}

// protect keeps a blob that was there before from being collected during the import.
func (i *importer) protect(ctx context.Context, blob digest.Digest) error {
	err := i.leases.AddResource(ctx, i.lease, leases.Resource{ID: blob.String(), Type: "content"})
	if err != nil {
		return fmt.Errorf("keep blob %s: %w", blob, err)
	}
	return nil
}

// keep stores a blob; one that turns out to be there already is fine, and not fresh. A layer that is expected is unpacked
// at the same time. What comes back is verified; it is committed once everything has settled.
func (i *importer) keep(ctx context.Context, source io.Reader, size int64, expected digest.Digest) (blob digest.Digest, fresh bool, err error) {
	extracting := i.extract(ctx, expected, size)
	sent, err := i.receive(ctx, source, size, expected, extracting)
	unpacked := i.finish(ctx, extracting, err)
	if err != nil {
		return "", false, err
	}
	sum := sent.digest()
	// The same may have come just before.
	if err := i.settle(); err != nil {
		sent.abort(ctx)
		return "", false, err
	}
	if _, err := i.content.Info(ctx, sum); err == nil {
		sent.abort(ctx)
		return sum, false, i.protect(ctx, sum)
	} else if !errdefs.IsNotFound(err) {
		sent.abort(ctx)
		return "", false, fmt.Errorf("look for blob %s: %w", sum, err)
	}
	labels := map[string]string{}
	if unpacked {
		labels[uncompressedLabel] = sum.String()
		i.noteUnpacked(sum, size)
	}
	i.background(func() error {
		err := sent.commit(ctx, labels)
		if existing := (*existsError)(nil); errors.As(err, &existing) {
			return errors.Join(i.protect(ctx, sum), i.label(ctx, sum, labels))
		}
		return err
	})
	return sum, true, nil
}

// receive sends a blob to the store and checks its digest. Whoever extracts it gets its pieces as well.
func (i *importer) receive(ctx context.Context, source io.Reader, size int64, expected digest.Digest, extracting *extraction) (received, error) {
	var digester digest.Digester
	required := expected
	if expected != "" && expected.Algorithm() != digest.Canonical {
		// containerd computes SHA-256 only.
		digester = expected.Algorithm().Digester()
		source = io.TeeReader(source, digester.Hash())
		required = ""
	}
	var follow *follower
	if extracting != nil {
		follow = extracting.follower
	}
	blob, err := i.take(ctx, source, size, follow)
	if err != nil {
		return nil, err
	}
	err = check(blob, required)
	if err == nil && digester != nil && digester.Digest() != expected {
		err = &digestError{fmt.Sprintf("its content has the digest %s", digester.Digest())}
	}
	if err != nil {
		blob.abort(ctx)
		return nil, err
	}
	return blob, nil
}

// take brings a blob to the store, the shorter way where there is one.
func (i *importer) take(ctx context.Context, source io.Reader, size int64, follow *follower) (received, error) {
	if size > smallFile {
		placed, err := i.place(ctx, source, size, follow)
		if err != nil {
			return nil, err
		}
		if placed != nil {
			return placed, nil
		}
	}
	sent, err := i.send(ctx, source, size, follow)
	if err != nil {
		return nil, err
	}
	return sent, nil
}

// completeImage is an image whose every blob is in the store and unpacked.
type completeImage struct {
	names    []string
	manifest ocispec.Descriptor
	result   contract.ImportedImage
}

// complete finds every layer of an image, writes its documents and unpacks it.
func (i *importer) complete(ctx context.Context, image *plannedImage) (*completeImage, error) {
	names, err := normalNames(image.names)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the archive gives image %s no name; give it one", image.title())
	}
	finished := &completeImage{names: names}
	layers, changed, err := i.placeLayers(ctx, image, &finished.result)
	if err != nil {
		return nil, err
	}
	config := ocispec.Descriptor{
		MediaType: image.configType, Digest: digest.FromBytes(image.config), Size: int64(len(image.config)),
	}
	finished.result.ID = config.Digest.String()
	manifest := image.manifest
	if manifest == nil || changed {
		manifest, err = json.Marshal(ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
		})
		if err != nil {
			return nil, fmt.Errorf("make the manifest of %s: %w", image.title(), err)
		}
		image.manifestType = ocispec.MediaTypeImageManifest
	}
	// What the documents refer to need not be there before them: only names count.
	snapshot := identity.ChainID(image.image.RootFS.DiffIDs).String()
	labels := map[string]string{}
	if len(layers) > 0 {
		labels["containerd.io/gc.ref.snapshot."+i.options.Snapshotter] = snapshot
	}
	i.background(func() error {
		if err := i.writeDocument(ctx, image.config, labels); err != nil {
			return fmt.Errorf("store the configuration of %s: %w", image.title(), err)
		}
		return nil
	})
	references := map[string]string{"containerd.io/gc.ref.content.config": config.Digest.String()}
	for n, layer := range layers {
		references[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", n)] = layer.Digest.String()
	}
	i.background(func() error {
		if err := i.writeDocument(ctx, manifest, references); err != nil {
			return fmt.Errorf("store the manifest of %s: %w", image.title(), err)
		}
		return nil
	})
	if err := i.unpack(ctx, image, layers); err != nil {
		return nil, err
	}
	if err := i.settle(); err != nil {
		return nil, err
	}
	finished.manifest = ocispec.Descriptor{
		MediaType: image.manifestType, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)),
	}
	return finished, nil
}

// placeLayers sees to it that every layer is in the store. The second result says that a layer is there in another form
// than the manifest has it.
func (i *importer) placeLayers(ctx context.Context, image *plannedImage, result *contract.ImportedImage) ([]ocispec.Descriptor, bool, error) {
	var layers []ocispec.Descriptor
	var missing []string
	changed := false
	for _, layer := range image.layers {
		blob, err := i.placeLayer(ctx, layer, result)
		if errdefs.IsNotFound(err) {
			missing = append(missing, layer.diffID.String())
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("layer %s of %s: %w", layer.diffID, image.title(), err)
		}
		descriptor := layer.descriptor
		if descriptor.Digest != blob {
			changed = true
			if descriptor, err = i.describeLayer(ctx, blob); err != nil {
				return nil, false, fmt.Errorf("layer %s of %s: %w", layer.diffID, image.title(), err)
			}
		}
		layers = append(layers, descriptor)
	}
	if len(missing) > 0 {
		return nil, false, fmt.Errorf("the archive lacks %d of the %d layers of %s, and the node does not have them either: %s",
			len(missing), len(image.layers), image.title(), strings.Join(missing, ", "))
	}
	return layers, changed, nil
}

// placeLayer returns the blob of a layer: that of the archive, or what the node has. It is not found when neither is.
func (i *importer) placeLayer(ctx context.Context, layer plannedLayer, result *contract.ImportedImage) (digest.Digest, error) {
	if file := layer.file; file != nil {
		blob := file.blob
		if blob == "" {
			var err error
			if blob, file.moved, err = i.keep(ctx, bytes.NewReader(file.data), file.size, layer.descriptor.Digest); err != nil {
				return "", err
			}
			file.blob = blob
		}
		if !file.moved {
			// Its name promised a layer that the node has, perhaps compressed.
			info, found, err := i.layer(ctx, blob)
			if err != nil || !found {
				return "", errors.Join(err, errdefs.ErrNotFound)
			}
			result.LayersPresent++
			return info.Digest, nil
		}
		result.LayersMoved++
		result.BytesMoved += file.size
		return blob, nil
	}
	wanted := []digest.Digest{layer.diffID}
	if layer.descriptor.Digest != "" {
		wanted = []digest.Digest{layer.descriptor.Digest, layer.diffID}
	}
	for _, candidate := range wanted {
		info, found, err := i.layer(ctx, candidate)
		if err != nil {
			return "", err
		}
		if found {
			result.LayersPresent++
			return info.Digest, i.protect(ctx, info.Digest)
		}
	}
	return "", errdefs.ErrNotFound
}

// describeLayer makes the descriptor of a layer out of its blob.
func (i *importer) describeLayer(ctx context.Context, blob digest.Digest) (ocispec.Descriptor, error) {
	if descriptor, unpacked := i.unpackedLayer(blob); unpacked {
		return descriptor, nil
	}
	if err := i.settle(); err != nil {
		return ocispec.Descriptor{}, err
	}
	info, err := i.content.Info(ctx, blob)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("look for blob %s: %w", blob, err)
	}
	reader, err := i.content.ReaderAt(ctx, ocispec.Descriptor{Digest: blob, Size: info.Size})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("open blob %s: %w", blob, err)
	}
	defer func() { _ = reader.Close() }() // only read
	start := make([]byte, min(4, info.Size))
	if _, err := reader.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return ocispec.Descriptor{}, fmt.Errorf("read blob %s: %w", blob, err)
	}
	descriptor := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: blob, Size: info.Size}
	switch compressionOf(start) {
	case compressionGzip:
		descriptor.MediaType = ocispec.MediaTypeImageLayerGzip
	case compressionZstd:
		descriptor.MediaType = ocispec.MediaTypeImageLayerZstd
	case compressionNone:
	}
	return descriptor, nil
}
