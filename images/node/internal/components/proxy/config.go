package proxy

import (
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	proxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/utils/ptr"
)

const (
	// retryPeriod is how long after a failed write of the rules the next is tried; twice as long is unhealthy.
	retryPeriod = 10 * time.Second
	// minSyncPeriod is the least time between two writes: long enough to gather what belongs together, short enough
	// that a Service answers as soon as a person has typed the next command.
	minSyncPeriod = 200 * time.Millisecond
)

// buildConfiguration makes kube-proxy's configuration. It is pure.
func buildConfiguration(o Options) (*proxyconfig.KubeProxyConfiguration, error) {
	if len(o.NodeIPs) == 0 || len(o.PodCIDRs) == 0 {
		return nil, errors.New("kube-proxy: the node has no address or no pod network")
	}
	seen := map[bool]bool{}
	cidrs := make([]string, 0, len(o.PodCIDRs))
	for _, prefix := range o.PodCIDRs {
		if seen[prefix.Addr().Is4()] {
			return nil, fmt.Errorf("kube-proxy: pod network %s: there is one of this family already", prefix)
		}
		seen[prefix.Addr().Is4()] = true
		cidrs = append(cidrs, prefix.String())
	}
	return &proxyconfig.KubeProxyConfiguration{
		Mode:             proxyconfig.ProxyModeNFTables,
		HostnameOverride: o.NodeName,
		BindAddress:      o.NodeIPs[0].String(),
		DetectLocalMode:  proxyconfig.LocalModeClusterCIDR,
		DetectLocal:      proxyconfig.DetectLocalConfiguration{ClusterCIDRs: cidrs},
		// Empty is every address of the node but loopback: wherever the engine's forwarded ports end.
		NodePortAddresses: nil,
		NFTables:          proxyconfig.KubeProxyNFTablesConfiguration{MasqueradeBit: ptr.To[int32](14)},
		SyncPeriod:        metav1.Duration{Duration: retryPeriod},
		MinSyncPeriod:     metav1.Duration{Duration: minSyncPeriod},
		Linux: proxyconfig.KubeProxyLinuxConfiguration{
			// The table's size belongs to the whole host, and a container may not change it.
			Conntrack: proxyconfig.KubeProxyConntrackConfiguration{MaxPerCore: ptr.To[int32](0), Min: ptr.To[int32](0)},
		},
	}, nil
}
