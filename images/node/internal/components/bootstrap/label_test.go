package bootstrap_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// TestLabelsOfANodeFollowTheConfiguration starts the component as it is started with one configuration after another: the
// Node object outlives them all, with labels of others.
func TestLabelsOfANodeFollowTheConfiguration(t *testing.T) {
	plane := controlplanetest.Start(t)
	nodes := kubernetes.NewForConfigOrDie(plane.Admin).CoreV1().Nodes()
	const name = "labelled"
	others := map[string]string{"kubernetes.io/hostname": name, "zone": "dock"}
	plane.Node(t, name, others)
	const role = "node-role.kubernetes.io/control-plane"
	for _, step := range []struct {
		name   string
		labels map[string]string
		// patch is what a user does before the start.
		patch string
		want  map[string]string
	}{
		{name: "the first start", labels: map[string]string{role: "", "team": "edge", "tier": "a"}},
		{name: "another value, one less", labels: map[string]string{role: "", "team": "core"}},
		{
			name: "a user's change is put right", labels: map[string]string{role: "", "team": "core"},
			patch: `{"metadata":{"labels":{"team":"mine","` + role + `":null}}}`,
		},
		{name: "a label that a user had first", labels: map[string]string{role: "", "zone": "dock"}},
		{name: "nothing", labels: nil, want: map[string]string{"kubernetes.io/hostname": name}},
	} {
		if step.patch != "" {
			_, err := nodes.Patch(t.Context(), name, types.MergePatchType, []byte(step.patch), metav1.PatchOptions{})
			if err != nil {
				t.Fatal(err)
			}
		}
		if step.want == nil {
			step.want = maps.Clone(others)
			maps.Copy(step.want, step.labels)
		}
		component := bootstrap.New(bootstrap.Options{Client: plane.Admin, NodeName: name, NodeLabels: step.labels})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- component.Run(ctx, func() {}) }()
		var got map[string]string
		err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
			node, err := nodes.Get(ctx, name, metav1.GetOptions{})
			if err == nil {
				got = node.Labels
			}
			return maps.Equal(got, step.want), err
		})
		stop()
		if err = errors.Join(err, <-ended); err != nil {
			t.Errorf("%s: %v; labels %v, want %v", step.name, err, got, step.want)
		}
	}
}
