package hostnet

import (
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestChoose(t *testing.T) {
	address := func(ip, name string, isDefault bool) Address {
		return Address{IP: netip.MustParseAddr(ip), Interface: name, Default: isDefault}
	}
	for name, test := range map[string]struct {
		addresses []Address
		want      string
	}{
		"the default route's": {[]Address{
			address("127.0.0.1", "lo", false), address("192.168.1.2", "eth1", false),
			address("fe80::1", "eth0", true), address("169.254.3.4", "eth0", true), address("10.88.0.2", "eth0", true),
		}, "10.88.0.2"},
		"no default route":  {[]Address{address("10.44.0.0", "lo", false), address("192.168.1.2", "eth1", false)}, "192.168.1.2"},
		"nothing but pods'": {[]Address{address("10.42.0.1", "veth12ab", false), address("10.43.0.10", "sandbar-dns", false)}, ""},
		"nothing but local": {[]Address{address("127.0.0.1", "lo", false), address("::1", "lo", false)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := choose(test.addresses)
			if (test.want == "" && got.IsValid()) || (test.want != "" && got.String() != test.want) {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestAfter(t *testing.T) {
	for network, want := range map[string]string{
		"10.43.0.0/16": "10.44.0.0", "10.96.0.0/12": "10.112.0.0", "192.168.7.0/24": "192.168.8.0", "fd02::/112": "fd02::1:0",
	} {
		if got := After(netip.MustParsePrefix(network)); got.String() != want {
			t.Errorf("after %s: %s, want %s", network, got, want)
		}
	}
}

// TestInANetworkOfItsOwn runs in a new network namespace: it changes addresses.
func TestInANetworkOfItsOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	done := make(chan struct{})
	go func() { // the thread is not used again: it ends with the goroutine that is locked to it
		defer close(done)
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("network namespace: %v", err)
			return
		}
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Error(err)
			return
		}
		stable, fallback := netip.MustParseAddr("10.44.0.0"), netip.MustParseAddr("10.44.0.1")
		for range 2 {
			if err := AddToLoopback(stable); err != nil {
				t.Errorf("loopback: %v", err)
			}
			if got, err := NodeAddress(fallback); err != nil || got != fallback {
				t.Errorf("without a network: %v %v", got, err)
			}
		}
	}()
	<-done
}
