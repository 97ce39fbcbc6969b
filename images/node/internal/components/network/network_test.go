package network

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/hostnet"
)

const inNamespace = "SANDBAR_TEST_NETWORK_IN_NAMESPACE"

// TestNetwork runs the test below in a network namespace of its own.
func TestNetwork(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		t.Skip("this is the child")
	}
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	command := exec.Command(os.Args[0], "-test.run=^TestInNamespace", "-test.v", "-test.count=1")
	command.Env = append(os.Environ(), inNamespace+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: TestInNamespaceDownAndUpAndElsewhere") {
		t.Errorf("%v\n%s", err, output)
	}
}

// An interface with a default route is switched off and on, and then has another address.
func TestInNamespaceDownAndUpAndElsewhere(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Skip("its parent runs it")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer"}))
	link, err := netlink.LinkByName("eth0")
	must(err)
	peer, err := netlink.LinkByName("peer")
	must(err)
	must(netlink.LinkSetUp(peer))
	must(netlink.LinkSetUp(link))
	address, err := netlink.ParseAddr("10.89.0.2/24")
	must(err)
	must(netlink.AddrAdd(link, address))
	route := func() error {
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: []byte{10, 89, 0, 1}})
	}
	must(route())

	// The check is asked for by events alone.
	supervisor, err := component.New([]component.Component{New(netip.MustParseAddr("10.89.0.2"), false)},
		component.Options{CheckInterval: time.Hour, RetryInterval: time.Hour})
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- supervisor.Run(t.Context()) }()
	await := func(state component.State, reason string) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			changed := supervisor.Changes()
			status := supervisor.Status()[0]
			if status.State == state && strings.HasSuffix(status.Reason, reason) {
				return
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("it is %s (%s), not %s (%s)", status.State, status.Reason, state, reason)
			}
		}
	}
	await(component.StateReady, "")
	must(netlink.LinkSetDown(peer)) // the cable is pulled
	await(component.StateDegraded, "it reaches nobody: the network interface eth0 is down")
	must(netlink.LinkSetUp(peer))
	await(component.StateReady, "")
	must(netlink.LinkSetDown(link)) // which takes the route away, too
	await(component.StateDegraded, "the network interface eth0 is down")
	must(netlink.LinkSetUp(link))
	await(component.StateDegraded, "no default route leads through eth0")
	must(route())
	await(component.StateReady, "")
	must(netlink.AddrDel(link, address))
	await(component.StateDegraded, "the address 10.89.0.2 of eth0 is gone")
	other, err := netlink.ParseAddr("10.89.0.3/24")
	must(err)
	must(netlink.AddrAdd(link, other))
	must(route())
	moved := (*hostnet.MovedError)(nil)
	if err := <-ended; !errors.As(err, &moved) || moved.To.String() != "10.89.0.3" {
		t.Errorf("it ended with %v", err)
	}
}
