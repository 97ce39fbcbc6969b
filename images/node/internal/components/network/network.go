// Package network watches the node's own network, the one of its engine or machine. Nothing in the node needs it: what it
// says is for the user, who cannot reach the node otherwise. Only when the machine has another address than the one by which
// the node is known, the node has to begin anew with that.
package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/hostnet"
)

// Name is the component's name.
const Name = "network"

// Network is the component.
type Network struct {
	node netip.Addr
	// pinned says that the address is the user's wish.
	pinned bool

	mu     sync.Mutex
	uplink hostnet.Uplink
}

var (
	_ component.Component     = (*Network)(nil)
	_ component.HealthChecker = (*Network)(nil)
)

// New makes the component for the node's address. A pinned one stays the node's whatever addresses the machine has.
func New(node netip.Addr, pinned bool) *Network { return &Network{node: node, pinned: pinned} }

// Name is "network".
func (*Network) Name() string { return Name }

// Needs is empty.
func (*Network) Needs() []string { return nil }

// Run looks at the network whenever the kernel says that it has changed, until ctx ends. It fails with a
// *hostnet.MovedError when the node has to be started again.
func (n *Network) Run(ctx context.Context, ready func()) error {
	changes, err := follow(ctx)
	if err != nil {
		return err
	}
	uplink, err := hostnet.FindUplink(n.node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.uplink = uplink
	n.mu.Unlock()
	ready()
	for {
		moved := (*hostnet.MovedError)(nil)
		if !n.pinned && errors.As(uplink.Check(), &moved) {
			return moved
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
			component.Recheck(ctx)
		}
	}
}

// Check says why nobody outside reaches the node.
func (n *Network) Check(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.uplink.Check(); err != nil {
		return fmt.Errorf("nobody outside reaches the node, and it reaches nobody: %w", err)
	}
	return nil
}

// follow tells of each change of interfaces, addresses and routes (rtnetlink(7)) until ctx ends.
func follow(ctx context.Context) (<-chan struct{}, error) {
	descriptor, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("follow the machine's network: %w", err)
	}
	socket := os.NewFile(uintptr(descriptor), "rtnetlink")
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE
	if err := unix.Bind(descriptor, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, fmt.Errorf("follow the machine's network: %w", errors.Join(err, socket.Close()))
	}
	context.AfterFunc(ctx, func() { _ = socket.Close() }) // the reader sees it
	changes := make(chan struct{}, 1)
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			// What is in a message is looked up. More than the kernel keeps for us, ENOBUFS, is a change, too.
			if _, err := socket.Read(buffer); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
			select {
			case changes <- struct{}{}:
			default: // somebody is about to look anyway
			}
		}
	}()
	return changes, nil
}
