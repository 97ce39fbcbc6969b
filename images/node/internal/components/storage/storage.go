// Package storage is the default storage of a node: a small CSI driver of our own, the provisioner that makes volumes
// for claims, and the two storage classes.
//
// The provisioner is the storage group's library (sig-storage-lib-external-provisioner) with the driver's controller
// service called in this process. The external-provisioner as a whole would add a second set of informers, leader election
// and a gRPC hop for things that a driver with one node, one pool and no secrets does not use.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"sandbar.dev/node/internal/components/storage/driver"
	"sandbar.dev/node/internal/components/storage/pool"
)

const (
	poolName = "default"
	// retries of a claim that cannot be satisfied now, such as one larger than the free space
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// Options are what the component needs to know.
type Options struct {
	// Client reaches the API server as system:sandbar:storage.
	Client *rest.Config
	// NodeName is the name of the Node object.
	NodeName string
	// Root is the folder that holds the pools.
	Root string
	// KubeletDir is kubelet's root folder as pods' mounts name it, such as /var/lib/kubelet.
	KubeletDir string
	// Version is the node's version, told by the driver.
	Version string
	// Register makes the driver, which serves CSI on the socket endpoint, known to kubelet, and returns when it is. Nil
	// leaves that to kubelet's plugin watcher, which looks once a second.
	Register func(ctx context.Context, driver, endpoint string) error
}

// Storage is the component.
type Storage struct {
	options Options
}

// New returns the component.
func New(options Options) *Storage { return &Storage{options: options} }

// Name implements component.Component.
func (s *Storage) Name() string { return "storage" }

// Needs implements component.Component. Kubelet is not among them: its plugin watcher finds the registration socket
// whichever comes first.
func (s *Storage) Needs() []string { return []string{"kube-apiserver"} }

// Run implements component.Component. It is ready when kubelet has registered the driver and the provisioner follows claims.
func (s *Storage) Run(ctx context.Context, ready func()) error {
	volumes, err := pool.OpenDirectory(poolName, filepath.Join(s.options.Root, poolName))
	if err != nil {
		return err
	}
	csiDriver := driver.New(volumes, s.options.NodeName, s.options.Version)
	endpoint := filepath.Join(s.options.KubeletDir, "plugins", driver.Name, "csi.sock")
	registrar := newRegistrar(endpoint)

	group, ctx := errgroup.WithContext(ctx)
	driverServer := grpc.NewServer()
	csiDriver.Register(driverServer)
	if err := serve(ctx, group, driverServer, endpoint); err != nil {
		return err
	}
	if err := s.announce(ctx, group, registrar, endpoint); err != nil {
		return err
	}
	claimsFollowed, err := s.provision(ctx, group, csiDriver)
	if err != nil {
		return err
	}
	group.Go(func() error {
		for _, event := range []<-chan struct{}{claimsFollowed, registrar.done} {
			select {
			case <-event:
			case err := <-registrar.refused:
				return err
			case <-ctx.Done():
				return nil
			}
		}
		ready()
		return nil
	})
	return group.Wait()
}

// announce has kubelet told of the driver; registrar hears of the outcome.
func (s *Storage) announce(ctx context.Context, group *errgroup.Group, registrar *registrar, endpoint string) error {
	if s.options.Register == nil {
		server := grpc.NewServer()
		registration.RegisterRegistrationServer(server, registrar)
		return serve(ctx, group, server, filepath.Join(s.options.KubeletDir, "plugins_registry", driver.Name+"-reg.sock"))
	}
	group.Go(func() error {
		err := s.options.Register(ctx, driver.Name, endpoint)
		if err == nil {
			registrar.once.Do(func() { close(registrar.done) })
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	return nil
}

// provision starts the provisioner and returns a channel that is closed when it follows claims.
func (s *Storage) provision(ctx context.Context, group *errgroup.Group, csiDriver *driver.Driver) (<-chan struct{}, error) {
	client, err := kubernetes.NewForConfig(s.options.Client)
	if err != nil {
		return nil, fmt.Errorf("client of the provisioner: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagedFields))
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	persistentVolumes := factory.Core().V1().PersistentVolumes().Informer()
	classes := factory.Storage().V1().StorageClasses().Informer()

	provisioning := controller.NewProvisionController(ctx, client, driver.Name,
		&provisioner{controller: csiDriver, nodeName: s.options.NodeName},
		controller.LeaderElection(false),
		controller.ClaimsInformer(claims),
		controller.VolumesInformer(persistentVolumes),
		controller.ClassesInformer(classes),
		controller.ResyncPeriod(0),
		controller.Threadiness(2),
		// The finalizer keeps a PersistentVolume until its data is gone, so that none is left on the disk without an object.
		controller.AddFinalizer(true),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
		controller.FailedProvisionThreshold(0),
		controller.FailedDeleteThreshold(0),
	)
	factory.Start(ctx.Done())
	group.Go(func() error {
		provisioning.Run(ctx)
		if ctx.Err() == nil {
			return errors.New("the provisioner ended by itself")
		}
		return nil
	})
	synced := make(chan struct{})
	group.Go(func() error {
		if cache.WaitForCacheSync(ctx.Done(), claims.HasSynced, persistentVolumes.HasSynced, classes.HasSynced) {
			klog.FromContext(ctx).V(2).Info("The provisioner follows claims")
			close(synced)
		}
		return nil
	})
	return synced, nil
}

// Check implements component.HealthChecker: the pool can be read.
func (s *Storage) Check(context.Context) error {
	_, err := pool.StatPath(s.options.Root)
	return err
}

// serve runs a gRPC server on a UNIX socket, from whose path it removes what a crash left, until ctx ends.
func serve(ctx context.Context, group *errgroup.Group, server *grpc.Server, socket string) error {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return errors.Join(err, listener.Close())
	}
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error {
		<-ctx.Done()
		server.Stop()
		return nil
	})
	return nil
}

// withoutManagedFields drops the part of an object that takes most memory and that nobody here reads.
func withoutManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}
