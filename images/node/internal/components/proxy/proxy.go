// Package proxy runs Kubernetes' kube-proxy in nftables mode inside sandbar-node.
//
// Its one job is to make Services reachable. It never touches iptables, opens no port, and does not follow the Node
// object: the node's address is known, and a change of it is a new start.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
	kubeproxy "k8s.io/kubernetes/pkg/proxy"
	proxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	"k8s.io/kubernetes/pkg/proxy/conntrack"
	"k8s.io/kubernetes/pkg/proxy/healthcheck"
	"k8s.io/kubernetes/pkg/proxy/nftables"
	proxyutil "k8s.io/kubernetes/pkg/proxy/util"

	"sandbar.dev/node/internal/component"
)

// Name is the component's name.
const Name = "kube-proxy"

// Options are what kube-proxy needs to know; all fields but Needs are required.
type Options struct {
	// NodeName is the name of the Node object.
	NodeName string
	// NodeIPs is the node's address, or one of each family; the first is of the primary family.
	NodeIPs []netip.Addr
	// PodCIDRs are the networks of pods, one a family: what comes from there is not masqueraded.
	PodCIDRs []netip.Prefix
	// Client is the identity system:kube-proxy.
	Client *rest.Config
	// Needs names the components that must be ready first.
	Needs []string
}

// Proxy is the component. It implements [component.HealthChecker].
type Proxy struct {
	options Options
	health  atomic.Pointer[healthcheck.ProxyHealthServer]
}

// New makes the component; nothing happens before Run.
func New(options Options) *Proxy { return &Proxy{options: options} }

var (
	_ component.Component     = (*Proxy)(nil)
	_ component.HealthChecker = (*Proxy)(nil)
)

// Name implements [component.Component].
func (p *Proxy) Name() string { return Name }

// Needs implements [component.Component].
func (p *Proxy) Needs() []string { return p.options.Needs }

// Run runs kube-proxy. It is ready when the rules for all Services that there are stand in the kernel. The rules stay
// when it ends, so that connections go on while sandbar-node restarts.
func (p *Proxy) Run(ctx context.Context, ready func()) error {
	configuration, err := buildConfiguration(p.options)
	if err != nil {
		return err
	}
	server, err := p.server(ctx, configuration, ready)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	select {
	case <-ctx.Done(): // its loops end with the process
		return nil
	case err := <-ended:
		if err == nil {
			err = errors.New("it returned by itself")
		}
		return fmt.Errorf("kube-proxy: %w", err)
	}
}

// Check implements [component.HealthChecker]: whether the rules keep up with the changes.
func (p *Proxy) Check(context.Context) error {
	health := p.health.Load()
	if health == nil {
		return errors.New("kube-proxy has not started")
	}
	state := health.Health()
	if !state.Healthy {
		return fmt.Errorf("the rules in the kernel are behind the Services since %s",
			state.LastUpdated.Format(time.RFC3339))
	}
	return nil
}

func (p *Proxy) server(
	ctx context.Context, configuration *proxyconfig.KubeProxyConfiguration, ready func(),
) (*app.ProxyServer, error) {
	if err := conntrack.SetSysctls(ctx, &configuration.Linux.Conntrack); err != nil {
		return nil, fmt.Errorf("kube-proxy: connection tracking: %w", err)
	}
	config := rest.CopyConfig(p.options.Client)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube-proxy: client: %w", err)
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	recorder := broadcaster.NewRecorder(scheme.Scheme, Name)
	health := healthcheck.NewProxyHealthServer("", 2*configuration.SyncPeriod.Duration, noNode{})
	p.health.Store(health)
	proxier, err := newProxier(ctx, configuration, p.options, recorder, health)
	if err != nil {
		return nil, fmt.Errorf("kube-proxy: %w", err)
	}
	return &app.ProxyServer{
		Config:          configuration,
		Client:          client,
		Broadcaster:     broadcaster,
		Recorder:        recorder,
		NodeRef:         &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: p.options.NodeName},
		HealthzServer:   nil, // its port would be open to the world; Check asks it directly
		NodeName:        p.options.NodeName,
		PrimaryIPFamily: family(p.options.NodeIPs[0]),
		NodeIPs:         nodeIPs(p.options.NodeIPs),
		Proxier:         &firstSync{Provider: proxier, ctx: ctx, ready: ready, done: rulesStand(p.options.PodCIDRs)},
	}, nil
}

// newProxier makes the proxy for the families that pods have.
func newProxier(
	ctx context.Context, configuration *proxyconfig.KubeProxyConfiguration, options Options,
	recorder events.EventRecorder, health *healthcheck.ProxyHealthServer,
) (kubeproxy.Provider, error) {
	detectors := map[corev1.IPFamily]proxyutil.LocalTrafficDetector{
		corev1.IPv4Protocol: proxyutil.NewNoOpLocalDetector(),
		corev1.IPv6Protocol: proxyutil.NewNoOpLocalDetector(),
	}
	var families []corev1.IPFamily
	for _, prefix := range options.PodCIDRs {
		families = append(families, family(prefix.Addr()))
		detectors[family(prefix.Addr())] = proxyutil.NewDetectLocalByCIDR(prefix.String())
	}
	addresses := nodeIPs(options.NodeIPs)
	slices.Sort(families)
	if len(slices.Compact(families)) == 2 {
		return nftables.NewDualStackProxier(
			ctx, configuration, detectors, options.NodeName, addresses, recorder, health, false)
	}
	only := families[0]
	return nftables.NewProxier(
		ctx, configuration, only, detectors[only], options.NodeName, addresses[only], recorder, health, false)
}

func family(address netip.Addr) corev1.IPFamily {
	if address.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// nodeIPs are the node's addresses by family; a family without one gets the unspecified address, as kube-proxy does.
func nodeIPs(addresses []netip.Addr) map[corev1.IPFamily]net.IP {
	byFamily := map[corev1.IPFamily]net.IP{
		corev1.IPv4Protocol: net.IPv4zero,
		corev1.IPv6Protocol: net.IPv6zero,
	}
	for _, address := range slices.Backward(addresses) {
		byFamily[family(address)] = net.IP(address.AsSlice())
	}
	return byFamily
}

// noNode stands for the Node object, which only the health server's HTTP handler looks at; it is not run.
type noNode struct{}

// Node implements the health server's view of the node.
func (noNode) Node() *corev1.Node { return nil }
