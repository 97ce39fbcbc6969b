package component

import (
	"context"
	"time"
)

type recheckKey struct{}

// Recheck asks the supervisor to call the Check of the component that got ctx now, not at the next interval. A component
// calls it when it knows that its health has changed. Without a supervisor behind ctx it does nothing.
func Recheck(ctx context.Context) {
	if recheck, ok := ctx.Value(recheckKey{}).(chan struct{}); ok {
		select {
		case recheck <- struct{}{}:
		default: // a check is asked for already
		}
	}
}

// check calls the component's own check until ctx ends, and turns its answers into the states ready and degraded.
func (s *Supervisor) check(ctx context.Context, u *unit, checker HealthChecker) {
	timer := time.NewTimer(s.options.CheckInterval)
	defer timer.Stop()
	failures := 0
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-u.recheck:
			asked = true
		case <-timer.C:
		}
		checkCtx, cancel := context.WithTimeout(ctx, s.options.CheckTimeout)
		err := checker.Check(checkCtx)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
			s.recovered(u)
			timer.Reset(s.options.CheckInterval)
			continue
		}
		failures++
		// A component that asked for the check knows what it says: one answer is enough.
		if asked || failures >= s.options.FailureThreshold {
			failures = max(failures, s.options.FailureThreshold)
			s.degraded(u, err)
		}
		timer.Reset(s.options.RetryInterval)
	}
}

func (s *Supervisor) recovered(u *unit) {
	s.mu.Lock()
	degraded := u.status.State == StateDegraded
	s.mu.Unlock()
	if degraded {
		s.setState(u, StateReady, nil)
	}
}

func (s *Supervisor) degraded(u *unit, err error) {
	reason := err.Error()
	s.mu.Lock()
	known := u.status.State == StateDegraded && u.status.Reason == reason
	running := u.status.State == StateReady || u.status.State == StateDegraded
	s.mu.Unlock()
	if known || !running {
		return
	}
	s.update(u, func() {
		if u.status.State != StateDegraded {
			u.status.State, u.status.Since = StateDegraded, time.Now()
		}
		u.status.Reason, u.status.LastError = reason, reason
	})
}
