// Package controlplane runs the smallest control plane, a datastore and an API server, in a folder of its own: to make the
// seed of an image, and for tests.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/components/apiserver"
	"sandbar.dev/node/internal/components/etcd"
	"sandbar.dev/node/internal/pki"
)

// startLimit is how long a control plane may take to become ready on a busy machine.
const startLimit = 2 * time.Minute

// Plane is a running control plane with an identity of its own.
type Plane struct {
	// Admin may do everything.
	Admin *rest.Config
	// PKI is the cluster's.
	PKI *pki.PKI
	// Dir is its folder.
	Dir string

	cancel context.CancelFunc
	ended  chan error
}

// Start runs a control plane on a free port of the loopback address and returns when it is ready. seed may be empty.
func Start(ctx context.Context, dir, seed string) (*Plane, error) {
	return StartTimed(ctx, dir, seed, pki.Times{})
}

// StartTimed is Start with other times of certificates than a node's.
func StartTimed(ctx context.Context, dir, seed string, times pki.Times) (*Plane, error) {
	p := &Plane{Dir: dir, ended: make(chan error, 1)}
	var err error
	if p.PKI, err = pki.OpenTimed(filepath.Join(dir, "pki"), p.runDir(), times); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if p.Admin, err = p.PKI.RESTConfig("admin", "system:masters"); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p.Admin.Host = "https://" + listener.Addr().String()

	datastore := etcd.New(etcd.Options{DataDir: p.EtcdDir(), Socket: p.EtcdSocket(), Seed: seed})
	server := apiserver.New(apiserver.Options{
		EtcdEndpoint: datastore.Endpoint(), PKI: p.PKI, RunDir: p.runDir(), Listener: listener,
		ServiceCIDRs: []string{"10.43.0.0/16"}, ShutdownTimeout: 100 * time.Millisecond,
	})
	supervisor, err := component.New([]component.Component{datastore, server}, component.Options{})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go p.PKI.Rotate(ctx)
	go func() { p.ended <- supervisor.Run(ctx) }()

	limit, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready after %s", startLimit))
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- supervisor.Wait(limit, apiserver.Name) }()
	select {
	case err = <-ready:
	case err = <-p.ended:
		p.ended <- nil
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Stop ends it and returns what went wrong while it ran or ended.
func (p *Plane) Stop() error {
	p.cancel()
	return <-p.ended
}

// EtcdDir is the datastore's folder.
func (p *Plane) EtcdDir() string { return filepath.Join(p.Dir, "etcd") }

// EtcdSocket is where the datastore serves.
func (p *Plane) EtcdSocket() string { return filepath.Join(p.Dir, "etcd.sock") }

// Client is a client that is the given user.
func (p *Plane) Client(user string, groups ...string) (*rest.Config, error) {
	config, err := p.PKI.RESTConfig(user, groups...)
	if err != nil {
		return nil, err
	}
	config.Host = p.Admin.Host
	return config, nil
}

func (p *Plane) runDir() string { return filepath.Join(p.Dir, "run") }
