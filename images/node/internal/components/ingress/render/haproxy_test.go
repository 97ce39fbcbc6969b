package render_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/components/ingress/render"
	"sandbar.dev/node/internal/haproxy"
	"sandbar.dev/node/internal/haproxy/haproxytest"
)

const clusterID = "4be7e9a5-4ac4-4a3f-9c93-000000000001"

// pemFor is a self-signed certificate for the names, with its key.
func pemFor(t testing.TB, names ...string) []byte {
	t.Helper()
	cert, key := haproxytest.Certificate(t, names...)
	return append(cert, key...)
}

// server answers every request with its name and what it got.
func server(t testing.TB, name string) model.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, header := range []string{"Proto", "For", "Host", "Port"} {
			w.Header().Set("Got-"+header, strings.Join(r.Header.Values("X-Forwarded-"+header), ","))
		}
		_, _ = io.WriteString(w, name)
	}))
	t.Cleanup(s.Close)
	return model.Server{Address: netip.MustParseAddrPort(s.Listener.Addr().String()), Weight: 1}
}

func install(t testing.TB, p *haproxytest.Process, m model.Model, fallback []byte) render.Output {
	t.Helper()
	settings := render.Settings{Folder: p.Folder, ClusterID: clusterID, DefaultCertificate: fallback}
	output := render.Render(m, settings, nil)
	installer := haproxy.Installer{Folder: p.Folder, Binary: p.Binary}
	if err := installer.Install(t.Context(), output.Configuration); err != nil {
		t.Fatalf("%v\n%s", err, output.Configuration.Main)
	}
	return output
}

func get(t testing.TB, address, host, path string) (*http.Response, string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return roundTrip(t, conn, host, path)
}

// roundTrip sends a request as it is, without a client's cleaning of host and path, and closes the connection.
func roundTrip(t testing.TB, conn net.Conn, host, path string) (*http.Response, string) {
	t.Helper()
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
		path, host)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s%s: %v", host, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func eachHAProxy(t *testing.T, run func(t *testing.T, p *haproxytest.Process)) {
	haproxytest.Each(t, func(t *testing.T, binary string) { run(t, haproxytest.Start(t, binary, clusterID)) })
}

