package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// tree writes files, given by their paths below a new folder, and returns that.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const emptyKustomization = "resources: []\n"

func TestFind(t *testing.T) {
	root := tree(t, map[string]string{
		"manifests/kustomization.yaml":                  emptyKustomization,
		"manifests/delete/kustomization.yaml":           emptyKustomization,
		"manifests.d/20-app/Kustomization":              emptyKustomization,
		"manifests.d/10-base/kustomization.yml":         emptyKustomization,
		"manifests.d/10-base/delete/kustomization.yaml": emptyKustomization,
		"manifests.d/30-notes/README.md":                "no kustomization",
		"manifests.d/15-file.yaml":                      "",
		"manifests.d/16-file.txt":                       "",
		"manifests.d/delete/old/kustomization.yaml":     emptyKustomization,
		"manifests.d/delete/not-a-kustomization/x.yaml": "",
		"elsewhere/kustomization.yaml":                  emptyKustomization,
		"manifests.d/40-deep/below/kustomization.yaml":  emptyKustomization,
		"manifests.d/50-folder.yaml/kustomization.yaml": emptyKustomization,
	})
	if err := os.Symlink("/nowhere", filepath.Join(root, "manifests.d", "60-dangling")); err != nil {
		t.Fatal(err)
	}
	found, err := find([]string{
		filepath.Join(root, "manifests"), filepath.Join(root, "manifests.d", "*"), filepath.Join(root, "none", "*"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, source := range found {
		name := strings.TrimPrefix(source.path, root+"/")
		if source.remove {
			name = "- " + name
		}
		if source.folder {
			name += "/"
		}
		got = append(got, name)
	}
	want := []string{
		"- manifests/delete/", "- manifests.d/10-base/delete/", "- manifests.d/delete/old/",
		"manifests/", "manifests.d/10-base/", "manifests.d/15-file.yaml", "manifests.d/20-app/",
		"manifests.d/50-folder.yaml/",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFindRejectsABadGlob(t *testing.T) {
	if _, err := find([]string{"/etc/["}); err == nil || !strings.Contains(err.Error(), `glob "/etc/["`) {
		t.Errorf("error %v", err)
	}
}

func names(objects []*unstructured.Unstructured) string {
	var all []string
	for _, object := range objects {
		all = append(all, object.GetKind()+" "+fullName(object))
	}
	return strings.Join(all, ", ")
}

const fileOfAll = `
apiVersion: v1
kind: ConfigMap
metadata: {name: last, namespace: shop}
---
# nothing
---
apiVersion: example.org/v1
kind: Widget
metadata: {name: w}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: sa, namespace: shop}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
`

func TestLoadFileOrdersWhatOthersNeed(t *testing.T) {
	root := tree(t, map[string]string{"all.yaml": fileOfAll})
	objects, err := source{path: filepath.Join(root, "all.yaml")}.load()
	if err != nil {
		t.Fatal(err)
	}
	want := "CustomResourceDefinition widgets.example.org, Namespace shop, ServiceAccount shop/sa, " +
		"ConfigMap shop/last, Widget w"
	if got := names(objects); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLoadKustomization(t *testing.T) {
	root := tree(t, map[string]string{
		"kustomization.yaml": "namePrefix: edge-\nnamespace: shop\nresources: [all.yaml]\n",
		"all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n---\n" +
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
	})
	objects, err := source{path: root, folder: true}.load()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(objects), "Namespace shop, ConfigMap shop/edge-settings"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLoadErrors(t *testing.T) {
	for name, test := range map[string]struct {
		files  map[string]string
		folder bool
		err    string
	}{
		"no kind":               {map[string]string{"x": "metadata: {name: a}\n"}, false, "document 1 is no object"},
		"no name":               {map[string]string{"x": "apiVersion: v1\nkind: Pod\nmetadata: {}\n"}, false, "metadata.name"},
		"not YAML":              {map[string]string{"x": "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n\tc"}, false, "document 2"},
		"a resource is missing": {map[string]string{"x/kustomization.yaml": "resources: [gone.yaml]\n"}, true, "gone.yaml"},
		"outside of the folder": {
			map[string]string{"x/kustomization.yaml": "resources: [../y.yaml]\n", "y.yaml": "kind: Pod"}, true, "y.yaml",
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, test.files)
			_, err := source{path: filepath.Join(root, "x"), folder: test.folder}.load()
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(fileOfAll))
	f.Add([]byte("kind: List\napiVersion: v1\nitems: [1]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := decode(data)
		if err == nil {
			for _, object := range objects {
				_ = rank(object)
			}
		}
	})
}

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"value": value}}
}

func TestAny(t *testing.T) {
	root := tree(t, map[string]string{"some/a.yaml": "", "none/README.md": "no manifest"})
	for glob, want := range map[string]bool{
		"some/*": true, "none/*": false, "missing/*": false,
		// What is wrong with it is for Run to say.
		"[": true,
	} {
		if got := Any([]string{filepath.Join(root, glob)}); got != want {
			t.Errorf("%s: %t", glob, got)
		}
	}
}
