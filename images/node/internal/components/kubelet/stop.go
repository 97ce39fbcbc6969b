package kubelet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
)

// graceAnnotation is where the kubelet notes a pod's terminationGracePeriodSeconds on each of its containers
// (k8s.io/kubernetes/pkg/kubelet/kuberuntime/labels.go).
const graceAnnotation = "io.kubernetes.pod.terminationGracePeriod"

// stopParallelism limits how many pods are torn down at the same time.
const stopParallelism = 32

// podStopper is the part of the container runtime that StopPods needs.
type podStopper interface {
	ListPodSandbox(context.Context, *runtimeapi.PodSandboxFilter) ([]*runtimeapi.PodSandbox, error)
	ListContainers(context.Context, *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error)
	StopContainer(ctx context.Context, id string, timeoutSeconds int64) error
	StopPodSandbox(ctx context.Context, id string) error
}

// StopPods ends all pods of the container runtime at socket, in parallel: each gets the smaller of its own grace period
// and grace, is then killed, and its network is taken down. preStop hooks are not run. It returns all errors joined.
func StopPods(ctx context.Context, socket string, grace time.Duration) error {
	runtime, err := remote.NewRemoteRuntimeServiceBuilder().
		WithEndpoint("unix://" + socket).WithConnectionTimeout(grace + 10*time.Second).Build(ctx)
	if err != nil {
		return fmt.Errorf("connect to the container runtime: %w", err)
	}
	defer func() { _ = runtime.Close(context.WithoutCancel(ctx)) }()
	return stopPods(ctx, runtime, grace)
}

func stopPods(ctx context.Context, runtime podStopper, grace time.Duration) error {
	sandboxes, err := runtime.ListPodSandbox(ctx, &runtimeapi.PodSandboxFilter{
		State: &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY},
	})
	if err != nil {
		return fmt.Errorf("list the pods: %w", err)
	}
	if len(sandboxes) == 0 {
		return nil
	}
	containers, err := runtime.ListContainers(ctx, &runtimeapi.ContainerFilter{
		State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING},
	})
	if err != nil {
		return fmt.Errorf("list the containers: %w", err)
	}
	bySandbox := map[string][]*runtimeapi.Container{}
	for _, container := range containers {
		bySandbox[container.PodSandboxId] = append(bySandbox[container.PodSandboxId], container)
	}
	klog.FromContext(ctx).Info("Stopping the pods", "pods", len(sandboxes), "containers", len(containers), "grace", grace)

	var wait sync.WaitGroup
	failures := make([]error, len(sandboxes))
	slots := make(chan struct{}, stopParallelism)
	for i, sandbox := range sandboxes {
		wait.Go(func() {
			askToStop(ctx, runtime, bySandbox[sandbox.Id], grace)
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := runtime.StopPodSandbox(ctx, sandbox.Id); err != nil {
				failures[i] = fmt.Errorf("stop pod %s/%s: %w",
					sandbox.GetMetadata().GetNamespace(), sandbox.GetMetadata().GetName(), err)
			}
		})
	}
	wait.Wait()
	return errors.Join(failures...)
}

// askToStop sends the containers their stop signal, and returns when all have ended or their grace is over. What still
// runs then, or failed to stop, is killed with its sandbox: so errors here are only logged.
func askToStop(ctx context.Context, runtime podStopper, containers []*runtimeapi.Container, grace time.Duration) {
	var wait sync.WaitGroup
	for _, container := range containers {
		limit := min(grace, ownGrace(container, grace))
		if limit <= 0 {
			continue
		}
		wait.Go(func() {
			// The runtime counts whole seconds: its own limit is the next one up, ours ends the wait exactly.
			limited, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			err := runtime.StopContainer(limited, container.Id, int64(math.Ceil(limit.Seconds())))
			if err != nil && limited.Err() == nil {
				klog.FromContext(ctx).Error(err, "Container did not stop", "container", container.GetMetadata().GetName())
			}
		})
	}
	wait.Wait()
}

// ownGrace is the pod's own grace period, or otherwise where the container does not carry one.
func ownGrace(container *runtimeapi.Container, otherwise time.Duration) time.Duration {
	seconds, err := strconv.ParseInt(container.GetAnnotations()[graceAnnotation], 10, 32)
	if err != nil || seconds < 0 {
		return otherwise
	}
	return time.Duration(seconds) * time.Second
}
