package dns

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"k8s.io/client-go/rest"
)

const inNamespace = "SANDBAR_TEST_DNS_IN_NAMESPACE"

// TestServer runs the tests below in a network namespace of their own, where the address can be anything.
func TestServer(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		t.Skip("this is the child")
	}
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	command := exec.Command(os.Args[0], "-test.run=^TestIn", "-test.v", "-test.count=1")
	command.Env = append(os.Environ(), inNamespace+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	for _, name := range []string{"TestInNamespaceServes", "TestInNamespaceKnowsOfTroubleOutside", "TestInNamespaceFollowsItsFile"} {
		if !strings.Contains(string(output), "--- PASS: "+name) {
			t.Errorf("%s did not run:\n%s", name, output)
		}
	}
}

// fakeAPI has one Service and one headless one with a pod behind it, and never a change.
func fakeAPI(t *testing.T) *rest.Config {
	t.Helper()
	list := func(kind, version string, items ...any) any {
		return map[string]any{
			"kind": kind, "apiVersion": version, "metadata": map[string]any{"resourceVersion": "1"}, "items": items,
		}
	}
	service := func(namespace, name, address string, port int) any {
		return map[string]any{
			"metadata": map[string]any{"namespace": namespace, "name": name},
			"spec": map[string]any{
				"clusterIP": address, "clusterIPs": []string{address}, "type": "ClusterIP",
				"ports": []any{map[string]any{"name": "p", "port": port, "protocol": "TCP"}},
			},
		}
	}
	lists := map[string]any{
		"/api/v1/namespaces": list("NamespaceList", "v1", map[string]any{"metadata": map[string]any{"name": "default"}}),
		"/api/v1/services": list("ServiceList", "v1",
			service("default", "kubernetes", "10.43.0.1", 443), service("default", "headless", "None", 80)),
		"/apis/discovery.k8s.io/v1/endpointslices": list("EndpointSliceList", "discovery.k8s.io/v1", map[string]any{
			"metadata": map[string]any{
				"namespace": "default", "name": "headless-1",
				"labels": map[string]any{"kubernetes.io/service-name": "headless"},
			},
			"addressType": "IPv4",
			"endpoints": []any{map[string]any{
				"addresses": []string{"10.42.0.7"}, "conditions": map[string]any{"ready": true},
			}},
			"ports": []any{map[string]any{"name": "p", "port": 80, "protocol": "TCP"}},
		}),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, known := lists[r.URL.Path]
		switch {
		case !known:
			http.NotFound(w, r)
		case r.URL.Query().Get("sendInitialEvents") != "":
			http.Error(w, "not supported", http.StatusBadRequest)
		case r.URL.Query().Get("watch") != "":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		}
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

// loopbackUp is what an engine does in a new namespace.
func loopbackUp(t *testing.T) {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		t.Skip("runs in a network namespace of its own, from TestServer")
	}
	link, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, options Options) (server *DNS, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	server = New(options)
	ready := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("it is not ready after 10 s")
	}
	return server, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("after its stop: %v", err)
		}
	}
}

func ask(t *testing.T, transport, name string, kind uint16) string {
	t.Helper()
	query := new(dns.Msg)
	query.SetQuestion(name, kind)
	client := &dns.Client{Net: transport, Timeout: 2 * time.Second}
	answer, _, err := client.Exchange(query, "10.43.0.10:53")
	if err != nil {
		return err.Error()
	}
	var data []string
	for _, record := range answer.Answer {
		data = append(data, strings.TrimPrefix(record.String(), record.Header().String()))
	}
	return strings.TrimSpace(dns.RcodeToString[answer.Rcode] + " " + strings.Join(data, " "))
}

func TestInNamespaceServes(t *testing.T) {
	loopbackUp(t)
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("10.9.9.9 printer.lan\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	options := Options{
		Address: testAddress, BaseDomain: "default.sandbar.internal", NodeIP: netip.MustParseAddr("10.88.0.2"),
		HostsFile: hosts, Client: fakeAPI(t),
	}
	// Twice: a restart finds the interface, the address and the rules of the first.
	for range 2 {
		server, stop := start(t, options)
		for _, question := range []struct {
			name string
			kind uint16
			want string
		}{
			{"kubernetes.default.svc.cluster.local.", dns.TypeA, "NOERROR 10.43.0.1"},
			{"kubernetes.default.svc.cluster.local.", dns.TypeAAAA, "NOERROR"},
			{
				"_p._tcp.kubernetes.default.svc.cluster.local.", dns.TypeSRV,
				"NOERROR 0 100 443 kubernetes.default.svc.cluster.local.",
			},
			{"headless.default.svc.cluster.local.", dns.TypeA, "NOERROR 10.42.0.7"},
			{"10-42-0-7.default.pod.cluster.local.", dns.TypeA, "NOERROR 10.42.0.7"},
			{"1.0.43.10.in-addr.arpa.", dns.TypePTR, "NOERROR kubernetes.default.svc.cluster.local."},
			{"none.default.svc.cluster.local.", dns.TypeA, "NXDOMAIN"},
			{"hello.apps.default.sandbar.internal.", dns.TypeA, "NOERROR 10.88.0.2"},
			{"a.b.apps.default.sandbar.internal.", dns.TypeAAAA, "NOERROR"},
			{"printer.lan.", dns.TypeA, "NOERROR 10.9.9.9"},
			// No resolver outside: said at once, not after a time-out.
			{"example.org.", dns.TypeA, "NXDOMAIN"},
		} {
			for _, transport := range []string{"udp", "tcp"} {
				began := time.Now()
				if got := ask(t, transport, question.name, question.kind); got != question.want {
					t.Errorf("%s %s %s: %s, want %s",
						transport, dns.TypeToString[question.kind], question.name, got, question.want)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("%s took %s", question.name, took)
				}
			}
		}
		if err := server.Check(t.Context()); err != nil {
			t.Errorf("check: %v", err)
		}
		rules, err := exec.Command("nft", "list", "table", "ip", table).CombinedOutput()
		if err != nil || strings.Count(string(rules), "notrack") != 8 {
			t.Errorf("rules: %v\n%s", err, rules)
		}
		stop()
		if err := server.Check(t.Context()); err == nil {
			t.Error("the check passes after the stop")
		}
	}
}

