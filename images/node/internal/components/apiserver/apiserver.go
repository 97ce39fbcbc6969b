// Package apiserver runs kube-apiserver.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"k8s.io/client-go/rest"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"

	"sandbar.dev/node/internal/components/etcd"
)

// Name is the component's name.
const Name = "kube-apiserver"

// APIServer is the component.
type APIServer struct {
	options Options
	// own, keys, gate and config are what Prepare leaves for Run.
	own    *ownClients
	keys   *credentials
	gate   *gate
	config *app.Config
	// running is what Run leaves for Adopt.
	running atomic.Pointer[running]
	// probe asks the running server about itself.
	probe atomic.Pointer[probe]
}

// running is a server that runs, until ctx ends.
type running struct {
	cluster
	ctx     context.Context
	adopted atomic.Bool
}

// New returns the component.
func New(options Options) *APIServer { return &APIServer{options: options} }

// Name is "kube-apiserver".
func (*APIServer) Name() string { return Name }

// Needs is the datastore.
func (*APIServer) Needs() []string { return []string{etcd.Name} }

// Prepare builds the server's configuration, which takes a while and needs no datastore.
func (a *APIServer) Prepare(ctx context.Context) error {
	written, err := writeFiles(a.options)
	if err != nil {
		return err
	}
	options, err := build(a.options, written)
	if err != nil {
		return err
	}
	if a.keys, err = newCredentials(a.options.PKI.ServiceAccountKeyFile(), written.encryption); err != nil {
		return err
	}
	completed, err := complete(ctx, options, a.keys)
	if err != nil {
		return err
	}
	a.own = newOwnClients()
	if a.config, err = newConfig(completed, a.keys, a.own); err != nil {
		return err
	}
	serving := a.config.KubeAPIs.ControlPlane.Generic.SecureServing
	a.gate = newGate(serving.Listener)
	serving.Listener = a.gate
	return nil
}

// Run serves until ctx is cancelled. It is ready when /readyz says so; a provisional one lets nobody in until Adopt.
func (a *APIServer) Run(ctx context.Context, ready func()) error {
	bootstrapped, err := isBootstrapped(ctx, a.options.EtcdEndpoint)
	if err != nil {
		return err
	}
	if a.options.Provisional && !bootstrapped {
		return errors.New("a provisional API server needs a datastore that has what every cluster has")
	}
	run := &running{cluster: cluster{a.config.KubeAPIs}, ctx: ctx}
	server, err := a.construct(bootstrapped)
	if err != nil {
		return err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	loopback := server.GenericAPIServer.LoopbackClientConfig
	client, err := rest.HTTPClientFor(loopback)
	if err != nil {
		return fmt.Errorf("client of itself: %w", err)
	}
	p := &probe{client: client, url: loopback.Host + "/readyz"}
	a.probe.Store(p)

	// Its own clients are served until it has stopped, for they take part in that.
	ownCtx, stopOwn := context.WithCancel(context.WithoutCancel(ctx))
	own := make(chan error, 1)
	go func() { own <- a.own.Serve(ownCtx, server.GenericAPIServer.Handler) }()
	a.running.Store(run)
	if a.options.Provisional {
		err = run.prepare(ctx)
	} else if err = run.begin(ctx); err == nil {
		a.gate.Open()
	}
	if err != nil {
		stopOwn()
		return errors.Join(err, <-own)
	}
	readyCtx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if err := p.wait(readyCtx); err != nil {
			return
		}
		ready()
		if bootstrapped {
			bootstrapLater(readyCtx, loopback)
		}
	}()
	err = prepared.Run(ctx)
	stopOwn()
	return errors.Join(err, <-own)
}

// construct builds the chain of the three API servers: aggregator, Kubernetes' own, custom resources.
// With a bootstrapped datastore, its start does not wait for the objects that every cluster has.
func (a *APIServer) construct(bootstrapped bool) (*aggregatorapiserver.APIAggregator, error) {
	disabled := a.config.KubeAPIs.ControlPlane.Generic.DisabledPostStartHooks
	disabled.Insert(clusterHooks...)
	if bootstrapped {
		for _, provider := range bootstrapHooks {
			name, _, err := provider.PostStartHook()
			if err != nil {
				return nil, err
			}
			disabled.Insert(name)
		}
	}
	completed, err := a.config.Complete()
	if err != nil {
		return nil, err
	}
	documented := a.config.KubeAPIs.ControlPlane.Generic
	a.config = nil
	server, err := app.CreateServerChain(completed)
	if err != nil {
		return nil, err
	}
	if err := documentOnDemand(server, documented); err != nil {
		return nil, err
	}
	if a.options.ShutdownTimeout > 0 {
		server.GenericAPIServer.ShutdownTimeout = a.options.ShutdownTimeout
	}
	return server, nil
}

// Check asks /readyz, which includes the datastore.
func (a *APIServer) Check(ctx context.Context) error {
	p := a.probe.Load()
	if p == nil {
		return errors.New("not started")
	}
	return p.ask(ctx)
}
