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
	"testing"
	"time"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/haproxy/haproxytest"
)

// oneBackend is a model in which everything goes to one server.
func oneBackend(protocol model.Protocol, address string) model.Model {
	builder := model.NewBuilder()
	builder.Backend(model.Backend{
		ID: "n:s:80", Protocol: protocol,
		Servers: []model.Server{{Address: netip.MustParseAddrPort(address), Weight: 1}},
	})
	builder.Route(model.Route{Path: "/", Backend: "n:s:80"})
	return builder.Model()
}

func TestHTTP2AtBothEnds(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, r.Proto)
		w.Header().Set("Grpc-Status", "0")
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		install(t, p, oneBackend(model.H2C, server.Listener.Addr().String()), pemFor(t, "a.test"))
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + p.HTTPS + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.Proto != "HTTP/2.0" || string(body) != "HTTP/2.0" {
			t.Errorf("the client speaks %s, the server %q, %v", response.Proto, body, err)
		}
		if response.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("trailers are %v", response.Trailer)
		}
	})
}

// TestUpgradedConnectionsSurviveReloads speaks as WebSockets do, through reloads.
func TestUpgradedConnectionsSurviveReloads(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, stream, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
			r.Header.Get("Upgrade"))
		_, _ = io.Copy(conn, stream) // an echo
	}))
	t.Cleanup(server.Close)
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		m := oneBackend(model.HTTP1, server.Listener.Addr().String())
		fallback := pemFor(t, "a.test")
		install(t, p, m, fallback)
		conn, err := net.Dial("tcp", p.HTTP)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %v, %v", response, err)
		}
		for i := range 3 {
			m.Routes = append(m.Routes, model.Route{Host: fmt.Sprintf("h%d.test", i), Path: "/", Backend: "n:s:80"})
			install(t, p, m, fallback)
			_, _ = fmt.Fprintf(conn, "message %d\n", i)
			if line, err := reader.ReadString('\n'); err != nil || line != fmt.Sprintf("message %d\n", i) {
				t.Fatalf("after reload %d: %q, %v", i+1, line, err)
			}
		}
	})
}
