package component

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"time"
)

// ErrStopping is the cause of a component's cancelled context when the whole supervisor was asked to stop.
var ErrStopping = errors.New("the node is stopping")

// PprofLabel is the goroutine label that names the component which started a goroutine.
const PprofLabel = "component"

// Options are the supervisor's settings; the zero value is usable.
type Options struct {
	// Context prepares the context (a logger, for example) that the named component's Run gets. It is called on the
	// goroutine that then calls Run, after its pprof labels were set.
	Context func(ctx context.Context, name string) context.Context
	// StopLimit is how long a component may take to return after it was cancelled. Default 5 s.
	StopLimit time.Duration
	// FailureStopLimit is the same after a component failed: the process is about to be replaced. Default 500 ms.
	FailureStopLimit time.Duration
	// CheckInterval is the time between two health checks of one component. Default 15 s.
	CheckInterval time.Duration
	// RetryInterval is the time until a failed check is repeated. Default 1 s.
	RetryInterval time.Duration
	// CheckTimeout limits one health check. Default 5 s.
	CheckTimeout time.Duration
	// FailureThreshold is how many checks in a row must fail to make a component degraded. Default 2.
	FailureThreshold int
}

// StopLimiter is implemented by components that may take longer than Options.StopLimit to stop.
type StopLimiter interface {
	// StopLimit is how long Run may take to return after its context was cancelled.
	StopLimit() time.Duration
}

// Preparer is implemented by components with work that needs no other component. Prepare is called at once, while Run
// waits for the needs; Run is called when both are done. An error is a failure like one of Run.
type Preparer interface {
	Prepare(ctx context.Context) error
}

// Leaning is implemented by components that start beside others that they use, but must stop before them.
type Leaning interface {
	// LeansOn names the components that stop only after this one.
	LeansOn() []string
}

// Supervisor runs components. Make one with New, and call Run once.
type Supervisor struct {
	options Options
	graph   *graph
	order   []string
	units   map[string]*unit

	mu      sync.Mutex
	changed chan struct{}
}

// unit is one component and all that the supervisor knows of it. status and phase are guarded by Supervisor.mu.
type unit struct {
	component Component
	status    Status
	phase     Phase

	// ready is closed when the component first is ready, done when its Run has returned or was given up.
	ready, done chan struct{}
	readyOnce   sync.Once
	// recheck asks for a health check at once.
	recheck chan struct{}

	ctx    context.Context
	cancel context.CancelCauseFunc
}

// New checks the list: duplicate names, unknown needs and cycles are errors, all of them at once.
func New(components []Component, options Options) (*Supervisor, error) {
	setDefault(&options.StopLimit, 5*time.Second)
	setDefault(&options.FailureStopLimit, 500*time.Millisecond)
	setDefault(&options.CheckInterval, 15*time.Second)
	setDefault(&options.RetryInterval, time.Second)
	setDefault(&options.CheckTimeout, 5*time.Second)
	setDefault(&options.FailureThreshold, 2)
	if options.Context == nil {
		options.Context = func(ctx context.Context, _ string) context.Context { return ctx }
	}
	g, err := newGraph(components)
	if err != nil {
		return nil, fmt.Errorf("components: %w", err)
	}
	s := &Supervisor{options: options, graph: g, units: map[string]*unit{}, changed: make(chan struct{})}
	now := time.Now()
	for _, c := range components {
		name := c.Name()
		s.order = append(s.order, name)
		s.units[name] = &unit{
			component: c,
			status:    Status{Name: name, State: StateWaiting, Since: now},
			phase:     Phase{Name: name},
			ready:     make(chan struct{}),
			done:      make(chan struct{}),
			recheck:   make(chan struct{}, 1),
		}
	}
	return s, nil
}

func setDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// Run starts every component as soon as its needs are ready and returns when all have ended: after ctx was cancelled
// with nil (or the errors of components that would not stop), after a component failed with its error. Components stop
// in the reverse order of their needs.
func (s *Supervisor) Run(ctx context.Context) error {
	failures := make(chan error, len(s.order))
	base := context.WithoutCancel(ctx)
	for _, name := range s.order {
		u := s.units[name]
		u.ctx, u.cancel = context.WithCancelCause(context.WithValue(base, recheckKey{}, u.recheck))
	}
	for _, name := range s.order {
		go s.runUnit(s.units[name], failures)
	}

	cause := ErrStopping
	var problems []error
	if len(s.order) > 0 {
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
				cause = fmt.Errorf("%w: %w", ErrStopping, err)
			}
		case err := <-failures:
			cause = err
			problems = append(problems, err)
		}
	}
	return errors.Join(append(problems, s.stop(cause)...)...)
}

