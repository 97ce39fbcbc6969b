package kubelet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"sandbar.dev/node/internal/component"
)

// nodeWatch follows the Ready condition of one Node.
type nodeWatch struct {
	lister cache.ListerWatcher
	// since is when this run of the kubelet began. A condition of an earlier run says nothing about this one.
	since time.Time

	mu    sync.Mutex
	known bool
	err   error
	// first are the times of the condition that was there when the watch began. One with others is of this run, whatever the
	// clock says: it may have been set back meanwhile. Of the informer's goroutine alone.
	first *conditionTimes
}

// conditionTimes are when a condition was last reported and when it last changed.
type conditionTimes struct{ heartbeat, transition time.Time }

func newNodeWatch(config *rest.Config, name string, since time.Time) (*nodeWatch, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client for the Node: %w", err)
	}
	selector := fields.OneTermEqualSelector("metadata.name", name)
	lister := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "nodes", corev1.NamespaceAll, selector)
	return &nodeWatch{lister: lister, since: since.Truncate(time.Second)}, nil
}

// run follows the Node until ctx ends; it calls ready when the condition is true.
func (w *nodeWatch) run(ctx context.Context, ready func()) {
	update := func(object any) {
		if node, ok := object.(*corev1.Node); ok {
			w.update(ctx, node, ready)
		}
	}
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: w.lister,
		ObjectType:    &corev1.Node{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    update,
			UpdateFunc: func(_, object any) { update(object) },
			DeleteFunc: func(any) { w.set(ctx, errors.New("the Node object was deleted")) },
		},
		Transform: keepConditions,
	})
	controller.RunWithContext(ctx)
}

// keepConditions leaves of a Node what the watch looks at.
func keepConditions(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	small := &corev1.Node{Status: corev1.NodeStatus{Conditions: node.Status.Conditions}}
	small.Name, small.ResourceVersion = node.Name, node.ResourceVersion
	return small, nil
}

func (w *nodeWatch) update(ctx context.Context, node *corev1.Node, ready func()) {
	current, err := readiness(node, w.since)
	if times := readyTimes(node); times != nil {
		if w.first == nil {
			w.first = times
		}
		current = current || *times != *w.first
	}
	if !current {
		return
	}
	w.set(ctx, err)
	if err == nil {
		ready()
	}
}

func (w *nodeWatch) set(ctx context.Context, err error) {
	w.mu.Lock()
	changed := w.known && (w.err == nil) != (err == nil)
	w.known, w.err = true, err
	w.mu.Unlock()
	if changed {
		component.Recheck(ctx)
	}
}

func (w *nodeWatch) check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return errors.New("the Node has not been reported yet")
	}
	return w.err
}

// readyTimes are those of the Node's Ready condition, nil if it has none.
func readyTimes(node *corev1.Node) *conditionTimes {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return &conditionTimes{condition.LastHeartbeatTime.UTC(), condition.LastTransitionTime.UTC()}
		}
	}
	return nil
}

// readiness says whether the Node's Ready condition was written since a moment, and why it is not true.
func readiness(node *corev1.Node, since time.Time) (current bool, err error) {
	for _, condition := range node.Status.Conditions {
		if condition.Type != corev1.NodeReady {
			continue
		}
		current = !condition.LastHeartbeatTime.Time.Before(since) || !condition.LastTransitionTime.Time.Before(since)
		if condition.Status == corev1.ConditionTrue {
			return current, nil
		}
		return current, fmt.Errorf("the Node is not ready: %s: %s", condition.Reason, condition.Message)
	}
	return false, nil
}
