// Command sandbar-node is a whole Kubernetes cluster of one node in one process. sandbar-init starts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/logging"
	"sandbar.dev/node/internal/node"
	"sandbar.dev/node/internal/paths"
	"sandbar.dev/node/internal/version"
)

const usage = `usage: sandbar-node [run [--cpu-profile FILE] | seed --output DIR | kubectl ARGUMENT... | version]

Without an argument the node runs until SIGTERM.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if filepath.Base(os.Args[0]) == "kubectl" {
		stop()
		os.Exit(kubectl(os.Args))
	}
	os.Exit(dispatch(ctx, os.Args[1:]))
}

// dispatch runs the mode that the arguments name and returns the exit status.
func dispatch(ctx context.Context, arguments []string) int {
	mode, rest := "run", arguments
	if len(arguments) > 0 {
		mode, rest = arguments[0], arguments[1:]
	}
	switch mode {
	case "run":
		return run(ctx, rest)
	case "seed":
		return seedCommand(ctx, rest)
	case "kubectl":
		return kubectl(append([]string{"kubectl"}, rest...))
	case "version":
		fmt.Printf("sandbar-node %s, Kubernetes %s\n", version.Sandbar, version.Kubernetes)
		return 0
	case "help", "--help", "-h":
		fmt.Print(usage)
		return 0
	default:
		fmt.Fprintf(os.Stderr, "sandbar-node: unknown mode %q\n%s", mode, usage)
		return 2
	}
}

// run runs the node.
func run(ctx context.Context, arguments []string) int {
	ready, err := announcer()
	if err == nil {
		var stopProfile func() error
		if stopProfile, err = startProfile(arguments); err == nil {
			announce := ready
			ready = func() error {
				if err := stopProfile(); err != nil {
					return err
				}
				return announce()
			}
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "sandbar-node: %v\n", err)
		return 2
	}
	logger := logging.New(os.Stderr, 0)
	logging.Install(logger)
	ctx = klog.NewContext(ctx, logger)
	options := node.Options{Layout: paths.Default(), Logger: logger, Ready: ready}
	nobodys, err := initapi.HasToAwaitIdentity()
	switch {
	case nobodys:
		options.AwaitIdentity = initapi.AwaitIdentity
	case err == nil:
		// At once: nothing is left of the gate afterwards.
		err = initapi.AwaitIdentity(ctx)
	}
	if err == nil {
		err = node.Run(ctx, options)
	}
	switch {
	case err == nil || ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return 0
	case node.IsConfiguration(err):
		logger.Error(err, "The node cannot run like this")
		return initapi.ExitBadConfiguration
	default:
		logger.Error(err, "The node ended")
		return 1
	}
}

// announcer returns what tells sandbar-init that the node is ready: a byte on an inherited pipe.
func announcer() (func() error, error) {
	number, inherited := os.LookupEnv(initapi.ReadyFDVariable)
	if !inherited {
		return func() error { return nil }, nil
	}
	descriptor, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", initapi.ReadyFDVariable, err)
	}
	syscall.CloseOnExec(int(descriptor))
	pipe := os.NewFile(uintptr(descriptor), "readiness")
	return func() error {
		if _, err := pipe.Write([]byte{'\n'}); err != nil {
			return err
		}
		return pipe.Close()
	}, nil
}
