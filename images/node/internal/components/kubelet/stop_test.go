package kubelet

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fakePods is a runtime whose containers end by themselves after a time (0: never) once they were asked to.
type fakePods struct {
	endsAfter map[string]time.Duration
	grace     map[string]string
	failPod   string

	mu      sync.Mutex
	stopped map[string]time.Duration
	start   time.Time
}

func (f *fakePods) ListPodSandbox(
	_ context.Context, filter *runtimeapi.PodSandboxFilter,
) ([]*runtimeapi.PodSandbox, error) {
	if filter.GetState().GetState() != runtimeapi.PodSandboxState_SANDBOX_READY {
		return nil, errors.New("only what runs may be listed")
	}
	var pods []*runtimeapi.PodSandbox
	for name := range f.endsAfter {
		pods = append(pods, &runtimeapi.PodSandbox{
			Id: name, Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "n"},
		})
	}
	return pods, nil
}

func (f *fakePods) ListContainers(context.Context, *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error) {
	var containers []*runtimeapi.Container
	for name := range f.endsAfter {
		containers = append(containers, &runtimeapi.Container{
			Id: name, PodSandboxId: name, Annotations: map[string]string{graceAnnotation: f.grace[name]},
		})
	}
	return containers, nil
}

func (f *fakePods) StopContainer(ctx context.Context, id string, timeoutSeconds int64) error {
	limit := time.Duration(timeoutSeconds) * time.Second
	if own := f.endsAfter[id]; own > 0 && own < limit {
		limit = own
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return nil
	}
}

func (f *fakePods) StopPodSandbox(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped[id] = time.Since(f.start)
	if id == f.failPod {
		return errors.New("busy")
	}
	return nil
}

func TestStopPodsGivesEachTheSmallerGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := &fakePods{
			endsAfter: map[string]time.Duration{"polite": 200 * time.Millisecond, "stubborn": 0, "hasty": 0, "none": 0},
			grace:     map[string]string{"polite": "30", "stubborn": "30", "hasty": "1", "none": "0"},
			stopped:   map[string]time.Duration{}, start: time.Now(),
		}
		if err := stopPods(t.Context(), pods, 1500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]time.Duration{
			"polite": 200 * time.Millisecond, "stubborn": 1500 * time.Millisecond, "hasty": time.Second, "none": 0,
		} {
			if pods.stopped[name] != want {
				t.Errorf("%s was torn down after %s, want %s", name, pods.stopped[name], want)
			}
		}
	})
}

func TestStopPodsReportsWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := &fakePods{
			endsAfter: map[string]time.Duration{"a": 1, "b": 1}, failPod: "b",
			stopped: map[string]time.Duration{}, start: time.Now(),
		}
		err := stopPods(t.Context(), pods, time.Second)
		if err == nil || err.Error() != "stop pod n/b: busy" {
			t.Errorf("error %v", err)
		}
		if len(pods.stopped) != 2 {
			t.Errorf("stopped %v", pods.stopped)
		}
	})
}

func TestWaitForSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runtime.sock")
	done := make(chan error, 1)
	go func() { done <- waitForSocket(t.Context(), path) }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the socket was not noticed")
	}
}

func TestWaitForSocketEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("enough")
	cancel(reason)
	if err := waitForSocket(ctx, filepath.Join(t.TempDir(), "never.sock")); !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
}

func TestGateRefusesOnceClosed(t *testing.T) {
	gate := &runtimeGate{}
	gate.close()
	if _, err := gate.RunPodSandbox(t.Context(), nil, ""); !errors.Is(err, errGateClosed) {
		t.Errorf("sandbox: %v", err)
	}
	if _, err := gate.CreateContainer(t.Context(), "", nil, nil); !errors.Is(err, errGateClosed) {
		t.Errorf("container: %v", err)
	}
	if err := gate.StartContainer(t.Context(), ""); !errors.Is(err, errGateClosed) {
		t.Errorf("start: %v", err)
	}
}
