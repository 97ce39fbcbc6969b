package version

import (
	"os"
	"regexp"
	"testing"
)

func TestKubernetesIsTheModule(t *testing.T) {
	content, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v\S+)`).FindSubmatch(content)
	if match == nil || string(match[1]) != Kubernetes {
		t.Errorf("go.mod has %q, Kubernetes is %q", match, Kubernetes)
	}
}
