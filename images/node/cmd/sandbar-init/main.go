// sandbar-init is the first process of a node: it makes the machine fit, then starts containerd, HAProxy and
// sandbar-node, keeps them running, collects every process that ends, and ends them in order.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sandbar.dev/node/internal/machine"
)

// signals ask for the stop: SIGTERM by engines, SIGINT by Ctrl-Alt-Del and a terminal, SIGPWR by failing power.
var stopSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGPWR}

func main() {
	started := time.Now()
	// Before anything else: the first process of a namespace gets only the signals that it asked for.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, append(stopSignals, syscall.SIGCHLD)...)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	if machine.Bare() {
		runMachine(signals)
	}
	if err := runContainer(started, signals); err != nil {
		fmt.Fprintf(os.Stderr, "sandbar-init: %v\n", err)
		os.Exit(1)
	}
}
