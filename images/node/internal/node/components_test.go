package node

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

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
