package dns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/miekg/dns"
)

const (
	// enoughFailures in a row are more than one name's own trouble: a program asks for both kinds of addresses at once.
	enoughFailures = 3
	// failuresCount is how long after the last one they tell of how it is.
	failuresCount = 5 * time.Minute
)

// answers remember what became of the questions that went outside. Nobody is asked for the sake of knowing: what counts is
// what pods see.
type answers struct {
	now func() time.Time

	mu       sync.Mutex
	failures int
	last     time.Time
	reason   error
}

// note notes the outcome of a question; nil is an answer, also that there is no such name.
func (a *answers) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.failures, a.reason = 0, nil
		return
	}
	a.failures, a.last, a.reason = a.failures+1, a.now(), err
}

// trouble says why names outside are not found at present; nil when they are, or when nobody asked lately.
func (a *answers) trouble() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failures < enoughFailures || a.now().Sub(a.last) >= failuresCount {
		return nil
	}
	return fmt.Errorf("the last %d questions had no answer: %w", a.failures, a.reason)
}

// outside passes questions on to the resolvers outside and notes what becomes of them.
type outside struct {
	next    plugin.Handler
	answers *answers
}

// setupOutside sets up `sandbar_outside`.
func setupOutside(c *caddy.Controller) error {
	b := current.Load()
	if b == nil {
		return plugin.Error(outsideDirective, errors.New("it works inside of sandbar-node only"))
	}
	for c.Next() {
		if len(c.RemainingArgs()) > 0 {
			return plugin.Error(outsideDirective, c.ArgErr())
		}
	}
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		return &outside{next: next, answers: b.outside}
	})
	return nil
}

// Name implements [plugin.Handler].
func (o *outside) Name() string { return outsideDirective }

// ServeDNS implements [plugin.Handler].
func (o *outside) ServeDNS(ctx context.Context, writer dns.ResponseWriter, query *dns.Msg) (int, error) {
	recorder := dnstest.NewRecorder(writer)
	code, err := plugin.NextOrFailure(o.Name(), o.next, ctx, recorder, query)
	switch {
	case err != nil:
		o.answers.note(err)
	case code == dns.RcodeServerFailure || recorder.Rcode == dns.RcodeServerFailure:
		o.answers.note(errors.New("the resolver says that it failed"))
	default:
		o.answers.note(nil)
	}
	return code, err
}