func TestRoutingTable(t *testing.T) {
	routes := []struct {
		host, path string
		match      model.Match
		name       string
	}{
		{"a.example", "/", model.Prefix, "a-root"},
		{"a.example", "/foo", model.Prefix, "a-foo"},
		{"a.example", "/foo/bar", model.Prefix, "a-foobar"},
		{"a.example", "/foo", model.Exact, "a-exact"},
		{"a.example", "/%C3%A9", model.Prefix, "a-escaped"},
		{"b.example", "/only", model.Exact, "b-only"},
		{"*.example", "/", model.Prefix, "wild"},
		{"*.example", "/only", model.Exact, "wild-only"},
		{"*.b.example", "/deep", model.Prefix, "wild-deep"},
		{"", "/any", model.Prefix, "any"},
		{"", "/any/exact", model.Exact, "any-exact"},
	}
	builder := model.NewBuilder()
	for _, r := range routes {
		id := "ns:" + r.name + ":80"
		builder.Backend(model.Backend{ID: id, Servers: []model.Server{server(t, r.name)}})
		builder.Route(model.Route{Host: r.host, Path: r.path, Match: r.match, Backend: id})
	}
	builder.Backend(model.Backend{ID: "ns:empty:80"})
	builder.Route(model.Route{Host: "empty.example", Path: "/", Backend: "ns:empty:80"})

	const none = "no route matches this host and path\n"
	tests := []struct{ host, path, want string }{
		{"a.example", "/", "a-root"},
		{"a.example", "/x?foo=/foo", "a-root"},
		{"A.EXAMPLE", "/", "a-root"},
		{"a.example:8080", "/", "a-root"},
		{"a.example.", "/", "a-root"},
		{"a.example", "/foo", "a-exact"},
		{"a.example", "/foo?q=1", "a-exact"},
		{"a.example", "/foo/", "a-foo"},
		{"a.example", "/foo/x", "a-foo"},
		{"a.example", "/foobar", "a-root"},
		{"a.example", "/FOO", "a-root"},
		{"a.example", "/foo/bar", "a-foobar"},
		{"a.example", "/foo/bar/baz", "a-foobar"},
		{"a.example", "/foo/barbaz", "a-foo"},
		{"a.example", "/%C3%A9/x", "a-escaped"},
		{"b.example", "/only", "b-only"},
		{"b.example", "/only/x", "wild"},
		{"b.example", "/other", "wild"},
		{"c.example", "/only", "wild-only"},
		{"c.example", "/", "wild"},
		{"x.b.example", "/deep/1", "wild-deep"},
		{"x.b.example", "/any/1", "any"},
		{"x.y.example", "/", none},
		{"example", "/", none},
		{"nothing.test", "/any", "any"},
		{"nothing.test", "/any/exact", "any-exact"},
		{"nothing.test", "/anything", none},
		{"", "/any", "any"},
		{"[::1]:80", "/any", "any"},
		{"empty.example", "/", "no endpoint of the service is ready\n"},
		{haproxy.HealthHost, "/", "ok"},
		{"HEALTHZ.sandbar.internal:8080", "/any/path", "ok"},
	}
	status := map[string]int{none: 404, "no endpoint of the service is ready\n": 503}
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		install(t, p, builder.Model(), pemFor(t, "*.example"))
		for _, test := range tests {
			response, body := get(t, p.HTTP, test.host, test.path)
			if body != test.want {
				t.Errorf("%s%s was answered by %q, want %q", test.host, test.path, body, test.want)
			}
			if want := max(200, status[test.want]); response.StatusCode != want {
				t.Errorf("%s%s: status %d, want %d", test.host, test.path, response.StatusCode, want)
			}
			if test.want == "ok" && response.Header.Get(haproxy.HealthHeader) != clusterID {
				t.Errorf("health answer has headers %v", response.Header)
			}
		}
		response, _ := get(t, p.HTTP, "a.example:8080", "/")
		for header, want := range map[string]string{
			"Got-Proto": "http", "Got-For": "127.0.0.1", "Got-Host": "a.example:8080", "Got-Port": "8080",
		} {
			if got := response.Header.Get(header); got != want {
				t.Errorf("%s is %q, want %q", header, got, want)
			}
		}
	})
}

func TestCertificatesByName(t *testing.T) {
	fallback := pemFor(t, "*.default.localhost", "*.apps.default.sandbar.internal")
	builder := model.NewBuilder()
	builder.Backend(model.Backend{ID: "ns:s:80", Servers: []model.Server{server(t, "s")}})
	builder.Route(model.Route{Host: "one.test", Path: "/", Backend: "ns:s:80"})
	for i, names := range [][]string{{"one.test"}, {"*.two.test"}, {"x.default.localhost"}} {
		owner := model.Ref{Kind: "Secret", Namespace: "ns", Name: fmt.Sprint(i)}
		builder.Certificate(model.Certificate{Names: names, PEM: pemFor(t, names...), Owner: owner})
	}
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		// Port 443 is not served yet: a connection waits until the first configuration, then gets its answer.
		early, err := net.Dial("tcp", p.HTTPS)
		if err != nil {
			t.Fatal(err)
		}
		install(t, p, builder.Model(), fallback)
		_, body := roundTrip(t, tls.Client(early, &tls.Config{InsecureSkipVerify: true}), haproxy.HealthHost, "/")
		if body != "ok" {
			t.Errorf("the early connection got %q", body)
		}
		for name, want := range map[string]string{
			"one.test":            "one.test",
			"a.two.test":          "*.two.test",
			"two.test":            "*.default.localhost",
			"x.default.localhost": "x.default.localhost",
			"y.default.localhost": "*.default.localhost",
			"":                    "*.default.localhost",
		} {
			conn, err := tls.Dial("tcp", p.HTTPS, &tls.Config{InsecureSkipVerify: true, ServerName: name})
			if err != nil {
				t.Fatal(err)
			}
			if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
				t.Errorf("%q got the certificate of %q, want %q", name, got, want)
			}
			response, body := roundTrip(t, conn, "one.test", "/")
			if body != "s" || response.Header.Get("Got-Proto") != "https" {
				t.Errorf("over TLS: %q with %v", body, response.Header)
			}
		}
	})
}
