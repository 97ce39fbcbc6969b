package proxy

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	kubeproxy "k8s.io/kubernetes/pkg/proxy"
	"sigs.k8s.io/knftables"
)

// The table that kube-proxy writes and a chain that is in it from the first write on.
const (
	table         = "kube-proxy"
	servicesChain = "services"
)

// firstSync is a proxy that says when it has written its rules for the first time. Both lists, of Services and of
// EndpointSlices, end with a call that writes the rules before it returns; the second of the two writes all.
type firstSync struct {
	kubeproxy.Provider
	ctx   context.Context
	ready func()
	// done says whether rules have been written.
	done  func(context.Context) bool
	lists atomic.Int32
}

// OnServiceSynced implements [kubeproxy.Provider].
func (f *firstSync) OnServiceSynced() {
	f.Provider.OnServiceSynced()
	f.listed()
}

// OnEndpointSlicesSynced implements [kubeproxy.Provider].
func (f *firstSync) OnEndpointSlicesSynced() {
	f.Provider.OnEndpointSlicesSynced()
	f.listed()
}

func (f *firstSync) listed() {
	if f.lists.Add(1) != 2 {
		return
	}
	if f.done(f.ctx) {
		f.ready()
		return
	}
	// The first write failed; the proxy tries again by itself and tells nobody.
	go func() {
		err := wait.PollUntilContextCancel(f.ctx, retryPeriod, false, func(ctx context.Context) (bool, error) {
			return f.done(ctx), nil
		})
		if err == nil {
			f.ready()
		}
	}()
}

// rulesStand returns a function that asks the kernel whether kube-proxy's table is there for each family of cidrs. A
// write is one transaction, so one chain tells of all.
func rulesStand(cidrs []netip.Prefix) func(context.Context) bool {
	return func(ctx context.Context) bool {
		for _, prefix := range cidrs {
			family := knftables.IPv4Family
			if prefix.Addr().Is6() {
				family = knftables.IPv6Family
			}
			nft, err := knftables.New(family, table)
			if err != nil {
				klog.FromContext(ctx).Error(err, "Cannot look at the rules")
				return false
			}
			chains, err := nft.List(ctx, "chains")
			if err != nil || !slices.Contains(chains, servicesChain) {
				return false
			}
		}
		return true
	}
}
