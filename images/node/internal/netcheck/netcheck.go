// Package netcheck tries what the pod network and the services of a node need of the kernel. Nothing that it makes outlives
// it: each try has a network namespace of its own.
package netcheck

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rules use what kube-proxy and the pod network use of nftables: maps, verdict maps, random numbers, destination and
// source addresses that are replaced, marks, connection tracking and its exemption.
const rules = `table ip sandbar-check {
  map services {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.43.0.1 . tcp . 443 : goto service }
  }
  chain endpoint { meta l4proto tcp dnat to 10.42.0.1:6443; }
  chain service {
    ip saddr != 10.42.0.0/16 meta mark set mark or 0x4000
    numgen random mod 2 vmap { 0 : goto endpoint, 1 : goto endpoint }
  }
  chain incoming {
    type nat hook prerouting priority dstnat
    ip daddr . meta l4proto . th dport vmap @services
    fib daddr type local accept
  }
  chain outgoing {
    type nat hook postrouting priority srcnat
    meta mark & 0x4000 == 0x4000 masquerade
  }
  chain forwarded {
    type filter hook forward priority filter
    ct state invalid drop
  }
  chain untracked {
    type filter hook prerouting priority raw
    udp dport 53 notrack
  }
}
`

// Veth makes a network namespace and a pair of interfaces in it, as for each pod.
func Veth() error {
	return inOwnNetwork(func() error {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "check0"}, PeerName: "check1"}
		if err := netlink.LinkAdd(pair); err != nil {
			return fmt.Errorf("make a pair of interfaces: %w", err)
		}
		if err := netlink.LinkSetUp(pair); err != nil {
			return fmt.Errorf("set an interface up: %w", err)
		}
		return nil
	})
}

// Nftables loads rules such as those of services.
func Nftables() error {
	return inOwnNetwork(func() error {
		var complaint bytes.Buffer
		command := exec.Command("nft", "-f", "-")
		command.Stdin = strings.NewReader(rules)
		command.Stderr = &complaint
		if err := command.Run(); err != nil {
			// The first line says what is wrong, the others where.
			line, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
			return fmt.Errorf("load rules: %w: %s", err, line)
		}
		return nil
	})
}

// inOwnNetwork does something in a network namespace of its own, programs that it starts too. The namespace is gone with
// the thread, which nobody else gets.
func inOwnNetwork(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}
