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
	// config is what Prepare leaves for Run.
	config *app.Config
	// probe asks the running server about itself.
	probe atomic.Pointer[probe]
}

// New returns the component.
func New(options Options) *APIServer { return &APIServer{options: options} }

// Name is "kube-apiserver".
func (*APIServer) Name() string { return Name }

// Needs is the datastore.
func (*APIServer) Needs() []string { return []string{etcd.Name} }

// Prepare builds the server's configuration, which takes a while and needs no datastore.
func (a *APIServer) Prepare(ctx context.Context) error {
	options, err := build(a.options)
	if err != nil {
		return err
	}
	completed, err := options.Complete(ctx)
	if err != nil {
		return fmt.Errorf("options: %w", err)
	}
	if problems := completed.Validate(); len(problems) > 0 {
		return fmt.Errorf("options: %w", errors.Join(problems...))
	}
	a.config, err = newConfig(completed, a.options.PKI)
	return err
}

// Run serves until ctx is cancelled. It is ready when /readyz says so.
func (a *APIServer) Run(ctx context.Context, ready func()) error {
	bootstrapped, err := isBootstrapped(ctx, a.options.EtcdEndpoint)
	if err != nil {
		return err
	}
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
	return prepared.Run(ctx)
}

// construct builds the chain of the three API servers: aggregator, Kubernetes' own, custom resources.
// With a bootstrapped datastore, its start does not wait for the objects that every cluster has.
func (a *APIServer) construct(bootstrapped bool) (*aggregatorapiserver.APIAggregator, error) {
	if bootstrapped {
		for _, provider := range bootstrapHooks {
			name, _, err := provider.PostStartHook()
			if err != nil {
				return nil, err
			}
			a.config.KubeAPIs.ControlPlane.Generic.DisabledPostStartHooks.Insert(name)
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
