package translate

import (
	"bytes"
	"errors"
	"io"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// objects is a Cluster of plain values.
type objects struct {
	ingresses []*networkingv1.Ingress
	classes   []*networkingv1.IngressClass
	services  map[string]*corev1.Service
	slices    map[string][]*discoveryv1.EndpointSlice
	secrets   map[string]*corev1.Secret
}

func newObjects() *objects {
	return &objects{
		services: map[string]*corev1.Service{},
		slices:   map[string][]*discoveryv1.EndpointSlice{},
		secrets:  map[string]*corev1.Secret{},
	}
}

func (o *objects) Ingresses() []*networkingv1.Ingress           { return o.ingresses }
func (o *objects) IngressClasses() []*networkingv1.IngressClass { return o.classes }

func (o *objects) Service(namespace, name string) *corev1.Service {
	return o.services[namespace+"/"+name]
}

func (o *objects) EndpointSlices(namespace, service string) []*discoveryv1.EndpointSlice {
	return o.slices[namespace+"/"+service]
}

func (o *objects) Secret(namespace, name string) *corev1.Secret { return o.secrets[namespace+"/"+name] }

// parse reads YAML documents of the kinds that matter here.
func parse(t testing.TB, content []byte) *objects {
	t.Helper()
	o := newObjects()
	reader := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content)))
	defer func() { _ = reader.Close() }()
	document := make([]byte, len(content)+1)
	for {
		n, err := reader.Read(document)
		if errors.Is(err, io.EOF) {
			return o
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(document[:n], nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document[:n])
		}
		switch typed := object.(type) {
		case *networkingv1.Ingress:
			o.ingresses = append(o.ingresses, typed)
		case *networkingv1.IngressClass:
			o.classes = append(o.classes, typed)
		case *corev1.Service:
			o.services[typed.Namespace+"/"+typed.Name] = typed
		case *discoveryv1.EndpointSlice:
			key := typed.Namespace + "/" + typed.Labels[discoveryv1.LabelServiceName]
			o.slices[key] = append(o.slices[key], typed)
		case *corev1.Secret:
			o.secrets[typed.Namespace+"/"+typed.Name] = typed
		default:
			t.Fatalf("%T has no place here", typed)
		}
	}
}
