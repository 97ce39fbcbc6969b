// Not of package quiet, which would then import what is to be initialised after it.
package quiet_test

import (
	"testing"
	"time"

	"k8s.io/client-go/util/workqueue"
	// Sets the provider, as it does in the node.
	_ "k8s.io/component-base/metrics/prometheus/workqueue"
	"k8s.io/utils/clock"

	"sandbar.dev/node/internal/quiet"
)

// countingClock counts the tickers that are made with it.
type countingClock struct {
	clock.RealClock
	tickers int
}

func (c *countingClock) NewTicker(period time.Duration) clock.Ticker {
	c.tickers++
	return c.RealClock.NewTicker(period)
}

// tickers is how many tickers a queue makes in its life.
func tickers() int {
	counting := &countingClock{}
	queue := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[string]{Name: "quiet", Clock: counting})
	// Waits until the queue's goroutines have ended.
	queue.ShutDown()
	return counting.tickers
}

// TestQueuesDoNotTick fails where client-go names things differently or packages are initialised in another order.
func TestQueuesDoNotTick(t *testing.T) {
	if tickers() == 0 {
		t.Error("a queue does not tick by itself: this package is of no use any more")
	}
	quiet.WorkQueues()
	if tickers() != 0 {
		t.Error("a queue still ticks")
	}
}
