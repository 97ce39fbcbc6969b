package proxy

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	kubeproxy "k8s.io/kubernetes/pkg/proxy"
	proxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestBuildConfiguration(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		cidrs   string
		bind    string
		err     string
	}{
		"one family": {
			options: Options{NodeName: "default", NodeIPs: addresses("10.88.0.2"), PodCIDRs: prefixes("10.42.0.0/16")},
			cidrs:   "10.42.0.0/16", bind: "10.88.0.2",
		},
		"both families": {
			options: Options{NodeIPs: addresses("10.88.0.2", "fd00::2"), PodCIDRs: prefixes("10.42.0.0/16", "fd01::/48")},
			cidrs:   "10.42.0.0/16,fd01::/48", bind: "10.88.0.2",
		},
		"two of one family": {
			options: Options{NodeIPs: addresses("10.88.0.2"), PodCIDRs: prefixes("10.42.0.0/16", "10.44.0.0/16")},
			err:     "pod network 10.44.0.0/16: there is one of this family already",
		},
		"no address":     {options: Options{PodCIDRs: prefixes("10.42.0.0/16")}, err: "no address or no pod network"},
		"no pod network": {options: Options{NodeIPs: addresses("10.88.0.2")}, err: "no address or no pod network"},
	} {
		t.Run(name, func(t *testing.T) {
			configuration, err := buildConfiguration(test.options)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(configuration.DetectLocal.ClusterCIDRs, ","); got != test.cidrs {
				t.Errorf("pod networks %s, want %s", got, test.cidrs)
			}
			if configuration.BindAddress != test.bind {
				t.Errorf("address %s, want %s", configuration.BindAddress, test.bind)
			}
			if configuration.Mode != proxyconfig.ProxyModeNFTables || configuration.MetricsBindAddress != "" ||
				configuration.HealthzBindAddress != "" {
				t.Errorf("mode or open ports: %+v", configuration)
			}
			if *configuration.Linux.Conntrack.MaxPerCore != 0 || *configuration.Linux.Conntrack.Min != 0 {
				t.Error("the size of the host's connection table would be changed")
			}
		})
	}
}

func TestNodeIPs(t *testing.T) {
	byFamily := nodeIPs(addresses("10.88.0.2", "10.99.0.2"))
	if got := byFamily[corev1.IPv4Protocol].String(); got != "10.88.0.2" {
		t.Errorf("IPv4 %s: the first is the node's", got)
	}
	if got := byFamily[corev1.IPv6Protocol].String(); got != "::" {
		t.Errorf("IPv6 %s", got)
	}
}

// silentProvider is a proxy that does nothing.
type silentProvider struct{ kubeproxy.Provider }

func (silentProvider) OnServiceSynced()        {}
func (silentProvider) OnEndpointSlicesSynced() {}

func TestFirstSync(t *testing.T) {
	for name, written := range map[string]int{"at once": 1, "at the third look": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, looks := 0, 0
				first := &firstSync{
					Provider: silentProvider{}, ctx: t.Context(), ready: func() { calls++ },
					done: func(context.Context) bool { looks++; return looks >= written },
				}
				first.OnEndpointSlicesSynced()
				if calls != 0 || looks != 0 {
					t.Fatal("one list is not both")
				}
				first.OnServiceSynced()
				time.Sleep(time.Minute)
				synctest.Wait()
				if calls != 1 || looks != written {
					t.Errorf("ready was called %d times after %d looks, want once after %d", calls, looks, written)
				}
			})
		})
	}
}
