package seed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"sandbar.dev/node/internal/controlplane"
	"sandbar.dev/node/internal/node"
	"sandbar.dev/node/internal/seed"
)

// maxBytes is how large a seed may be: it is in every image and is copied at every first start.
const maxBytes = 2 << 20

// TestClustersOfOneSeed makes a seed and two clusters from it, one after the other, as two nodes would.
func TestClustersOfOneSeed(t *testing.T) {
	dir := t.TempDir()
	objects, err := node.SeedObjects()
	if err != nil {
		t.Fatal(err)
	}
	if err := seed.Write(t.Context(), dir, objects); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, seed.FileName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBytes {
		t.Errorf("the seed has %d bytes", info.Size())
	}
	t.Logf("the seed has %d bytes", info.Size())
	again := t.TempDir()
	if err := seed.Write(t.Context(), again, objects); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(again, seed.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two seeds of one program differ")
	}

	type identity struct{ ca, systemUID, encryption string }
	var seen []identity
	for _, name := range []string{"a", "b"} {
		begin := time.Now()
		plane, err := controlplane.Start(t.Context(), filepath.Join(t.TempDir(), name), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("cluster %s was ready after %s", name, time.Since(begin))
		client := kubernetes.NewForConfigOrDie(plane.Admin)
		system := waitForNamespace(t, client, metav1.NamespaceSystem)
		seen = append(seen, identity{string(plane.PKI.ClusterCA()), string(system.UID), string(plane.PKI.EncryptionKey())})

		if _, err := client.StorageV1().StorageClasses().Get(t.Context(), "sandbar", metav1.GetOptions{}); err != nil {
			t.Errorf("a seeded object: %v", err)
		}
		if _, err := client.RbacV1().ClusterRoles().Get(t.Context(), "cluster-admin", metav1.GetOptions{}); err != nil {
			t.Errorf("a role of Kubernetes: %v", err)
		}
		secrets, err := client.CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(secrets.Items) != 0 {
			t.Errorf("secrets in a new cluster: %v %v", secrets, err)
		}
		// Written before and read after a restart: the seed's history must not swallow new writes.
		_, err = client.CoreV1().ConfigMaps("default").Create(t.Context(),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
		if err != nil {
			t.Error(err)
		}
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
		begin = time.Now()
		plane, err = controlplane.Start(t.Context(), plane.Dir, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("cluster %s was ready again after %s", name, time.Since(begin))
		client = kubernetes.NewForConfigOrDie(plane.Admin)
		if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		if again := waitForNamespace(t, client, metav1.NamespaceSystem); again.UID != system.UID {
			t.Error("kube-system is another one after a restart")
		}
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	}
	a, b := seen[0], seen[1]
	if a.ca == b.ca || a.systemUID == b.systemUID || a.encryption == b.encryption {
		t.Error("two clusters of one seed share an authority, a key or the UID of kube-system")
	}
}

// waitForNamespace returns a namespace that the API server makes after it has started.
func waitForNamespace(t *testing.T, client kubernetes.Interface, name string) *corev1.Namespace {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		namespace, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err == nil {
			return namespace
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
