package dns

import (
	"fmt"
	"slices"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"

	// The directives of our Corefile, and those that a Corefile of the user's is likely to have.
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/bufsize"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/template"
)

const (
	// clusterDirective serves the names of the cluster; it takes what CoreDNS's directive "kubernetes" takes. That one
	// replaces the log of the whole process and wants a kubeconfig.
	clusterDirective = "sandbar_cluster"
	// wildcardDirective serves every name below a zone with the same address.
	wildcardDirective = "sandbar_wildcard"
	// outsideDirective notes what becomes of questions that go outside.
	outsideDirective = "sandbar_outside"
	// unknownDirective says that no other names exist.
	unknownDirective = "sandbar_unknown"
)

// registerPlugins adds our directives to CoreDNS's once a process: its lists are package variables.
var registerPlugins = sync.OnceValue(func() error {
	caddy.Quiet = true
	dnsserver.Quiet = true
	place := slices.Index(dnsserver.Directives, "kubernetes")
	if place < 0 {
		return fmt.Errorf("CoreDNS has no directive kubernetes to stand in for")
	}
	// The wildcard comes first: the base domain may be one that is also known outside.
	dnsserver.Directives = slices.Insert(dnsserver.Directives, place, wildcardDirective, clusterDirective)
	if place = slices.Index(dnsserver.Directives, "forward"); place < 0 {
		return fmt.Errorf("CoreDNS has no directive forward to look at")
	}
	dnsserver.Directives = slices.Insert(dnsserver.Directives, place, outsideDirective)
	dnsserver.Directives = append(dnsserver.Directives, unknownDirective)
	plugin.Register(wildcardDirective, setupWildcard)
	plugin.Register(clusterDirective, setupCluster)
	plugin.Register(outsideDirective, setupOutside)
	plugin.Register(unknownDirective, setupUnknown)
	return nil
})
