// Package hostnet finds and makes the addresses of the node itself.
package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
)

// Address is one of the machine's addresses and where it stands.
type Address struct {
	IP        netip.Addr
	Interface string
	// Default says that the IPv4 default route leaves through its interface.
	Default bool
}

// mayBeTheNodes says whether others may reach the node by the address: it is none of the node's own interfaces, which are the
// loopback one, the ends of pods' (package cni: the plugin ptp names them so) and that of the cluster's DNS server.
func (a Address) mayBeTheNodes() bool {
	own := a.Interface == "lo" || strings.HasPrefix(a.Interface, "veth") || strings.HasPrefix(a.Interface, "sandbar-")
	return a.IP.Is4() && a.IP.IsGlobalUnicast() && !own
}

// NodeAddress is the address by which the node is known in its cluster: the first global one of the interface with the
// default route, otherwise the first that is not loopback, otherwise fallback, which is put on the loopback interface: a
// machine without a network still runs a cluster. The address may be another one at the next start.
func NodeAddress(fallback netip.Addr) (netip.Addr, error) {
	addresses, err := Addresses()
	if err != nil {
		return netip.Addr{}, err
	}
	if chosen := choose(addresses); chosen.IsValid() {
		return chosen, nil
	}
	return fallback, AddToLoopback(fallback)
}

// choose is the rule of NodeAddress; the zero value when nothing fits.
func choose(addresses []Address) netip.Addr {
	var other netip.Addr
	for _, address := range addresses {
		if !address.mayBeTheNodes() {
			continue
		}
		if address.Default {
			return address.IP
		}
		if !other.IsValid() {
			other = address.IP
		}
	}
	return other
}

// Addresses are all addresses of the machine, in the kernel's order.
func Addresses() ([]Address, error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
	if err != nil {
		return nil, fmt.Errorf("default route: %w", err)
	}
	defaults := map[int]bool{}
	for _, route := range routes {
		defaults[route.LinkIndex] = true
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("network addresses: %w", err)
	}
	var all []Address
	for _, address := range addresses {
		if ip, ok := netip.AddrFromSlice(address.IP); ok {
			name, isDefault := names[address.LinkIndex], defaults[address.LinkIndex]
			all = append(all, Address{IP: ip.Unmap(), Interface: name, Default: isDefault})
		}
	}
	return all, nil
}

// AddToLoopback gives the loopback interface one more address, unless it has it already. It is reachable from pods and
// stays the same whatever happens to the machine's network.
func AddToLoopback(ip netip.Addr) error {
	link, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback interface: %w", err)
	}
	address, err := netlink.ParseAddr(netip.PrefixFrom(ip, ip.BitLen()).String())
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("address %s on the loopback interface: %w", ip, err)
	}
	return nil
}

// After is the first address that does not belong to the network, as MicroShift uses it for the API server's own
// address: 10.44.0.0 after 10.43.0.0/16.
func After(network netip.Prefix) netip.Addr {
	address := network.Masked().Addr().AsSlice()
	for bit := network.Bits(); bit < len(address)*8; bit++ {
		address[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(address) // as long as an address is
	return last.Next()
}
