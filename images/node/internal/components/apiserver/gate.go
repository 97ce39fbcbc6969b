package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// gate is a listener that lets nobody in until it is opened; who comes before waits in the kernel's queue.
type gate struct {
	net.Listener
	opened, closed      chan struct{}
	openOnce, closeOnce sync.Once
	// inspections are connections of the process itself, which are let in before.
	inspections chan net.Conn
}

// inspectionPoll is the time between two looks at the certificate that is shown; the library takes a new one over by itself and
// announces no event.
const inspectionPoll = 2 * time.Millisecond

func newGate(listener net.Listener) *gate {
	return &gate{
		Listener: listener, opened: make(chan struct{}), closed: make(chan struct{}), inspections: make(chan net.Conn),
	}
}

// Open lets everybody in from now on.
func (g *gate) Open() { g.openOnce.Do(func() { close(g.opened) }) }

// Accept waits for the gate and then for somebody to come.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case <-g.opened:
		return g.Listener.Accept()
	case connection := <-g.inspections:
		return connection, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close ends all waiting.
func (g *gate) Close() error {
	g.closeOnce.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// AwaitCertificate returns when the server behind the closed gate shows the certificate cert, in DER.
func (g *gate) AwaitCertificate(ctx context.Context, cert []byte) error {
	ticker := time.NewTicker(inspectionPoll)
	defer ticker.Stop()
	for {
		shown, err := g.certificate(ctx)
		if err != nil {
			return err
		}
		if string(shown) == string(cert) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// certificate is the one that the server shows, in DER.
func (g *gate) certificate(ctx context.Context) ([]byte, error) {
	client, server := net.Pipe()
	defer func() { _ = client.Close() }() // memory alone
	select {
	case g.inspections <- server:
	case <-g.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	// Which certificate it is, is compared by whoever asks.
	connection := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec
	if err := connection.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	chain := connection.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, errors.New("the server shows no certificate")
	}
	return chain[0].Raw, nil
}
