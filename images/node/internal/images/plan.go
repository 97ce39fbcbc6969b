package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// plannedImage is an image of an archive, before it is known whether all of it is there.
type plannedImage struct {
	// names are those that the archive gives, in any form.
	names []string
	// config is the configuration, verbatim.
	config []byte
	// configType is its media type.
	configType string
	// image is the configuration, parsed.
	image ocispec.Image
	// manifest is the archive's own; nil for a docker-archive, which has none.
	manifest []byte
	// manifestType is its media type.
	manifestType string
	// layers are first to last, as many as the configuration has.
	layers []plannedLayer
}

// plannedLayer is a layer of an image.
type plannedLayer struct {
	// diffID is its digest before compression.
	diffID digest.Digest
	// descriptor is the manifest's; with a docker-archive only the digest of what was stored, or nothing.
	descriptor ocispec.Descriptor
	// file is the archive's; nil where it was left out.
	file *archiveFile
}

// title names an image in messages.
func (p *plannedImage) title() string {
	if len(p.names) > 0 {
		return p.names[0]
	}
	return digest.FromBytes(p.config).String()
}

// documents finds the documents of an OCI layout that were left out of the archive.
type documents interface {
	// blob reads a small blob of the store.
	blob(ctx context.Context, blob digest.Digest) ([]byte, error)
}

// planner finds the images in an archive.
type planner struct {
	archive *archive
	store   documents
	// architectures are what this node runs, its own first.
	architectures []string
}

// plan returns the images of an archive, those for this node where an image has several architectures.
func (p *planner) plan(ctx context.Context) ([]*plannedImage, error) {
	index, manifest := p.archive.find("index.json"), p.archive.find("manifest.json")
	var images []*plannedImage
	var err error
	switch {
	case index != nil && index.data != nil:
		images, err = p.planLayout(ctx, index.data)
		if err == nil && manifest != nil && manifest.data != nil {
			p.addDockerNames(images, manifest.data)
		}
	case manifest != nil && manifest.data != nil:
		images, err = p.planDocker(manifest.data)
	default:
		return nil, errors.New("the archive has neither a manifest.json nor an index.json: it is no image archive, or its end is missing")
	}
	if err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, errors.New("the archive has no image")
	}
	for _, image := range images {
		if err := p.check(image); err != nil {
			return nil, err
		}
	}
	return images, nil
}

// dockerManifest is an element of a docker-archive's manifest.json.
// https://github.com/moby/docker-image-spec
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (p *planner) planDocker(data []byte) ([]*plannedImage, error) {
	var manifests []dockerManifest
	if err := json.Unmarshal(data, &manifests); err != nil {
		return nil, fmt.Errorf("manifest.json of the archive cannot be read: %w", err)
	}
	var images []*plannedImage
	for _, manifest := range manifests {
		config := p.archive.find(manifest.Config)
		if config == nil || config.data == nil {
			return nil, fmt.Errorf("the archive lacks the configuration %s of %s", manifest.Config, strings.Join(manifest.RepoTags, ", "))
		}
		image := &plannedImage{names: manifest.RepoTags, config: config.data, configType: ocispec.MediaTypeImageConfig}
		if err := json.Unmarshal(config.data, &image.image); err != nil {
			return nil, fmt.Errorf("the configuration %s cannot be read: %w", manifest.Config, err)
		}
		for _, name := range manifest.Layers {
			image.layers = append(image.layers, plannedLayer{file: p.archive.find(name)})
		}
		images = append(images, image)
	}
	return images, nil
}

// addDockerNames gives the names in a docker-archive's manifest.json to images of the OCI layout in the same archive, as
// Docker writes both since version 25.
func (p *planner) addDockerNames(images []*plannedImage, data []byte) {
	var manifests []dockerManifest
	if json.Unmarshal(data, &manifests) != nil {
		// It is the layout that counts; what else lies in the archive need not make sense.
		return
	}
	for _, manifest := range manifests {
		config := p.archive.find(manifest.Config)
		for _, image := range images {
			if config != nil && len(image.names) == 0 && string(config.data) == string(image.config) {
				image.names = manifest.RepoTags
			}
		}
	}
}

// layoutNameAnnotations have an image's name in an OCI layout, the first one that is there.
func layoutNameAnnotations() []string {
	return []string{"io.containerd.image.name", ocispec.AnnotationRefName}
}

// planLayout finds the images of an OCI layout. Manifests of several architectures that have the same name are one image.
func (p *planner) planLayout(ctx context.Context, data []byte) ([]*plannedImage, error) {
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("index.json of the archive cannot be read: %w", err)
	}
	var order []string
	groups := map[string][]ocispec.Descriptor{}
	for _, descriptor := range index.Manifests {
		name := ""
		for _, annotation := range layoutNameAnnotations() {
			if value := descriptor.Annotations[annotation]; name == "" && strings.ContainsAny(value, ":/") {
				name = value
			}
		}
		if _, known := groups[name]; !known {
			order = append(order, name)
		}
		groups[name] = append(groups[name], descriptor)
	}
	var images []*plannedImage
	for _, name := range order {
		image, err := p.choose(ctx, name, groups[name])
		if err != nil {
			return nil, err
		}
		if image == nil {
			continue
		}
		// One manifest that has several names is one image.
		at := slices.IndexFunc(images, func(other *plannedImage) bool { return string(other.manifest) == string(image.manifest) })
		if at < 0 {
			images = append(images, image)
			at = len(images) - 1
		}
		if name != "" {
			images[at].names = append(images[at].names, name)
		}
	}
	return images, nil
}