// runUnit waits for the needs of one component and runs it.
func (s *Supervisor) runUnit(u *unit, failures chan<- error) {
	defer close(u.done)
	prepared := s.prepare(u)
	for _, need := range s.graph.needs[u.status.Name] {
		select {
		case <-s.units[need].ready:
		case <-u.ctx.Done():
			s.setState(u, StateStopped, nil)
			return
		}
	}
	err := <-prepared
	if u.ctx.Err() != nil {
		s.setState(u, StateStopped, nil)
		return
	}
	if err == nil {
		s.update(u, func() {
			u.status.State, u.status.Since = StateStarting, time.Now()
			u.phase.Start = u.status.Since
		})
		err = s.call(u)
		if u.ctx.Err() != nil {
			s.setState(u, StateStopped, nil)
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
	}
	err = fmt.Errorf("component %s: %w", u.status.Name, err)
	s.setState(u, StateFailed, err)
	failures <- err
}

// prepare begins the part of a component's start that needs nobody; the channel gets its result.
func (s *Supervisor) prepare(u *unit) <-chan error {
	result := make(chan error, 1)
	preparer, ok := u.component.(Preparer)
	if !ok {
		result <- nil
		return result
	}
	go s.labelled(u, func(ctx context.Context) { result <- preparer.Prepare(ctx) })
	return result
}

// labelled calls f with the component's context on this goroutine, labelled with its name, which goroutines inherit.
func (s *Supervisor) labelled(u *unit, f func(ctx context.Context)) {
	name := u.status.Name
	pprof.Do(u.ctx, pprof.Labels(PprofLabel, name), func(ctx context.Context) { f(s.options.Context(ctx, name)) })
}

// call runs the component and its health checks.
func (s *Supervisor) call(u *unit) (err error) {
	checksCtx, stopChecks := context.WithCancel(u.ctx)
	var checks sync.WaitGroup
	defer checks.Wait()
	defer stopChecks()
	s.labelled(u, func(ctx context.Context) {
		err = u.component.Run(ctx, func() {
			u.readyOnce.Do(func() {
				s.becomeReady(u)
				if checker, ok := u.component.(HealthChecker); ok {
					checks.Go(func() { s.check(checksCtx, u, checker) })
				}
			})
		})
	})
	return err
}

func (s *Supervisor) becomeReady(u *unit) {
	s.update(u, func() {
		u.phase.Ready = time.Now()
		if u.status.State == StateStarting {
			u.status.State, u.status.Since = StateReady, u.phase.Ready
		}
	})
	close(u.ready)
}

// stop cancels each component when nothing that needs it runs any more, and gives up on those that do not return.
func (s *Supervisor) stop(cause error) []error {
	problems := make(chan error, len(s.order))
	stopped := map[string]chan struct{}{}
	for _, name := range s.order {
		stopped[name] = make(chan struct{})
	}
	for _, name := range s.order {
		go func() {
			defer close(stopped[name])
			for _, user := range s.graph.after[name] {
				<-stopped[user]
			}
			u := s.units[name]
			u.cancel(cause)
			limit := s.stopLimit(u, cause)
			timer := time.NewTimer(limit)
			defer timer.Stop()
			select {
			case <-u.done:
			case <-timer.C:
				err := fmt.Errorf("component %s did not stop within %s", name, limit)
				s.update(u, func() { u.status.LastError = err.Error() })
				problems <- err
			}
		}()
	}
	for _, name := range s.order {
		<-stopped[name]
	}
	close(problems)
	var all []error
	for err := range problems {
		all = append(all, err)
	}
	return all
}

func (s *Supervisor) stopLimit(u *unit, cause error) time.Duration {
	if !errors.Is(cause, ErrStopping) {
		return s.options.FailureStopLimit
	}
	if limiter, ok := u.component.(StopLimiter); ok {
		return limiter.StopLimit()
	}
	return s.options.StopLimit
}

// Wait returns when the named component was ready for the first time, or with ctx's cause.
func (s *Supervisor) Wait(ctx context.Context, name string) error {
	u, known := s.units[name]
	if !known {
		return fmt.Errorf("component %q is not listed", name)
	}
	select {
	case <-u.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Status is a copy of every component's status, in the order of the list.
func (s *Supervisor) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Status, 0, len(s.order))
	for _, name := range s.order {
		status := s.units[name].status
		if status.State == StateWaiting {
			status.WaitingFor = s.notReady(name)
		}
		all = append(all, status)
	}
	return all
}

// Phases is the start of each component that has begun, in the order of the list.
func (s *Supervisor) Phases() []Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Phase
	for _, name := range s.order {
		if phase := s.units[name].phase; !phase.Start.IsZero() {
			all = append(all, phase)
		}
	}
	return all
}

// Changes returns a channel that is closed at the next change of any status or phase. To miss none, call it before
// Status and Phases.
func (s *Supervisor) Changes() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *Supervisor) update(u *unit, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Supervisor) setState(u *unit, state State, err error) {
	s.update(u, func() {
		u.status.State, u.status.Since, u.status.Reason = state, time.Now(), ""
		if err != nil {
			u.status.LastError = err.Error()
		}
	})
}

// notReady names the needs of a component that are not ready; the caller holds s.mu.
func (s *Supervisor) notReady(name string) []string {
	var missing []string
	for _, need := range s.graph.needs[name] {
		if s.units[need].phase.Ready.IsZero() {
			missing = append(missing, need)
		}
	}
	return missing
}
