package storage

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"sandbar.dev/node/internal/components/storage/driver"
	"sandbar.dev/node/internal/components/storage/pool"
)

func newProvisioner(t *testing.T) *provisioner {
	t.Helper()
	volumes, err := pool.OpenDirectory("default", filepath.Join(t.TempDir(), "pool"))
	if err != nil {
		t.Fatal(err)
	}
	return &provisioner{controller: driver.New(volumes, "edge", "test"), nodeName: "edge"}
}

func claim(size string, change func(*corev1.PersistentVolumeClaim)) controller.ProvisionOptions {
	var standard *storagev1.StorageClass
	for _, object := range Objects() {
		if c, ok := object.(*storagev1.StorageClass); ok && c.Name == DefaultClass {
			standard = c
		}
	}
	pvc := &corev1.PersistentVolumeClaim{}
	pvc.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	pvc.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	if change != nil {
		change(pvc)
	}
	return controller.ProvisionOptions{
		StorageClass: standard, PVName: "pvc-4a1c", PVC: pvc, SelectedNodeName: "edge",
	}
}

func TestAClaimBecomesAVolumeTiedToTheNodesName(t *testing.T) {
	p := newProvisioner(t)
	volume, state, err := p.Provision(context.Background(), claim("64Mi", nil))
	if err != nil || state != controller.ProvisioningFinished {
		t.Fatalf("%v, %v", state, err)
	}
	if got := volume.Spec.Capacity.Storage().String(); got != "64Mi" {
		t.Errorf("capacity %s", got)
	}
	term := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0]
	if term.Key != driver.TopologyKey || len(term.Values) != 1 || term.Values[0] != "edge" {
		t.Errorf("affinity %+v", term)
	}
	if volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("reclaim policy %s", volume.Spec.PersistentVolumeReclaimPolicy)
	}
	for range 2 {
		if err := p.Delete(context.Background(), volume); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatCannotBeProvisionedSaysWhy(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	tests := map[string]struct {
		options controller.ProvisionOptions
		want    string
	}{
		"block": {
			claim("1Mi", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &block }),
			"volumeMode Block is not supported by storage.sandbar.dev, use Filesystem",
		},
		"data source": {
			claim("1Mi", func(c *corev1.PersistentVolumeClaim) {
				c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "other"}
			}),
			"claim.spec.dataSource is not supported by storage.sandbar.dev",
		},
		"too large": {claim("4Ei", nil), "not enough space in pool default: 4611686018427387904 bytes requested"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := newProvisioner(t).Provision(context.Background(), test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAnotherNodeIsSentBackToTheScheduler(t *testing.T) {
	options := claim("1Mi", nil)
	options.SelectedNodeName = "elsewhere"
	_, state, err := newProvisioner(t).Provision(context.Background(), options)
	if err == nil || state != controller.ProvisioningReschedule {
		t.Fatalf("%v, %v", state, err)
	}
}

func TestVolumesOfOtherDriversAreLeftAlone(t *testing.T) {
	foreign := &corev1.PersistentVolume{}
	foreign.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "other.example.com", VolumeHandle: "pvc-4a1c"}
	err := newProvisioner(t).Delete(context.Background(), foreign)
	if _, ignored := err.(*controller.IgnoredError); !ignored {
		t.Fatalf("got %v", err)
	}
}