// A resolver outside that is not there, and then is.
func TestInNamespaceKnowsOfTroubleOutside(t *testing.T) {
	loopbackUp(t)
	server, stop := start(t, Options{
		Address: testAddress, NodeIP: netip.MustParseAddr("10.88.0.2"), Upstreams: []string{"127.0.0.1:5399"},
		Client: fakeAPI(t),
	})
	defer stop()
	if got := ask(t, "udp", "kubernetes.default.svc.cluster.local.", dns.TypeA); got != "NOERROR 10.43.0.1" {
		t.Errorf("without a resolver outside: %s", got)
	}
	for _, name := range []string{"one.example.", "two.example.", "three.example."} {
		if got := ask(t, "udp", name, dns.TypeA); !strings.HasPrefix(got, "SERVFAIL") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if err := server.Outside(); err == nil || !strings.HasPrefix(err.Error(), "the last 3 questions had no answer: ") {
		t.Errorf("got %v", err)
	}
	upstream := &dns.Server{Addr: "127.0.0.1:5399", Net: "udp", Handler: dns.HandlerFunc(
		func(writer dns.ResponseWriter, query *dns.Msg) {
			_ = writer.WriteMsg(new(dns.Msg).SetRcode(query, dns.RcodeNameError))
		})}
	go func() { _ = upstream.ListenAndServe() }()
	defer func() { _ = upstream.Shutdown() }()
	number := 0
	eventually(t, func() bool {
		number++ // failures are remembered for a while
		return ask(t, "udp", fmt.Sprintf("name-%d.example.", number), dns.TypeA) == "NXDOMAIN"
	})
	if err := server.Outside(); err != nil {
		t.Errorf("with a resolver outside: %v", err)
	}
}

func TestInNamespaceMovesItsAddress(t *testing.T) {
	loopbackUp(t)
	ctx := t.Context()
	for _, address := range []string{"10.43.0.10", "10.99.0.10"} {
		if err := prepareAddress(ctx, "sandbar-move", netip.MustParseAddr(address)); err != nil {
			t.Fatal(err)
		}
	}
	link, err := netlink.LinkByName("sandbar-move")
	if err != nil {
		t.Skip("this kernel has no dummy interfaces")
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil || len(addresses) != 1 || addresses[0].IP.String() != "10.99.0.10" {
		t.Errorf("addresses %v %v", addresses, err)
	}
}

func TestInNamespaceFollowsItsFile(t *testing.T) {
	loopbackUp(t)
	file := filepath.Join(t.TempDir(), "Corefile")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	corefile := func(printer string) string {
		return ".:5353 {\n  kubernetes cluster.local\n  hosts {\n    " + printer + " printer.lan\n    fallthrough\n  }\n}\n"
	}
	write(corefile("10.1.1.1"))
	server, stop := start(t, Options{Address: testAddress, ConfigFile: file, Client: fakeAPI(t)})
	defer stop()
	if got := ask(t, "udp", "printer.lan.", dns.TypeA); got != "NOERROR 10.1.1.1" {
		t.Errorf("before: %s", got)
	}
	write(corefile("10.2.2.2"))
	eventually(t, func() bool { return ask(t, "udp", "printer.lan.", dns.TypeA) == "NOERROR 10.2.2.2" })
	write(".:5353 {\n  nonsense\n}\n")
	eventually(t, func() bool {
		err := server.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "is not used, the one before goes on")
	})
	if got := ask(t, "udp", "printer.lan.", dns.TypeA); got != "NOERROR 10.2.2.2" {
		t.Errorf("with a bad file: %s", got)
	}
	write(corefile("10.3.3.3"))
	eventually(t, func() bool { return ask(t, "udp", "printer.lan.", dns.TypeA) == "NOERROR 10.3.3.3" })
	eventually(t, func() bool { return server.Check(t.Context()) == nil })
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about within 10 s")
		}
		time.Sleep(50 * time.Millisecond)
	}
}
