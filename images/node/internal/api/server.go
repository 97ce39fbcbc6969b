// Package api serves the node contract on sandbar-node's UNIX socket: status, kubeconfig and images, as HTTP with JSON.
//
// The server answers as soon as Serve is called, long before any component exists: what is not known yet is empty, and
// what cannot be done yet waits. Only root (and the server's own user, for tests) may connect.
package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"sandbar.dev/node/internal/memory"
)

const (
	// initTimeout limits how long a report waits for sandbar-init.
	initTimeout = time.Second
	// headerTimeout limits how long a client may take for the head of its request.
	headerTimeout = 10 * time.Second
	// shutdownTimeout limits how long running requests are waited for at the end.
	shutdownTimeout = time.Second
	// volumeInterval is how often a watched report looks at the volume's space, which nobody announces.
	volumeInterval = 10 * time.Second
	// reconnectInterval is how long to wait for sandbar-init after it did not answer.
	reconnectInterval = time.Second
)

// Options are the server's fixed settings.
type Options struct {
	// Socket is the path to serve on.
	Socket string
	// Volume is the path whose space is reported.
	Volume string
	// Init tells what sandbar-init knows.
	Init Init
	// ControlGroups is where control groups are mounted. Default memory.Root.
	ControlGroups string
}

// Server serves the contract.
type Server struct {
	options Options

	mu      sync.Mutex
	sources Sources
	changed chan struct{}
}

// New makes a server; nothing is opened before [Server.Serve].
func New(options Options) *Server {
	if options.ControlGroups == "" {
		options.ControlGroups = memory.Root
	}
	return &Server{options: options, changed: make(chan struct{})}
}

// Update changes what reports are made from, and tells everyone who waits.
func (s *Server) Update(change func(*Sources)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.sources)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Changed says that something that a source returns has changed.
func (s *Server) Changed() { s.Update(func(*Sources) {}) }

// snapshot returns the sources, and a channel that is closed at their next change.
func (s *Server) snapshot() (Sources, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sources, s.changed
}

// Listen opens the socket, mode 0600, in place of one that a crash left behind. The process must be the only server of
// that path.
func (s *Server) Listen() (net.Listener, error) {
	// Bound under another name and renamed, the socket is never there with another mode, or without a listener behind it.
	temporary := fmt.Sprintf("%s.%d", s.options.Socket, os.Getpid())
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", s.options.Socket, err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.options.Socket, err)
	}
	listener.SetUnlinkOnClose(false)
	err = os.Chmod(temporary, 0o600)
	if err == nil {
		err = os.Rename(temporary, s.options.Socket)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", s.options.Socket, errors.Join(err, listener.Close(), os.Remove(temporary)))
	}
	return rootOnly{listener}, nil
}

// Serve answers on the listener until ctx ends; then it gives running requests a second.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", s.options.Socket, err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		if err := server.Close(); err != nil {
			return fmt.Errorf("close %s: %w", s.options.Socket, err)
		}
	}
	<-failed
	return nil
}

// rootOnly accepts connections of root and of the process' own user only. The socket's mode says the same; this holds
// where a path's modes do not, such as for a descriptor that was passed on.
type rootOnly struct{ *net.UnixListener }

// Accept waits for the next connection that is allowed.
func (l rootOnly) Accept() (net.Conn, error) {
	for {
		connection, err := l.AcceptUnix()
		if err != nil {
			return nil, err // net/http recognises it
		}
		if peer, err := peerUser(connection); err == nil && (peer == 0 || int(peer) == os.Geteuid()) {
			return connection, nil
		}
		// Nobody is told of it: the peer sees an end of file, and there is no one else to tell.
		_ = connection.Close()
	}
}

// peerUser is the user ID at the other end.
func peerUser(connection *net.UnixConn) (uint32, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("look at a connection: %w", err)
	}
	var credentials *syscall.Ucred
	var inner error
	err = raw.Control(func(descriptor uintptr) {
		credentials, inner = syscall.GetsockoptUcred(int(descriptor), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, inner); err != nil {
		return 0, fmt.Errorf("ask who is at the other end: %w", err)
	}
	return credentials.Uid, nil
}
