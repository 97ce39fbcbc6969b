package dns

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"
)

// resolver is one outside that answers as it is told.
type resolver struct {
	code int
	err  error
}

func (resolver) Name() string { return "resolver" }

func (r resolver) ServeDNS(_ context.Context, writer dns.ResponseWriter, query *dns.Msg) (int, error) {
	if r.err != nil {
		return dns.RcodeServerFailure, r.err
	}
	return r.code, writer.WriteMsg(new(dns.Msg).SetRcode(query, r.code))
}

func TestTroubleOutsideIsKnownFromWhatPodsAsk(t *testing.T) {
	clock := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	known := &answers{now: func() time.Time { return clock }}
	ask := func(next plugin.Handler) {
		t.Helper()
		handler := &outside{next: next, answers: known}
		query := new(dns.Msg)
		query.SetQuestion("example.org.", dns.TypeA)
		// Its outcome is the client's.
		_, _ = handler.ServeDNS(t.Context(), &test.ResponseWriter{}, query)
	}
	expect := func(want string) {
		t.Helper()
		if got := known.trouble(); (got == nil) != (want == "") || got != nil && got.Error() != want {
			t.Errorf("got %v, want %q", got, want)
		}
	}
	expect("")
	silent := resolver{err: errors.New("i/o timeout")}
	ask(silent)
	ask(resolver{code: dns.RcodeServerFailure})
	expect("") // that may be a name's own trouble
	ask(silent)
	expect("the last 3 questions had no answer: i/o timeout")
	ask(resolver{code: dns.RcodeServerFailure})
	expect("the last 4 questions had no answer: the resolver says that it failed")
	clock = clock.Add(failuresCount)
	expect("") // nobody asked lately
	ask(silent)
	expect("the last 5 questions had no answer: i/o timeout")
	ask(resolver{code: dns.RcodeNameError}) // that there is no such name is an answer
	expect("")
}
