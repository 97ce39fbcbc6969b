// Package component runs the parts of a node in the order of their needs.
//
// A component is small: its options, one pure function that builds its library's configuration, and Run. The supervisor
// owns every channel, starts each component as soon as what it needs is ready, records the phases, and stops them in the
// reverse order.
package component

import "context"

// Component is one part of the node: an API server, a DNS server, an ingress controller.
type Component interface {
	// Name is unique in a node and is what users see, such as "etcd".
	Name() string
	// Needs names the components that must be ready before Run is called.
	Needs() []string
	// Run works until ctx is cancelled. It calls ready (any number of times, from any goroutine) when others may rely on it.
	// Before ctx is cancelled any return, even nil, is a failure; after it any return is clean.
	Run(ctx context.Context, ready func()) error
}

// HealthChecker is implemented by components whose readiness can be lost while they run.
type HealthChecker interface {
	// Check returns nil while the component serves; its error becomes the reason of the state "degraded".
	Check(ctx context.Context) error
}
