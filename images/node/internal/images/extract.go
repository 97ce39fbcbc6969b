package images

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/leases"
	layers "github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/moby/sys/userns"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// importer is one import. It takes layers in while the archive is read, and unpacks those that are expected in the same
// pass; what remains of that, goes on beside what follows.
type importer struct {
	*Store
	lease leases.Lease
	// order has the layers of the image that is expected, first to last, as the archive's hint says.
	order []digest.Digest
	// chain has the chain ID of each.
	chain []digest.Digest

	// running are commits that go on.
	running sync.WaitGroup
	mu      sync.Mutex
	// failed is what went wrong with them.
	failed error
	// unpacked are layers that were unpacked while they came, with their sizes.
	unpacked map[digest.Digest]int64
}

// expect says which layers will come. The hint makes things faster and nothing else: a snapshot is committed under the
// digests of what was in fact written into it, and is collected if no image turns out to need it.
func (i *importer) expect(order []digest.Digest) {
	i.order = order
	i.chain = identity.ChainIDs(slices.Clone(order))
}

// expects says whether a file with that digest is a layer that is expected.
func (i *importer) expects(blob digest.Digest) bool { return slices.Contains(i.order, blob) }

// background does what need not be waited for before the next file is read.
func (i *importer) background(work func() error) {
	i.running.Go(func() {
		if err := work(); err != nil {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.failed = errors.Join(i.failed, err)
		}
	})
}

// settle waits for all that goes on.
func (i *importer) settle() error {
	i.running.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// extraction is a layer that is unpacked while it is received.
type extraction struct {
	*follower
	snapshot *activeSnapshot
	applied  chan error
}

// extract begins to unpack a layer of that size. It is nil where that cannot be done now, such as where the layers below
// are not there: then the layer is unpacked later, as every other is.
func (i *importer) extract(ctx context.Context, layer digest.Digest, size int64) *extraction {
	if !i.expects(layer) {
		return nil
	}
	// The layer below may have come just before.
	if i.settle() != nil {
		return nil
	}
	// A layer may be in an image twice.
	for n, candidate := range i.order {
		if candidate != layer {
			continue
		}
		parent := ""
		if n > 0 {
			parent = i.chain[n-1].String()
		}
		snapshot, err := i.prepare(ctx, parent, i.chain[n].String())
		if err != nil {
			continue
		}
		root, options, possible := directTarget(snapshot.mounts)
		if !possible {
			snapshot.remove(ctx)
			return nil
		}
		running := &extraction{follower: newFollower(size), snapshot: snapshot, applied: make(chan error, 1)}
		go func() {
			_, err := layers.Apply(ctx, root, running, options...)
			// What follows the archive's end is a part of the layer, too.
			running.applied <- errors.Join(err, running.drain())
		}()
		return running
	}
	return nil
}

// finish waits until everything that came is unpacked, and commits it if the layer came whole. The result says whether it
// did. If there is something wrong with the layer, containerd's own applier will say so later.
func (i *importer) finish(ctx context.Context, running *extraction, received error) bool {
	if running == nil {
		return false
	}
	running.end(received)
	applied := <-running.applied
	if applied != nil || received != nil {
		running.snapshot.remove(ctx)
		return false
	}
	i.background(func() error {
		// Without it the layer is unpacked once more.
		_ = running.snapshot.commit(ctx)
		return nil
	})
	return true
}

// directTarget is the folder that a snapshot's layer is written into, and how, so that nothing has to be mounted and no
// mount can be left behind. It is what containerd's applier does for an overlay; a bind mount is another name for its
// source. Where that applier would mount, here is none.
func directTarget(mounts []*types.Mount) (root string, options []layers.ApplyOpt, possible bool) {
	if len(mounts) != 1 {
		return "", nil, false
	}
	mounted := mounts[0]
	option := func(key string) string {
		for _, option := range mounted.GetOptions() {
			if value, found := strings.CutPrefix(option, key+"="); found {
				return value
			}
		}
		return ""
	}
	switch {
	case mounted.GetType() == "bind" && option("uidmap") == "" && option("gidmap") == "":
		return mounted.GetSource(), nil, true
	case mounted.GetType() == "overlay" && option("upperdir") != "" && !userns.RunningInUserNS():
		options = append(options, layers.WithConvertWhiteout(layers.OverlayConvertWhiteout))
		if lower := option("lowerdir"); lower != "" {
			options = append(options, layers.WithParents(strings.Split(lower, ":")))
		}
		return option("upperdir"), options, true
	default:
		return "", nil, false
	}
}

// unpackedLayer describes a layer that was unpacked while it came, so it is not compressed.
func (i *importer) unpackedLayer(blob digest.Digest) (ocispec.Descriptor, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	size, unpacked := i.unpacked[blob]
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: blob, Size: size}, unpacked
}

// noteUnpacked remembers that a layer was unpacked while it came.
func (i *importer) noteUnpacked(blob digest.Digest, size int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.unpacked == nil {
		i.unpacked = map[digest.Digest]int64{}
	}
	i.unpacked[blob] = size
}

// activeSnapshot is a snapshot that is being made.
type activeSnapshot struct {
	store  *Store
	key    string
	chain  string
	mounts []*types.Mount
}

// commit gives it its name. Another import may have been faster, which is as good.
func (a *activeSnapshot) commit(ctx context.Context) error {
	_, err := a.store.snapshots.Commit(ctx, &snapshotsapi.CommitSnapshotRequest{
		Snapshotter: a.store.options.Snapshotter, Name: a.chain, Key: a.key,
	})
	if err = errgrpc.ToNative(err); err == nil {
		return nil
	}
	a.remove(ctx)
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	return err // the caller says what it was about
}

// remove drops it.
func (a *activeSnapshot) remove(ctx context.Context) {
	_, _ = a.store.snapshots.Remove(context.WithoutCancel(ctx), &snapshotsapi.RemoveSnapshotRequest{
		Snapshotter: a.store.options.Snapshotter, Key: a.key,
	})
}
