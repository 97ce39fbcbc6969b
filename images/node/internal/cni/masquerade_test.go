package cni

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRuleset(t *testing.T) {
	got, err := Ruleset([]string{"10.42.0.0/16", "fd42::/56"})
	if err != nil {
		t.Fatal(err)
	}
	want := `add table inet sandbar-pods
delete table inet sandbar-pods
table inet sandbar-pods {
  chain outgoing {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.42.0.0/16 ip daddr != { 10.42.0.0/16, 224.0.0.0/4 } masquerade
    ip6 saddr fd42::/56 ip6 daddr != { fd42::/56, ff00::/8 } masquerade
  }
}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSetup runs in a network namespace of its own, so that it touches no rules of this machine.
func TestSetup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	for _, program := range []string{"nft", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
	// A program "nft" that runs the real one in the namespace which the first call made.
	directory := t.TempDir()
	namespace := filepath.Join(directory, "netns")
	if err := os.WriteFile(namespace, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("unshare", "--net="+namespace, "true").CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made: %v: %s", err, output)
	}
	t.Cleanup(func() {
		if output, err := exec.Command("umount", namespace).CombinedOutput(); err != nil {
			t.Errorf("unmount the namespace: %v: %s", err, output)
		}
	})
	nft := filepath.Join(directory, "nft")
	if err := os.WriteFile(nft, []byte("#!/bin/sh\nexec nsenter --net="+namespace+" nft \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	options := Options{PodCIDRs: []string{"10.42.0.0/16", "fd42::/56"}, ConfDir: filepath.Join(directory, "net.d"), NFT: nft}
	for range 2 {
		if err := Setup(t.Context(), options); err != nil {
			t.Fatal(err)
		}
	}
	rules, err := exec.Command(nft, "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(rules), "masquerade\n"); got != 2 || !strings.Contains(string(rules), "10.42.0.0/16") {
		t.Errorf("rules after two calls:\n%s", rules)
	}
	if _, err := os.Stat(filepath.Join(options.ConfDir, File)); err != nil {
		t.Error(err)
	}
	options.NFT = "false"
	if err := Setup(t.Context(), options); err == nil || !strings.HasPrefix(err.Error(), "set the rules of the pod network: ") {
		t.Errorf("with an nft that fails: %v", err)
	}
}
