package ingress

import "time"

const (
	// batch is how long changes are collected: objects of one `kubectl apply` come within it.
	batch = 50 * time.Millisecond
	// shortestPause and longestPause bound the time between two reloads, each of which leaves an old worker behind for
	// as long as its connections last.
	shortestPause = 100 * time.Millisecond
	longestPause  = 500 * time.Millisecond
	// calm is how long after a reload the pause is short again.
	calm = 5 * time.Second
	// firstRetry and lastRetry bound the pause after a failure.
	firstRetry = 25 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// pacer says when to act. It has no clock of its own.
type pacer struct {
	reloaded time.Time // the last reload
	pause    time.Duration
	retry    time.Duration
}

func newPacer() *pacer { return &pacer{pause: shortestPause, retry: firstRetry} }

// afterEvent is how long to wait after something has changed.
func (p *pacer) afterEvent(now time.Time) time.Duration {
	return max(batch, p.reloaded.Add(p.pause).Sub(now))
}

// afterFailure is how long to wait before the next attempt.
func (p *pacer) afterFailure() time.Duration {
	retry := p.retry
	p.retry = min(2*p.retry, lastRetry)
	return retry
}

// done notes an attempt that came to an end.
func (p *pacer) done(now time.Time, reloaded bool) {
	p.retry = firstRetry
	if !reloaded {
		return
	}
	if now.Sub(p.reloaded) < calm {
		p.pause = min(2*p.pause, longestPause)
	} else {
		p.pause = shortestPause
	}
	p.reloaded = now
}
