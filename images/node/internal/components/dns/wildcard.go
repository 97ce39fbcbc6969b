package dns

import (
	"context"
	"net"
	"net/netip"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/request"
	"github.com/miekg/dns"
)

// wildcardTTL is how long clients may keep the node's address, in seconds: it can change with a restart.
const wildcardTTL = 30

// wildcard answers every name below zone with the address.
type wildcard struct {
	next    plugin.Handler
	zone    string
	address netip.Addr
}

// setupWildcard sets up `sandbar_wildcard ZONE ADDRESS`.
func setupWildcard(c *caddy.Controller) error {
	handler := &wildcard{}
	for c.Next() {
		arguments := c.RemainingArgs()
		if len(arguments) != 2 {
			return plugin.Error(wildcardDirective, c.ArgErr())
		}
		address, err := netip.ParseAddr(arguments[1])
		if err != nil {
			return plugin.Error(wildcardDirective, err)
		}
		handler.zone, handler.address = plugin.Name(arguments[0]).Normalize(), address
	}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		handler.next = next
		return handler
	})
	return nil
}

// Name implements [plugin.Handler].
func (w *wildcard) Name() string { return wildcardDirective }

// ServeDNS implements [plugin.Handler].
func (w *wildcard) ServeDNS(ctx context.Context, writer dns.ResponseWriter, query *dns.Msg) (int, error) {
	state := request.Request{W: writer, Req: query}
	name := state.Name()
	if name == w.zone || !dns.IsSubDomain(w.zone, name) {
		return plugin.NextOrFailure(w.Name(), w.next, ctx, writer, query)
	}
	answer := new(dns.Msg)
	answer.SetReply(query)
	answer.Authoritative = true
	header := dns.RR_Header{Name: state.QName(), Rrtype: state.QType(), Class: dns.ClassINET, Ttl: wildcardTTL}
	switch {
	case state.QType() == dns.TypeA && w.address.Is4():
		answer.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IP(w.address.AsSlice())}}
	case state.QType() == dns.TypeAAAA && w.address.Is6():
		answer.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: net.IP(w.address.AsSlice())}}
	}
	if err := writer.WriteMsg(answer); err != nil {
		return dns.RcodeServerFailure, err
	}
	return dns.RcodeSuccess, nil
}
