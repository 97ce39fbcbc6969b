// Package sshd is a machine's SSH server (RFC 4253, 4254): programs, shells with and without a terminal, signals and exit
// statuses, for whoever has one of the given keys, who is root. No forwarding, no passwords.
// Nothing here may import k8s.io: it has to start in milliseconds, also under emulation.
package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// handshakeLimit is how long a connection may take until its user is known.
const handshakeLimit = time.Minute

// Options are what a [Server] needs.
type Options struct {
	// HostKey is a private key as PEM, AuthorizedKeys lines of authorized_keys(5) without options.
	HostKey, AuthorizedKeys []byte
	// Environment is what programs get, as os.Environ has it.
	Environment []string
	// Logf takes a line for each connection that failed.
	Logf func(format string, args ...any)
}

// Server is an SSH server.
type Server struct {
	config      *ssh.ServerConfig
	environment []string
	logf        func(format string, args ...any)
	connections sync.WaitGroup
}

// New makes a server.
func New(options Options) (*Server, error) {
	signer, err := ssh.ParsePrivateKey(options.HostKey)
	if err != nil {
		return nil, fmt.Errorf("the host key: %w", err)
	}
	var allowed [][]byte
	for rest := options.AuthorizedKeys; len(bytes.TrimSpace(rest)) > 0; {
		var key ssh.PublicKey
		if key, _, _, rest, err = ssh.ParseAuthorizedKey(rest); err != nil {
			return nil, fmt.Errorf("the keys that are let in: %w", err)
		}
		allowed = append(allowed, key.Marshal())
	}
	if len(allowed) == 0 {
		return nil, errors.New("no key is let in")
	}
	config := &ssh.ServerConfig{
		// One exchange, and two ciphers with authentication of their own: under emulation each counts.
		Config: ssh.Config{
			KeyExchanges: []string{ssh.KeyExchangeCurve25519},
			Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305},
		},
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if slices.ContainsFunc(allowed, func(one []byte) bool { return bytes.Equal(one, key.Marshal()) }) {
				return &ssh.Permissions{}, nil
			}
			return nil, errors.New("the key is not let in")
		},
		ServerVersion: "SSH-2.0-sandbar",
	}
	config.AddHostKey(signer)
	return &Server{config: config, environment: withoutOwn(options.Environment), logf: options.Logf}, nil
}

// withoutOwn leaves out what only this program is meant to know.
func withoutOwn(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(entry string) bool { return strings.HasPrefix(entry, "SANDBAR_READY_FD=") })
}

// Serve accepts connections until ctx is done, then ends them with everything that runs in them.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	defer s.connections.Wait()
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept connections: %w", err)
		}
		s.connections.Go(func() {
			if err := s.serve(ctx, connection); err != nil {
				s.logf("connection of %s: %v", connection.RemoteAddr(), err)
			}
		})
	}
}

// serve is one connection until its end.
func (s *Server) serve(ctx context.Context, connection net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(handshakeLimit)); err != nil {
		return err
	}
	_, channels, requests, err := ssh.NewServerConn(connection, s.config)
	if err != nil {
		return err
	}
	if err := connection.SetDeadline(time.Time{}); err != nil {
		return err
	}
	go ssh.DiscardRequests(requests)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	// The list of channels ends with the connection, and so does each channel's list of requests.
	for offered := range channels {
		if offered.ChannelType() != "session" {
			if err := offered.Reject(ssh.UnknownChannelType, "only sessions are served"); err != nil {
				return err
			}
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return err
		}
		sessions.Go(func() {
			one := &session{channel: channel, environment: slices.Clone(s.environment), logf: s.logf}
			one.serve(requests)
		})
	}
	return nil
}
