package bootstrap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"sandbar.dev/node/internal/components/apiserver"
	"sandbar.dev/node/internal/components/controllermanager"
	"sandbar.dev/node/internal/pki"
)

// Bind is a role of the node's own and its binding to the user who has the role's name.
func Bind(role *rbacv1.ClusterRole) []runtime.Object {
	return []runtime.Object{role, BindTo(role.Name, role.Name)}
}

// BindTo is the binding, under the user's name, that gives a user a role which is there already.
func BindTo(name, role string) *rbacv1.ClusterRoleBinding { return binding(name, role, user(name)) }

// ClusterRole is what [User] may do: look after the objects that it is given, under their names, give the roles among them
// what they hold and the bindings among them the role that they name, delete those that may be absent, and label nodes.
//
// Whoever writes RBAC rules can give itself what it lacks. But it has to write that down where everybody can see it, unlike
// a member of the group that RBAC never refuses.
func ClusterRole(objects, absent []runtime.Object) (*rbacv1.ClusterRole, error) {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: User}}
	kept := append([]runtime.Object{role, BindTo(User, User)}, objects...)
	names, err := namesOf(kept)
	if err != nil {
		return nil, err
	}
	gone, err := namesOf(absent)
	if err != nil {
		return nil, err
	}
	given := sets.New[string]()
	for _, object := range kept {
		if binding, ok := object.(*rbacv1.ClusterRoleBinding); ok {
			given.Insert(binding.RoleRef.Name)
		}
	}
	roles := schema.GroupResource{Group: rbacv1.GroupName, Resource: "clusterroles"}
	for _, resource := range sorted(names) {
		verbs := []string{"get", "create", "patch"}
		if resource == roles {
			verbs = append(verbs, "escalate")
		}
		role.Rules = append(role.Rules, rule(resource, names[resource], verbs...))
	}
	for _, resource := range sorted(gone) {
		role.Rules = append(role.Rules, rule(resource, gone[resource], "delete"))
	}
	role.Rules = append(role.Rules, rule(roles, given, "bind"),
		rule(schema.GroupResource{Resource: "nodes"}, nil, "list", "watch", "patch"))
	return role, nil
}

// namesOf are the names of objects by their resources.
func namesOf(objects []runtime.Object) (map[schema.GroupResource]sets.Set[string], error) {
	names := map[schema.GroupResource]sets.Set[string]{}
	for _, object := range objects {
		kinds, _, err := scheme.Scheme.ObjectKinds(object)
		if err != nil {
			return nil, fmt.Errorf("object of the node: %w", err)
		}
		accessor, err := meta.Accessor(object)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kinds[0].Kind, err)
		}
		resource := resourceOf(kinds[0]).GroupResource()
		if names[resource] == nil {
			names[resource] = sets.New[string]()
		}
		names[resource].Insert(accessor.GetName())
	}
	return names, nil
}

func rule(resource schema.GroupResource, names sets.Set[string], verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		APIGroups: []string{resource.Group}, Resources: []string{resource.Resource},
		ResourceNames: sets.List(names), Verbs: verbs,
	}
}

func sorted[V any](all map[schema.GroupResource]V) []schema.GroupResource {
	return slices.SortedFunc(maps.Keys(all), func(a, b schema.GroupResource) int {
		return strings.Compare(a.String(), b.String())
	})
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
