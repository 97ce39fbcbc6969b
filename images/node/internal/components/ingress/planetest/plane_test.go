// Package planetest runs the ingress against a real API server with the rights that it has in a node. It is a package of
// its own so that the tests beside it need not link an API server.
package planetest

import (
	"context"
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/components/ingress"
	"sandbar.dev/node/internal/controlplanetest"
	"sandbar.dev/node/internal/haproxy"
	"sandbar.dev/node/internal/haproxy/haproxytest"
)

func TestMain(m *testing.M) { controlplanetest.Main(m) }

func TestIngressOnARealAPIServer(t *testing.T) {
	process := haproxytest.Start(t, haproxytest.Binaries(t)[0], "id")
	plane := controlplanetest.Start(t)
	plane.Apply(t, ingress.Objects()...)

	folder := t.TempDir()
	options := ingress.Options{
		Client: plane.Client(t, "system:sandbar:ingress"), ClusterID: "id", ClusterName: "default",
		BaseDomain: "default.sandbar.internal", HAProxyFolder: string(process.Folder), HAProxyBinary: process.Binary,
		DefaultCertFile: filepath.Join(folder, "cert"), DefaultKeyFile: filepath.Join(folder, "key"),
	}
	cert, key := haproxytest.Certificate(t, "*.default.localhost")
	for path, content := range map[string][]byte{options.DefaultCertFile: cert, options.DefaultKeyFile: key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	component := ingress.New(options)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- component.Run(ctx, func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	// The rights come late, as in a cluster that is made just now.
	select {
	case <-ready:
		t.Fatal("the component is ready without rights")
	case <-time.After(300 * time.Millisecond):
	}
	plane.Apply(t, bootstrap.Bind(ingress.ClusterRole())...)
	started := time.Now()
	select {
	case <-ready:
		t.Logf("ready after %v", time.Since(started).Round(time.Millisecond))
	case err := <-ended:
		t.Fatalf("the component ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the component is not ready")
	}

	// What a user applies: no class is named, since ours is the default.
	admin := kubernetes.NewForConfigOrDie(plane.Admin)
	namespace := plane.Namespace(t)
	host := namespace + ".default.localhost"
	create(t, admin, namespace, host)

	ingresses := admin.NetworkingV1().Ingresses(namespace)
	haproxytest.Eventually(t, "the Ingress has its class and an address", func() bool {
		got, err := ingresses.Get(t.Context(), "app", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		addresses := got.Status.LoadBalancer.Ingress
		return got.Spec.IngressClassName != nil && *got.Spec.IngressClassName == "sandbar" &&
			len(addresses) == 1 && addresses[0].Hostname == "localhost"
	})
	haproxytest.Eventually(t, "the endpoint is a server", func() bool {
		servers, err := haproxy.Runtime{Socket: process.Folder.WorkerSocket()}.Servers(t.Context())
		if err != nil {
			return false // a reload goes on
		}
		for _, server := range servers[namespace+":app:80"] {
			if server.Address == netip.MustParseAddrPort("192.0.2.7:8080") && server.State == haproxy.Ready {
				return true
			}
		}
		return false
	})
	haproxytest.Eventually(t, "the Secret's certificate is served", func() bool {
		conn, err := tls.Dial("tcp", process.HTTPS, &tls.Config{InsecureSkipVerify: true, ServerName: host})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0] == host
	})
	haproxytest.Eventually(t, "an event tells of the certificate that is none", func() bool {
		events, err := admin.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events.Items {
			if event.Reason == "InvalidCertificate" && event.InvolvedObject.Name == "app" && event.Type == corev1.EventTypeWarning {
				return true
			}
		}
		return false
	})
	if got := component.Hosts(); len(got) != 1 || got[0] != host {
		t.Errorf("hosts are %v", got)
	}

	if err := ingresses.Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	haproxytest.Eventually(t, "the host is gone", func() bool {
		answer, err := haproxytest.Get(process.HTTP, host)
		return err == nil && answer == "no route matches this host and path\n"
	})
	if err := component.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
}

func create(t *testing.T, admin kubernetes.Interface, namespace, host string) {
	t.Helper()
	cert, key := haproxytest.Certificate(t, host)
	_, otherKey := haproxytest.Certificate(t, host)
	port, name := int32(8080), "http"
	prefix := networkingv1.PathTypePrefix
	_, err := admin.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "app"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: name, Port: 80}}},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = admin.DiscoveryV1().EndpointSlices(namespace).Create(t.Context(), &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: "app-1", Labels: map[string]string{discoveryv1.LabelServiceName: "app"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.7"}}},
		}, metav1.CreateOptions{})
	}
	for secret, data := range map[string]map[string][]byte{
		"good": {corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: key},
		"bad":  {corev1.TLSCertKey: cert, corev1.TLSPrivateKeyKey: otherKey},
	} {
		if err == nil {
			_, err = admin.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: secret}, Type: corev1.SecretTypeTLS, Data: data,
			}, metav1.CreateOptions{})
		}
	}
	if err == nil {
		_, err = admin.NetworkingV1().Ingresses(namespace).Create(t.Context(), &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Name: "app"},
			Spec: networkingv1.IngressSpec{
				TLS: []networkingv1.IngressTLS{{SecretName: "bad"}, {SecretName: "good"}},
				Rules: []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
					HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
						Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
							Name: "app", Port: networkingv1.ServiceBackendPort{Name: name},
						}},
					}}},
				}}},
			},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}
