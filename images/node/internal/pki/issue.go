package pki

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"sandbar.dev/node/internal/durable"
)

// Request is what a certificate is to say.
type Request struct {
	// CommonName is the user of a client certificate.
	CommonName string
	// Organizations are the groups of a client certificate.
	Organizations []string
	// DNSNames and IPs are the names of a server certificate.
	DNSNames []string
	IPs      []net.IP

	usage    x509.ExtKeyUsage
	lifetime time.Duration
}

// Pair is a certificate and its key, both as PEM.
type Pair struct {
	Cert, Key []byte
	NotAfter  time.Time
}

// Files are the paths of a certificate and its key. They are replaced before the certificate expires.
type Files struct{ Cert, Key string }

// leaf is a certificate in the run folder, with all that is needed to renew it.
type leaf struct {
	request   Request
	authority *authority
	notAfter  time.Time
}

// Server issues a server certificate into the run folder as NAME.crt and NAME.key.
func (p *PKI) Server(name string, dnsNames []string, ips []net.IP) (Files, error) {
	request := Request{CommonName: name, DNSNames: dnsNames, IPs: ips, usage: x509.ExtKeyUsageServerAuth, lifetime: p.times.Leaf}
	return p.file(name, p.cluster, request)
}

// Client issues a client certificate of the cluster's authority into the run folder. Its files are named after the user.
func (p *PKI) Client(user string, groups ...string) (Files, error) {
	return p.file(fileName(user), p.cluster, p.clientRequest(user, groups...))
}

// FrontProxyClient issues the certificate with which the API server calls extension API servers.
func (p *PKI) FrontProxyClient(user string) (Files, error) {
	return p.file(fileName(user), p.frontProxy, p.clientRequest(user))
}

// ClientPair issues a client certificate that is not kept: it goes into a kubeconfig.
func (p *PKI) ClientPair(user string, groups ...string) (Pair, error) {
	return p.cluster.issue(p.clientRequest(user, groups...), p.times.Now())
}

func (p *PKI) clientRequest(user string, groups ...string) Request {
	return Request{CommonName: user, Organizations: groups, usage: x509.ExtKeyUsageClientAuth, lifetime: p.times.Leaf}
}

func (p *PKI) file(name string, signer *authority, request Request) (Files, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.write(name, leaf{request: request, authority: signer})
}

// write issues a certificate and puts it into the run folder; the caller holds p.mu.
func (p *PKI) write(name string, l leaf) (Files, error) {
	pair, err := l.authority.issue(l.request, p.times.Now())
	if err != nil {
		return Files{}, err
	}
	files := Files{Cert: filepath.Join(p.run, name+".crt"), Key: filepath.Join(p.run, name+".key")}
	// Readers that see the new key with the old certificate refuse the pair and look again at the next change.
	if err := durable.WriteVolatile(files.Key, pair.Key, 0o600); err != nil {
		return Files{}, err
	}
	if err := durable.WriteVolatile(files.Cert, pair.Cert, 0o600); err != nil {
		return Files{}, err
	}
	l.notAfter = pair.NotAfter
	p.leaves[name] = l
	return files, nil
}

// Rotate renews certificates that have used up two thirds of their life, until ctx ends. It looks at the wall clock
// again and again, because a timer does not notice a clock that is set, as on a device without a battery.
func (p *PKI) Rotate(ctx context.Context) {
	ticker := time.NewTicker(p.times.Look)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, err := range p.renew() {
				klog.FromContext(ctx).Error(err, "A certificate could not be renewed")
			}
		}
	}
}

func (p *PKI) renew() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var problems []error
	for name, l := range p.leaves {
		if left := l.notAfter.Sub(p.times.Now()); left > l.request.lifetime/3 && left <= l.request.lifetime {
			continue
		}
		if _, err := p.write(name, l); err != nil {
			problems = append(problems, fmt.Errorf("renew %s: %w", name, err))
		}
	}
	return problems
}

// APIServerNames are the names under which the API server is reached: inside the cluster, on the node, and those that
// the configuration adds, which may be IP addresses too.
func APIServerNames(nodeName, clusterDomain string, ips []net.IP, extra []string) ([]string, []net.IP) {
	names := []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc." + clusterDomain,
	}
	if nodeName != "" {
		names = append(names, nodeName)
	}
	addresses := append([]net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, ips...)
	for _, name := range extra {
		if ip := net.ParseIP(name); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, name)
		}
	}
	return unique(names, strings.ToLower), unique(addresses, net.IP.String)
}

func unique[T any](all []T, key func(T) string) []T {
	seen := map[string]bool{}
	var kept []T
	for _, one := range all {
		if k := key(one); !seen[k] {
			seen[k] = true
			kept = append(kept, one)
		}
	}
	return kept
}

// fileName turns a user such as "system:node:a" into the name of a file.
func fileName(user string) string {
	return regexp.MustCompile(`[^A-Za-z0-9.-]+`).ReplaceAllString(user, "-")
}
