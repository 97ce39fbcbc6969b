// Package attachdetach runs Kubernetes' attach/detach controller, on its own instead of among the other controllers.
//
// The reason is a variable of the CSI volume plugin, shared by all that use the plugin in one process: whoever
// initialises it last decides for which node CSI drivers register. For the controllers that is no node at all, and the
// kubelet could not register a driver any more. So this component initialises its plugins first, before it needs an API
// server, and the kubelet needs it: the kubelet's word is the last one, whatever the speed of either.
// Controllers that use the plugin must not run in kube-controller-manager: attach/detach and SELinux warning.
package attachdetach

import (
	"context"
	"errors"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/controller/volume/attachdetach"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/csi"
	"k8s.io/kubernetes/pkg/volume/fc"
	"k8s.io/kubernetes/pkg/volume/iscsi"

	"sandbar.dev/node/internal/component"
)

// Name is the component's name.
const Name = "attach-detach"

// Options are what the controller needs.
type Options struct {
	// Client is the identity system:sandbar:attach-detach, bound to ClusterRole. Required.
	Client *rest.Config
	// APIReady returns when the API server serves, or with the context's error. Nil is at once.
	APIReady func(context.Context) error
}

// AttachDetach is the component.
type AttachDetach struct{ options Options }

// New makes the component; nothing happens before Run.
func New(options Options) *AttachDetach { return &AttachDetach{options: options} }

var _ component.Component = (*AttachDetach)(nil)

// Name implements [component.Component].
func (a *AttachDetach) Name() string { return Name }

// Needs implements [component.Component]: nothing, so that its plugins are initialised before the kubelet's.
func (a *AttachDetach) Needs() []string { return nil }

// Run is ready when the volume plugins are initialised; the controller itself works once the API server serves.
func (a *AttachDetach) Run(ctx context.Context, ready func()) error {
	config := rest.CopyConfig(a.options.Client)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("attach-detach: client: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim))
	controller, err := newController(ctx, client, factory)
	if err != nil {
		return err
	}
	ready()
	if a.options.APIReady != nil {
		if err := a.options.APIReady(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("attach-detach: wait for the API server: %w", err)
		}
	}
	factory.StartWithContext(ctx)
	controller.Run(ctx)
	if ctx.Err() == nil {
		return errors.New("attach-detach: the controller returned by itself")
	}
	return nil
}

// newController makes the controller with the plugins that can attach. It makes no request.
func newController(
	ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory,
) (attachdetach.AttachDetachController, error) {
	var plugins []volume.VolumePlugin
	plugins = append(plugins, fc.ProbeVolumePlugins()...)
	plugins = append(plugins, iscsi.ProbeVolumePlugins()...)
	plugins = append(plugins, csi.ProbeVolumePlugins()...)
	timers := attachdetach.DefaultTimerConfig
	// Attaching is asked for by objects that appear, and looked for at this period: a compromise with an idle node.
	timers.ReconcilerLoopPeriod = 500 * time.Millisecond
	controller, err := attachdetach.NewAttachDetachController(
		ctx, client,
		factory.Core().V1().Pods(), factory.Core().V1().Nodes(),
		factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes(),
		factory.Storage().V1().CSINodes(), factory.Storage().V1().CSIDrivers(),
		factory.Storage().V1().VolumeAttachments(),
		plugins, nil, false, time.Minute, false, timers,
	)
	if err != nil {
		return nil, fmt.Errorf("attach-detach: %w", err)
	}
	return controller, nil
}

// trim drops from cached objects what no controller looks at.
func trim(object any) (any, error) {
	if accessor, ok := object.(metav1.Object); ok {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// ClusterRole is the least that the controller needs, for user system:sandbar:attach-detach.
func ClusterRole() *rbacv1.ClusterRole {
	look := []string{"get", "list", "watch"}
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "system:sandbar:" + Name},
		Rules: []rbacv1.PolicyRule{
			{
				APIGroups: []string{""},
				Resources: []string{"persistentvolumes", "persistentvolumeclaims", "nodes", "pods"}, Verbs: look,
			},
			{APIGroups: []string{""}, Resources: []string{"nodes/status"}, Verbs: []string{"patch", "update"}},
			{APIGroups: []string{"storage.k8s.io"}, Resources: []string{"csidrivers", "csinodes"}, Verbs: look},
			{
				APIGroups: []string{"storage.k8s.io"}, Resources: []string{"volumeattachments"},
				Verbs: append([]string{"create", "delete"}, look...),
			},
			{
				APIGroups: []string{"", "events.k8s.io"}, Resources: []string{"events"},
				Verbs: []string{"create", "patch", "update"},
			},
		},
	}
}
