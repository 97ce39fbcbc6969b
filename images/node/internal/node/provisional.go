package node

import (
	"context"
	"errors"
	"maps"
	"net"
	"runtime/debug"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/components/apiserver"
	"sandbar.dev/node/internal/components/etcd"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/paths"
	"sandbar.dev/node/internal/pki"
	"sandbar.dev/node/internal/volume"
)

// errOtherSettings ends a process whose provisional API server is of no use; the next one starts without.
var errOtherSettings = errors.New("the configuration wants another API server than the one that was begun; the node starts again")

// provisional is what a node runs before it is known whose it is: the datastore, as the image has it, and an API server that lets
// nobody in, with the default configuration and an identity that is thrown away. A machine is copied in this state, so all that
// it has made by chance counts for nothing afterwards; see [apiserver.APIServer.Adopt].
type provisional struct {
	layout          paths.Layout
	listener        net.Listener
	etcd, apiServer *component.Begun
	server          *apiserver.APIServer
}

// beginProvisional returns when the API server is ready, and nil where the volume is somebody's already.
func beginProvisional(ctx context.Context, layout paths.Layout) (*provisional, error) {
	if may, err := volume.BeginProvisional(layout); err != nil || !may {
		return nil, err
	}
	n := &node{layout: layout, config: config.Default()}
	if err := setFeatureGates(n.config); err != nil {
		return nil, err
	}
	var err error
	if n.pki, err = pki.Provisional(layout.PKI(), layout.RunPKI()); err != nil {
		return nil, err
	}
	if err := n.findAddresses(); err != nil {
		return nil, err
	}
	if n.listener, err = listen(); err != nil {
		return nil, err
	}
	options, err := n.apiServerOptions()
	if err != nil {
		return nil, errors.Join(err, n.listener.Close())
	}
	options.Provisional = true
	p := &provisional{layout: layout, listener: n.listener, server: apiserver.New(options)}
	p.etcd = component.Begin(ctx, etcd.New(n.etcdOptions()), supervision())
	p.apiServer = component.Begin(ctx, p.server, supervision(), p.etcd)
	if err := p.apiServer.Await(ctx); err != nil {
		p.end(err)
		return nil, err
	}
	// What is in memory now is in the kept state of a machine.
	debug.FreeOSMemory()
	return p, nil
}

// check returns errOtherSettings, and what was begun is gone, if the configuration of n wants something else.
func (p *provisional) check(n *node) error {
	options, err := n.apiServerOptions()
	if err != nil {
		return err
	}
	if p.server.Fits(options) && maps.Equal(n.config.FeatureGates(), config.Default().FeatureGates()) {
		return nil
	}
	p.end(errOtherSettings)
	return errors.Join(errOtherSettings, volume.DiscardProvisional(p.layout))
}

// adopt makes it n's, whose identity is known, and lets clients in.
func (p *provisional) adopt(ctx context.Context, n *node) error {
	options, err := n.apiServerOptions()
	if err != nil {
		return err
	}
	if err := volume.KeepProvisional(p.layout); err != nil {
		return err
	}
	return p.server.Adopt(ctx, options)
}

// end stops what runs.
func (p *provisional) end(cause error) {
	p.apiServer.End(cause)
	p.etcd.End(cause)
}
