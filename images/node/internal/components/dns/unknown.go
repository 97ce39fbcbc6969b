package dns

import (
	"context"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"
)

// unknown says of every name that reaches it that there is none. It ends the chain of a server without a resolver
// outside: a refusal or a failure would be right too, but some C libraries answer those with time-outs of seconds.
type unknown struct{}

// setupUnknown sets up `sandbar_unknown`.
func setupUnknown(c *caddy.Controller) error {
	for c.Next() {
		if len(c.RemainingArgs()) > 0 {
			return plugin.Error(unknownDirective, c.ArgErr())
		}
	}
	dnsserver.GetConfig(c).AddPlugin(func(plugin.Handler) plugin.Handler { return unknown{} })
	return nil
}

// Name implements [plugin.Handler].
func (unknown) Name() string { return unknownDirective }

// ServeDNS implements [plugin.Handler].
func (unknown) ServeDNS(_ context.Context, writer dns.ResponseWriter, query *dns.Msg) (int, error) {
	answer := new(dns.Msg)
	answer.SetRcode(query, dns.RcodeNameError)
	if err := writer.WriteMsg(answer); err != nil {
		return dns.RcodeServerFailure, err
	}
	return dns.RcodeNameError, nil
}
