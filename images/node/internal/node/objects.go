package node

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sandbar.dev/node/internal/components/attachdetach"
	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/components/dns"
	"sandbar.dev/node/internal/components/ingress"
	"sandbar.dev/node/internal/components/manifests"
	"sandbar.dev/node/internal/components/storage"
)

// SeedObjects are the objects that every cluster has, whatever its configuration. They are in the image's seed.
func SeedObjects() []runtime.Object {
	objects := bootstrap.RBAC()
	for _, role := range []*rbacv1.ClusterRole{
		attachdetach.ClusterRole(), dns.ClusterRole(), ingress.ClusterRole(), manifests.ClusterRole(), storage.ClusterRole(),
	} {
		objects = append(objects, bootstrap.Bind(role)...)
	}
	objects = append(objects, ingress.Objects()...)
	return append(objects, storage.Objects()...)
}
