package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"
)

// prepareAddress puts address on an interface of that name, which it makes, and exempts the server's packets from
// connection tracking. Both may be there already, from an earlier start.
func prepareAddress(ctx context.Context, name string, address netip.Addr) error {
	if err := ensureAddress(ctx, name, address); err != nil {
		return fmt.Errorf("put %s on interface %s: %w", address, name, err)
	}
	if err := exemptFromTracking(ctx, address); err != nil {
		return fmt.Errorf("nftables for %s: %w", address, err)
	}
	return nil
}

func ensureAddress(ctx context.Context, name string, address netip.Addr) error {
	link, err := ensureLink(ctx, name)
	if err != nil {
		return err
	}
	wanted, err := netlink.ParseAddr(netip.PrefixFrom(address, address.BitLen()).String())
	if err != nil {
		return err
	}
	if link.Type() == "dummy" {
		if err := removeOthers(link, wanted); err != nil {
			return err
		}
	}
	if err := netlink.AddrReplace(link, wanted); err != nil {
		return fmt.Errorf("add the address: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	return nil
}

// ensureLink returns the dummy interface of that name, or loopback where the kernel has no such interfaces.
func ensureLink(ctx context.Context, name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if err == nil {
		return link, nil
	}
	if missing := (netlink.LinkNotFoundError{}); !errors.As(err, &missing) {
		return nil, err
	}
	err = netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: name}})
	if errors.Is(err, unix.EOPNOTSUPP) {
		klog.FromContext(ctx).Info("No dummy interfaces in this kernel, loopback is used instead")
		name = "lo"
	} else if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make it: %w", err)
	}
	return netlink.LinkByName(name)
}

// removeOthers removes the addresses of earlier service networks, which would take their packets away.
func removeOthers(link netlink.Link, wanted *netlink.Addr) error {
	present, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the addresses: %w", err)
	}
	for _, address := range present {
		if address.IP.IsLinkLocalUnicast() || address.Equal(*wanted) {
			continue
		}
		if err := netlink.AddrDel(link, &address); err != nil {
			return fmt.Errorf("remove %s: %w", address.IP, err)
		}
	}
	return nil
}

// table is our own nftables table. kube-proxy's rules, which know the address as a Service's, look at tracked packets
// only; and a DNS query needs no entry in the host's connection table.
const table = "sandbar-dns"

func exemptFromTracking(ctx context.Context, address netip.Addr) error {
	family, protocol := knftables.IPv4Family, "ip"
	if address.Is6() {
		family, protocol = knftables.IPv6Family, "ip6"
	}
	nft, err := knftables.New(family, table)
	if err != nil {
		return err
	}
	transaction := nft.NewTransaction()
	// Added first, so that the deletion does not fail where it is not there.
	transaction.Add(&knftables.Table{})
	transaction.Delete(&knftables.Table{})
	transaction.Add(&knftables.Table{Comment: knftables.PtrTo("the cluster's DNS server")})
	for _, hook := range []knftables.BaseChainHook{knftables.PreroutingHook, knftables.OutputHook} {
		chain := "raw-" + string(hook)
		transaction.Add(&knftables.Chain{
			Name: chain, Type: knftables.PtrTo(knftables.FilterType), Hook: knftables.PtrTo(hook),
			Priority: knftables.PtrTo(knftables.RawPriority),
		})
		for _, transport := range []string{"udp", "tcp"} {
			transaction.Add(&knftables.Rule{
				Chain: chain, Rule: knftables.Concat(protocol, "daddr", address, transport, "dport", Port, "notrack"),
			})
			transaction.Add(&knftables.Rule{
				Chain: chain, Rule: knftables.Concat(protocol, "saddr", address, transport, "sport", Port, "notrack"),
			})
		}
	}
	return nft.Run(ctx, transaction)
}
