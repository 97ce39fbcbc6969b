package dns

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// serviceName is the name that everybody expects of the DNS Service, in kube-system.
const serviceName = "kube-dns"

// ClusterRole is the least that the server needs, for user system:sandbar:coredns.
func ClusterRole() *rbacv1.ClusterRole {
	look := []string{"list", "watch"}
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "system:sandbar:" + Name},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"services", "namespaces", "pods"}, Verbs: look},
			{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: look},
		},
	}
}

// Objects are the Service kube-dns at address and its EndpointSlice. The Service has no selector, and the endpoint is its
// own address: the server listens there itself, and the objects are for those who look the address up.
func Objects(address netip.Addr) []runtime.Object {
	labels := map[string]string{"k8s-app": serviceName, "kubernetes.io/name": "CoreDNS"}
	family, addressType := corev1.IPv4Protocol, discoveryv1.AddressTypeIPv4
	if address.Is6() {
		family, addressType = corev1.IPv6Protocol, discoveryv1.AddressTypeIPv6
	}
	port := func(name string, protocol corev1.Protocol) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: protocol, Port: Port, TargetPort: intstr.FromInt32(Port)}
	}
	endpointPort := func(name string, protocol corev1.Protocol) discoveryv1.EndpointPort {
		return discoveryv1.EndpointPort{Name: ptr.To(name), Protocol: ptr.To(protocol), Port: ptr.To[int32](Port)}
	}
	return []runtime.Object{
		&corev1.Service{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
			ObjectMeta: metav1.ObjectMeta{Name: serviceName, Namespace: metav1.NamespaceSystem, Labels: labels},
			Spec: corev1.ServiceSpec{
				Type:       corev1.ServiceTypeClusterIP,
				ClusterIP:  address.String(),
				ClusterIPs: []string{address.String()},
				IPFamilies: []corev1.IPFamily{family},
				Ports:      []corev1.ServicePort{port("dns", corev1.ProtocolUDP), port("dns-tcp", corev1.ProtocolTCP)},
			},
		},
		&discoveryv1.EndpointSlice{
			TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
			ObjectMeta: metav1.ObjectMeta{
				Name: serviceName, Namespace: metav1.NamespaceSystem,
				Labels: map[string]string{
					discoveryv1.LabelServiceName: serviceName, discoveryv1.LabelManagedBy: "sandbar.dev",
				},
			},
			AddressType: addressType,
			Endpoints: []discoveryv1.Endpoint{{
				Addresses:  []string{address.String()},
				Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true), Serving: ptr.To(true)},
			}},
			Ports: []discoveryv1.EndpointPort{
				endpointPort("dns", corev1.ProtocolUDP), endpointPort("dns-tcp", corev1.ProtocolTCP),
			},
		},
	}
}
