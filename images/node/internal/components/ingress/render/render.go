// Package render makes HAProxy's configuration from an ingress model. It is pure: the same model gives the same bytes.
//
// The configuration stays small whatever the number of routes: hosts and paths are looked up in two maps, one for exact
// paths and one for prefixes, and name the backend. Backends have more servers than endpoints, so that endpoints come and
// go through HAProxy's runtime API; everything else changes the configuration's description, and needs a reload.
package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/haproxy"
)

// Names of the files that the configuration refers to.
const (
	exactMap        = "exact.map"
	prefixMap       = "prefix.map"
	certificateList = "certificates.list"
	defaultFile     = "default.pem"
)

// nowhere is the backend of requests that no route matches. Model IDs of backends always hold a ':'.
const nowhere = "nowhere"

// Settings are what a configuration needs beside the model.
type Settings struct {
	// Folder is the HAProxy's.
	Folder haproxy.Folder
	// ClusterID goes into the health answer.
	ClusterID string
	// DefaultCertificate is the PEM chain and key for names that have no certificate of their own.
	DefaultCertificate []byte
}

// Output is a configuration and what its servers are meant to be.
type Output struct {
	Configuration haproxy.Configuration
	// Servers are the servers of each backend, as in the configuration.
	Servers map[string][]haproxy.Server
	// CertificateFiles tells whose each certificate's file is, by its plain name.
	CertificateFiles map[string]model.Ref
}

// CertificateFile is the plain name of a certificate's file, which depends on its content only.
func CertificateFile(certificate model.Certificate) string {
	return "tls-" + digest(certificate.PEM) + ".pem"
}

// Render makes the configuration. Running are the servers of the HAProxy that will get it, whose places endpoints keep;
// it may be nil.
func Render(m model.Model, settings Settings, running map[string][]haproxy.Server) Output {
	out := Output{Servers: map[string][]haproxy.Server{}, CertificateFiles: map[string]model.Ref{}}
	for _, backend := range m.Backends {
		out.Servers[backend.ID] = assign(running[backend.ID], backend.Servers)
	}
	files := mapFiles(m.Routes)
	files[defaultFile] = settings.DefaultCertificate
	for _, certificate := range m.Certificates {
		name := CertificateFile(certificate)
		files[name] = certificate.PEM
		out.CertificateFiles[name] = certificate.Owner
	}

	// The description stands for all but the servers' addresses, weights and states. The list of certificates and the
	// main file name the folder of the files, so they take part as they would be without it.
	sum := sha256.New()
	sum.Write(mainFile(m, settings, "", "", out.Servers, false))
	files[certificateList] = listFile(m.Certificates, "")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%s %d\n", name, len(files[name]))
		sum.Write(files[name])
	}
	description := hex.EncodeToString(sum.Sum(nil))[:24]

	folder := haproxy.FilesFolder(description)
	path := filepath.Join(string(settings.Folder), folder)
	files[certificateList] = listFile(m.Certificates, path)
	out.Configuration = haproxy.Configuration{
		Description: description,
		Main:        mainFile(m, settings, description, path, out.Servers, true),
		Files:       files,
		FilesFolder: folder,
	}
	return out
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:12])
}

// mapFiles are the two maps. A key is the host, or ".domain" for a wildcard, or nothing for any host, and the path;
// prefixes end in "/", as do the keys that are looked up among them, so that only whole segments match.
func mapFiles(routes []model.Route) map[string][]byte {
	var exact, prefix bytes.Buffer
	for _, route := range routes {
		key := strings.TrimPrefix(route.Host, "*")
		if route.Match == model.Exact {
			fmt.Fprintf(&exact, "%s%s %s\n", key, route.Path, route.Backend)
		} else {
			fmt.Fprintf(&prefix, "%s%s/ %s\n", key, strings.TrimRight(route.Path, "/"), route.Backend)
		}
	}
	return map[string][]byte{exactMap: exact.Bytes(), prefixMap: prefix.Bytes()}
}

