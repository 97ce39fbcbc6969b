// Package manifests applies the user's manifests after each start of the node.
//
// They are read once a start: nothing is watched, nothing is pruned. What fails is tried again with a back-off for as
// long as the node runs, and said in the component's status meanwhile.
package manifests

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/component"
)

// Name is the component's name.
const Name = "manifests"

const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// User is whom the client certificate must name.
const User = "system:sandbar:" + Name

// Any says whether the globs select anything. What keeps it from looking counts as something: Run says what it is.
func Any(globs []string) bool {
	work, err := find(globs)
	return err != nil || len(work) > 0
}

// Options are what the component needs.
type Options struct {
	// Globs select folders with a kustomization and files *.yaml, in the order in which they are applied. Each glob's
	// matches come in lexical order.
	Globs []string
	// Client is [User], who needs all rights: a manifest may hold any object. Nil applies nothing: see [Any].
	Client *rest.Config
	// Needs names the components that must be ready first.
	Needs []string
}

// Manifests is the component. It implements [component.HealthChecker].
type Manifests struct {
	options Options
	mu      sync.Mutex
	failure error
}

// New makes the component; nothing happens before Run.
func New(options Options) *Manifests { return &Manifests{options: options} }

var (
	_ component.Component     = (*Manifests)(nil)
	_ component.HealthChecker = (*Manifests)(nil)
)

// Name implements [component.Component].
func (m *Manifests) Name() string { return Name }

// Needs implements [component.Component].
func (m *Manifests) Needs() []string { return m.options.Needs }

// Run applies all manifests. It is ready after the first round: when that failed in part, Check says so until a later
// round succeeds.
func (m *Manifests) Run(ctx context.Context, ready func()) error {
	work, err := find(m.options.Globs)
	if err != nil {
		return fmt.Errorf("manifests: %w", err)
	}
	if len(work) > 0 && m.options.Client != nil {
		m.work(ctx, work, ready)
	} else {
		ready()
	}
	<-ctx.Done()
	return nil
}

// Check implements [component.HealthChecker]: what has not been applied, and why.
func (m *Manifests) Check(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failure
}

// work applies the sources in their order, again and again until each has succeeded once.
func (m *Manifests) work(ctx context.Context, work []source, ready func()) {
	apply, err := newApplier(m.options.Client)
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		if err == nil {
			work, err = round(ctx, apply, work)
		}
		if ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		m.failure = err
		m.mu.Unlock()
		ready()
		component.Recheck(ctx)
		if err == nil {
			return
		}
		klog.FromContext(ctx).Error(err, "Some manifests were not applied", "retryIn", delay)
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if apply == nil {
			apply, err = newApplier(m.options.Client)
		} else {
			err = nil
		}
	}
}

// round works through the sources and returns those that failed. A failure does not keep the next from being applied:
// the order is for what builds on each other, and then the next round mends it.
func round(ctx context.Context, apply *applier, work []source) (failed []source, err error) {
	var failures []error
	for _, source := range work {
		count, err := apply.source(ctx, source)
		if err != nil {
			failed = append(failed, source)
			failures = append(failures, fmt.Errorf("%s: %w", source.path, err))
			continue
		}
		klog.FromContext(ctx).Info("Manifests are in place", "path", source.path, "objects", count, "deleted", source.remove)
	}
	return failed, errors.Join(failures...)
}
