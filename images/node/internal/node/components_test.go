package node

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	rbacv1 "k8s.io/api/rbac/v1"

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

// TestEachComponentHasItsOwnCertificate holds what is issued against a list: each component is a user of its own, none is in
// a group that RBAC knows but the kubelet, and manifests, which may do everything, are nobody where there are none. The API
// server issues its own when it starts.
func TestEachComponentHasItsOwnCertificate(t *testing.T) {
	for name, manifests := range map[string]bool{"without manifests": false, "with manifests": true} {
		t.Run(name, func(t *testing.T) {
			n := testNode(t)
			folder := filepath.Join(n.layout.Config, "manifests.d")
			n.config.Manifests.KustomizePaths = []string{filepath.Join(folder, "*")}
			want := map[string]string{
				"kubelet": "", "ingress-default": "", // these two serve
				"system:kube-controller-manager": "", "system:kube-proxy": "", "system:kube-scheduler": "",
				"system:node:edge":             "system:nodes",
				"system:sandbar:attach-detach": "", "system:sandbar:bootstrap": "", "system:sandbar:coredns": "",
				"system:sandbar:ingress": "", "system:sandbar:storage": "",
			}
			if manifests {
				if err := os.MkdirAll(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, "a.yaml"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				want["system:sandbar:manifests"] = ""
			}
			if _, err := n.components(); err != nil {
				t.Fatal(err)
			}
			if got := issued(t, n.layout.RunPKI()); !maps.Equal(got, want) {
				t.Errorf("users and their groups:\n got %v\nwant %v", got, want)
			}
		})
	}
}

// issued are the common names of the certificates in a folder, with their organizations: users and groups.
func issued(t *testing.T, folder string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.crt"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[certificate.Subject.CommonName]; twice {
			t.Errorf("two certificates say %s", certificate.Subject.CommonName)
		}
		all[certificate.Subject.CommonName] = strings.Join(certificate.Subject.Organization, ",")
	}
	return all
}

// TestNoRoleOfTheNodeMayDoEverything: of the roles that come with the node none has every verb on every resource, and the
// only one with any on every resource is the controllers', which collect garbage and empty namespaces.
func TestNoRoleOfTheNodeMayDoEverything(t *testing.T) {
	objects, err := SeedObjects()
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		role, ok := object.(*rbacv1.ClusterRole)
		if !ok {
			continue
		}
		for _, rule := range role.Rules {
			if !slices.Contains(rule.Resources, "*") {
				continue
			}
			if slices.Contains(rule.Verbs, "*") || role.Name != "sandbar:controllers" {
				t.Errorf("%s: %v", role.Name, rule)
			}
		}
	}
	for _, object := range objects {
		if binding, ok := object.(*rbacv1.ClusterRoleBinding); ok && binding.RoleRef.Name == "cluster-admin" &&
			binding.Name != pki.AdminGroup {
			t.Errorf("%s is bound to cluster-admin", binding.Name)
		}
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
