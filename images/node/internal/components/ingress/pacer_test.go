package ingress

import (
	"testing"
	"time"
)

func TestPacer(t *testing.T) {
	now := time.Unix(1000, 0)
	p := newPacer()
	expect := func(what string, got, want time.Duration) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	expect("the first event", p.afterEvent(now), batch)
	p.done(now, false)
	expect("after a change without a reload", p.afterEvent(now), batch)
	p.done(now, true)
	expect("right after a reload", p.afterEvent(now), shortestPause)
	expect("a bit later", p.afterEvent(now.Add(60*time.Millisecond)), batch)
	for range 10 {
		now = now.Add(time.Second)
		p.done(now, true)
	}
	expect("after many reloads", p.afterEvent(now), longestPause)
	now = now.Add(calm)
	expect("after a calm", p.afterEvent(now), batch)
	p.done(now, true)
	expect("after the first reload since", p.afterEvent(now), shortestPause)

	expect("a failure", p.afterFailure(), firstRetry)
	expect("a second one", p.afterFailure(), 2*firstRetry)
	for range 20 {
		p.afterFailure()
	}
	expect("many failures", p.afterFailure(), lastRetry)
	p.done(now, false)
	expect("a failure after a success", p.afterFailure(), firstRetry)
}
