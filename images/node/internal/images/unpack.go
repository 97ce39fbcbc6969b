package images

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// extracts makes the keys of unpacking snapshots unique within the process.
var extracts atomic.Uint64

// unpack makes the snapshots of an image's layers, from the first that is missing. That each layer has the digest that
// the configuration says is verified while it is unpacked.
func (i *importer) unpack(ctx context.Context, image *plannedImage, layers []ocispec.Descriptor) error {
	// Blobs and snapshots are committed beside what came after them.
	if err := i.settle(); err != nil {
		return err
	}
	diffIDs := image.image.RootFS.DiffIDs
	chain := identity.ChainIDs(append([]digest.Digest{}, diffIDs...))
	first := len(chain)
	for first > 0 {
		there, err := i.hasSnapshot(ctx, chain[first-1])
		if err != nil {
			return err
		}
		if there {
			break
		}
		first--
	}
	for n := range layers {
		if _, unpacked := i.unpackedLayer(layers[n].Digest); n < first && unpacked && layers[n].Digest == diffIDs[n] {
			// It was verified and labelled while it came.
			continue
		}
		if n >= first {
			parent := ""
			if n > 0 {
				parent = chain[n-1].String()
			}
			actual, err := i.unpackLayer(ctx, layers[n], parent, chain[n].String(), diffIDs[n])
			if err != nil {
				return fmt.Errorf("unpack layer %s of %s: %w", diffIDs[n], image.title(), err)
			}
			if actual != diffIDs[n] {
				return fmt.Errorf("%s is damaged: its configuration says that layer %d is %s, its content is %s",
					image.title(), n+1, diffIDs[n], actual)
			}
		} else if err := i.verifyLayer(ctx, image, layers[n], n); err != nil {
			return err
		}
		err := i.label(ctx, layers[n].Digest, map[string]string{uncompressedLabel: diffIDs[n].String()})
		if err != nil {
			return err
		}
	}
	return nil
}

// verifyLayer checks a layer whose snapshot was there already: its blob must be that layer, too. One that is stored
// uncompressed or was unpacked before is known to be; another one is trusted to the one who wrote its manifest's digest.
func (s *Store) verifyLayer(ctx context.Context, image *plannedImage, layer ocispec.Descriptor, n int) error {
	info, err := s.content.Info(ctx, layer.Digest)
	if err != nil {
		return fmt.Errorf("look for blob %s: %w", layer.Digest, err)
	}
	diffID := image.image.RootFS.DiffIDs[n]
	known := info.Labels[uncompressedLabel]
	if layer.MediaType == ocispec.MediaTypeImageLayer {
		known = layer.Digest.String()
	}
	if known != "" && known != diffID.String() {
		return fmt.Errorf("%s is damaged: its configuration says that layer %d is %s, its content is %s", image.title(), n+1, diffID, known)
	}
	return nil
}

// hasSnapshot says whether the layers up to a chain ID are unpacked.
func (s *Store) hasSnapshot(ctx context.Context, chainID digest.Digest) (bool, error) {
	_, err := s.snapshots.Stat(ctx, &snapshotsapi.StatSnapshotRequest{Snapshotter: s.options.Snapshotter, Key: chainID.String()})
	err = errgrpc.ToNative(err)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for snapshot %s: %w", chainID, err)
	}
	return true, nil
}

// prepare begins a snapshot on its parent's. What is there already, such as from another import, is errdefs.ErrAlreadyExists,
// and is kept for as long as the lease.
func (s *Store) prepare(ctx context.Context, parent, chainID string) (*activeSnapshot, error) {
	key := fmt.Sprintf("extract-%d-%d %s", time.Now().UnixNano(), extracts.Add(1), chainID)
	prepared, err := s.snapshots.Prepare(ctx, &snapshotsapi.PrepareSnapshotRequest{
		Snapshotter: s.options.Snapshotter, Key: key, Parent: parent,
		Labels: map[string]string{"containerd.io/snapshot.ref": chainID},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare a snapshot: %w", errgrpc.ToNative(err))
	}
	return &activeSnapshot{store: s, key: key, chain: chainID, mounts: prepared.GetMounts()}, nil
}

// unpackLayer makes the snapshot of one layer on its parent's and returns the layer's digest before compression. With
// another than the wanted one, no snapshot is kept.
func (s *Store) unpackLayer(ctx context.Context, layer ocispec.Descriptor, parent, chainID string, wanted digest.Digest) (digest.Digest, error) {
	snapshot, err := s.prepare(ctx, parent, chainID)
	if errdefs.IsAlreadyExists(err) {
		// A remote snapshotter, or another import, has it by now.
		return wanted, nil
	}
	if err != nil {
		return "", err
	}
	applied, err := s.diff.Apply(ctx, &diffapi.ApplyRequest{
		Diff:   &types.Descriptor{MediaType: layer.MediaType, Digest: layer.Digest.String(), Size: layer.Size},
		Mounts: snapshot.mounts,
	})
	if err != nil {
		snapshot.remove(ctx)
		return "", fmt.Errorf("apply it: %w", errgrpc.ToNative(err))
	}
	actual := digest.Digest(applied.GetApplied().GetDigest())
	if actual != wanted {
		snapshot.remove(ctx)
		return actual, nil
	}
	if err := snapshot.commit(ctx); err != nil {
		return "", fmt.Errorf("commit the snapshot: %w", err)
	}
	return actual, nil
}
