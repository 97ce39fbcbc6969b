// Package initapi is what sandbar-init tells and can be asked through its UNIX socket: the values and a client.
//
// The protocol is HTTP with JSON. GET /v1/report gives a [Report]; with ?after=REVISION it waits until there is a newer
// one. POST /v1/stop ends the node. Only root can connect. Nothing here may import k8s.io: sandbar-init and sandbarctl
// have to start in milliseconds, also under emulation.
package initapi

import (
	"fmt"
	"time"
)

// State is where a child of sandbar-init stands.
type State string

// States of a [Child].
const (
	// StateStarting means that the process runs and has not said that it is ready.
	StateStarting State = "starting"
	// StateReady means that the process said that it is ready.
	StateReady State = "ready"
	// StateBackoff means that the process ended and is started again after a while.
	StateBackoff State = "backoff"
	// StateFailed means that the process ended with [ExitBadConfiguration] or cannot be started: it is left alone.
	StateFailed State = "failed"
	// StateStopped means that the process was not started yet or was stopped with the node.
	StateStopped State = "stopped"
)

// ExitBadConfiguration is the exit status by which a child says that another attempt with the same configuration is
// futile (EX_CONFIG of sysexits.h).
const ExitBadConfiguration = 78

// Names of the children.
const (
	// ChildNode is sandbar-node.
	ChildNode = "node"
	// ChildContainerd is containerd.
	ChildContainerd = "containerd"
	// ChildHAProxy is HAProxy.
	ChildHAProxy = "haproxy"
	// ChildSSH is sandbar-sshd, in machines alone.
	ChildSSH = "ssh"
)

// ReadyFDVariable is the environment variable with the number of the descriptor on which sandbar-node writes one byte
// once it is ready. End of file without a byte means that it died first.
const ReadyFDVariable = "SANDBAR_READY_FD"

// StopGraceVariable is the environment variable, set when the container is created, with the grace that pods get at
// most when the node is stopped (a Go duration).
const StopGraceVariable = "SANDBAR_STOP_GRACE"

// DefaultStopGrace is what pods get at most when nothing else is said.
const DefaultStopGrace = 1500 * time.Millisecond

// Exit is how a process ended.
type Exit struct {
	// Code is the exit status, or -1 when a signal ended it.
	Code int `json:"code"`
	// Signal is the signal that ended it, such as "killed"; empty when it exited by itself.
	Signal string `json:"signal,omitempty"`
	// At is when it was collected.
	At time.Time `json:"at"`
}

// String words it, such as "exit status 78" or "signal: killed".
func (e Exit) String() string {
	if e.Signal != "" {
		return "signal: " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// killedStatus is with what a process ends whose own child was killed: 128 and the number of SIGKILL, as shells have it.
// HAProxy's master does so when its worker was.
const killedStatus = 128 + 9

// Killed says that somebody killed it, such as the kernel for want of memory. That is never its own doing.
func (e Exit) Killed() bool { return e.Signal == "killed" || e.Code == killedStatus }

// Child is one process that sandbar-init keeps running.
type Child struct {
	// Name is "node", "containerd", "haproxy" or "ssh".
	Name string `json:"name"`
	// State is where it stands.
	State State `json:"state"`
	// Reason says more about the state, such as what could not be started; often empty.
	Reason string `json:"reason,omitempty"`
	// PID is the process, 0 when there is none.
	PID int `json:"pid"`
	// Since is when State began.
	Since time.Time `json:"since"`
	// FirstStarted is when the process was started for the first time; zero before.
	FirstStarted time.Time `json:"firstStarted,omitzero"`
	// FirstReady is when it was ready for the first time; zero before.
	FirstReady time.Time `json:"firstReady,omitzero"`
	// Restarts counts the starts after the first.
	Restarts int `json:"restarts"`
	// LastExit is how its last process ended; nil while the first one runs.
	LastExit *Exit `json:"lastExit,omitempty"`
	// LastLines are the newest lines that it printed, oldest first, at most 100.
	LastLines []string `json:"lastLines,omitempty"`
}

// Warning is something that this host does not give and that the node goes on without.
type Warning struct {
	// Code is a short constant name, such as "OOMScoreNotLowered".
	Code string `json:"code"`
	// Message says what is so.
	Message string `json:"message"`
	// Hint says what helps; may be empty.
	Hint string `json:"hint,omitempty"`
}

// Report is all that sandbar-init tells.
type Report struct {
	// Revision grows with every change of a state; lines alone do not count.
	Revision uint64 `json:"revision"`
	// Started is when sandbar-init began.
	Started time.Time `json:"started"`
	// Stopping says that the node is being stopped.
	Stopping bool `json:"stopping"`
	// Children are the processes, in the order in which they are started.
	Children []Child `json:"children"`
	// OutOfMemory says that the node's memory limit was reached; nil if it never was.
	OutOfMemory *OutOfMemory `json:"outOfMemory,omitempty"`
	// Warnings are what was found when the host was prepared.
	Warnings []Warning `json:"warnings"`
}

// OutOfMemory says that the kernel had to end processes because the node's memory limit was reached.
type OutOfMemory struct {
	// Times is how often, since sandbar-init began.
	Times uint64 `json:"times"`
	// Last is when it was the last time.
	Last time.Time `json:"last"`
}

// Child returns the child of that name.
func (r *Report) Child(name string) (Child, bool) {
	for _, c := range r.Children {
		if c.Name == name {
			return c, true
		}
	}
	return Child{}, false
}

// StopRequest is the body of POST /v1/stop.
type StopRequest struct {
	// Grace is what pods get at most, in nanoseconds; nil leaves it as it was set when the node was created.
	Grace *time.Duration `json:"grace,omitempty"`
}

// ErrorBody is the body of every answer that is not 2xx.
type ErrorBody struct {
	// Error is the message, one line.
	Error string `json:"error"`
}
