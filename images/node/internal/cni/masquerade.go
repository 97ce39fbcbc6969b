package cni

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

// table is the nftables table with the rules of the pod network.
const table = "sandbar-pods"

// Options are what [Setup] needs.
type Options struct {
	// PodCIDRs are the pod networks, one, or one of each family.
	PodCIDRs []string
	// MTU of pods' interfaces; 0 leaves the kernel's default.
	MTU int
	// ConfDir is where containerd looks, normally paths.CNIConfig.
	ConfDir string
	// NFT is the program, normally "nft".
	NFT string
}

// Setup makes the pod network ready: the rules first, then the configuration that lets containerd start pods. It may be
// called again at any time, also with other networks.
func Setup(ctx context.Context, o Options) error {
	rules, err := Ruleset(o.PodCIDRs)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, o.NFT, "-f", "-")
	command.Stdin = strings.NewReader(rules)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	if err := command.Run(); err != nil {
		return fmt.Errorf("set the rules of the pod network: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return Write(o.ConfDir, o.PodCIDRs, o.MTU)
}

// Ruleset is the input of nft(8) that replaces the table of the pod network in one transaction: what pods send to other
// addresses than pods' leaves under the node's own. Traffic to services has its final address by then.
func Ruleset(podCIDRs []string) (string, error) {
	var rules strings.Builder
	// Deleting what may not be there is an error, so it is made first.
	fmt.Fprintf(&rules, "add table inet %[1]s\ndelete table inet %[1]s\ntable inet %[1]s {\n", table)
	rules.WriteString("  chain outgoing {\n    type nat hook postrouting priority srcnat; policy accept;\n")
	for _, text := range podCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return "", fmt.Errorf("pod network %q: %w", text, err)
		}
		family, multicast := "ip", "224.0.0.0/4"
		if prefix.Addr().Is6() {
			family, multicast = "ip6", "ff00::/8"
		}
		fmt.Fprintf(&rules, "    %[1]s saddr %[2]s %[1]s daddr != { %[2]s, %[3]s } masquerade\n", family, prefix.Masked(), multicast)
	}
	rules.WriteString("  }\n}\n")
	return rules.String(), nil
}
