// Package dns runs CoreDNS as the cluster's DNS server inside sandbar-node.
//
// The server listens on the cluster's DNS address itself, which stands on an interface of the node: packets of pods come
// to it without a Service's rules in between. It must not depend on a resolver outside: without one, the cluster's names
// are answered all the same.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coredns/caddy"
	"github.com/miekg/dns"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/component"
)

// Name is the component's name.
const Name = "coredns"

// Port is where the server listens, UDP and TCP.
const Port = 53

// Options are what the server needs to know. All fields without a stated default are required.
type Options struct {
	// Address is the cluster's DNS address.
	Address netip.Addr
	// ClusterDomain is the domain of Services and pods. Default cluster.local.
	ClusterDomain string
	// BaseDomain is the domain of the ingress: every name below apps.BaseDomain is the node. Empty is none.
	BaseDomain string
	// NodeIP is the node's address.
	NodeIP netip.Addr
	// Upstreams are resolvers for all other names, as ADDRESS or ADDRESS:PORT. Without one no other name exists.
	Upstreams []string
	// HostsFile is a file in the format of /etc/hosts whose names are served first. Empty is none.
	HostsFile string
	// ConfigFile is a Corefile of the user's that replaces ours and is followed when it changes. Empty is none.
	ConfigFile string
	// Client is the identity system:sandbar:coredns, bound to ClusterRole.
	Client *rest.Config
	// Interface is the name of the interface for Address. Default sandbar-dns.
	Interface string
	// Needs names the components that must be ready first.
	Needs []string
}

// DNS is the component. It implements [component.HealthChecker].
type DNS struct {
	options Options
	// rejected is the error of a changed ConfigFile, while the server goes on with the one before.
	rejected atomic.Pointer[error]
	outside  *answers
}

// New makes the component; nothing happens before Run.
func New(options Options) *DNS {
	if options.ClusterDomain == "" {
		options.ClusterDomain = "cluster.local"
	}
	if options.Interface == "" {
		options.Interface = "sandbar-dns"
	}
	return &DNS{options: options, outside: &answers{now: time.Now}}
}

var (
	_ component.Component     = (*DNS)(nil)
	_ component.HealthChecker = (*DNS)(nil)
)

// Name implements [component.Component].
func (d *DNS) Name() string { return Name }

// Needs implements [component.Component].
func (d *DNS) Needs() []string { return d.options.Needs }

// Run serves until ctx ends. It is ready when it listens and knows the cluster's Services.
func (d *DNS) Run(ctx context.Context, ready func()) error {
	if err := prepareAddress(ctx, d.options.Interface, d.options.Address); err != nil {
		return fmt.Errorf("coredns: %w", err)
	}
	changes, err := watchFile(ctx, d.options.ConfigFile)
	if err != nil {
		return fmt.Errorf("coredns: %w", err)
	}
	input, err := d.input()
	if err != nil {
		return fmt.Errorf("coredns: %w", err)
	}
	backend, err := acquireBackend(ctx, d.options.Client, d.outside)
	if err != nil {
		return fmt.Errorf("coredns: %w", err)
	}
	defer backend.release()
	instance, err := caddy.Start(input)
	if err != nil {
		return fmt.Errorf("coredns: start: %w", err)
	}
	defer func() {
		for _, err := range instance.ShutdownCallbacks() {
			klog.FromContext(ctx).Error(err, "Shutting down")
		}
		if err := instance.Stop(); err != nil {
			klog.FromContext(ctx).Error(err, "Stopping")
		}
	}()
	if !backend.waitForSync(ctx) {
		return nil
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
			instance = d.reload(ctx, instance)
		}
	}
}

// reload starts the server anew with the changed Corefile, on the same sockets; if it is bad, the old one goes on.
func (d *DNS) reload(ctx context.Context, instance *caddy.Instance) *caddy.Instance {
	input, err := d.input()
	if err == nil {
		var next *caddy.Instance
		if next, err = instance.Restart(input); err == nil {
			klog.FromContext(ctx).Info("The Corefile was read again", "file", d.options.ConfigFile)
			instance = next
		}
	}
	if err != nil {
		err = fmt.Errorf("%s is not used, the one before goes on: %w", d.options.ConfigFile, err)
		klog.FromContext(ctx).Error(err, "The Corefile was rejected")
		d.rejected.Store(&err)
	} else {
		d.rejected.Store(nil)
	}
	component.Recheck(ctx)
	return instance
}

// Outside says why names outside the cluster are not found at present. That is no failure of the server: the cluster's own
// names are.
func (d *DNS) Outside() error { return d.outside.trouble() }

// Check implements [component.HealthChecker]: it asks the server for the Service "kubernetes".
func (d *DNS) Check(ctx context.Context) error {
	if rejected := d.rejected.Load(); rejected != nil {
		return *rejected
	}
	query := new(dns.Msg)
	query.SetQuestion("kubernetes.default.svc."+dns.Fqdn(d.options.ClusterDomain), dns.TypeA)
	client := &dns.Client{Timeout: 2 * time.Second}
	server := net.JoinHostPort(d.options.Address.String(), strconv.Itoa(Port))
	answer, _, err := client.ExchangeContext(ctx, query, server)
	if err != nil {
		return fmt.Errorf("ask %s: %w", server, err)
	}
	if answer.Rcode != dns.RcodeSuccess || len(answer.Answer) == 0 {
		return errors.New("the Service kubernetes.default is not found: " + dns.RcodeToString[answer.Rcode])
	}
	return nil
}
