// sandbar-sshd is the SSH server of a machine: how its host runs programs in it, also while the node is down.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/sshd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "sandbar-sshd: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	hostKey := flag.String("host-key", "", "`file` with the private key of this host")
	authorizedKeys := flag.String("authorized-keys", "", "`file` with the public keys that are let in")
	listen := flag.String("listen", ":22", "`address` to listen on")
	flag.Parse()
	if err := initapi.AwaitIdentity(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	options := sshd.Options{
		Environment: os.Environ(),
		Logf:        func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) },
	}
	var err error
	if options.HostKey, err = os.ReadFile(*hostKey); err != nil {
		return fmt.Errorf("read the host key: %w", err)
	}
	if options.AuthorizedKeys, err = os.ReadFile(*authorizedKeys); err != nil {
		return fmt.Errorf("read the keys that are let in: %w", err)
	}
	server, err := sshd.New(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if err := sayReady(); err != nil {
		return err
	}
	return server.Serve(ctx, listener)
}

// sayReady writes the byte that sandbar-init waits for, if it does.
func sayReady() error {
	text := os.Getenv(initapi.ReadyFDVariable)
	if text == "" {
		return nil
	}
	descriptor, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%s is %q: %w", initapi.ReadyFDVariable, text, err)
	}
	pipe := os.NewFile(uintptr(descriptor), "readiness")
	defer func() { _ = pipe.Close() }()
	if _, err := pipe.Write([]byte{1}); err != nil {
		return fmt.Errorf("say that it is ready: %w", err)
	}
	return nil
}
