package manifests

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"sandbar.dev/node/internal/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// run applies what is below root and returns the component, which is stopped at the end of the test.
func run(t *testing.T, plane *controlplanetest.Plane, root string) *Manifests {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	manifests := New(Options{Globs: []string{filepath.Join(root, "manifests.d", "*")}, Client: plane.Admin})
	ready, done := make(chan struct{}), make(chan error, 1)
	var once bool
	go func() {
		done <- manifests.Run(ctx, func() {
			if !once {
				once = true
				close(ready)
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("after its stop: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("it is not ready after a minute")
	}
	return manifests
}

const widgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.manifests.example.org}
spec:
  group: manifests.example.org
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func TestAppliesInOrderAndTakesConflictsOver(t *testing.T) {
	plane := controlplanetest.Start(t)
	namespace := plane.Namespace(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	settings, err := client.CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap("settings", "by hand"),
		metav1.CreateOptions{FieldManager: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap("old", "x"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	root := tree(t, map[string]string{
		"manifests.d/10-app/kustomization.yaml": "namespace: " + namespace + "\nresources: [app.yaml]\n",
		// The widget stands before its definition: the order is the node's business.
		"manifests.d/10-app/app.yaml": "apiVersion: manifests.example.org/v1\nkind: Widget\n" +
			"metadata: {name: w}\nspec: {size: 3}\n---" + widgetDefinition +
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {value: from the file}\n",
		"manifests.d/delete/old/kustomization.yaml": "namespace: " + namespace + "\nresources: [old.yaml]\n",
		"manifests.d/delete/old/old.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\n---\n" +
			"apiVersion: never.example.org/v1\nkind: Unknown\nmetadata: {name: gone}\n",
	})
	manifests := run(t, plane, root)
	if err := manifests.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	settings, err = client.CoreV1().ConfigMaps(namespace).Get(t.Context(), settings.Name, metav1.GetOptions{})
	if err != nil || settings.Data["value"] != "from the file" {
		t.Errorf("settings: %v %v", settings.Data, err)
	}
	widgets := schema.GroupVersionResource{Group: "manifests.example.org", Version: "v1", Resource: "widgets"}
	if _, err := dynamic.NewForConfigOrDie(plane.Admin).Resource(widgets).Namespace(namespace).
		Get(t.Context(), "w", metav1.GetOptions{}); err != nil {
		t.Errorf("widget: %v", err)
	}
	_, err = client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "old", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("old: %v", err)
	}
}

func TestAFailureIsSaidAndMended(t *testing.T) {
	plane := controlplanetest.Start(t)
	namespace := plane.Namespace(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	root := tree(t, map[string]string{
		"manifests.d/10-bad/kustomization.yaml": "resources: [later.yaml]\n",
		"manifests.d/20-good.yaml": "apiVersion: v1\nkind: ConfigMap\n" +
			"metadata: {name: good, namespace: " + namespace + "}\n",
	})
	manifests := run(t, plane, root)
	err := manifests.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "10-bad") || !strings.Contains(err.Error(), "later.yaml") {
		t.Errorf("check: %v", err)
	}
	if _, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "good", metav1.GetOptions{}); err != nil {
		t.Errorf("what is good was not applied: %v", err)
	}
	later := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later, namespace: " + namespace + "}\n"
	if err := os.WriteFile(filepath.Join(root, "manifests.d/10-bad/later.yaml"), []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for manifests.Check(t.Context()) != nil {
		if time.Now().After(deadline) {
			t.Fatalf("it was not tried again: %v", manifests.Check(t.Context()))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "later", metav1.GetOptions{}); err != nil {
		t.Errorf("later: %v", err)
	}
}
