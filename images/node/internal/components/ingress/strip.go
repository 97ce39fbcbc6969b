package ingress

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// strip leaves of an object what the ingress reads; the rest would only take memory. It is an informer's transform, so the
// object is not shared yet.
func strip(object any) (any, error) {
	switch o := object.(type) {
	case *networkingv1.Ingress:
		o.ManagedFields, o.Labels = nil, nil
		delete(o.Annotations, corev1.LastAppliedConfigAnnotation)
	case *networkingv1.IngressClass:
		o.ManagedFields, o.Labels = nil, nil
	case *corev1.Service:
		stripMeta(&o.ObjectMeta)
		o.Spec = corev1.ServiceSpec{Type: o.Spec.Type, Ports: o.Spec.Ports}
		o.Status = corev1.ServiceStatus{}
	case *discoveryv1.EndpointSlice:
		service, ok := o.Labels[discoveryv1.LabelServiceName]
		stripMeta(&o.ObjectMeta)
		if ok {
			o.Labels = map[string]string{discoveryv1.LabelServiceName: service}
		}
		for i := range o.Endpoints {
			endpoint := &o.Endpoints[i]
			*endpoint = discoveryv1.Endpoint{Addresses: endpoint.Addresses, Conditions: endpoint.Conditions}
		}
	case *corev1.Secret:
		stripMeta(&o.ObjectMeta)
		o.Data = map[string][]byte{
			corev1.TLSCertKey:       o.Data[corev1.TLSCertKey],
			corev1.TLSPrivateKeyKey: o.Data[corev1.TLSPrivateKeyKey],
		}
	}
	return object, nil
}

func stripMeta(meta *metav1.ObjectMeta) {
	*meta = metav1.ObjectMeta{
		Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
	}
}
