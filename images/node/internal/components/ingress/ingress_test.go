package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/haproxy"
	"sandbar.dev/node/internal/haproxy/haproxytest"
)

const testID = "5f3c0b3e-0000-4000-8000-000000000000"

// node is a running component with its HAProxy and a cluster's objects.
type node struct {
	*Ingress
	client  kubernetes.Interface
	haproxy *haproxytest.Process
}

func writePair(t testing.TB, certFile, keyFile string, names ...string) {
	t.Helper()
	cert, key := haproxytest.Certificate(t, names...)
	for path, content := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs the component against a client until the test ends, and waits until it is ready.
func start(t *testing.T, binary string, client kubernetes.Interface) *node {
	t.Helper()
	return startOn(t, haproxytest.Start(t, binary, testID), client)
}

func startOn(t *testing.T, process *haproxytest.Process, client kubernetes.Interface) *node {
	t.Helper()
	folder := t.TempDir()
	options := Options{
		ClusterID: testID, ClusterName: "default", BaseDomain: "default.sandbar.internal",
		DefaultCertFile: filepath.Join(folder, "cert.pem"), DefaultKeyFile: filepath.Join(folder, "key.pem"),
		HAProxyFolder: string(process.Folder), HAProxyBinary: process.Binary,
	}
	writePair(t, options.DefaultCertFile, options.DefaultKeyFile, "*.default.localhost")
	n := &node{Ingress: New(options), client: client, haproxy: process}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		done <- n.run(ctx, func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		}, client)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("the component ended: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("the component was not ready in time")
	}
	return n
}

func ingressFor(name, host, service string) *networkingv1.Ingress {
	class, prefix := "sandbar", networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{
				HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
						Service: &networkingv1.IngressServiceBackend{
							Name: service, Port: networkingv1.ServiceBackendPort{Number: 80},
						},
					},
				}}},
			}}},
		},
	}
}

func serviceFor(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}},
	}
}

// sliceFor has one server of a test as the endpoint, which is ready.
func sliceFor(t testing.TB, name, service, address string) *discoveryv1.EndpointSlice {
	t.Helper()
	at := netip.MustParseAddrPort(address)
	port, portName, ready := int32(at.Port()), "http", true
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		}},
	}
}

