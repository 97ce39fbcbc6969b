package kubelet

import (
	"context"
	"errors"
	"sync/atomic"

	cri "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// errGateClosed is what the kubelet gets when it wants to start something in a node that stops.
var errGateClosed = errors.New("the node is stopping: nothing is started any more")

// runtimeGate is the container runtime until it is closed; then it only looks and stops.
type runtimeGate struct {
	cri.RuntimeService
	closed atomic.Bool
}

func (g *runtimeGate) close() { g.closed.Store(true) }

// RunPodSandbox fails once the gate is closed.
func (g *runtimeGate) RunPodSandbox(
	ctx context.Context, config *runtimeapi.PodSandboxConfig, handler string,
) (string, error) {
	if g.closed.Load() {
		return "", errGateClosed
	}
	return g.RuntimeService.RunPodSandbox(ctx, config, handler)
}

// CreateContainer fails once the gate is closed.
func (g *runtimeGate) CreateContainer(
	ctx context.Context, sandbox string, config *runtimeapi.ContainerConfig, sandboxConfig *runtimeapi.PodSandboxConfig,
) (string, error) {
	if g.closed.Load() {
		return "", errGateClosed
	}
	return g.RuntimeService.CreateContainer(ctx, sandbox, config, sandboxConfig)
}

// StartContainer fails once the gate is closed.
func (g *runtimeGate) StartContainer(ctx context.Context, container string) error {
	if g.closed.Load() {
		return errGateClosed
	}
	return g.RuntimeService.StartContainer(ctx, container)
}
