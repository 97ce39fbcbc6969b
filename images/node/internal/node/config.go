package node

import (
	"net/netip"
	"os"

	"sandbar.dev/node/internal/components/kubelet"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/hostnet"
	"sandbar.dev/node/internal/paths"
)

// loadConfig reads the configuration and makes sure that the node keeps the name of its first start.
func loadConfig(layout paths.Layout) (*config.Config, []config.Warning, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(layout.Data, 0o755); err != nil {
		return nil, nil, err
	}
	known, err := config.ReadNodeName(layout.Data)
	if err != nil {
		return nil, nil, err
	}
	local, err := hostnet.Addresses()
	if err != nil {
		return nil, nil, err
	}
	var addresses []netip.Addr
	for _, address := range local {
		addresses = append(addresses, address.IP)
	}
	settings, warnings, err := config.Load(config.Sources{
		Directories:   []string{layout.MicroShiftConfig, layout.Config},
		Hostname:      hostname,
		KnownNodeName: known,
		HostAddresses: addresses,
		CheckKubelet:  kubelet.CheckOverlay,
	})
	if err != nil {
		return nil, warnings, err
	}
	if known == "" {
		err = config.WriteNodeName(layout.Data, settings.NodeName())
	}
	return settings, warnings, err
}
