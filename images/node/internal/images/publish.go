package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	criapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"sandbar.dev/node/internal/contract"
)

const (
	// criTimeout limits how long CRI may take to take notice of a new name, and criInterval is between two looks: it follows
	// containerd's events, and says to nobody when it has.
	criTimeout  = 5 * time.Second
	criInterval = 2 * time.Millisecond
)

// publish gives complete images their names. When one cannot be given, those given before are taken back.
func (s *Store) publish(ctx context.Context, images []*completeImage) ([]contract.ImportedImage, error) {
	var results []contract.ImportedImage
	var undo []func() error
	for _, image := range images {
		for _, name := range image.names {
			before, err := s.setName(ctx, name, image.manifest)
			if err != nil {
				for _, back := range slices.Backward(undo) {
					err = errors.Join(err, back())
				}
				return nil, err
			}
			undo = append(undo, func() error { return s.restoreName(context.WithoutCancel(ctx), name, before) })
			result := image.result
			result.Name = name
			results = append(results, result)
		}
	}
	for _, result := range results {
		if err := s.awaitCRI(ctx, result.Name, result.ID); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// setName points a name at a manifest and returns the record before, nil when there was none.
func (s *Store) setName(ctx context.Context, name string, manifest ocispec.Descriptor) (*imagesapi.Image, error) {
	image := &imagesapi.Image{
		Name:   name,
		Target: &types.Descriptor{MediaType: manifest.MediaType, Digest: manifest.Digest.String(), Size: manifest.Size},
	}
	// A name may be made or removed by CRI between two calls; whoever is last wins, after one more look.
	for {
		before, err := s.images.Get(ctx, &imagesapi.GetImageRequest{Name: name})
		switch err = errgrpc.ToNative(err); {
		case errdefs.IsNotFound(err):
			_, err := s.images.Create(ctx, &imagesapi.CreateImageRequest{Image: image})
			if err = errgrpc.ToNative(err); errdefs.IsAlreadyExists(err) {
				continue
			} else if err != nil {
				return nil, fmt.Errorf("name %s: %w", name, err)
			}
			return nil, nil // there was none
		case err != nil:
			return nil, fmt.Errorf("look for %s: %w", name, err)
		}
		request := &imagesapi.UpdateImageRequest{Image: image, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"target"}}}
		_, err = s.images.Update(ctx, request)
		if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("name %s: %w", name, err)
		}
		return before.GetImage(), nil
	}
}

// restoreName makes a name what it was.
func (s *Store) restoreName(ctx context.Context, name string, before *imagesapi.Image) error {
	if before == nil {
		_, err := s.images.Delete(ctx, &imagesapi.DeleteImageRequest{Name: name})
		if err = errgrpc.ToNative(err); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("take the name %s back: %w", name, err)
		}
		return nil
	}
	if _, err := s.images.Update(ctx, &imagesapi.UpdateImageRequest{Image: before, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"target"}}}); err != nil {
		return fmt.Errorf("give the name %s back: %w", name, errgrpc.ToNative(err))
	}
	return nil
}

// awaitCRI returns when kubelet would find the image under its name.
func (s *Store) awaitCRI(ctx context.Context, name, id string) error {
	ctx, cancel := context.WithTimeout(ctx, criTimeout)
	defer cancel()
	ticker := time.NewTicker(criInterval)
	defer ticker.Stop()
	for {
		response, err := s.cri.ImageStatus(ctx, &criapi.ImageStatusRequest{Image: &criapi.ImageSpec{Image: name}})
		if errdefs.IsNotImplemented(errgrpc.ToNative(err)) {
			// containerd runs without CRI, as in tests.
			return nil
		}
		if err == nil && response.GetImage().GetId() == id {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s was imported, but the container runtime has not taken notice of it within %s: %w",
				name, criTimeout, errors.Join(err, ctx.Err()))
		case <-ticker.C:
		}
	}
}