// listFile is the list of certificates with the names they are for.
// https://docs.haproxy.org/3.0/configuration.html#5.1-crt-list
func listFile(certificates []model.Certificate, folder string) []byte {
	var b bytes.Buffer
	for _, certificate := range certificates {
		fmt.Fprintf(&b, "%s %s\n",
			filepath.Join(folder, CertificateFile(certificate)), strings.Join(certificate.Names, " "))
	}
	return b.Bytes()
}

// mainFile is the configuration file; without addresses it is the part of it that only a reload can change.
func mainFile(
	m model.Model, settings Settings, description, files string, servers map[string][]haproxy.Server, addresses bool,
) []byte {
	var b bytes.Buffer
	file := func(name string) string { return haproxy.Quote(filepath.Join(files, name)) }
	b.Write(haproxy.Preamble(settings.Folder, description))
	b.WriteString("  http-error status 503 content-type text/plain string \"no endpoint of the service is ready\\n\"\n")

	fmt.Fprintf(&b, "\nfrontend edge\n  bind fd@%d\n", haproxy.HTTPDescriptor)
	fmt.Fprintf(&b, "  bind fd@%d ssl crt %s crt-list %s alpn h2,http/1.1\n",
		haproxy.HTTPSDescriptor, file(defaultFile), file(certificateList))
	b.WriteString(haproxy.HealthRule(settings.ClusterID))
	b.WriteString(`  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Port %[req.hdr(host),port_only] if { req.hdr(host),port_only gt 0 }
  http-request del-header Forwarded
  http-request del-header Proxy
  http-request set-var(txn.host) req.hdr(host),host_only,rtrim(.),lower
  http-request set-var-fmt(txn.key) %[var(txn.host)]%[path]
`)
	lookUp := func() {
		fmt.Fprintf(&b, "  http-request set-var(txn.backend) var(txn.key),map_str(%s) unless { var(txn.backend) -m found }\n",
			file(exactMap))
		fmt.Fprintf(&b, "  http-request set-var(txn.backend) var(txn.key),concat(/),map_beg(%s) "+
			"unless { var(txn.backend) -m found }\n", file(prefixMap))
	}
	lookUp()
	if anyHost(m.Routes, func(host string) bool { return strings.HasPrefix(host, "*") }) {
		b.WriteString("  http-request set-var-fmt(txn.key) .%[var(txn.host),field(2,.,0)]%[path]\n")
		lookUp()
	}
	if anyHost(m.Routes, func(host string) bool { return host == "" }) {
		b.WriteString("  http-request set-var(txn.key) path\n")
		lookUp()
	}
	fmt.Fprintf(&b, "  use_backend %%[var(txn.backend)] if { var(txn.backend) -m found }\n  default_backend %s\n", nowhere)
	fmt.Fprintf(&b, "\nbackend %s\n  http-request return status 404 content-type text/plain "+
		"string \"no route matches this host and path\\n\"\n", nowhere)

	for _, backend := range m.Backends {
		writeBackend(&b, backend, servers[backend.ID], addresses)
	}
	return b.Bytes()
}

func anyHost(routes []model.Route, fits func(string) bool) bool {
	return slices.ContainsFunc(routes, func(route model.Route) bool { return fits(route.Host) })
}

func writeBackend(b *bytes.Buffer, backend model.Backend, servers []haproxy.Server, addresses bool) {
	fmt.Fprintf(b, "\nbackend %s\n  balance roundrobin\n", backend.ID)
	protocol := ""
	if backend.Protocol == model.H2C {
		protocol = " proto h2"
	}
	for _, server := range servers {
		fmt.Fprintf(b, "  server %s", server.Name)
		if addresses {
			// A draining server has no word of its own in a configuration: one that starts anew has nothing to finish.
			fmt.Fprintf(b, " %s weight %d", server.Address, server.Weight)
			if server.State != haproxy.Ready {
				b.WriteString(" disabled")
			}
		}
		b.WriteString(protocol + "\n")
	}
}