func (n *node) answer(host string) string {
	body, err := haproxytest.Get(n.haproxy.HTTP, host)
	if err != nil {
		return err.Error()
	}
	return body
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIngressFromObjectToAnswer(t *testing.T) {
	haproxytest.Each(t, func(t *testing.T, binary string) {
		one, two := haproxytest.Named(t, "one"), haproxytest.Named(t, "two")
		n := start(t, binary, fake.NewClientset(serviceFor("hello"), sliceFor(t, "hello-1", "hello", one),
			ingressFor("hello", "hello.default.localhost", "hello")))
		ctx := t.Context()
		// Ready means that what was there is served, under both names, and on 443.
		for _, host := range []string{"hello.default.localhost", "hello.apps.default.sandbar.internal"} {
			if got := n.answer(host); got != "one" {
				t.Errorf("%s is answered by %q", host, got)
			}
		}
		conn, err := tls.Dial("tcp", n.haproxy.HTTPS,
			&tls.Config{InsecureSkipVerify: true, ServerName: "hello.default.localhost"})
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if err := n.Check(ctx); err != nil {
			t.Errorf("check: %v", err)
		}
		if got := n.Hosts(); !reflect.DeepEqual(got, []string{"hello.default.localhost"}) {
			t.Errorf("hosts are %v", got)
		}
		haproxytest.Eventually(t, "the Ingress has an address", func() bool {
			got, err := n.client.NetworkingV1().Ingresses("default").Get(ctx, "hello", metav1.GetOptions{})
			return err == nil && published(got, "localhost")
		})

		// Endpoints change under load without a reload and without a lost request.
		worker := n.haproxy.Worker(t)
		load := haproxytest.StartLoad(t, n.haproxy.HTTP, "hello.default.localhost", 2)
		slices := n.client.DiscoveryV1().EndpointSlices("default")
		for range 2 {
			_, err = slices.Create(ctx, sliceFor(t, "hello-2", "hello", two), metav1.CreateOptions{})
			must(t, err)
			haproxytest.Eventually(t, "the second endpoint serves", func() bool { return n.servers(t, haproxy.Ready) == 2 })
			load.Await(20)
			ending := sliceFor(t, "hello-2", "hello", two)
			no, yes := false, true
			ending.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
			_, err = slices.Update(ctx, ending, metav1.UpdateOptions{})
			must(t, err)
			haproxytest.Eventually(t, "the second endpoint is drained", func() bool { return n.servers(t, haproxy.Drain) == 1 })
			load.Await(20)
			must(t, slices.Delete(ctx, "hello-2", metav1.DeleteOptions{}))
			haproxytest.Eventually(t, "the second endpoint is gone", func() bool {
				return n.servers(t, haproxy.Ready, haproxy.Drain) == 1
			})
		}
		if got := n.haproxy.Worker(t); got != worker {
			t.Errorf("endpoints made worker %d of %d: there was a reload", got, worker)
		}

		// Other Ingresses come and go under the same load.
		ingresses := n.client.NetworkingV1().Ingresses("default")
		for range 2 {
			_, err = ingresses.Create(ctx, ingressFor("other", "other.example", "hello"), metav1.CreateOptions{})
			must(t, err)
			haproxytest.Eventually(t, "the other Ingress is served", func() bool { return n.answer("other.example") == "one" })
			must(t, ingresses.Delete(ctx, "other", metav1.DeleteOptions{}))
			haproxytest.Eventually(t, "the other Ingress is gone", func() bool {
				return strings.HasPrefix(n.answer("other.example"), "no route")
			})
		}
		result := load.Stop()
		if len(result.Failures) > 0 || len(result.Bodies) != 2 {
			t.Errorf("%d of %d requests failed: %v; answers %v",
				len(result.Failures), result.Requests, result.Failures, result.Bodies)
		}

		// The last endpoint ends.
		must(t, slices.Delete(ctx, "hello-1", metav1.DeleteOptions{}))
		haproxytest.Eventually(t, "nothing serves", func() bool {
			return n.answer("hello.default.localhost") == "no endpoint of the service is ready\n"
		})
	})
}

// servers counts the servers in these states.
func (n *node) servers(t testing.TB, states ...haproxy.State) int {
	t.Helper()
	servers, err := n.runtime.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, backend := range servers {
		for _, server := range backend {
			for _, state := range states {
				if server.State == state {
					count++
				}
			}
		}
	}
	return count
}

func TestACertificateThatHAProxyRefusesHoldsUpNobody(t *testing.T) {
	haproxytest.Each(t, func(t *testing.T, binary string) {
		n := start(t, binary, fake.NewClientset())
		owner := model.Ref{Kind: "Secret", Namespace: "ns", Name: "bad"}
		cert, key := haproxytest.Certificate(t, "good.example")
		m := model.Model{
			Routes:   []model.Route{{Host: "good.example", Path: "/", Backend: "n:s:80"}},
			Backends: []model.Backend{{ID: "n:s:80"}},
			Certificates: []model.Certificate{
				{Names: []string{"bad.example"}, PEM: []byte("what OpenSSL does not like"), Owner: owner},
				{Names: []string{"good.example"}, PEM: append(cert, key...)},
			},
		}
		other := New(n.options) // nobody else uses the first one's loop
		for range 2 {
			result, err := other.apply(t.Context(), m)
			var refused *haproxy.RefusedError
			if !result.inForce || !errors.As(err, &refused) || !strings.Contains(err.Error(), "Secret ns/bad: ") {
				t.Fatalf("got %+v, %v", result, err)
			}
			if len(result.refusals) != 1 || result.refusals[0].owner != owner {
				t.Errorf("refusals are %+v", result.refusals)
			}
		}
		if got := n.answer("good.example"); got != "no endpoint of the service is ready\n" {
			t.Errorf("the rest is answered by %q", got)
		}
		m.Certificates = m.Certificates[1:]
		if result, err := other.apply(t.Context(), m); !result.inForce || err != nil || len(other.refused) != 0 {
			t.Errorf("without it: %+v, %v, %v", result, err, other.refused)
		}
	})
}

func TestHealsWhenHAProxyIsKilledAndWhenTheNodeRestarts(t *testing.T) {
	haproxytest.Each(t, func(t *testing.T, binary string) {
		client := fake.NewClientset(serviceFor("hello"), sliceFor(t, "hello-1", "hello", haproxytest.Named(t, "one")),
			ingressFor("hello", "hello.default.localhost", "hello"))
		n := start(t, binary, client)
		_, err := client.DiscoveryV1().EndpointSlices("default").Update(t.Context(),
			sliceFor(t, "hello-1", "hello", haproxytest.Named(t, "two")), metav1.UpdateOptions{})
		must(t, err)
		haproxytest.Eventually(t, "the endpoint has changed", func() bool { return n.answer("hello.default.localhost") == "two" })

		// The next HAProxy starts with what was changed at run time.
		worker := n.haproxy.Worker(t)
		must(t, syscall.Kill(n.haproxy.Master(), syscall.SIGKILL))
		worker = n.haproxy.AwaitWorkerAfter(t, worker)
		if got := n.answer("hello.default.localhost"); got != "two" {
			t.Errorf("after a kill: %q", got)
		}
		// A node that starts while HAProxy runs leaves it alone.
		startOnSame(t, n, client)
		if got := n.haproxy.Worker(t); got != worker {
			t.Errorf("a restart of the node made worker %d of %d", got, worker)
		}
		// Somebody starts HAProxy with something else: the check notices and mends it.
		must(t, os.WriteFile(n.haproxy.Folder.Config(), haproxy.BaselineIn(n.haproxy.Folder, testID), 0o600))
		must(t, syscall.Kill(n.haproxy.Master(), syscall.SIGKILL))
		n.haproxy.AwaitDescription(t, "baseline")
		if err := n.Check(t.Context()); err == nil || !strings.Contains(err.Error(), `runs configuration "baseline"`) {
			t.Errorf("the check says %v", err)
		}
		haproxytest.Eventually(t, "the configuration is back", func() bool {
			return n.answer("hello.default.localhost") == "two"
		})
		if err := n.Check(t.Context()); err != nil {
			t.Errorf("the check says %v", err)
		}
	})
}

// startOnSame starts a second component on the same HAProxy, with the same default certificate.
func startOnSame(t *testing.T, n *node, client kubernetes.Interface) {
	t.Helper()
	second := New(n.options)
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		called := false
		done <- second.run(ctx, func() {
			if !called {
				close(ready)
			}
			called = true
		}, client)
	}()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		t.Error("the second component was not ready in time")
	}
	cancel()
	<-done
}

