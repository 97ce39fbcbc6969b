package attachdetach

import (
	"context"
	"testing"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/csi"
	volumetest "k8s.io/kubernetes/pkg/volume/testing"
)

// TestTheKubeletHasTheLastWord is the order that makes CSI drivers register: the plugin's shared variable must be the
// kubelet's after both have initialised their plugins, and the controller must do so without an API server.
func TestTheKubeletHasTheLastWord(t *testing.T) {
	unreachable, err := kubernetes.NewForConfig(&rest.Config{Host: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := newController(t.Context(), unreachable, informers.NewSharedInformerFactory(unreachable, 0)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %s: it must not ask an API server", took)
	}
	controllers := csi.GetNodeInfoManager()
	if controllers == nil {
		t.Fatal("the controller did not initialise the plugin: nothing is tested here")
	}
	// What the kubelet does in NewMainKubelet.
	client := fake.NewSimpleClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	plugin := csi.ProbeVolumePlugins()
	host := volumetest.NewFakeKubeletVolumeHostWithCSINodeName(
		t, t.TempDir(), client, nil, "default", factory.Storage().V1().CSIDrivers().Lister(), nil)
	if err := host.GetPluginMgr().InitPlugins(plugin, nil, host); err != nil {
		t.Fatal(err)
	}
	if csi.GetNodeInfoManager() == controllers {
		t.Error("CSI drivers would register for the controllers' empty node name")
	}
	var _ volume.VolumePlugin = plugin[0]
}

func TestRunIsReadyWithoutAnAPIServer(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	waits := make(chan struct{})
	attach := New(Options{
		Client: &rest.Config{Host: "https://127.0.0.1:1"},
		APIReady: func(ctx context.Context) error {
			close(waits)
			<-ctx.Done()
			return ctx.Err()
		},
	})
	done := make(chan error, 1)
	go func() { done <- attach.Run(ctx, func() { close(ready) }) }()
	for _, event := range []chan struct{}{ready, waits} {
		select {
		case <-event:
		case <-time.After(10 * time.Second):
			t.Fatal("it waits for the API server before it is ready")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestClusterRoleLeavesSecretsAlone(t *testing.T) {
	for _, rule := range ClusterRole().Rules {
		for _, resource := range rule.Resources {
			if resource == "secrets" || resource == "*" {
				t.Errorf("rule %v", rule)
			}
		}
	}
}
