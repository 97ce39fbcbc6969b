package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// network checks the CIDRs and keeps the IPv4 ones in their shortest form.
func (c checker) network() {
	network := &c.config.Network
	cluster, clusterRead := c.prefixes("network.clusterNetwork", network.ClusterNetwork)
	service, serviceRead := c.prefixes("network.serviceNetwork", network.ServiceNetwork)
	if clusterRead && serviceRead {
		c.families(cluster, service)
	}
	if first, last, err := parsePortRange(network.ServiceNodePortRange); err != nil {
		c.problem("network.serviceNodePortRange", "%q %v", network.ServiceNodePortRange, err)
	} else {
		network.ServiceNodePortRange = fmt.Sprintf("%d-%d", first, last)
	}
}

// prefixes parses a list of CIDRs; its second result is false when the list is wrong.
func (c checker) prefixes(path string, cidrs []string) ([]netip.Prefix, bool) {
	correct := true
	var parsed []netip.Prefix
	for i, cidr := range cidrs {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			c.problem(fmt.Sprintf("%s[%d]", path, i), "%q is not a network such as 10.42.0.0/16", cidr)
			correct = false
			continue
		}
		parsed = append(parsed, prefix.Masked())
	}
	switch {
	case len(cidrs) > 2:
		c.problem(path, "has %d networks, at most 2 are possible", len(cidrs))
		correct = false
	case correct && len(parsed) == 2 && parsed[0].Addr().Is4() == parsed[1].Addr().Is4():
		c.problem(path, "has two networks of the same IP family")
		correct = false
	}
	return parsed, correct
}

// families compares the two lists, and keeps what this node can serve: one IPv4 network each.
func (c checker) families(cluster, service []netip.Prefix) {
	network := &c.config.Network
	switch {
	case len(cluster) != len(service):
		c.problem("network.clusterNetwork", "and network.serviceNetwork must have the same number of networks, not %d and %d",
			len(cluster), len(service))
		return
	case cluster[0].Addr().Is4() != service[0].Addr().Is4():
		c.problem("network.clusterNetwork", "and network.serviceNetwork must list the IP families in the same order")
		return
	case !cluster[0].Addr().Is4():
		c.problem("network.clusterNetwork", "must list an IPv4 network first: Sandbar has no IPv6 pod networks")
		return
	}
	if len(cluster) == 2 {
		const hint = "only the IPv4 networks are used"
		c.warn("network.clusterNetwork[1]", hint, "%s has no effect in Sandbar, which has no IPv6 pod networks", cluster[1])
		c.warn("network.serviceNetwork[1]", hint, "%s has no effect in Sandbar, which has no IPv6 pod networks", service[1])
	}
	if cluster[0].Bits() > 24 || cluster[0].Bits() < 8 {
		c.problem("network.clusterNetwork[0]", "%s must be between /8 and /24: the node gets a /24 of it", cluster[0])
	}
	if service[0].Bits() > 28 || service[0].Bits() < 8 {
		c.problem("network.serviceNetwork[0]", "%s must be between /8 and /28: the tenth address is the DNS server's", service[0])
	}
	if cluster[0].Overlaps(service[0]) {
		c.problem("network.serviceNetwork[0]", "%s overlaps the cluster network %s", service[0], cluster[0])
	}
	network.ClusterNetwork = []string{cluster[0].String()}
	network.ServiceNetwork = []string{service[0].String()}
}

// parsePortRange parses two ports with a hyphen between them. Its error completes a sentence about the range.
func parsePortRange(text string) (first, last int, err error) {
	low, high, found := strings.Cut(text, "-")
	first, lowErr := strconv.Atoi(strings.TrimSpace(low))
	last, highErr := strconv.Atoi(strings.TrimSpace(high))
	switch {
	case !found || lowErr != nil || highErr != nil:
		return 0, 0, fmt.Errorf("is not a range of ports such as 30000-32767")
	case first < 1 || last > 65535 || first > last:
		return 0, 0, fmt.Errorf("must be within 1-65535 and ascending")
	}
	return first, last, nil
}
