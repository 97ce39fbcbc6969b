package initapi_test

import (
	"os/exec"
	"strings"
	"testing"
)

// What starts in milliseconds, also under emulation, must not link Kubernetes, whose packages do work at their
// initialisation.
func TestNoKubernetes(t *testing.T) {
	for _, program := range []string{
		"sandbar.dev/node/cmd/sandbar-init", "sandbar.dev/node/cmd/sandbarctl", "sandbar.dev/node/cmd/sandbar-sshd", "sandbar.dev/node/internal/initapi",
		"sandbar.dev/node/internal/hostinfo", "sandbar.dev/node/internal/netcheck", "sandbar.dev/node/internal/cni", "sandbar.dev/node/internal/haproxy", "sandbar.dev/node/internal/machine",
	} {
		output, err := exec.Command("go", "list", "-deps", program).Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", program, err)
		}
		for name := range strings.Lines(string(output)) {
			name = strings.TrimSpace(name)
			if strings.HasPrefix(name, "k8s.io/") || strings.HasPrefix(name, "sigs.k8s.io/") {
				t.Errorf("%s imports %s", program, name)
			}
		}
	}
}
