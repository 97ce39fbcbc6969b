package initd

import (
	"fmt"
	"slices"
	"time"

	"sandbar.dev/node/internal/initapi"
)

// machine is the state of all children. It is owned by one goroutine, does nothing itself and never looks at a clock:
// events and the present time go in, actions come out.
type machine struct {
	policy   policy
	children []*child
	phase    phase
	// deadline is when the present phase of the stop is cut short; zero outside a stop.
	deadline time.Time
	grace    time.Duration
	revision uint64
	started  time.Time
	// outOfMemory has no times while the node's memory limit was never reached.
	outOfMemory initapi.OutOfMemory
}

// policy has the times that the machine goes by.
type policy struct {
	// stopGrace is what pods get at most when no stop says otherwise.
	stopGrace time.Duration
	// nodeMargin is what sandbar-node gets on top of the pods' grace before it is killed.
	nodeMargin time.Duration
	// serverLimit is what every other child gets to end.
	serverLimit time.Duration
	// restLimit is what all other processes get between SIGTERM and SIGKILL.
	restLimit time.Duration
	// steady is how long a child must have been ready for its failures before that to be forgotten.
	steady time.Duration
	// backoffFirst is the delay before the second restart (the first is at once), doubled up to backoffMost.
	backoffFirst, backoffMost time.Duration
}

func defaultPolicy() policy {
	return policy{
		stopGrace:    initapi.DefaultStopGrace,
		nodeMargin:   3 * time.Second,
		serverLimit:  2 * time.Second,
		restLimit:    300 * time.Millisecond,
		steady:       20 * time.Second,
		backoffFirst: 250 * time.Millisecond,
		backoffMost:  15 * time.Second,
	}
}

// phase is how far the stop is.
type phase int

const (
	phaseRunning phase = iota
	// phaseChildren ends the children one after the other, in the reverse order of the list.
	phaseChildren
	// phaseRest ends every other process.
	phaseRest
	// phaseKill waits for what was killed.
	phaseKill
	phaseDone
)

type child struct {
	initapi.Child
	// failures counts ends since it was last steady, and faults those among them that were its own doing.
	failures, faults int
	// retryAt is when a child in back-off is started again.
	retryAt time.Time
	// signalled says that the stop has reached it.
	signalled bool
}

// Events.
type (
	// eventBegin starts everything.
	eventBegin struct{}
	// eventStarted says that a start that was asked for worked.
	eventStarted struct {
		name string
		pid  int
	}
	// eventStartFailed says that it did not.
	eventStartFailed struct {
		name string
		err  error
	}
	// eventReady says that the process is ready; one of an earlier process of the same child is not meant.
	eventReady struct {
		name string
		pid  int
	}
	// eventExited says that a process was collected, be it a child or an orphan.
	eventExited struct {
		pid  int
		exit initapi.Exit
	}
	// eventTick says that a time which next gave has come.
	eventTick struct{}
	// eventStop asks for the stop. A nil grace leaves it as it is.
	eventStop struct{ grace *time.Duration }
	// eventAlone says that no other process is left.
	eventAlone struct{}
	// eventIdentified says that the machine is somebody's only now: whatever was before was another one's start.
	eventIdentified struct{}
	// eventOutOfMemory says how often the node's memory limit was reached since the one before.
	eventOutOfMemory struct{ times uint64 }
)

// Actions.
type (
	// actionStart starts a child; eventStarted or eventStartFailed must follow.
	actionStart struct {
		name string
		// faults is how often it ended by its own doing since it was last steady.
		faults int
	}
	// actionTerminate sends SIGTERM to a process.
	actionTerminate struct {
		name string
		pid  int
	}
	// actionKill sends SIGKILL to a process group.
	actionKill struct {
		name string
		pid  int
	}
	// actionSweep sends SIGKILL to what is left of the group of a process that ended.
	actionSweep struct {
		name string
		pid  int
	}
	// actionGrace leaves the grace for sandbar-node to read.
	actionGrace struct{ grace time.Duration }
	// actionTerminateRest and actionKillRest signal every process but this one.
	actionTerminateRest struct{}
	actionKillRest      struct{}
	// actionFinish ends the work.
	actionFinish struct{}
)

