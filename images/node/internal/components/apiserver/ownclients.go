package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// ownClients is how the server's own clients, its informers and hooks, reach it: by connections that are in this process's
// memory and nowhere else. The library would have them come in through the front door, with TLS, a certificate and a token that
// lets whoever has it do everything. Here the connection says who is asking, so there is no secret that could be known, and
// none that a machine and its copies would have in common.
type ownClients struct {
	connections chan net.Conn
	closed      chan struct{}
	closeOnce   sync.Once
	transport   *http.Transport
}

// ownClientKey marks the context of requests that came by such a connection.
type ownClientKey struct{}

// ownAddress is where they come from in the audit log.
var ownAddress = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}

func newOwnClients() *ownClients {
	o := &ownClients{connections: make(chan net.Conn), closed: make(chan struct{})}
	o.transport = &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return o.dial(ctx) },
		DisableCompression: true,
		Protocols:          ownProtocols(),
	}
	return o
}

// ownProtocols is HTTP/2, which needs one connection for all watches.
func ownProtocols() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// Config is what clients are made from. host is where they would find the server otherwise.
func (o *ownClients) Config(host string) *rest.Config {
	return &rest.Config{
		Host: "https://" + host, QPS: -1, DisableCompression: true,
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf},
		// Not as its Transport, which must not come with the authorities that a webhook of the server itself may name.
		WrapTransport: func(http.RoundTripper) http.RoundTripper { return o },
	}
}

// RoundTrip sends a request, wherever its URL leads.
func (o *ownClients) RoundTrip(request *http.Request) (*http.Response, error) {
	own := request.Clone(request.Context())
	own.URL.Scheme = "http"
	return o.transport.RoundTrip(own)
}

// Serve answers requests until ctx ends.
func (o *ownClients) Serve(ctx context.Context, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, Protocols: ownProtocols(), ReadHeaderTimeout: 30 * time.Second,
		ErrorLog: klog.NewStandardLogger("WARNING"),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), ownClientKey{}, true)
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // what it returns, Serve does
	defer stop()
	defer o.transport.CloseIdleConnections()
	if err := server.Serve(o); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve its own clients: %w", err)
	}
	return nil
}

// AuthenticateRequest says that requests of own clients are the server's own.
func (o *ownClients) AuthenticateRequest(request *http.Request) (*authenticator.Response, bool, error) {
	if own, _ := request.Context().Value(ownClientKey{}).(bool); !own {
		return nil, false, nil
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name: user.APIServerUser, Groups: []string{user.AllAuthenticated, user.SystemPrivilegedGroup},
	}}, true, nil
}

func (o *ownClients) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case o.connections <- ownConn{server}:
		return client, nil
	case <-o.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept is the server's end of a connection.
func (o *ownClients) Accept() (net.Conn, error) {
	select {
	case connection := <-o.connections:
		return connection, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}

// Close ends all dialling and accepting.
func (o *ownClients) Close() error {
	o.closeOnce.Do(func() { close(o.closed) })
	return nil
}

// Addr is the address that the connections have.
func (*ownClients) Addr() net.Addr { return ownAddress }

// ownConn is a connection in memory with an address.
type ownConn struct{ net.Conn }

// RemoteAddr is where an own client is: in this node.
func (ownConn) RemoteAddr() net.Addr { return ownAddress }
