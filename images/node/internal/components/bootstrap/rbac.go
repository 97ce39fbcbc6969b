package bootstrap

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"sandbar.dev/node/internal/components/apiserver"
	"sandbar.dev/node/internal/components/controllermanager"
	"sandbar.dev/node/internal/pki"
)

// Bind is a role of the node's own and its binding to the user who has the role's name.
func Bind(role *rbacv1.ClusterRole) []runtime.Object {
	return []runtime.Object{role, binding(role.Name, role.Name, user(role.Name))}
}

// RBAC is who may do what besides the node's own components: administrators everything, the controllers what each of
// them may, the API server what it needs of the kubelet.
func RBAC() []runtime.Object {
	controllers := controllerRole()
	return []runtime.Object{
		binding(pki.AdminGroup, "cluster-admin", rbacv1.Subject{
			APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: pki.AdminGroup,
		}),
		binding(apiserver.KubeletUser, "system:kubelet-api-admin", user(apiserver.KubeletUser)),
		controllers,
		binding(controllers.Name, controllers.Name, user(controllermanager.User)),
	}
}

// controllerRole is the union of Kubernetes' own roles for controllers, for the one user that all of them share here.
func controllerRole() *rbacv1.ClusterRole {
	union := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "sandbar:controllers"}}
	for _, role := range bootstrappolicy.ControllerRoles() {
		union.Rules = append(union.Rules, role.Rules...)
	}
	return union
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

func binding(name, role string, subject rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}
}
