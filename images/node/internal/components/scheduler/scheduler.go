// Package scheduler runs kube-scheduler's engine with the default profile. It serves nothing: its metrics are part of the
// process's, and there is no second scheduler to elect a leader with.
package scheduler

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/scheduler"

	"sandbar.dev/node/internal/components/apiserver"
)

// Name is the component's name.
const Name = "kube-scheduler"

// User is whom the client certificate must name. Kubernetes' own RBAC rules know it.
const User = "system:kube-scheduler"

// Options are what the scheduler is started with.
type Options struct {
	// Client is User's.
	Client *rest.Config
}

// Scheduler is the component.
type Scheduler struct{ options Options }

// New returns the component.
func New(options Options) *Scheduler { return &Scheduler{options: options} }

// Name is "kube-scheduler".
func (*Scheduler) Name() string { return Name }

// Needs is the API server.
func (*Scheduler) Needs() []string { return []string{apiserver.Name} }

// Run schedules pods until ctx is cancelled. It is ready when it knows all nodes and pods.
func (s *Scheduler) Run(ctx context.Context, ready func()) error {
	client, err := kubernetes.NewForConfig(s.options.Client)
	if err != nil {
		return err
	}
	// Extended resources and claims of kinds that are not built in come without protobuf.
	plain := rest.CopyConfig(s.options.Client)
	plain.AcceptContentTypes, plain.ContentType = "", ""
	dynamicClient, err := dynamic.NewForConfig(plain)
	if err != nil {
		return err
	}
	informers := scheduler.NewInformerFactory(client, 0, nil)
	dynamicInformers := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dynamicClient, 0, corev1.NamespaceAll, nil)
	broadcaster := events.NewEventBroadcasterAdapterWithContext(ctx, client)
	defer broadcaster.Shutdown()

	recorders := func(name string) events.EventRecorderLogger { return broadcaster.NewRecorder(name) }
	engine, err := scheduler.New(ctx, client, informers, dynamicInformers, recorders)
	if err != nil {
		return err
	}
	broadcaster.StartRecordingToSink(ctx.Done())
	informers.Start(ctx.Done())
	dynamicInformers.Start(ctx.Done())
	defer informers.Shutdown()
	defer dynamicInformers.Shutdown()
	for kind, synced := range informers.WaitForCacheSync(ctx.Done()) {
		if !synced && ctx.Err() == nil {
			return fmt.Errorf("the list of %s did not arrive", kind)
		}
	}
	dynamicInformers.WaitForCacheSync(ctx.Done())
	if err := engine.WaitForHandlersSync(ctx); err != nil {
		return err
	}
	ready()
	engine.Run(ctx)
	if ctx.Err() == nil {
		return errors.New("ended by itself")
	}
	return nil
}
