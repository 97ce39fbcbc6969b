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

	server *apiserver.APIServer
	// options are the server's, with PKI.
	options apiserver.Options
	cancel  context.CancelFunc
	ended   chan error
}

// Start runs a control plane on a free port of the loopback address and returns when it is ready. seed may be empty.
func Start(ctx context.Context, dir, seed string) (*Plane, error) {
	return StartTimed(ctx, dir, seed, pki.Times{})
}

// StartTimed is Start with other times of certificates than a node's.
func StartTimed(ctx context.Context, dir, seed string, times pki.Times) (*Plane, error) {
	p := newPlane(dir)
	var err error
	if p.PKI, err = pki.OpenTimed(p.pkiDir(), p.runDir(), times); err != nil {
		return nil, err
	}
	return p, p.start(ctx, seed, false)
}

// StartProvisional is Start for a control plane that is nobody's: nobody is let in until Adopt.
func StartProvisional(ctx context.Context, dir, seed string) (*Plane, error) {
	p := newPlane(dir)
	var err error
	if p.PKI, err = pki.Provisional(p.pkiDir(), p.runDir()); err != nil {
		return nil, err
	}
	return p, p.start(ctx, seed, true)
}

// Adopt gives a provisional control plane an identity of its own: PKI and Admin are others afterwards.
func (p *Plane) Adopt(ctx context.Context) error {
	var err error
	if p.PKI, err = pki.Open(p.pkiDir(), p.runDir()); err != nil {
		return err
	}
	p.options.PKI = p.PKI
	if p.Admin, err = p.Client("admin", "system:masters"); err != nil {
		return err
	}
	return p.server.Adopt(ctx, p.options)
}

func newPlane(dir string) *Plane { return &Plane{Dir: dir, ended: make(chan error, 1)} }

func (p *Plane) start(ctx context.Context, seed string, provisional bool) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.Admin = &rest.Config{Host: "https://" + listener.Addr().String()}
	if p.Admin, err = p.Client("admin", "system:masters"); err != nil {
		return errors.Join(err, listener.Close())
	}
	datastore := etcd.New(etcd.Options{DataDir: p.EtcdDir(), Socket: p.EtcdSocket(), Seed: seed})
	p.options = apiserver.Options{
		EtcdEndpoint: datastore.Endpoint(), PKI: p.PKI, RunDir: p.runDir(), Listener: listener, Provisional: provisional,
		ServiceCIDRs: []string{"10.43.0.0/16"}, ShutdownTimeout: 100 * time.Millisecond,
	}
	p.server = apiserver.New(p.options)
	supervisor, err := component.New([]component.Component{datastore, p.server}, component.Options{})
	if err != nil {
		return errors.Join(err, listener.Close())
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
		return errors.Join(err, p.Stop())
	}
	return nil
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

func (p *Plane) pkiDir() string { return filepath.Join(p.Dir, "pki") }

func (p *Plane) runDir() string { return filepath.Join(p.Dir, "run") }
