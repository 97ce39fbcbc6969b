// Sandbarctl is the small client of a node: what the laptop's CLI calls in the node, and what works there by hand.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sandbar.dev/node/internal/ctl"
	"sandbar.dev/node/internal/paths"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// Without a host name the configuration's default applies, and nothing else hangs on it.
	hostname, _ := os.Hostname()
	code := ctl.Run(ctx, &ctl.Environment{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Layout: paths.Default(), Hostname: hostname,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
