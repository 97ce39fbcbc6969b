package node

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/components/manifests"
	"sandbar.dev/node/internal/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// TestBootstrapGetsAlongWithItsRole runs the component with what the node gives it, on a datastore without a seed and then
// again: only the first time it needs a client that nothing is refused to, and its own may do nothing else.
func TestBootstrapGetsAlongWithItsRole(t *testing.T) {
	plane := controlplanetest.Start(t)
	own := plane.Client(t, bootstrap.User)
	n := testNode(t)
	n.config.Manifests.KustomizePaths = nil
	bindings := kubernetes.NewForConfigOrDie(plane.Admin).RbacV1().ClusterRoleBindings()
	plane.Node(t, n.config.NodeName(), nil)

	for _, step := range []struct {
		name           string
		seeded         bool
		change         func(*bootstrap.Options)
		wantsManifests bool
	}{
		{name: "no seed"},
		{name: "all is there", seeded: true},
		{
			name: "manifests", seeded: true, wantsManifests: true,
			change: func(o *bootstrap.Options) { o.Objects, o.Absent = append(o.Objects, o.Absent...), nil },
		},
		{name: "manifests are gone", seeded: true},
	} {
		options, err := n.bootstrapOptions()
		if err != nil {
			t.Fatal(err)
		}
		options.Client = own
		asked := 0
		options.Masters = func() (*rest.Config, error) {
			asked++
			if step.seeded {
				return nil, errors.New("its own role is enough")
			}
			return plane.Admin, nil
		}
		if step.change != nil {
			step.change(&options)
		}
		runUntilReady(t, bootstrap.New(options))
		if needed := map[bool]int{false: 1, true: 0}[step.seeded]; asked != needed {
			t.Errorf("%s: it asked %d times for all rights, not %d times", step.name, asked, needed)
		}
		_, err = bindings.Get(t.Context(), manifests.User, metav1.GetOptions{})
		if step.wantsManifests != (err == nil) || err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("%s: the binding of manifests: %v", step.name, err)
		}
	}

	limited := kubernetes.NewForConfigOrDie(own)
	for what, do := range map[string]func() error{
		"list secrets": func() error {
			_, err := limited.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
			return err
		},
		"make a pod": func() error {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p"}}
			_, err := limited.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{})
			return err
		},
		"bind anybody it likes": func() error {
			binding := bootstrap.BindTo("somebody", "cluster-admin")
			_, err := limited.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{})
			return err
		},
	} {
		if err := do(); !apierrors.IsForbidden(err) {
			t.Errorf("it may %s: %v", what, err)
		}
	}
}

// runUntilReady runs the component until it is ready for the first time.
func runUntilReady(t *testing.T, b *bootstrap.Bootstrap) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	case err := <-ended:
		t.Fatalf("it ended before it was ready: %v", err)
	}
}
