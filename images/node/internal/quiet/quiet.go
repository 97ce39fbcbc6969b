// Package quiet keeps client-go's work queues from waking the node up.
//
// A queue with a metrics provider updates two gauges every half second for as long as it lives, whether or not anybody
// asks for them (k8s.io/client-go/util/workqueue, updateUnfinishedWorkLoop), and Kubernetes' own packages set a provider
// when they are initialised (k8s.io/component-base/metrics/prometheus/workqueue). A whole cluster in one process has a
// hundred queues, so a laptop's cores would be woken two hundred times a second for nothing. There is no setting against
// it: the first provider wins, and only one type, which is not exported, means "none".
package quiet

// No other import: a package without any is initialised before all that need the standard library's, which the one that
// sets the provider does. That order is the language's: https://go.dev/ref/spec#Program_initialization.
import _ "unsafe" // for go:linkname

// provider is the provider of all queues that do not bring one. Its type has the same layout: that of an interface with
// methods, which this package must not import.
//
//go:linkname provider k8s.io/client-go/util/workqueue.globalMetricsProvider
var provider interface{ NewRetriesMetric(string) }

// none is what the variable is before anybody sets it.
var none = provider

// WorkQueues makes the queues that are made from now on keep no metrics. To be called before any is made.
func WorkQueues() { provider = none }
