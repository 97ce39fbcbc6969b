package ingress

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// byService indexes EndpointSlices by the namespace and name of their Service.
const byService = "service"

// cluster is the part of the cluster's objects that matter here, followed by informers. It implements translate.Cluster and
// wakes its owner only for objects that the last look asked for, and for Ingresses and their classes.
type cluster struct {
	factories []informers.SharedInformerFactory
	synced    []cache.DoneChecker
	stopped   context.CancelFunc

	ingresses, classes, services, slices, secrets cache.Indexer

	mu sync.Mutex
	// current holds the keys that the last look asked for; next those of the look that goes on, nil if none does.
	current, next map[string]bool
}

// watchCluster starts to follow the objects; wake is called, from any goroutine, when something of interest has changed.
func watchCluster(ctx context.Context, client kubernetes.Interface, wake func()) (*cluster, error) {
	ctx, cancel := context.WithCancel(ctx)
	general := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
	// Only TLS secrets: others are none of the ingress's business, and stay out of this process's memory.
	secrets := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeTLS)).String()
		}))
	c := &cluster{
		factories: []informers.SharedInformerFactory{general, secrets},
		stopped:   cancel,
		current:   map[string]bool{},
	}
	slices := general.Discovery().V1().EndpointSlices().Informer()
	if err := slices.AddIndexers(cache.Indexers{byService: sliceService}); err != nil {
		cancel()
		return nil, fmt.Errorf("follow EndpointSlices: %w", err)
	}
	for _, follow := range []struct {
		informer cache.SharedIndexInformer
		indexer  *cache.Indexer
		wake     func(old, object any)
	}{
		{general.Networking().V1().Ingresses().Informer(), &c.ingresses, func(old, object any) {
			if ingressChanged(old, object) {
				wake()
			}
		}},
		{general.Networking().V1().IngressClasses().Informer(), &c.classes, func(_, _ any) { wake() }},
		{general.Core().V1().Services().Informer(), &c.services, c.wakeFor("service", metaKey, wake)},
		{slices, &c.slices, c.wakeFor("service", sliceKey, wake)},
		{secrets.Core().V1().Secrets().Informer(), &c.secrets, c.wakeFor("secret", metaKey, wake)},
	} {
		*follow.indexer = follow.informer.GetIndexer()
		registration, err := follow.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { follow.wake(nil, object) },
			UpdateFunc: func(old, object any) { follow.wake(old, object) },
			DeleteFunc: func(object any) {
				if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
					object = unknown.Obj
				}
				follow.wake(nil, object)
			},
		})
		if err != nil {
			cancel()
			return nil, fmt.Errorf("follow the cluster's objects: %w", err)
		}
		c.synced = append(c.synced, registration.HasSyncedChecker())
	}
	for _, factory := range c.factories {
		factory.StartWithContext(ctx)
	}
	return c, nil
}

// awaitRights waits until this user may follow the objects. In a cluster that is made just now, the rule that says so may
// still be on its way; informers would be refused, and hold back longer than that takes. False means that ctx is done.
func awaitRights(ctx context.Context, client kubernetes.Interface) bool {
	const first, last = 25 * time.Millisecond, time.Second
	for pause := first; ; pause = min(2*pause, last) {
		_, err := client.NetworkingV1().IngressClasses().List(ctx, metav1.ListOptions{Limit: 1, ResourceVersion: "0"})
		if err == nil {
			return true
		}
		klog.FromContext(ctx).V(2).Info("objects cannot be followed yet", "reason", err.Error())
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// awaitSync waits until all objects there were have arrived; false means that ctx is done.
func (c *cluster) awaitSync(ctx context.Context) bool {
	return cache.WaitFor(ctx, "", c.synced...)
}

// stop ends the informers and waits for them.
func (c *cluster) stop() {
	c.stopped()
	for _, factory := range c.factories {
		factory.Shutdown()
	}
}

// beginLook and endLook enclose a translation. What it asks for is noted before it is read, so that a change that comes
// in between is either read or wakes.
func (c *cluster) beginLook() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = map[string]bool{}
}

func (c *cluster) endLook() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.next = c.next, nil
}

func (c *cluster) note(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		c.next[key] = true
	}
}

func (c *cluster) wakeFor(kind string, key func(any) string, wake func()) func(old, object any) {
	return func(_, object any) {
		name := kind + "/" + key(object)
		c.mu.Lock()
		asked := c.current[name] || c.next[name]
		c.mu.Unlock()
		if asked {
			wake()
		}
	}
}

// Ingresses implements translate.Cluster.
func (c *cluster) Ingresses() []*networkingv1.Ingress { return all[*networkingv1.Ingress](c.ingresses) }

// IngressClasses implements translate.Cluster.
func (c *cluster) IngressClasses() []*networkingv1.IngressClass {
	return all[*networkingv1.IngressClass](c.classes)
}

// Service implements translate.Cluster.
func (c *cluster) Service(namespace, name string) *corev1.Service {
	c.note("service/" + namespace + "/" + name)
	return one[*corev1.Service](c.services, namespace, name)
}

// EndpointSlices implements translate.Cluster.
func (c *cluster) EndpointSlices(namespace, service string) []*discoveryv1.EndpointSlice {
	c.note("service/" + namespace + "/" + service)
	objects, err := c.slices.ByIndex(byService, namespace+"/"+service)
	if err != nil {
		return nil // there is no such index, which watchCluster has ruled out
	}
	found := make([]*discoveryv1.EndpointSlice, 0, len(objects))
	for _, object := range objects {
		if slice, ok := object.(*discoveryv1.EndpointSlice); ok {
			found = append(found, slice)
		}
	}
	return found
}

// Secret implements translate.Cluster.
func (c *cluster) Secret(namespace, name string) *corev1.Secret {
	c.note("secret/" + namespace + "/" + name)
	return one[*corev1.Secret](c.secrets, namespace, name)
}

func all[T any](indexer cache.Indexer) []T {
	objects := indexer.List()
	found := make([]T, 0, len(objects))
	for _, object := range objects {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

func one[T any](indexer cache.Indexer, namespace, name string) T {
	var none T
	object, exists, err := indexer.GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return none
	}
	typed, ok := object.(T)
	if !ok {
		return none
	}
	return typed
}

func metaKey(object any) string {
	key, err := cache.MetaNamespaceKeyFunc(object)
	if err != nil {
		return ""
	}
	return key
}

func sliceKey(object any) string {
	keys, err := sliceService(object)
	if err != nil || len(keys) == 0 {
		return ""
	}
	return keys[0]
}

func sliceService(object any) ([]string, error) {
	slice, ok := object.(*discoveryv1.EndpointSlice)
	if !ok || slice.Labels[discoveryv1.LabelServiceName] == "" {
		return nil, nil
	}
	return []string{slice.Namespace + "/" + slice.Labels[discoveryv1.LabelServiceName]}, nil
}

// ingressChanged is false for a change that only concerns the status, which is mostly our own.
func ingressChanged(old, object any) bool {
	before, ok1 := old.(*networkingv1.Ingress)
	after, ok2 := object.(*networkingv1.Ingress)
	if !ok1 || !ok2 {
		return true
	}
	return !apiequality.Semantic.DeepEqual(before.Spec, after.Spec) ||
		!apiequality.Semantic.DeepEqual(before.Annotations, after.Annotations) ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() || before.UID != after.UID
}
