package dns

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
)

// serverType is CoreDNS's name among caddy's servers.
const serverType = "dns"

// maxConfigFile is the largest Corefile that is read, in bytes.
const maxConfigFile = 1 << 20

// notOurs are directives that a Corefile for a pod has and a server in the node must not: they open ports of their own,
// end the process, or do what this component does.
var notOurs = []string{"bind", "health", "ready", "prometheus", "reload", "loop", "pprof"}

// input is the Corefile that the server is started with.
func (d *DNS) input() (caddy.Input, error) {
	if d.options.ConfigFile == "" {
		return caddy.CaddyfileInput{
			Filepath: "Corefile", Contents: []byte(buildCorefile(d.options)), ServerTypeName: serverType,
		}, nil
	}
	info, err := os.Stat(d.options.ConfigFile)
	if err != nil {
		return nil, fmt.Errorf("dns.configFile: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfigFile {
		return nil, fmt.Errorf("dns.configFile: %s is not a regular file of at most 1 MiB", d.options.ConfigFile)
	}
	data, err := os.ReadFile(d.options.ConfigFile)
	if err != nil {
		return nil, fmt.Errorf("dns.configFile: %w", err)
	}
	adapted, err := adaptCorefile(d.options.ConfigFile, data, d.options.Address)
	if err != nil {
		return nil, fmt.Errorf("dns.configFile: %w", err)
	}
	return caddy.CaddyfileInput{
		Filepath: d.options.ConfigFile, Contents: []byte(adapted), ServerTypeName: serverType,
	}, nil
}

// buildCorefile is the node's own Corefile. It is pure.
func buildCorefile(o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".:%d {\n", Port)
	fmt.Fprintf(&b, "    bind %s\n", o.Address)
	b.WriteString("    errors\n")
	if o.HostsFile != "" {
		fmt.Fprintf(&b, "    hosts %s {\n        fallthrough\n    }\n", quote(o.HostsFile))
	}
	if o.BaseDomain != "" {
		fmt.Fprintf(&b, "    %s apps.%s %s\n", wildcardDirective, o.BaseDomain, o.NodeIP)
	}
	fmt.Fprintf(&b, "    %s %s in-addr.arpa ip6.arpa {\n", clusterDirective, o.ClusterDomain)
	b.WriteString("        pods insecure\n        fallthrough in-addr.arpa ip6.arpa\n    }\n")
	if upstreams := usableUpstreams(o.Upstreams, o.Address); len(upstreams) > 0 {
		fmt.Fprintf(&b, "    %s\n    forward . %s\n", outsideDirective, strings.Join(upstreams, " "))
	} else {
		fmt.Fprintf(&b, "    %s\n", unknownDirective)
	}
	b.WriteString("    cache 30\n    loadbalance\n}\n")
	return b.String()
}

// usableUpstreams drops what is no address and what would lead back here, and keeps the order.
func usableUpstreams(upstreams []string, own netip.Addr) []string {
	var usable []string
	for _, upstream := range upstreams {
		address, err := netip.ParseAddr(upstream)
		if err != nil {
			addressPort, err := netip.ParseAddrPort(upstream)
			if err != nil {
				continue
			}
			address = addressPort.Addr()
		}
		if address.Unmap() == own || address.IsUnspecified() || slices.Contains(usable, upstream) {
			continue
		}
		usable = append(usable, upstream)
	}
	return usable
}

// adaptCorefile makes a Corefile that was written for a pod fit this server: it listens on the cluster's DNS address and
// port, reaches the API server with our client, and leaves out what opens ports or ends the process. It is pure but for
// the files that the Corefile imports.
func adaptCorefile(name string, data []byte, address netip.Addr) (string, error) {
	blocks, err := caddyfile.Parse(name, bytes.NewReader(data), nil)
	if err != nil {
		return "", err
	}
	if len(blocks) == 0 {
		return "", fmt.Errorf("%s has no server", name)
	}
	var b strings.Builder
	for _, block := range blocks {
		for i, key := range block.Keys {
			if i > 0 {
				b.WriteString(" ")
			}
			b.WriteString(onOurPort(key))
		}
		fmt.Fprintf(&b, " {\n    bind %s\n", address)
		directives := make([]string, 0, len(block.Tokens))
		for directive := range block.Tokens {
			directives = append(directives, directive)
		}
		slices.Sort(directives)
		for _, directive := range directives {
			if !slices.Contains(notOurs, directive) {
				writeTokens(&b, block.Tokens[directive])
			}
		}
		b.WriteString("}\n")
	}
	return b.String(), nil
}

// onOurPort is a server's key with the port that pods ask: only DNS over UDP and TCP is served.
func onOurPort(key string) string {
	zone := strings.TrimPrefix(key, "dns://")
	if host, _, err := net.SplitHostPort(zone); err == nil {
		zone = host
	}
	return zone + ":" + strconv.Itoa(Port)
}

// writeTokens writes one directive as it was, line by line.
func writeTokens(b *strings.Builder, tokens []caddyfile.Token) {
	line := -1
	for i, token := range tokens {
		switch {
		case token.Line != line:
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString("    ")
			line = token.Line
		default:
			b.WriteString(" ")
		}
		text := token.Text
		if i == 0 && text == "kubernetes" {
			text = clusterDirective
		}
		if text == "{" || text == "}" {
			b.WriteString(text)
			continue
		}
		b.WriteString(quote(text))
	}
	b.WriteString("\n")
}

// quote is the word as a Corefile takes it.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n\"#{}") {
		return word
	}
	return `"` + strings.ReplaceAll(word, `"`, `\"`) + `"`
}
