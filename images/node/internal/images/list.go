package images

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sandbar.dev/node/internal/contract"
)

const (
	// pinnedLabel marks images that CRI never collects.
	pinnedLabel = "io.cri-containerd.pinned"
	pinnedValue = "pinned"
	// uncompressedLabel has a layer's digest before its compression.
	uncompressedLabel = "containerd.io/uncompressed"
	// maximumDocument bounds a manifest, index or configuration, in bytes.
	maximumDocument = 8 << 20
)

// List lists the images that have names, in the order of their first names.
func (s *Store) List(ctx context.Context) ([]contract.Image, error) {
	ctx = scoped(ctx)
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	byTarget := map[string]*contract.Image{}
	var order []string
	for _, record := range records {
		target := record.GetTarget().GetDigest()
		if isID(record.GetName()) {
			continue
		}
		image := byTarget[target]
		if image == nil {
			found, err := s.describe(ctx, digest.Digest(target), 0)
			if errdefs.IsNotFound(err) {
				// It was removed meanwhile, or its pull is not complete.
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read image %s: %w", record.GetName(), err)
			}
			image = found
			byTarget[target] = image
			order = append(order, target)
		}
		image.Names = append(image.Names, record.GetName())
		image.Pinned = image.Pinned || record.GetLabels()[pinnedLabel] == pinnedValue
	}
	list := []contract.Image{}
	for _, target := range order {
		slices.Sort(byTarget[target].Names)
		list = append(list, *byTarget[target])
	}
	slices.SortFunc(list, func(a, b contract.Image) int { return strings.Compare(a.Names[0], b.Names[0]) })
	return list, nil
}

// records lists containerd's image records.
func (s *Store) records(ctx context.Context, filters ...string) ([]*imagesapi.Image, error) {
	response, err := s.images.List(ctx, &imagesapi.ListImagesRequest{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", errgrpc.ToNative(err))
	}
	return response.GetImages(), nil
}

// describe reads an image's manifest (of an index, that for this node) and configuration.
func (s *Store) describe(ctx context.Context, target digest.Digest, depth int) (*contract.Image, error) {
	var manifest struct {
		ocispec.Manifest
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := s.document(ctx, target, &manifest); err != nil {
		return nil, err
	}
	if len(manifest.Manifests) > 0 && manifest.Config.Digest == "" {
		var last error = errdefs.ErrNotFound
		for _, candidate := range manifest.Manifests {
			if depth > maximumNesting || candidate.Platform != nil && !slices.Contains(s.architectures, candidate.Platform.Architecture) {
				continue
			}
			image, err := s.describe(ctx, candidate.Digest, depth+1)
			if err == nil {
				image.Digest = target.String()
				return image, nil
			}
			last = err
		}
		return nil, last
	}
	var config ocispec.Image
	if err := s.document(ctx, manifest.Config.Digest, &config); err != nil {
		return nil, err
	}
	image := &contract.Image{
		ID: manifest.Config.Digest.String(), Digest: target.String(), SizeBytes: manifest.Config.Size, DiffIDs: []string{},
	}
	for _, layer := range manifest.Layers {
		image.SizeBytes += layer.Size
	}
	for _, layer := range config.RootFS.DiffIDs {
		image.DiffIDs = append(image.DiffIDs, layer.String())
	}
	return image, nil
}

// document reads a JSON blob.
func (s *Store) document(ctx context.Context, blob digest.Digest, into any) error {
	data, err := s.blob(ctx, blob)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read blob %s: %w", blob, err)
	}
	return nil
}

// blob reads a small blob.
func (s *Store) blob(ctx context.Context, blob digest.Digest) ([]byte, error) {
	if err := blob.Validate(); err != nil {
		return nil, fmt.Errorf("read blob %q: %w", blob, err)
	}
	info, err := s.content.Info(ctx, blob)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", blob, err)
	}
	if info.Size > maximumDocument {
		return nil, fmt.Errorf("read blob %s: it has %d bytes, which is too much for a document", blob, info.Size)
	}
	data, err := content.ReadBlob(ctx, s.content, ocispec.Descriptor{Digest: blob, Size: info.Size})
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", blob, err)
	}
	return data, nil
}

// Missing returns those of the digests (of blobs, or of uncompressed layers) that the node does not hold.
func (s *Store) Missing(ctx context.Context, digests []string) ([]string, error) {
	ctx = scoped(ctx)
	var missing []string
	for _, text := range digests {
		wanted, err := digest.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a digest such as sha256:…: %w", text, err)
		}
		_, found, err := s.layer(ctx, wanted)
		if err != nil {
			return nil, err
		}
		if !found {
			missing = append(missing, text)
		}
	}
	return missing, nil
}

// layer finds a blob that has the digest, or that has it once uncompressed.
func (s *Store) layer(ctx context.Context, wanted digest.Digest) (content.Info, bool, error) {
	info, err := s.content.Info(ctx, wanted)
	if err == nil {
		return info, true, nil
	}
	if !errdefs.IsNotFound(err) {
		return content.Info{}, false, fmt.Errorf("look for blob %s: %w", wanted, err)
	}
	var found *content.Info
	err = s.content.Walk(ctx, func(candidate content.Info) error {
		found = &candidate
		return nil
	}, fmt.Sprintf("labels.%q==%s", uncompressedLabel, wanted))
	if err != nil {
		return content.Info{}, false, fmt.Errorf("look for layer %s: %w", wanted, err)
	}
	if found == nil {
		return content.Info{}, false, nil
	}
	return *found, true, nil
}
