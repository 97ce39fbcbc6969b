package component

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
)

// Begun is a component that runs before there is a supervisor, which takes it over in its list.
type Begun struct {
	Component
	cancel context.CancelCauseFunc
	// ready is closed when the component first is, done when it has ended, with err.
	ready, done chan struct{}
	err         error
}

// Begin prepares a component and runs it once needs are ready. options are those of the supervisor to come.
func Begin(ctx context.Context, c Component, options Options, needs ...*Begun) *Begun {
	b := &Begun{Component: c, ready: make(chan struct{}), done: make(chan struct{})}
	ctx, b.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	go pprof.Do(ctx, pprof.Labels(PprofLabel, c.Name()), func(ctx context.Context) {
		defer close(b.done)
		if options.Context != nil {
			ctx = options.Context(ctx, c.Name())
		}
		b.err = b.run(ctx, needs)
	})
	return b
}

func (b *Begun) run(ctx context.Context, needs []*Begun) error {
	if preparer, ok := b.Component.(Preparer); ok {
		if err := preparer.Prepare(ctx); err != nil {
			return err
		}
	}
	for _, need := range needs {
		if err := need.Await(ctx); err != nil {
			return err
		}
	}
	once := make(chan struct{}, 1)
	once <- struct{}{}
	return b.Component.Run(ctx, func() {
		select {
		case <-once:
			close(b.ready)
		default:
		}
	})
}

// Await returns when the component is ready, or why that cannot be waited for.
func (b *Begun) Await(ctx context.Context) error {
	select {
	case <-b.ready:
		return nil
	case <-b.done:
		return fmt.Errorf("component %s: %w", b.Name(), b.ended())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ended is why a component ended that was not asked to.
func (b *Begun) ended() error {
	if b.err == nil {
		return errors.New("ended by itself")
	}
	return b.err
}

// Run takes the component over: it is ready when it was, and ends with it.
func (b *Begun) Run(ctx context.Context, ready func()) error {
	for ends := b.ready; ; {
		select {
		case <-ends:
			ends = nil
			ready()
		case <-b.done:
			return b.err
		case <-ctx.Done():
			b.End(context.Cause(ctx))
			return nil
		}
	}
}

// End cancels the component and returns when it has ended.
func (b *Begun) End(cause error) {
	b.cancel(cause)
	<-b.done
}

// Check asks the component, if it can be asked.
func (b *Begun) Check(ctx context.Context) error {
	if checker, ok := b.Component.(HealthChecker); ok {
		return checker.Check(ctx)
	}
	return nil
}
