package translate

import (
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"sandbar.dev/node/internal/components/ingress/model"
)

// appProtocolH2C marks a Service's port whose pods speak HTTP/2 in the clear (KEP-3726).
const appProtocolH2C = "kubernetes.io/h2c"

// backend adds the backend that an Ingress names and returns its ID, or "" and a problem if it can never work. One that
// has no servers now, or whose Service does not exist yet, is a backend all the same: its requests get a 503.
func (t *translation) backend(ingress *networkingv1.Ingress, backend networkingv1.IngressBackend) string {
	if backend.Service == nil {
		t.problem(ingress, false, "UnsupportedBackend", "backends that are not Services are not supported")
		return ""
	}
	name, wanted := backend.Service.Name, backend.Service.Port
	service := t.cluster.Service(ingress.Namespace, name)
	port := findPort(service, wanted)
	switch {
	case service == nil:
		t.problem(ingress, true, "ServiceNotFound", "Service %q does not exist", name)
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		t.problem(ingress, false, "UnsupportedBackend", "Service %q is of type ExternalName", name)
		port = nil
	case port == nil:
		t.problem(ingress, false, "PortNotFound", "Service %q has no TCP port %s", name, describe(wanted))
	}
	key := describe(wanted)
	if port != nil {
		key = strconv.Itoa(int(port.Port))
	}
	if !validName(ingress.Namespace) || !validName(name) || !validName(key) {
		t.problem(ingress, false, "InvalidBackend", "%q, port %q, is not the name of a Service", name, key)
		return ""
	}
	id := ingress.Namespace + ":" + name + ":" + key
	if t.builder.HasBackend(id) {
		return id
	}
	result := model.Backend{ID: id}
	if port != nil {
		if port.AppProtocol != nil && *port.AppProtocol == appProtocolH2C {
			result.Protocol = model.H2C
		}
		result.Servers = servers(t.cluster.EndpointSlices(ingress.Namespace, name), port.Name)
	}
	t.builder.Backend(result)
	return id
}

func describe(port networkingv1.ServiceBackendPort) string {
	if port.Name != "" {
		return port.Name
	}
	return strconv.Itoa(int(port.Number))
}

// validName says whether s may be a part of a backend's ID. Names of objects always may.
func validName(s string) bool {
	const longest = 253 // of any object's name
	if s == "" || len(s) > longest {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func findPort(service *corev1.Service, wanted networkingv1.ServiceBackendPort) *corev1.ServicePort {
	if service == nil {
		return nil
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
			continue
		}
		if wanted.Name != "" && port.Name == wanted.Name || wanted.Name == "" && port.Port == wanted.Number {
			return port
		}
	}
	return nil
}

// servers are the endpoints behind a named port of a Service: the ready ones, and those that are ending but still serve,
// which are drained. If there is no ready one, those that are ending get the traffic, as with kube-proxy (KEP-1669).
func servers(slices []*discoveryv1.EndpointSlice, portName string) []model.Server {
	found := map[netip.AddrPort]bool{} // whether it is ready
	ready := false
	for _, slice := range slices {
		port := slicePort(slice, portName)
		if port == 0 {
			continue
		}
		for i := range slice.Endpoints {
			endpoint := &slice.Endpoints[i]
			isReady := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			isDraining := isTrue(endpoint.Conditions.Serving) && isTrue(endpoint.Conditions.Terminating)
			if !isReady && !isDraining || len(endpoint.Addresses) == 0 {
				continue
			}
			// All addresses of an endpoint are the same pod, and only the first is to be used (KEP-0752).
			address, err := netip.ParseAddr(endpoint.Addresses[0])
			if err != nil || address.IsUnspecified() || address.Zone() != "" {
				continue
			}
			key := netip.AddrPortFrom(address.Unmap(), port)
			found[key] = found[key] || isReady
			ready = ready || isReady
		}
	}
	var result []model.Server
	for address, isReady := range found {
		result = append(result, model.Server{Address: address, Weight: 1, Draining: ready && !isReady})
	}
	return result
}

func isTrue(b *bool) bool { return b != nil && *b }

// slicePort is the port of that name in a slice, or 0.
func slicePort(slice *discoveryv1.EndpointSlice, name string) uint16 {
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		return 0
	}
	for _, port := range slice.Ports {
		sliceName := ""
		if port.Name != nil {
			sliceName = *port.Name
		}
		if sliceName != name || port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP {
			continue
		}
		if port.Port != nil && *port.Port > 0 && *port.Port <= 65535 {
			return uint16(*port.Port)
		}
	}
	return 0
}
