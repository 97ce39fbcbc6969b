// Package cni sets the pod network up: its configuration for containerd (ptp with host-local addresses, and portmap), and
// one rule that gives pods the node's address towards the outside.
//
// ptp routes on the node, so no bridge and no br_netfilter are needed. It could masquerade too, but with rules and three
// runs of nft for each pod. Nothing here may import k8s.io.
package cni

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

const (
	// BinDir is where the plugins are.
	BinDir = "/usr/lib/cni"
	// File is the name of the configuration in its folder.
	File = "10-sandbar.conflist"
	// StateDir is where host-local keeps the addresses that are in use. It is on a tmpfs: no pod's network outlives
	// the container's network namespace, so no lease may.
	StateDir = "/run/cni/networks"
)

type conflist struct {
	CNIVersion string `json:"cniVersion"`
	Name       string `json:"name"`
	Plugins    []any  `json:"plugins"`
}

type ptp struct {
	Type string    `json:"type"`
	MTU  int       `json:"mtu,omitempty"`
	IPAM hostLocal `json:"ipam"`
}

type hostLocal struct {
	Type    string           `json:"type"`
	DataDir string           `json:"dataDir"`
	Ranges  [][]addressRange `json:"ranges"`
	Routes  []route          `json:"routes"`
}

type addressRange struct {
	Subnet string `json:"subnet"`
}

type route struct {
	Destination string `json:"dst"`
}

type portmap struct {
	Type         string          `json:"type"`
	Backend      string          `json:"backend"`
	SNAT         bool            `json:"snat"`
	Capabilities map[string]bool `json:"capabilities"`
}

// Conflist is the network list for pods with addresses out of podCIDRs (one, or one of each family). MTU 0 leaves the
// kernel's default, which is right where the node's own interface has 1500.
func Conflist(podCIDRs []string, mtu int) ([]byte, error) {
	if len(podCIDRs) == 0 {
		return nil, fmt.Errorf("no pod network is given")
	}
	ipam := hostLocal{Type: "host-local", DataDir: StateDir}
	families := map[bool]string{}
	for _, text := range podCIDRs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("pod network %q: %w", text, err)
		}
		if prefix.Masked() != prefix {
			return nil, fmt.Errorf("pod network %s has host bits set: %s is meant", text, prefix.Masked())
		}
		v4 := prefix.Addr().Is4()
		if other, taken := families[v4]; taken {
			return nil, fmt.Errorf("pod networks %s and %s are of one address family", other, text)
		}
		families[v4] = text
		ipam.Ranges = append(ipam.Ranges, []addressRange{{Subnet: prefix.String()}})
		if v4 {
			ipam.Routes = append(ipam.Routes, route{"0.0.0.0/0"})
		} else {
			ipam.Routes = append(ipam.Routes, route{"::/0"})
		}
	}
	data, err := json.MarshalIndent(conflist{
		CNIVersion: "1.0.0",
		Name:       "sandbar",
		Plugins: []any{
			ptp{Type: "ptp", MTU: mtu, IPAM: ipam},
			portmap{Type: "portmap", Backend: "nftables", SNAT: true, Capabilities: map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the network list: %w", err)
	}
	return append(data, '\n'), nil
}

// Write puts the network list for podCIDRs into directory (normally paths.CNIConfig) by a rename, as containerd watches the
// folder, and leaves a file alone that says the same already.
func Write(directory string, podCIDRs []string, mtu int) error {
	data, err := Conflist(podCIDRs, mtu)
	if err != nil {
		return err
	}
	path := filepath.Join(directory, File)
	if present, err := os.ReadFile(path); err == nil && slices.Equal(present, data) {
		return nil
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("write the pod network: %w", err)
	}
	// libcni reads *.conf, *.conflist and *.json only, so the temporary name is not taken for a network.
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return fmt.Errorf("write the pod network: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write the pod network: %w", err)
	}
	return nil
}
