package node

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/hostinfo"
	"sandbar.dev/node/internal/paths"
	"sandbar.dev/node/internal/pki"
)

func testNode(t *testing.T) *node {
	t.Helper()
	layout := paths.In(t.TempDir())
	identity, err := pki.Open(layout.PKI(), layout.RunPKI())
	if err != nil {
		t.Fatal(err)
	}
	settings := config.Default()
	settings.Node.HostnameOverride = "edge"
	return &node{
		layout: layout, config: settings, clusterID: "id", pki: identity, host: &hostinfo.Facts{},
		address: netip.MustParseAddr("10.88.0.2"), advertise: netip.MustParseAddr("10.44.0.0"),
		wait: func(context.Context, string) error { return nil },
	}
}

// TestTheListIsSound holds the real list against the supervisor's rules: no duplicate, no unknown need, no cycle.
func TestTheListIsSound(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"all": func(*config.Config) {},
		"without what can be left out": func(c *config.Config) {
			c.Ingress.Status, c.Storage.Driver = "Removed", "none"
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := testNode(t)
			change(n.config)
			supervisor, err := n.supervisor()
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, status := range supervisor.Status() {
				if status.State != component.StateWaiting {
					t.Errorf("%s is %s before it was run", status.Name, status.State)
				}
				names = append(names, status.Name)
			}
			for _, removable := range []string{"ingress", "storage"} {
				if there := slices.Contains(names, removable); there != (name == "all") {
					t.Errorf("%s is in the list: %v", removable, there)
				}
			}
		})
	}
}

// TestEachComponentHasItsOwnCertificate: no two components are the same user, and only bootstrap has all rights.
func TestEachComponentHasItsOwnCertificate(t *testing.T) {
	n := testNode(t)
	if _, err := n.components(); err != nil {
		t.Fatal(err)
	}
	issued, err := filepath.Glob(filepath.Join(n.layout.RunPKI(), "system-*.crt"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range issued {
		names = append(names, filepath.Base(path))
	}
	want := []string{
		"system-kube-controller-manager.crt", "system-kube-proxy.crt", "system-kube-scheduler.crt", "system-node-edge.crt",
		"system-sandbar-attach-detach.crt", "system-sandbar-bootstrap.crt", "system-sandbar-coredns.crt",
		"system-sandbar-ingress.crt", "system-sandbar-manifests.crt", "system-sandbar-storage.crt",
	}
	if !slices.Equal(names, want) {
		t.Errorf("client certificates:\n got %v\nwant %v", names, want)
	}
}

// TestThePodNetworkIsPrepared runs what the kubelet is given to prepare the pod network, in a network namespace of its own:
// containerd finds the network, and what pods send leaves under the node's address.
func TestThePodNetworkIsPrepared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft")
	}
	n := testNode(t)
	n.config.Network.ClusterNetwork = []string{"10.45.0.0/16"}
	options, err := n.kubeletOptions()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // the thread is not used again: it ends with the goroutine that is locked to it
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("network namespace: %v", err)
			return
		}
		if err := options.PrepareNetwork(t.Context()); err != nil {
			t.Error(err)
		}
		rules, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
		want := "ip saddr 10.45.0.0/16 ip daddr != { 10.45.0.0/16, 224.0.0.0/4 } masquerade"
		if err != nil || !strings.Contains(string(rules), want) {
			t.Errorf("the rules are, %v,\n%s\nand not: %s", err, rules, want)
		}
	}()
	<-done
	network, err := os.ReadFile(filepath.Join(n.layout.CNIConfig, "10-sandbar.conflist"))
	if err != nil || !strings.Contains(string(network), "10.45.0.0/16") {
		t.Errorf("the network for containerd: %s, %v", network, err)
	}
}