// Tag gives names to the image whose configuration has the digest.
func (s *Store) Tag(ctx context.Context, id string, names []string) ([]contract.ImportedImage, error) {
	wanted, err := digest.Parse(id)
	if err != nil {
		return nil, fmt.Errorf("%q is not an image's ID such as sha256:…: %w", id, err)
	}
	normal, err := normalNames(names)
	if err != nil {
		return nil, err
	}
	var tagged []contract.ImportedImage
	err = s.leased(scoped(ctx), func(ctx context.Context, lease leases.Lease) error {
		image, err := s.findImage(ctx, wanted, lease)
		if err != nil {
			return err
		}
		image.names = normal
		tagged, err = s.publish(ctx, []*completeImage{image})
		return err
	})
	return tagged, err
}

// findImage finds a complete image by the digest of its configuration.
func (s *Store) findImage(ctx context.Context, id digest.Digest, lease leases.Lease) (*completeImage, error) {
	records, err := s.records(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, record := range records {
		target := record.GetTarget()
		if seen[target.GetDigest()] {
			continue
		}
		seen[target.GetDigest()] = true
		found, err := s.describe(ctx, digest.Digest(target.GetDigest()), 0)
		if err != nil || found.ID != id.String() {
			// An image that cannot be read is not the one.
			continue
		}
		if err := s.checkComplete(ctx, found, lease); err != nil {
			return nil, err
		}
		return &completeImage{
			manifest: ocispec.Descriptor{
				MediaType: target.GetMediaType(), Digest: digest.Digest(target.GetDigest()), Size: target.GetSize(),
			},
			result: contract.ImportedImage{ID: id.String(), LayersPresent: len(found.DiffIDs)},
		}, nil
	}
	return nil, fmt.Errorf("the node has no image %s", id)
}

// checkComplete is an error when a layer of an image is not in the store.
func (s *Store) checkComplete(ctx context.Context, image *contract.Image, lease leases.Lease) error {
	imports := &importer{Store: s, lease: lease}
	for _, layer := range image.DiffIDs {
		there, err := imports.holds(ctx, digest.Digest(layer))
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("image %s is not complete: the node lacks its layer %s", image.ID, layer)
		}
	}
	return nil
}

// Remove takes names (or IDs, with all names) away and has what no image needs any more collected.
func (s *Store) Remove(ctx context.Context, names []string) error {
	ctx = scoped(ctx)
	list, err := s.List(ctx)
	if err != nil {
		return err
	}
	var doomed []string
	for _, name := range names {
		found, err := resolveName(list, name)
		if err != nil {
			return err
		}
		doomed = append(doomed, found...)
	}
	// The record that CRI keeps under an ID would keep the content for ever, once no name is left.
	needed := map[string]bool{}
	for _, image := range list {
		needed[image.ID] = needed[image.ID] || slices.ContainsFunc(image.Names, func(name string) bool { return !slices.Contains(doomed, name) })
	}
	for id, needed := range needed {
		if !needed {
			doomed = append(doomed, id)
		}
	}
	for n, name := range doomed {
		request := &imagesapi.DeleteImageRequest{Name: name, Sync: n == len(doomed)-1}
		_, err := s.images.Delete(ctx, request)
		if err = errgrpc.ToNative(err); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}

// resolveName returns the names that an argument of Remove means.
func resolveName(list []contract.Image, name string) ([]string, error) {
	full := ""
	if !isID(name) {
		normal, err := normalName(name)
		if err != nil {
			return nil, err
		}
		full = normal
	}
	var found []string
	for _, image := range list {
		byID := image.ID == name
		switch {
		case !byID && !slices.Contains(image.Names, full):
			continue
		case image.Pinned:
			return nil, fmt.Errorf("%s is part of the node and cannot be removed", name)
		case byID:
			// Two manifests may have one configuration, such as a compressed and an uncompressed copy.
			found = append(found, image.Names...)
		default:
			found = append(found, full)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the node has no image %s", name)
	}
	return found, nil
}
