package host

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// resolvConf is what matters of a resolv.conf(5).
type resolvConf struct {
	// nameservers are as written, each once.
	nameservers []string
	// external are the resolvers behind an embedded one, as Docker notes them in a comment.
	external []string
	// search are the domains, options the options.
	search, options []string
}

func parseResolvConf(text string) resolvConf {
	conf := resolvConf{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		// # ExtServers: [192.168.1.1 host(127.0.0.53)]
		if rest, found := strings.CutPrefix(line, "# ExtServers: ["); found {
			for _, server := range strings.Fields(strings.TrimSuffix(rest, "]")) {
				if _, err := netip.ParseAddr(server); err == nil {
					conf.external = append(conf.external, server)
				}
			}
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if _, err := netip.ParseAddr(fields[1]); err == nil && !slices.Contains(conf.nameservers, fields[1]) {
				conf.nameservers = append(conf.nameservers, fields[1])
			}
		case "search", "domain":
			// The last one counts.
			conf.search = fields[1:]
		case "options":
			conf.options = append(conf.options, fields[1:]...)
		}
	}
	return conf
}

// forPods is the resolv.conf that pods can use: resolvers on a loopback address are only reached from the node's own
// network namespace. It may name none; then the cluster's DNS server is the only one that a pod can ask.
func (c resolvConf) forPods() string {
	var servers []string
	for _, list := range [][]string{c.nameservers, c.external} {
		for _, server := range list {
			// Link-local addresses need the interface's zone, which is another one in a pod.
			if address, err := netip.ParseAddr(server); err == nil && !address.IsLoopback() && !address.IsLinkLocalUnicast() &&
				!slices.Contains(servers, server) {
				servers = append(servers, server)
			}
		}
	}
	var lines strings.Builder
	for _, server := range servers {
		lines.WriteString("nameserver " + server + "\n")
	}
	// podman adds its own "dns.podman" too; names of other containers are worth keeping.
	if len(c.search) > 0 && !slices.Equal(c.search, []string{"."}) {
		lines.WriteString("search " + strings.Join(c.search, " ") + "\n")
	}
	if len(c.options) > 0 {
		lines.WriteString("options " + strings.Join(c.options, " ") + "\n")
	}
	return lines.String()
}

// resolvers writes the resolv.conf for pods.
func (p *preparer) resolvers() error {
	data, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	conf := parseResolvConf(string(data))
	text := conf.forPods()
	if err := os.WriteFile(p.layout.ResolvConf(), []byte(text), 0o644); err != nil {
		return err
	}
	p.result.Facts.ResolvConf = p.layout.ResolvConf()
	p.result.Facts.Upstreams = append([]string{}, conf.nameservers...)
	return nil
}
