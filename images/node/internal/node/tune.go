package node

import (
	"runtime/debug"
	"time"
)

// settleTime is how long after the start its garbage is collected: what comes right after it is work too.
const settleTime = 3 * time.Second

const (
	// startGC lets the heap grow while the node starts: collecting then costs half a second of two cores' time.
	startGC = 800
	// idleGC keeps the heap small afterwards; the node's garbage comes slowly.
	idleGC = 50
	// memoryLimit makes the collector work harder where a heap is unusually large, in bytes.
	memoryLimit = 600 << 20
)

func tuneForStart() {
	debug.SetGCPercent(startGC)
	debug.SetMemoryLimit(memoryLimit)
}

func tuneForIdle() {
	debug.SetGCPercent(idleGC)
	debug.FreeOSMemory()
}
