package cni

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestWhereTrafficOfPodsComesFrom sets up a node, two pods and the network outside as namespaces of their own: outside,
// a pod is seen as the node, which alone has an address that is known there; other pods see the pod itself.
func TestWhereTrafficOfPodsComesFrom(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft")
	}
	node, outside, pod, other := newNamespace(t), newNamespace(t), newNamespace(t), newNamespace(t)
	const nodeAddress, outsideAddress, podAddress, otherAddress = "192.0.2.1", "192.0.2.2", "10.42.0.5", "10.42.0.6"
	node.connect(t, outside, nodeAddress+"/24", outsideAddress+"/24")
	node.connectPod(t, pod, podAddress)
	node.connectPod(t, other, otherAddress)
	node.do(t, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
			return err
		}
		return Setup(t.Context(), Options{
			PodCIDRs: []string{"10.42.0.0/16"}, ConfDir: filepath.Join(t.TempDir(), "net.d"), NFT: "nft",
		})
	})
	for _, c := range []struct {
		name, address, want string
		listener            *namespace
	}{
		{"the network outside", outsideAddress, nodeAddress, outside},
		{"another pod", otherAddress, podAddress, other},
	} {
		if got := pod.peerSeenBy(t, c.listener, c.address); got != c.want {
			t.Errorf("%s sees %s, want %s", c.name, got, c.want)
		}
	}
}

// namespace is a network namespace with a thread that stays in it.
type namespace struct {
	work  chan func()
	file  *os.File
	links int
}

// newNamespace makes one with its loopback up; it lasts as long as the test.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	n := &namespace{work: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and the namespace with the last thread and file.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		ready <- err
		for do := range n.work {
			do()
		}
	}()
	t.Cleanup(func() {
		close(n.work)
		_ = n.file.Close() // a nil file's is an error of no interest
	})
	if err := <-ready; err != nil {
		t.Skipf("no network namespace can be made: %v", err)
	}
	n.do(t, func() error { return configure("lo", "") })
	return n
}

// do runs f in the namespace.
func (n *namespace) do(t *testing.T, f func() error) {
	t.Helper()
	result := make(chan error, 1)
	n.work <- func() { result <- f() }
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

// connect joins two namespaces by a pair of interfaces with these addresses.
func (n *namespace) connect(t *testing.T, peer *namespace, own, others string) (link string) {
	t.Helper()
	link = fmt.Sprintf("veth%d", n.links)
	n.links++
	n.do(t, func() error {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = link
		pair := &netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(peer.file.Fd())}
		if err := netlink.LinkAdd(pair); err != nil {
			return err
		}
		return configure(link, own)
	})
	peer.do(t, func() error { return configure("eth0", others) })
	return link
}

// connectPod joins a pod as ptp does: routed, with the gateway's address on the node's end.
func (n *namespace) connectPod(t *testing.T, pod *namespace, address string) {
	t.Helper()
	const gateway = "10.42.0.1"
	link := n.connect(t, pod, gateway+"/32", address+"/32")
	n.do(t, func() error { return addRoute(link, address, "") })
	pod.do(t, func() error {
		if err := addRoute("eth0", gateway, ""); err != nil {
			return err
		}
		return addRoute("eth0", "", gateway)
	})
}

// peerSeenBy connects from this namespace to the address of another and returns where the connection comes from there.
func (n *namespace) peerSeenBy(t *testing.T, listening *namespace, address string) string {
	t.Helper()
	var listener net.Listener
	listening.do(t, func() (err error) {
		listener, err = net.Listen("tcp4", net.JoinHostPort(address, "0"))
		return err
	})
	defer func() { _ = listener.Close() }()
	n.do(t, func() error {
		connection, err := net.DialTimeout("tcp4", listener.Addr().String(), 5*time.Second)
		if err == nil {
			err = connection.Close()
		}
		return err
	})
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	peer, err := netip.ParseAddrPort(accepted.RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return peer.Addr().String()
}

// configure gives a link an address, unless that is empty, and takes it up.
func configure(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if address != "" {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, parsed); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// addRoute adds a route to one address, or the default route, through a gateway if one is given.
func addRoute(name, address, gateway string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK}
	if address != "" {
		route.Dst = &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(32, 32)}
	}
	if gateway != "" {
		route.Gw, route.Scope = net.ParseIP(gateway), netlink.SCOPE_UNIVERSE
	}
	return netlink.RouteAdd(route)
}
