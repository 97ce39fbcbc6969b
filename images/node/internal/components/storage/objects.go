package storage

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sandbar.dev/node/internal/components/storage/driver"
)

const (
	// DefaultClass is the StorageClass of claims that name none; its volumes go with their claims.
	DefaultClass = "sandbar"
	// RetainClass is the StorageClass whose volumes outlive their claims.
	RetainClass = "sandbar-retain"
)

// Objects are the StorageClasses and the CSIDriver, the same in every cluster.
func Objects() []runtime.Object {
	attach, podInfo, capacity := false, false, false
	fsGroup := storagev1.FileFSGroupPolicy
	csiDriver := &storagev1.CSIDriver{
		TypeMeta:   metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "CSIDriver"},
		ObjectMeta: metav1.ObjectMeta{Name: driver.Name},
		Spec: storagev1.CSIDriverSpec{
			AttachRequired:       &attach,
			PodInfoOnMount:       &podInfo,
			StorageCapacity:      &capacity,
			FSGroupPolicy:        &fsGroup,
			VolumeLifecycleModes: []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent},
		},
	}
	standard := class(DefaultClass, corev1.PersistentVolumeReclaimDelete)
	standard.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	return []runtime.Object{csiDriver, standard, class(RetainClass, corev1.PersistentVolumeReclaimRetain)}
}

func class(name string, reclaim corev1.PersistentVolumeReclaimPolicy) *storagev1.StorageClass {
	binding := storagev1.VolumeBindingWaitForFirstConsumer
	expansion := false
	return &storagev1.StorageClass{
		TypeMeta:             metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "StorageClass"},
		ObjectMeta:           metav1.ObjectMeta{Name: name},
		Provisioner:          driver.Name,
		ReclaimPolicy:        &reclaim,
		VolumeBindingMode:    &binding,
		AllowVolumeExpansion: &expansion,
	}
}

// ClusterRole is what the component's own user may do: follow claims and classes, own volumes, report events.
func ClusterRole() *rbacv1.ClusterRole {
	rule := func(group string, resources, verbs []string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: "system:sandbar:storage"},
		Rules: []rbacv1.PolicyRule{
			rule("", []string{"persistentvolumes"}, []string{"get", "list", "watch", "create", "update", "patch", "delete"}),
			rule("", []string{"persistentvolumeclaims"}, []string{"get", "list", "watch", "update"}),
			rule("storage.k8s.io", []string{"storageclasses"}, []string{"get", "list", "watch"}),
			rule("", []string{"events"}, []string{"create", "update", "patch"}),
		},
	}
}
