package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletdeps "k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/util/oom"

	"sandbar.dev/node/internal/component"
)

// heartbeatTimeout limits one renewal of the lease or write of the status, so that a hanging connection is given up well
// before the node counts as lost.
const heartbeatTimeout = 10 * time.Second

// Kubelet is the component. It implements [component.HealthChecker] and [component.StopLimiter].
type Kubelet struct {
	options Options
	node    atomic.Pointer[nodeWatch]
}

// New makes the component; nothing happens before Run.
func New(options Options) *Kubelet { return &Kubelet{options: options.withDefaults()} }

var (
	_ component.Component     = (*Kubelet)(nil)
	_ component.HealthChecker = (*Kubelet)(nil)
	_ component.StopLimiter   = (*Kubelet)(nil)
	_ component.Leaning       = (*Kubelet)(nil)
)

// Name implements [component.Component].
func (k *Kubelet) Name() string { return Name }

// Needs implements [component.Component].
func (k *Kubelet) Needs() []string { return k.options.Needs }

// LeansOn implements [component.Leaning].
func (k *Kubelet) LeansOn() []string { return k.options.LeansOn }

// StopLimit implements [component.StopLimiter]: the pods' grace and what it takes to tear their networks down.
func (k *Kubelet) StopLimit() time.Duration {
	if k.options.StopGrace == nil {
		return 5 * time.Second
	}
	return k.options.StopGrace() + 10*time.Second
}

// Run runs the kubelet. It is ready once the Node object says Ready because of this run, not of an earlier one. When the
// whole node stops, it ends the pods before it returns.
//
// The kubelet's loops do not end with ctx, only with the process. So once ctx is cancelled, the runtime it was given
// refuses to start anything.
func (k *Kubelet) Run(ctx context.Context, ready func()) error {
	o, err := withOwnLimits(k.options)
	if err != nil {
		return fmt.Errorf("kubelet: %w", err)
	}
	server, err := buildServer(o)
	if err != nil {
		return err
	}
	if k.options.PrepareNetwork != nil {
		if err := k.options.PrepareNetwork(ctx); err != nil {
			return fmt.Errorf("kubelet: %w", err)
		}
	}
	if err := waitForSocket(ctx, k.options.RuntimeSocket); err != nil {
		return fmt.Errorf("kubelet: wait for the container runtime: %w", err)
	}
	gate := &runtimeGate{}
	dependencies, err := k.dependencies(ctx, server, gate)
	if err != nil {
		return err
	}
	watch, err := newNodeWatch(k.options.Client, k.options.NodeName, time.Now())
	if err != nil {
		return fmt.Errorf("kubelet: %w", err)
	}
	k.node.Store(watch)
	runCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		if k.options.PrepareImages != nil {
			if err := k.options.PrepareImages(runCtx); err != nil {
				stop(fmt.Errorf("images: %w", err))
				return
			}
		}
		watch.run(runCtx, ready)
	}()

	err = app.Run(runCtx, server, dependencies, utilfeature.DefaultFeatureGate)
	if ctx.Err() == nil {
		if err == nil {
			err = errors.New("it returned by itself")
		}
		if cause := context.Cause(runCtx); cause != nil {
			err = cause
		}
		return fmt.Errorf("kubelet: %w", err)
	}
	gate.close()
	if k.options.StopGrace == nil || !errors.Is(context.Cause(ctx), component.ErrStopping) {
		return nil
	}
	grace := k.options.StopGrace()
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace+10*time.Second)
	defer cancel()
	if err := StopPods(stopCtx, k.options.RuntimeSocket, grace); err != nil {
		return fmt.Errorf("kubelet: stop the pods: %w", err)
	}
	return nil
}

// Check implements [component.HealthChecker]: the Node object's own condition.
func (k *Kubelet) Check(context.Context) error {
	watch := k.node.Load()
	if watch == nil {
		return errors.New("the kubelet has not started")
	}
	return watch.check()
}

// dependencies are the kubelet's, with clients of our own and the gate in front of the container runtime.
func (k *Kubelet) dependencies(
	ctx context.Context, server *options.KubeletServer, gate *runtimeGate,
) (*kubeletdeps.Dependencies, error) {
	dependencies, err := app.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return nil, fmt.Errorf("kubelet: dependencies: %w", err)
	}
	client := rest.CopyConfig(k.options.Client)
	client.QPS = -1
	registering := rest.CopyConfig(client)
	registering.Wrap(func(base http.RoundTripper) http.RoundTripper { return newRegisterLast(base) })
	main, err := kubernetes.NewForConfig(registering)
	if err != nil {
		return nil, fmt.Errorf("kubelet: client: %w", err)
	}
	heartbeat := rest.CopyConfig(client)
	heartbeat.Timeout = heartbeatTimeout
	beat, err := kubernetes.NewForConfig(heartbeat)
	if err != nil {
		return nil, fmt.Errorf("kubelet: heartbeat client: %w", err)
	}
	dependencies.KubeClient = main
	dependencies.EventClient = main.CoreV1()
	dependencies.HeartbeatClient = beat
	dependencies.OnHeartbeatFailure = func() {}
	dependencies.OOMAdjuster = k.lastStep(dependencies, gate)
	return dependencies, nil
}

// lastStep is an adjuster of the process's oom_score_adj. The kubelet calls it once, when every dependency is made and
// before it is built from them: the only place where the runtime that it made can be wrapped.
func (k *Kubelet) lastStep(dependencies *kubeletdeps.Dependencies, gate *runtimeGate) *oom.OOMAdjuster {
	adjuster := oom.NewOOMAdjuster()
	apply := adjuster.ApplyOOMScoreAdj
	adjuster.ApplyOOMScoreAdj = func(pid, score int) error {
		gate.RuntimeService = dependencies.RemoteRuntimeService
		dependencies.RemoteRuntimeService = gate
		return apply(pid, score)
	}
	return adjuster
}