// choose returns the image for this node among descriptors of one name; nil when none is an image.
func (p *planner) choose(ctx context.Context, name string, descriptors []ocispec.Descriptor) (*plannedImage, error) {
	candidates, err := p.candidates(ctx, descriptors, 0)
	if err != nil {
		return nil, err
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	var best *plannedImage
	var others []string
	for _, candidate := range candidates {
		others = append(others, platformName(candidate.image.Platform))
		if p.rank(candidate.image.Platform) < 0 {
			continue
		}
		if best == nil || p.rank(candidate.image.Platform) < p.rank(best.image.Platform) {
			best = candidate
		}
	}
	if best != nil {
		return best, nil
	}
	if name == "" {
		name = candidates[0].title()
	}
	return nil, p.wrongPlatform(name, others)
}

// candidates reads the images behind descriptors, through nested indexes. What is known not to fit, or less well than
// another, is not read, since it may have been left out.
func (p *planner) candidates(ctx context.Context, descriptors []ocispec.Descriptor, depth int) ([]*plannedImage, error) {
	if depth > maximumNesting {
		return nil, errors.New("the archive's indexes are nested too deeply")
	}
	best := len(p.architectures)
	for _, descriptor := range descriptors {
		if descriptor.Platform == nil {
			continue
		}
		if rank := p.rank(*descriptor.Platform); rank >= 0 {
			best = min(best, rank)
		}
	}
	var images []*plannedImage
	for _, descriptor := range descriptors {
		switch {
		case descriptor.Annotations["vnd.docker.reference.type"] == "attestation-manifest":
			continue
		case descriptor.Platform != nil && p.rank(*descriptor.Platform) != best && len(descriptors) > 1:
			images = append(images, &plannedImage{image: ocispec.Image{Platform: *descriptor.Platform}})
			continue
		}
		data, err := p.document(ctx, descriptor.Digest)
		if err != nil {
			return nil, err
		}
		var manifest struct {
			ocispec.Manifest
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(data, &manifest); err != nil {
			return nil, fmt.Errorf("the manifest %s cannot be read: %w", descriptor.Digest, err)
		}
		if manifest.Config.Digest == "" && len(manifest.Manifests) > 0 {
			nested, err := p.candidates(ctx, manifest.Manifests, depth+1)
			if err != nil {
				return nil, err
			}
			images = append(images, nested...)
			continue
		}
		image, err := p.layoutImage(ctx, descriptor, data, manifest.Manifest)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return images, nil
}

// layoutImage reads the configuration and finds the layers of a manifest.
func (p *planner) layoutImage(ctx context.Context, descriptor ocispec.Descriptor, data []byte, manifest ocispec.Manifest) (*plannedImage, error) {
	config, err := p.document(ctx, manifest.Config.Digest)
	if err != nil {
		return nil, err
	}
	image := &plannedImage{config: config, configType: manifest.Config.MediaType, manifest: data, manifestType: descriptor.MediaType}
	if manifest.MediaType != "" {
		image.manifestType = manifest.MediaType
	}
	if err := json.Unmarshal(config, &image.image); err != nil {
		return nil, fmt.Errorf("the configuration %s cannot be read: %w", manifest.Config.Digest, err)
	}
	for _, layer := range manifest.Layers {
		if err := layer.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("the manifest %s has a layer with the digest %q: %w", descriptor.Digest, layer.Digest, err)
		}
		image.layers = append(image.layers, plannedLayer{descriptor: layer, file: p.archive.find(blobPath(layer.Digest))})
	}
	return image, nil
}

// document is a blob of the layout, from the archive or else from the store.
func (p *planner) document(ctx context.Context, blob digest.Digest) ([]byte, error) {
	if err := blob.Validate(); err != nil {
		return nil, fmt.Errorf("the archive refers to the digest %q: %w", blob, err)
	}
	if file := p.archive.find(blobPath(blob)); file != nil && file.data != nil {
		return file.data, nil
	}
	data, err := p.store.blob(ctx, blob)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("the archive lacks %s, and the node does not have it either", blobPath(blob))
	}
	return data, err // it says what it read
}

func blobPath(blob digest.Digest) string {
	return "blobs/" + blob.Algorithm().String() + "/" + blob.Encoded()
}

// check holds an image against this node and against itself.
func (p *planner) check(image *plannedImage) error {
	if p.rank(image.image.Platform) < 0 {
		return p.wrongPlatform(image.title(), []string{platformName(image.image.Platform)})
	}
	diffIDs := image.image.RootFS.DiffIDs
	if len(diffIDs) != len(image.layers) {
		return fmt.Errorf("%s contradicts itself: its configuration has %d layers, its manifest %d", image.title(), len(diffIDs), len(image.layers))
	}
	for i, diffID := range diffIDs {
		if err := diffID.Validate(); err != nil {
			return fmt.Errorf("the configuration of %s has a layer with the digest %q: %w", image.title(), diffID, err)
		}
		image.layers[i].diffID = diffID
	}
	return nil
}

// rank is how well this node runs a platform: 0 is its own, more is an emulated one, less than 0 says that it does not.
func (p *planner) rank(platform ocispec.Platform) int {
	if platform.OS != "linux" {
		return -1
	}
	return slices.Index(p.architectures, platform.Architecture)
}

// wrongPlatform is the error of an image that this node cannot run.
func (p *planner) wrongPlatform(name string, platforms []string) error {
	slices.Sort(platforms)
	return fmt.Errorf("%s is for %s, this node is linux/%s", name, strings.Join(slices.Compact(platforms), " and "), p.architectures[0])
}

func platformName(platform ocispec.Platform) string {
	if platform.OS == "" && platform.Architecture == "" {
		return "an unknown platform"
	}
	name := platform.OS + "/" + platform.Architecture
	if platform.Variant != "" {
		name += "/" + platform.Variant
	}
	return name
}