func TestARenewedDefaultCertificateIsServed(t *testing.T) {
	haproxytest.Each(t, func(t *testing.T, binary string) {
		n := start(t, binary, fake.NewClientset())
		serial := func() string {
			conn, err := tls.Dial("tcp", n.haproxy.HTTPS, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return err.Error()
			}
			defer func() { _ = conn.Close() }()
			return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
		}
		before := serial()
		writePair(t, n.options.DefaultCertFile, n.options.DefaultKeyFile, "*.default.localhost")
		if err := n.Check(t.Context()); err != nil {
			t.Error(err)
		}
		haproxytest.Eventually(t, "the new certificate is served", func() bool { return serial() != before })
	})
}

// Nothing can be blamed for the refusal that could be left out: it is the certificate that everybody gets.
func TestARefusedConfigurationLeavesTheLastOneInForce(t *testing.T) {
	haproxytest.Each(t, func(t *testing.T, binary string) {
		n := start(t, binary, fake.NewClientset(serviceFor("hello"),
			sliceFor(t, "hello-1", "hello", haproxytest.Named(t, "one")),
			ingressFor("hello", "hello.default.localhost", "hello")))
		worker := n.haproxy.Worker(t)
		good, err := os.ReadFile(n.haproxy.Folder.Config())
		must(t, err)
		must(t, os.WriteFile(n.options.DefaultCertFile, []byte("what OpenSSL does not like"), 0o600))
		if err := n.Check(t.Context()); err != nil {
			t.Errorf("before HAProxy was asked, the check says %v", err)
		}
		haproxytest.Eventually(t, "the check says that HAProxy refuses it", func() bool {
			err := n.Check(t.Context())
			var refused *haproxy.RefusedError
			return errors.As(err, &refused) && strings.HasPrefix(err.Error(), "the configuration before stays in force: ")
		})
		_, err = n.client.NetworkingV1().Ingresses("default").Create(t.Context(),
			ingressFor("other", "other.example", "hello"), metav1.CreateOptions{})
		must(t, err)
		haproxytest.Eventually(t, "the new Ingress was looked at", func() bool { return len(n.Hosts()) == 2 })

		if got := n.answer("hello.default.localhost"); got != "one" {
			t.Errorf("what was served before is answered by %q", got)
		}
		if got := n.answer("other.example"); !strings.HasPrefix(got, "no route") {
			t.Errorf("what came later is answered by %q", got)
		}
		if onDisk, err := os.ReadFile(n.haproxy.Folder.Config()); err != nil || string(onDisk) != string(good) {
			t.Errorf("on disk is another configuration: %s, %v", onDisk, err)
		}
		if got := n.haproxy.Worker(t); got != worker {
			t.Errorf("worker %d became %d", worker, got)
		}

		// It heals by itself.
		writePair(t, n.options.DefaultCertFile, n.options.DefaultKeyFile, "*.default.localhost")
		haproxytest.Eventually(t, "the new certificate is in force", func() bool { return n.Check(t.Context()) == nil })
		if got := n.answer("other.example"); got != "one" {
			t.Errorf("after it was mended, the new Ingress is answered by %q", got)
		}
	})
}

