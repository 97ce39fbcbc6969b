package node

import (
	"net/netip"

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
func SeedObjects() ([]runtime.Object, error) {
	role, err := bootstrapRole()
	return append(role, commonObjects()...), err
}

// commonObjects are those of SeedObjects that the bootstrap component looks after.
func commonObjects() []runtime.Object {
	objects := bootstrap.RBAC()
	for _, role := range []*rbacv1.ClusterRole{
		attachdetach.ClusterRole(), dns.ClusterRole(), ingress.ClusterRole(), storage.ClusterRole(),
	} {
		objects = append(objects, bootstrap.Bind(role)...)
	}
	objects = append(objects, ingress.Objects()...)
	return append(objects, storage.Objects()...)
}

// manifestObjects give the user's manifests all rights: they may hold any object. They are in clusters that have some.
func manifestObjects() []runtime.Object {
	return []runtime.Object{bootstrap.BindTo(manifests.User, "cluster-admin")}
}

// bootstrapRole is what the bootstrap component may do in any cluster, with its binding.
func bootstrapRole() ([]runtime.Object, error) {
	objects := append(commonObjects(), manifestObjects()...)
	// Which address it is does not matter: the role has the objects' names.
	objects = append(objects, dns.Objects(netip.IPv4Unspecified())...)
	role, err := bootstrap.ClusterRole(objects, manifestObjects())
	if err != nil {
		return nil, err
	}
	return bootstrap.Bind(role), nil
}
