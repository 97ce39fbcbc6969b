package controlplane

import (
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TestStartsAgain starts, stops and starts one, and says how long each takes.
func TestStartsAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plane")
	for _, what := range []string{"an empty folder", "a used folder"} {
		begin := time.Now()
		plane, err := Start(t.Context(), dir, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("with %s ready after %s", what, time.Since(begin))
		client := kubernetes.NewForConfigOrDie(plane.Admin)
		if _, err := client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Error(err)
		}
		begin = time.Now()
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("stopping took %s", took)
		}
	}
}
