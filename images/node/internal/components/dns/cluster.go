package dns

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// syncLook is how often the start looks whether the Services are known; CoreDNS has no event for it.
const syncLook = 10 * time.Millisecond

// backend is what the directive needs beyond its words in the Corefile.
type backend struct {
	ctx     context.Context
	client  *rest.Config
	outside *answers
	// synced says whether the newest server knows the cluster's Services; nil when its Corefile does not ask for them.
	synced atomic.Pointer[func() bool]
}

// current is the backend of the one server in this process: a directive's setup gets nothing but the Corefile.
var current atomic.Pointer[backend]

func acquireBackend(ctx context.Context, client *rest.Config, outside *answers) (*backend, error) {
	if err := registerPlugins(); err != nil {
		return nil, err
	}
	config := rest.CopyConfig(client)
	config.QPS = -1
	b := &backend{ctx: ctx, client: config, outside: outside}
	if !current.CompareAndSwap(nil, b) {
		return nil, errors.New("a DNS server runs in this process already")
	}
	return b, nil
}

func (b *backend) release() { current.CompareAndSwap(b, nil) }

// waitForSync returns true when the cluster's Services are known, false when ctx ended before.
func (b *backend) waitForSync(ctx context.Context) bool {
	ticker := time.NewTicker(syncLook)
	defer ticker.Stop()
	for {
		if synced := b.synced.Load(); synced == nil || (*synced)() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

// setupCluster sets up the directive that serves the cluster's names.
func setupCluster(c *caddy.Controller) error {
	b := current.Load()
	if b == nil {
		return plugin.Error(clusterDirective, errors.New("it works inside of sandbar-node only"))
	}
	var handler *kubernetes.Kubernetes
	for c.Next() {
		if handler != nil {
			return plugin.Error(clusterDirective, plugin.ErrOnce)
		}
		var err error
		if handler, err = kubernetes.ParseStanza(c); err != nil {
			return plugin.Error(clusterDirective, err)
		}
	}
	handler.ClientConfig = fixedConfig{b.client}
	_, onShutdown, err := handler.InitKubeCache(b.ctx)
	if err != nil {
		return plugin.Error(clusterDirective, err)
	}
	c.OnStartup(func() error {
		// CoreDNS's own hook would hold up the server, in steps of 100 ms.
		go handler.APIConn.Run()
		synced := handler.APIConn.HasSynced
		b.synced.Store(&synced)
		return nil
	})
	c.OnShutdown(onShutdown)
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		handler.Next = next
		return handler
	})
	return nil
}

// fixedConfig is a client's configuration that is there already, in the shape of one that is to be loaded.
type fixedConfig struct{ client *rest.Config }

var _ clientcmd.ClientConfig = fixedConfig{}

// ClientConfig implements [clientcmd.ClientConfig].
func (f fixedConfig) ClientConfig() (*rest.Config, error) { return rest.CopyConfig(f.client), nil }

// RawConfig implements [clientcmd.ClientConfig]; there is no file behind it.
func (f fixedConfig) RawConfig() (clientcmdapi.Config, error) { return clientcmdapi.Config{}, nil }

// Namespace implements [clientcmd.ClientConfig].
func (f fixedConfig) Namespace() (string, bool, error) { return "default", false, nil }

// ConfigAccess implements [clientcmd.ClientConfig]; there is no file behind it.
func (f fixedConfig) ConfigAccess() clientcmd.ConfigAccess { return nil }
