package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/components/ingress/translate"
)

// reporter tells users what became of their objects: the address in the status of Ingresses, and events. It works in a
// goroutine of its own, so that a slow API server does not hold up traffic.
type reporter struct {
	client      kubernetes.Interface
	hostname    string
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
	cancel      context.CancelFunc
	done        sync.WaitGroup
	pending     chan []types.NamespacedName // at most one, the newest
	again       func()                      // asks for another report

	// known are the problems that were told already, so that each is told once while it lasts. Of the loop alone.
	known map[translate.Problem]bool
	log   klog.Logger
}

// newReporter starts a reporter. It calls again some time after it could not write something.
func newReporter(ctx context.Context, client kubernetes.Interface, hostname string, again func()) *reporter {
	ctx, cancel := context.WithCancel(ctx)
	r := &reporter{
		client:      client,
		hostname:    hostname,
		broadcaster: record.NewBroadcaster(record.WithContext(ctx)),
		cancel:      cancel,
		pending:     make(chan []types.NamespacedName, 1),
		again:       again,
		known:       map[translate.Problem]bool{},
		log:         klog.FromContext(ctx),
	}
	r.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	r.recorder = r.broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "sandbar-ingress"})
	r.done.Go(func() { r.publish(ctx) })
	return r
}

func (r *reporter) stop() {
	r.cancel()
	r.broadcaster.Shutdown()
	r.done.Wait()
}

// report tells what a look came to. It does not wait for the API server.
func (r *reporter) report(result translate.Result, refusals []refusal) {
	problems := result.Problems
	for _, refusal := range refusals {
		problems = append(problems, translate.Problem{
			Object: refusal.owner, Reason: "InvalidCertificate", Message: refusal.err.Error(),
		})
	}
	now := map[translate.Problem]bool{}
	for _, problem := range problems {
		if now[problem] {
			continue
		}
		now[problem] = true
		if r.known[problem] {
			continue
		}
		r.log.Info("part of an object is not served", "kind", problem.Object.Kind,
			"object", klog.KRef(problem.Object.Namespace, problem.Object.Name),
			"reason", problem.Reason, "message", problem.Message)
		if !problem.Passing {
			r.recorder.Event(referenceTo(problem.Object), corev1.EventTypeWarning, problem.Reason, problem.Message)
		}
	}
	r.known = now

	var unpublished []types.NamespacedName
	for _, ingress := range result.Ours {
		if !published(ingress, r.hostname) {
			unpublished = append(unpublished, types.NamespacedName{Namespace: ingress.Namespace, Name: ingress.Name})
		}
	}
	select { // the newest list replaces one that nobody has taken yet
	case <-r.pending:
	default:
	}
	if len(unpublished) > 0 {
		r.pending <- unpublished
	}
}

// published says whether the status of an Ingress says what it should. A node has one address for all, so this is written
// once in the life of an Ingress.
func published(ingress *networkingv1.Ingress, hostname string) bool {
	addresses := ingress.Status.LoadBalancer.Ingress
	return len(addresses) == 1 && addresses[0].Hostname == hostname && addresses[0].IP == ""
}

// statusRetry is the time after which the status of an Ingress that could not be written is tried again.
const statusRetry = 5 * time.Second

// publish writes the status of Ingresses.
func (r *reporter) publish(ctx context.Context) {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{
		"loadBalancer": map[string]any{"ingress": []map[string]any{{"hostname": r.hostname}}},
	}})
	if err != nil {
		r.log.Error(err, "cannot write the status of Ingresses")
		return
	}
	for {
		var names []types.NamespacedName
		select {
		case <-ctx.Done():
			return
		case names = <-r.pending:
		}
		failed := false
		for _, name := range names {
			_, err := r.client.NetworkingV1().Ingresses(name.Namespace).Patch(
				ctx, name.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
			if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				r.log.Error(fmt.Errorf("write status: %w", err), "Ingress has no address", "ingress", name.String())
				failed = true
			}
		}
		if failed {
			time.AfterFunc(statusRetry, r.again)
		}
	}
}

func referenceTo(ref model.Ref) *corev1.ObjectReference {
	version := "networking.k8s.io/v1"
	if ref.Kind == "Secret" {
		version = "v1"
	}
	return &corev1.ObjectReference{
		APIVersion: version, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name, UID: types.UID(ref.UID),
	}
}