func newMachine(names []string, p policy, now time.Time) *machine {
	m := &machine{policy: p, grace: p.stopGrace, started: now, revision: 1}
	for _, name := range names {
		m.children = append(m.children, &child{Child: initapi.Child{
			Name: name, State: initapi.StateStopped, Since: now,
		}})
	}
	return m
}

// handle takes one event and returns what has to be done, in order.
func (m *machine) handle(now time.Time, event any) []any {
	switch e := event.(type) {
	case eventBegin:
		return m.startAll()
	case eventStarted:
		return m.onStarted(now, e)
	case eventStartFailed:
		return m.onStartFailed(now, e)
	case eventReady:
		m.onReady(now, e)
		return nil
	case eventExited:
		return m.onExited(now, e)
	case eventStop:
		return m.onStop(now, e)
	case eventTick:
		return m.onTick(now)
	case eventOutOfMemory:
		m.outOfMemory.Times += e.times
		m.outOfMemory.Last = now
		m.revision++
		return nil
	case eventIdentified:
		m.beginAnew(now)
		return nil
	case eventAlone:
		if m.phase == phaseRest || m.phase == phaseKill {
			m.phase = phaseDone
			return []any{actionFinish{}}
		}
		return nil
	default:
		panic(fmt.Sprintf("initd: unknown event %T", event))
	}
}

// next is the earliest time at which eventTick has something to do; zero means never.
func (m *machine) next() time.Time {
	if m.phase == phaseDone {
		return time.Time{}
	}
	next := m.deadline
	for _, c := range m.children {
		if c.State == initapi.StateBackoff && (next.IsZero() || c.retryAt.Before(next)) {
			next = c.retryAt
		}
	}
	return next
}

// report is a copy of what can be seen from outside, without warnings and lines.
func (m *machine) report() initapi.Report {
	report := initapi.Report{Revision: m.revision, Started: m.started, Stopping: m.phase != phaseRunning}
	for _, c := range m.children {
		seen := c.Child
		if c.LastExit != nil {
			exit := *c.LastExit
			seen.LastExit = &exit
		}
		report.Children = append(report.Children, seen)
	}
	if seen := m.outOfMemory; seen.Times > 0 {
		report.OutOfMemory = &seen
	}
	return report
}

func (m *machine) startAll() []any {
	var actions []any
	for _, c := range m.children {
		actions = append(actions, actionStart{name: c.Name})
	}
	return actions
}

// beginAnew lets the start begin now, with what runs already. The clock may have jumped by days.
func (m *machine) beginAnew(now time.Time) {
	m.started = now
	for _, c := range m.children {
		c.Since = now
		if !c.FirstStarted.IsZero() {
			c.FirstStarted = now
		}
		if !c.FirstReady.IsZero() {
			c.FirstReady = now
		}
	}
	m.revision++
}

func (m *machine) onStarted(now time.Time, e eventStarted) []any {
	c := m.find(e.name)
	m.move(c, now, initapi.StateStarting, "")
	c.PID = e.pid
	if c.FirstStarted.IsZero() {
		c.FirstStarted = now
	} else {
		c.Restarts++
	}
	return nil
}

func (m *machine) onStartFailed(now time.Time, e eventStartFailed) []any {
	c := m.find(e.name)
	c.PID = 0
	c.faults++
	return m.retry(now, c, e.err.Error())
}

func (m *machine) onReady(now time.Time, e eventReady) {
	c := m.find(e.name)
	if c.PID != e.pid || c.State != initapi.StateStarting {
		return
	}
	m.move(c, now, initapi.StateReady, "")
	if c.FirstReady.IsZero() {
		c.FirstReady = now
	}
}