func TestObjectsAreStripped(t *testing.T) {
	meta := metav1.ObjectMeta{
		Name: "n", Namespace: "ns", UID: "u", ResourceVersion: "1",
		Labels:      map[string]string{"a": "b", discoveryv1.LabelServiceName: "s"},
		Annotations: map[string]string{"a": "b"}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
	}
	kept := metav1.ObjectMeta{Name: "n", Namespace: "ns", UID: "u", ResourceVersion: "1"}
	keptSlice := kept
	keptSlice.Labels = map[string]string{discoveryv1.LabelServiceName: "s"}
	node, ports := "node", []corev1.ServicePort{{Port: 1}}
	for _, test := range []struct{ in, want runtime.Object }{
		{
			&corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"tls.crt": {1}, "tls.key": {2}, "other": {3}}},
			&corev1.Secret{ObjectMeta: kept, Data: map[string][]byte{"tls.crt": {1}, "tls.key": {2}}},
		},
		{
			&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Type: "X", ClusterIP: "1", Ports: ports}},
			&corev1.Service{ObjectMeta: kept, Spec: corev1.ServiceSpec{Type: "X", Ports: ports}},
		},
		{
			&discoveryv1.EndpointSlice{
				ObjectMeta: meta, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"1"}, NodeName: &node}},
			},
			&discoveryv1.EndpointSlice{ObjectMeta: keptSlice, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"1"}}}},
		},
	} {
		got, err := strip(test.in)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("got %+v, %v, want %+v", got, err, test.want)
		}
	}
}
