// Package apiserver runs kube-apiserver.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"

	"sandbar.dev/node/internal/components/etcd"
)

// Name is the component's name.
const Name = "kube-apiserver"

// readyPoll is the time between two looks at /readyz while the server starts: it announces no event.
const readyPoll = 10 * time.Millisecond

// APIServer is the component.
type APIServer struct {
	options Options
	// probe asks the running server about itself.
	probe atomic.Pointer[probe]
}

type probe struct {
	client *http.Client
	url    string
}

// New returns the component.
func New(options Options) *APIServer { return &APIServer{options: options} }

// Name is "kube-apiserver".
func (*APIServer) Name() string { return Name }

// Needs is the datastore.
func (*APIServer) Needs() []string { return []string{etcd.Name} }

// Run serves until ctx is cancelled. It is ready when /readyz says so.
func (a *APIServer) Run(ctx context.Context, ready func()) error {
	bootstrapped, err := isBootstrapped(ctx, a.options.EtcdEndpoint)
	if err != nil {
		return err
	}
	server, err := a.construct(ctx, bootstrapped)
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
func (a *APIServer) construct(ctx context.Context, bootstrapped bool) (*aggregatorapiserver.APIAggregator, error) {
	options, err := build(a.options)
	if err != nil {
		return nil, err
	}
	completed, err := options.Complete(ctx)
	if err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	if problems := completed.Validate(); len(problems) > 0 {
		return nil, fmt.Errorf("options: %w", errors.Join(problems...))
	}
	config, err := app.NewConfig(completed)
	if err != nil {
		return nil, err
	}
	if bootstrapped {
		for _, provider := range bootstrapHooks {
			name, _, err := provider.PostStartHook()
			if err != nil {
				return nil, err
			}
			config.KubeAPIs.ControlPlane.Generic.DisabledPostStartHooks.Insert(name)
		}
	}
	completedConfig, err := config.Complete()
	if err != nil {
		return nil, err
	}
	server, err := app.CreateServerChain(completedConfig)
	if err != nil {
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

func (p *probe) wait(ctx context.Context) error {
	return wait.PollUntilContextCancel(ctx, readyPoll, true, func(ctx context.Context) (bool, error) {
		return p.ask(ctx) == nil, nil
	})
}

// ask returns what is not ready.
func (p *probe) ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", "/readyz", response.Status, body)
	}
	return nil
}
