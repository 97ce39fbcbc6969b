package storage

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/components/storage/driver"
	"sandbar.dev/node/internal/controlplanetest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

// TestClasses follows claims of both classes through a real cluster, with the component's own rights: a claim that no pod
// uses makes nothing, what the default class made goes with its claim, and what the retaining class made stays.
func TestClasses(t *testing.T) {
	c := startCluster(t)
	c.claim("waiting", DefaultClass)
	c.claim("default", DefaultClass)
	c.claim("kept", RetainClass)
	c.pod("uses-default", "default")
	c.pod("uses-kept", "kept")
	data := map[string]string{}
	volumes := map[string]string{}
	for _, name := range []string{"default", "kept"} {
		volumes[name] = c.bound(name)
		data[name] = filepath.Join(c.folderOf(volumes[name]), "file")
		if err := os.WriteFile(data[name], []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.delete("uses-kept", "kept")
	c.await("the volume of kept to be released", func(ctx context.Context) (bool, error) {
		volume, err := c.client.CoreV1().PersistentVolumes().Get(ctx, volumes["kept"], metav1.GetOptions{})
		return err == nil && volume.Status.Phase == corev1.VolumeReleased, err
	})
	c.delete("uses-default", "default")
	c.await("the volume of default to be gone", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().PersistentVolumes().Get(ctx, volumes["default"], metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})

	if _, err := os.Stat(data["default"]); !os.IsNotExist(err) {
		t.Errorf("the data of a deleted claim of class %s: %v", DefaultClass, err)
	}
	// By now the provisioner has dealt with an event that came later.
	if got, err := os.ReadFile(data["kept"]); err != nil || string(got) != "kept" {
		t.Errorf("the data of a deleted claim of class %s: %q, %v", RetainClass, got, err)
	}
	all, err := c.client.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != 1 || all.Items[0].Name != volumes["kept"] {
		t.Errorf("volumes that are left: %v, want %s", all.Items, volumes["kept"])
	}
	waiting, err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Get(t.Context(), "waiting", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if waiting.Status.Phase != corev1.ClaimPending || waiting.Spec.VolumeName != "" {
		t.Errorf("a claim that no pod uses is %s, with the volume %q", waiting.Status.Phase, waiting.Spec.VolumeName)
	}
	folders, err := os.ReadDir(filepath.Join(c.root, poolName, "volumes"))
	if err != nil || len(folders) != 1 {
		t.Errorf("folders of volumes: %v, %v", folders, err)
	}
}

// cluster is a control plane with a node, whose kubelet is a test that does nothing, and the storage component.
type cluster struct {
	*testing.T
	client          kubernetes.Interface
	namespace, root string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	plane := controlplanetest.Start(t)
	plane.StartControllers(t)
	plane.StartScheduler(t)
	plane.Apply(t, bootstrap.Bind(ClusterRole())...)
	plane.Apply(t, Objects()...)
	plane.Node(t, "edge", map[string]string{driver.TopologyKey: "edge"})
	c := &cluster{T: t, client: kubernetes.NewForConfigOrDie(plane.Admin), namespace: plane.Namespace(t)}
	_, err := c.client.CoreV1().ServiceAccounts(c.namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "test"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its name is too long for a socket.
	folder, err := os.MkdirTemp("", "storage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	c.root = filepath.Join(folder, "storage")
	component := New(Options{
		Client: plane.Client(t, "system:sandbar:storage"), NodeName: "edge", Root: c.root, KubeletDir: folder,
		Register: func(context.Context, string, string) error { return nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- component.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the component is not ready")
	}
	return c
}

func (c *cluster) claim(name, class string) {
	c.Helper()
	_, err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Create(c.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) pod(name, claim string) {
	c.Helper()
	_, err := c.client.CoreV1().Pods(c.namespace).Create(c.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName: "test",
			Tolerations:        []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers:         []corev1.Container{{Name: "c", Image: "i"}},
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
			}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
}

// bound waits until a claim has its volume and returns the volume's name.
func (c *cluster) bound(claim string) (volume string) {
	c.Helper()
	c.await("claim "+claim+" to be bound", func(ctx context.Context) (bool, error) {
		got, err := c.client.CoreV1().PersistentVolumeClaims(c.namespace).Get(ctx, claim, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		volume = got.Spec.VolumeName
		return got.Status.Phase == corev1.ClaimBound, nil
	})
	return volume
}

// folderOf is where the data of a volume is.
func (c *cluster) folderOf(volume string) string {
	c.Helper()
	object, err := c.client.CoreV1().PersistentVolumes().Get(c.Context(), volume, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return filepath.Join(c.root, poolName, "volumes", object.Spec.CSI.VolumeHandle, "data")
}

// delete deletes a pod, which no kubelet has to end, and its claim.
func (c *cluster) delete(pod, claim string) {
	c.Helper()
	now := int64(0)
	err := c.client.CoreV1().Pods(c.namespace).Delete(c.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil {
		c.Fatal(err)
	}
	err = c.client.CoreV1().PersistentVolumeClaims(c.namespace).Delete(c.Context(), claim, metav1.DeleteOptions{})
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) await(what string, condition wait.ConditionWithContextFunc) {
	c.Helper()
	err := wait.PollUntilContextTimeout(c.Context(), 20*time.Millisecond, 30*time.Second, true, condition)
	if err != nil {
		c.Fatalf("waited for %s: %v", what, err)
	}
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
