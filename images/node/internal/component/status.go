package component

import "time"

// State is where a component is in its life. The values are those of the node contract's status report.
type State string

// The states of a component.
const (
	// StateWaiting: something that it needs is not ready yet; Status.WaitingFor names it.
	StateWaiting State = "waiting"
	// StateStarting: Run was called and has not called ready yet.
	StateStarting State = "starting"
	// StateReady: others may rely on it.
	StateReady State = "ready"
	// StateDegraded: it was ready, runs, and fails its own check; Status.Reason says why.
	StateDegraded State = "degraded"
	// StateFailed: Run returned before it was asked to stop; the node ends because of it.
	StateFailed State = "failed"
	// StateStopped: it ended because it was asked to.
	StateStopped State = "stopped"
)

// Status is what a component does at one moment.
type Status struct {
	Name  string
	State State
	// Since is when State began.
	Since time.Time
	// WaitingFor names the needs that are not ready, while State is StateWaiting.
	WaitingFor []string
	// Reason is why State is StateDegraded; empty otherwise.
	Reason string
	// LastError is the newest error of Run or of a check, kept after a recovery; empty if there was none.
	LastError string
}

// Phase is one component's part of the node's start.
type Phase struct {
	Name string
	// Start is when Run was called; zero while the component waits.
	Start time.Time
	// Ready is when it first called ready; zero until then.
	Ready time.Time
}
