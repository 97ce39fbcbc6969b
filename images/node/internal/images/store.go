// Package images fills and reads the node's image store, which is containerd's in the namespace of Kubernetes.
//
// It imports archives by a reader of its own: layers go from the stream straight into the content store, layers that the
// node has may be left out of the archive, and nothing gets a name before everything is complete and verified.
package images

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	diffapi "github.com/containerd/containerd/api/services/diff/v1"
	imagesapi "github.com/containerd/containerd/api/services/images/v1"
	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	snapshotsapi "github.com/containerd/containerd/api/services/snapshots/v1"
	"github.com/containerd/containerd/v2/core/content"
	contentproxy "github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/leases"
	leasesproxy "github.com/containerd/containerd/v2/core/leases/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	criapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// namespace is where Kubernetes' images are.
	namespace = "k8s.io"
	// leaseLifetime is how long what an import has brought is kept when sandbar-node dies during it.
	leaseLifetime = time.Hour
	// maximumMessage bounds a message of containerd's, in bytes.
	maximumMessage = 16 << 20
)

// Options says where the store is.
type Options struct {
	// Socket is containerd's.
	Socket string
	// Snapshotter unpacks layers; empty means overlayfs.
	Snapshotter string
	// Architecture is Go's word for what this node runs; empty means this program's.
	Architecture string
	// Emulated are others whose programs this node runs through an emulator.
	Emulated []string
}

// Store is the node's image store.
type Store struct {
	options Options
	// architectures are what this node runs, its own first.
	architectures []string
	connection    *grpc.ClientConn
	content       content.Store
	writes        contentapi.ContentClient
	images        imagesapi.ImagesClient
	leases        leases.Manager
	snapshots     snapshotsapi.SnapshotsClient
	diff          diffapi.DiffClient
	cri           criapi.ImageServiceClient

	introspection introspection.IntrospectionClient
	// root is the folder of the content store, once it is known.
	root      string
	rootKnown bool
	rootMu    sync.Mutex
}

// New makes a store. Nothing is connected before the first call, which waits for containerd.
func New(options Options) (*Store, error) {
	if options.Snapshotter == "" {
		options.Snapshotter = "overlayfs"
	}
	if options.Architecture == "" {
		options.Architecture = runtime.GOARCH
	}
	connection, err := grpc.NewClient("unix://"+options.Socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maximumMessage), grpc.WaitForReady(true)))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", options.Socket, err)
	}
	writes := contentapi.NewContentClient(connection)
	return &Store{
		options:       options,
		architectures: append([]string{options.Architecture}, options.Emulated...),
		connection:    connection,
		content:       contentproxy.NewContentStore(connection),
		writes:        writes,
		images:        imagesapi.NewImagesClient(connection),
		leases:        leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(connection)),
		snapshots:     snapshotsapi.NewSnapshotsClient(connection),
		diff:          diffapi.NewDiffClient(connection),
		cri:           criapi.NewImageServiceClient(connection),

		introspection: introspection.NewIntrospectionClient(connection),
	}, nil
}

// Close ends the connection.
func (s *Store) Close() error {
	if err := s.connection.Close(); err != nil {
		return fmt.Errorf("close the connection to containerd: %w", err)
	}
	return nil
}

// scoped is the context for calls in Kubernetes' namespace.
func scoped(ctx context.Context) context.Context { return namespaces.WithNamespace(ctx, namespace) }

// leased calls work with a context under which nothing that it makes is collected.
func (s *Store) leased(ctx context.Context, work func(context.Context, leases.Lease) error) error {
	lease, err := s.leases.Create(ctx, leases.WithRandomID(), leases.WithExpiration(leaseLifetime))
	if err != nil {
		return fmt.Errorf("make a lease: %w", err)
	}
	// What was brought and is not named by now is to go, also when the caller gave up.
	defer func() { _ = s.leases.Delete(context.WithoutCancel(ctx), lease) }()
	return work(leases.WithLease(ctx, lease.ID), lease)
}
