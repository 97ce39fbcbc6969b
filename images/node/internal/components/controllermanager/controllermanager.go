// Package controllermanager runs kube-controller-manager. It serves nothing: its metrics are part of the process's, and
// there is no second one to elect a leader with.
package controllermanager

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"

	"sandbar.dev/node/internal/components/apiserver"
)

// Name is the component's name.
const Name = "kube-controller-manager"

// User is whom the client certificate must name.
const User = "system:kube-controller-manager"

// Options are what the controllers are started with.
type Options struct {
	// Client is User's, and Kubeconfig a file that says the same: the library reads only files.
	Client     *rest.Config
	Kubeconfig string
	// ClusterCIDR are the pods' networks, ServiceCIDR the Services', comma-separated.
	ClusterCIDR, ServiceCIDR string
	// ClusterCAFile and ClusterCAKeyFile sign certificate requests, and ClusterCAFile is given to every pod.
	ClusterCAFile, ClusterCAKeyFile string
	// ServiceAccountKeyFile signs the tokens that Secrets of type service-account-token ask for.
	ServiceAccountKeyFile string
}

// ControllerManager is the component.
type ControllerManager struct{ options Options }

// New returns the component.
func New(options Options) *ControllerManager { return &ControllerManager{options: options} }

// Name is "kube-controller-manager".
func (*ControllerManager) Name() string { return Name }

// Needs is the API server.
func (*ControllerManager) Needs() []string { return []string{apiserver.Name} }

// Run runs the controllers until ctx is cancelled. It is ready when pods can be made in the namespace default, which
// takes the work of several controllers.
func (c *ControllerManager) Run(ctx context.Context, ready func()) error {
	s, err := build(c.options)
	if err != nil {
		return err
	}
	config, err := s.Config(ctx, app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases())
	if err != nil {
		return fmt.Errorf("options: %w", err)
	}
	client, err := kubernetes.NewForConfig(c.options.Client)
	if err != nil {
		return err
	}
	waitCtx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() {
		if err := waitForServiceAccount(waitCtx, client); err == nil {
			ready()
		} else if waitCtx.Err() == nil {
			failed <- err
		}
	}()
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx, config.Complete()) }()
	select {
	case err := <-failed:
		return fmt.Errorf("wait for the first service account: %w", err)
	case err := <-done:
		return err
	}
}

// build turns Options into the controller manager's.
func build(o Options) (*options.KubeControllerManagerOptions, error) {
	s, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, err
	}
	s.SecureServing.BindPort = 0
	s.Generic.LeaderElection.LeaderElect = false
	s.Generic.ClientConnection.Kubeconfig = o.Kubeconfig
	s.Generic.ClientConnection.ContentType = runtime.ContentTypeProtobuf
	s.Generic.ClientConnection.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	s.Generic.ClientConnection.QPS = 1000
	s.Generic.ClientConnection.Burst = 1000
	s.Generic.MinResyncPeriod = metav1.Duration{Duration: 24 * time.Hour}
	s.Generic.Controllers = append([]string{"*"}, withoutUse()...)
	s.ControllerShutdownTimeout = 2 * time.Second

	// Each controller with a service account of its own means dozens of tokens, clients and connections. They share a
	// process, so it would separate nothing; the rights of User are the union of theirs.
	s.KubeCloudShared.UseServiceAccountCredentials = false
	s.KubeCloudShared.AllocateNodeCIDRs = true
	s.KubeCloudShared.CIDRAllocatorType = "RangeAllocator"
	s.KubeCloudShared.ClusterCIDR = o.ClusterCIDR
	s.KubeCloudShared.ConfigureCloudRoutes = false
	s.NodeIPAMController.ServiceCIDR = o.ServiceCIDR
	s.SAController.ServiceAccountKeyFile = o.ServiceAccountKeyFile
	s.SAController.RootCAFile = o.ClusterCAFile
	s.CSRSigningController.ClusterSigningCertFile = o.ClusterCAFile
	s.CSRSigningController.ClusterSigningKeyFile = o.ClusterCAKeyFile
	// What the only node says is the only news there is; no other node could take its pods over.
	s.NodeLifecycleController.NodeMonitorGracePeriod = metav1.Duration{Duration: 2 * time.Minute}
	s.NodeLifecycleController.NodeMonitorPeriod = metav1.Duration{Duration: 30 * time.Second}
	return s, nil
}

// withoutUse are the controllers that have nothing to do on a single node without a cloud, or run elsewhere.
func withoutUse() []string {
	var off []string
	for _, name := range []string{
		// There is one API server, of one version.
		names.StorageVersionGarbageCollectorController,
		// Package attachdetach runs it; both would leave the CSI plugin without a node name, see there.
		names.PersistentVolumeAttachDetachController,
		names.SELinuxWarningController,
	} {
		off = append(off, "-"+name)
	}
	return off
}

// waitForServiceAccount returns when the service account of ordinary pods exists.
func waitForServiceAccount(ctx context.Context, client kubernetes.Interface) error {
	selector := fields.OneTermEqualSelector("metadata.name", "default").String()
	accounts := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return accounts.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return accounts.Watch(ctx, o)
		},
	}
	_, err := watchtools.UntilWithSync(ctx, source, &corev1.ServiceAccount{}, nil, func(event watch.Event) (bool, error) {
		return event.Type == watch.Added || event.Type == watch.Modified, nil
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(errors.New("service account default/default"), err)
}