func (m *machine) onExited(now time.Time, e eventExited) []any {
	i := slices.IndexFunc(m.children, func(c *child) bool { return c.PID == e.pid && e.pid != 0 })
	if i < 0 {
		return nil
	}
	c := m.children[i]
	exit := e.exit
	c.LastExit = &exit
	if c.State == initapi.StateReady && now.Sub(c.Since) >= m.policy.steady {
		c.failures, c.faults = 0, 0
	}
	c.PID = 0
	actions := []any{actionSweep{name: c.Name, pid: e.pid}}
	if m.phase != phaseRunning {
		m.move(c, now, initapi.StateStopped, "")
		if m.phase == phaseChildren {
			actions = append(actions, m.stopNext(now)...)
		}
		return actions
	}
	if exit.Signal == "" && exit.Code == initapi.ExitBadConfiguration {
		m.move(c, now, initapi.StateFailed, "its configuration is wrong; it is not started again")
		return actions
	}
	if !exit.Killed() {
		c.faults++
	}
	return append(actions, m.retry(now, c, exit.String())...)
}

// retry starts a child that ended again: at once the first time, later with a growing delay.
func (m *machine) retry(now time.Time, c *child, reason string) []any {
	if m.phase != phaseRunning {
		m.move(c, now, initapi.StateStopped, "")
		return m.stopNext(now)
	}
	c.failures++
	delay := m.delay(c.failures)
	if delay == 0 {
		m.move(c, now, initapi.StateStarting, reason)
		return []any{actionStart{name: c.Name, faults: c.faults}}
	}
	c.retryAt = now.Add(delay)
	m.move(c, now, initapi.StateBackoff, fmt.Sprintf("%s; started again after %s", reason, delay))
	return nil
}

func (m *machine) delay(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	delay := m.policy.backoffFirst
	for range failures - 2 {
		if delay *= 2; delay >= m.policy.backoffMost {
			return m.policy.backoffMost
		}
	}
	return delay
}

func (m *machine) onStop(now time.Time, e eventStop) []any {
	if e.grace != nil && *e.grace != m.grace {
		m.grace = *e.grace
		m.revision++
	}
	if m.phase != phaseRunning {
		return nil
	}
	m.phase = phaseChildren
	m.revision++
	for _, c := range m.children {
		if c.PID == 0 {
			m.move(c, now, initapi.StateStopped, c.Reason)
		}
	}
	return append([]any{actionGrace{grace: m.grace}}, m.stopNext(now)...)
}

// stopNext sends SIGTERM to the last child that still runs, or goes on to the rest when there is none.
func (m *machine) stopNext(now time.Time) []any {
	for _, c := range slices.Backward(m.children) {
		if c.PID == 0 {
			continue
		}
		if c.signalled {
			return nil
		}
		c.signalled = true
		limit := m.policy.serverLimit
		if c.Name == initapi.ChildNode {
			limit = m.grace + m.policy.nodeMargin
		}
		m.deadline = now.Add(limit)
		return []any{actionTerminate{name: c.Name, pid: c.PID}}
	}
	m.phase = phaseRest
	m.deadline = now.Add(m.policy.restLimit)
	return []any{actionTerminateRest{}}
}

func (m *machine) onTick(now time.Time) []any {
	var actions []any
	switch due := !m.deadline.IsZero() && !now.Before(m.deadline); {
	case m.phase == phaseRunning:
		for _, c := range m.children {
			if c.State == initapi.StateBackoff && !now.Before(c.retryAt) {
				m.move(c, now, initapi.StateStarting, c.Reason)
				actions = append(actions, actionStart{name: c.Name, faults: c.faults})
			}
		}
	case m.phase == phaseChildren && due:
		for _, c := range m.children {
			if c.signalled && c.PID != 0 {
				actions = append(actions, actionKill{name: c.Name, pid: c.PID})
			}
		}
		m.deadline = now.Add(m.policy.serverLimit)
	case m.phase == phaseRest && due:
		m.phase = phaseKill
		m.deadline = now.Add(m.policy.serverLimit)
		actions = append(actions, actionKillRest{})
	case m.phase == phaseKill && due:
		// A process that SIGKILL does not end hangs in the kernel; it goes with the namespace.
		m.phase = phaseDone
		actions = append(actions, actionFinish{})
	}
	return actions
}

func (m *machine) find(name string) *child {
	for _, c := range m.children {
		if c.Name == name {
			return c
		}
	}
	panic("initd: unknown child " + name)
}

func (m *machine) move(c *child, now time.Time, state initapi.State, reason string) {
	c.Reason = reason
	if c.State != state {
		c.State, c.Since = state, now
	}
	m.revision++
}
