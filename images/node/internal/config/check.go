package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sandbar.dev/node/internal/contract"
)

// maximumDNSFileSize is MicroShift's limit for dns.configFile and dns.hosts.file, in bytes.
const maximumDNSFileSize = 1 << 20

// checker holds the decoded configuration against what the node can do, and resolves what hangs on other values.
type checker struct {
	config    *Config
	documents *documents
	sources   Sources
}

// check adds every problem and warning to the documents and completes the configuration.
func (c checker) check() {
	c.sandbar()
	c.node()
	c.network()
	c.apiServer()
	c.gates()
	c.dns()
	c.kubelet()
	c.others()
	c.config.complete()
}

// problem reports what is wrong with the value at a path.
func (c checker) problem(path, format string, arguments ...any) {
	where := c.documents.find(path)
	c.documents.problem(Problem{File: where.file, Line: where.line, Key: path, Message: fmt.Sprintf(format, arguments...)})
}

// warn says that the value at a path is not taken as it stands.
func (c checker) warn(path, hint, format string, arguments ...any) {
	where := c.documents.find(path)
	message := Problem{File: where.file, Line: where.line, Key: path, Message: fmt.Sprintf(format, arguments...)}.String()
	c.documents.warnings = append(c.documents.warnings, Warning{Code: contract.WarningConfigValue, Message: message, Hint: hint})
}

func (c checker) sandbar() {
	sandbar := &c.config.Sandbar
	if reason := labelProblem(sandbar.ClusterName); reason != "" {
		c.problem("sandbar.clusterName", "%q %s", sandbar.ClusterName, reason)
	}
	for _, port := range []struct {
		name  string
		value int
	}{{"api", sandbar.HostPorts.API}, {"http", sandbar.HostPorts.HTTP}, {"https", sandbar.HostPorts.HTTPS}} {
		if port.value < 0 || port.value > 65535 {
			c.problem("sandbar.hostPorts."+port.name, "%d is not a port (1 to 65535)", port.value)
		}
	}
	for name, value := range sandbar.NodeLabels {
		if reason := nodeLabelProblem(name, value); reason != "" {
			c.problem("sandbar.nodeLabels", "%s: %s", name, reason)
		}
	}
}

// node resolves the node's name, which stays what it was at the first start.
func (c checker) node() {
	node := &c.config.Node
	override := strings.ToLower(node.HostnameOverride)
	known := c.sources.KnownNodeName
	switch {
	case override != "":
		if _, err := netip.ParseAddr(override); err == nil {
			c.problem("node.hostnameOverride", "must be a host name, not the address %s", override)
		} else if reason := hostnameProblem(override); reason != "" {
			c.problem("node.hostnameOverride", "%q %s", node.HostnameOverride, reason)
		} else if known != "" && override != known {
			c.problem("node.hostnameOverride", "the node is named %q since its first start and cannot become %q", known, override)
		}
		node.HostnameOverride = override
	case known != "":
		if c.sources.Hostname != "" && !strings.EqualFold(known, c.sources.Hostname) {
			c.documents.warnings = append(c.documents.warnings, Warning{
				Code:    contract.WarningNodeNameKept,
				Message: fmt.Sprintf("the host is now named %q; the node keeps its name %q", c.sources.Hostname, known),
				Hint:    "set node.hostnameOverride to the node's name, or make the cluster anew",
			})
		}
		node.HostnameOverride = known
	default:
		node.HostnameOverride = strings.ToLower(c.sources.Hostname)
		if reason := hostnameProblem(node.HostnameOverride); node.HostnameOverride == "" || reason != "" {
			node.HostnameOverride = c.config.Sandbar.ClusterName
		}
	}
	if node.NodeIP != "" {
		c.hostAddress("node.nodeIP", node.NodeIP)
	}
}

// hostAddress checks that a value is an IPv4 address of this host.
func (c checker) hostAddress(path, value string) {
	address, err := netip.ParseAddr(value)
	switch {
	case err != nil:
		c.problem(path, "%q is not an IP address", value)
	case !address.Unmap().Is4():
		c.problem(path, "%s is not an IPv4 address", value)
	case c.sources.HostAddresses != nil && !slices.Contains(c.sources.HostAddresses, address.Unmap()):
		c.problem(path, "no interface of the node has the address %s", value)
	}
}

func (c checker) apiServer() {
	server := &c.config.APIServer
	if server.AdvertiseAddress != "" {
		c.hostAddress("apiServer.advertiseAddress", server.AdvertiseAddress)
	}
	for i, name := range server.SubjectAltNames {
		path := fmt.Sprintf("apiServer.subjectAltNames[%d]", i)
		switch {
		case isAddress(name):
			if name == "127.0.0.1" || name == server.AdvertiseAddress {
				c.problem(path, "%s is in the certificate already and may not be listed", name)
			}
		case name == "localhost" || serviceName(name):
			c.problem(path, "%s is in the certificate already and may not be listed", name)
		default:
			if reason := hostnameProblem(strings.TrimPrefix(strings.ToLower(name), "*.")); reason != "" {
				c.problem(path, "%q %s", name, reason)
			}
		}
	}
	for _, number := range []struct {
		name  string
		value int
	}{
		{"maxFileAge", server.AuditLog.MaxFileAge}, {"maxFileSize", server.AuditLog.MaxFileSize},
		{"maxFiles", server.AuditLog.MaxFiles},
	} {
		if number.value < 0 {
			c.problem("apiServer.auditLog."+number.name, "%d may not be negative", number.value)
		}
	}
	c.cipherSuites()
	c.namedCertificates()
}

func (c checker) cipherSuites() {
	limits := &c.config.APIServer.TLS
	if len(limits.CipherSuites) == 0 {
		return
	}
	modern := defaultCipherSuites("VersionTLS13")
	for i, name := range limits.CipherSuites {
		path := fmt.Sprintf("apiServer.tls.cipherSuites[%d]", i)
		switch {
		case limits.MinVersion == "VersionTLS13" && !slices.Contains(modern, name):
			c.problem(path, "%s is not a cipher suite of TLS 1.3 (%s)", name, strings.Join(modern, ", "))
		case !knownCipherSuite(name):
			known := append(defaultCipherSuites("VersionTLS12"), modern...)
			where := c.documents.find(path)
			c.documents.problem(Problem{File: where.file, Line: where.line, Key: path,
				Message: fmt.Sprintf("%q is not a cipher suite", name), Nearest: closest(name, known)})
		}
	}
	// HTTP/2 demands one of these two (RFC 9113, section 9.2.2); the node's keys are ECDSA.
	const demanded = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
	if limits.MinVersion == "VersionTLS12" && !slices.Contains(limits.CipherSuites, demanded) &&
		!slices.Contains(limits.CipherSuites, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256") {
		limits.CipherSuites = append(limits.CipherSuites, demanded)
		c.warn("apiServer.tls.cipherSuites", "", "%s was added, since HTTP/2 needs it", demanded)
	}
}

// namedCertificates drops those that cannot be used, as MicroShift does.
func (c checker) namedCertificates() {
	var usable []NamedCertificate
	for i, certificate := range c.config.APIServer.NamedCertificates {
		path := fmt.Sprintf("apiServer.namedCertificates[%d]", i)
		if reason := c.namedCertificateProblem(certificate); reason != "" {
			c.warn(path, "the API server serves its own certificate for these names", "is skipped: %s", reason)
			continue
		}
		usable = append(usable, certificate)
	}
	c.config.APIServer.NamedCertificates = usable
}

func (c checker) namedCertificateProblem(certificate NamedCertificate) string {
	pair, err := tls.LoadX509KeyPair(certificate.CertPath, certificate.KeyPath)
	if err != nil {
		return err.Error()
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fmt.Sprintf("%s: %v", certificate.CertPath, err)
	}
	names := slices.Concat(certificate.Names, leaf.DNSNames)
	for _, address := range leaf.IPAddresses {
		names = append(names, address.String())
	}
	for _, name := range names {
		address, err := netip.ParseAddr(name)
		switch {
		case name == "localhost" || serviceName(name) || strings.HasSuffix(name, ".svc.cluster.local"):
			return fmt.Sprintf("%s is a name of the cluster's own", name)
		case err == nil && (address.IsLoopback() || c.config.ClusterCIDR().Contains(address) ||
			c.config.ServiceCIDR().Contains(address) || slices.Contains(c.sources.HostAddresses, address)):
			return fmt.Sprintf("%s is an address of the cluster's own", name)
		}
	}
	return ""
}

func (c checker) gates() {
	gates := &c.config.APIServer.FeatureGates
	const at = "apiServer.featureGates"
	lists := []struct {
		name string
		list GateList
	}{
		{"customNoUpgrade", gates.CustomNoUpgrade},
		{"specialHandlingSupportExceptionRequired", gates.SpecialHandlingSupportExceptionRequired},
	}
	switch gates.FeatureSet {
	case "", "CustomNoUpgrade":
	case "TechPreviewNoUpgrade", "DevPreviewNoUpgrade":
		c.problem(at+".featureSet", "the feature set %s is not supported; use CustomNoUpgrade and list the gates", gates.FeatureSet)
		return
	default:
		c.problem(at+".featureSet", "must be CustomNoUpgrade, not %q", gates.FeatureSet)
		return
	}
	for _, entry := range lists {
		path := at + "." + entry.name
		if gates.FeatureSet == "" && len(entry.list.Enabled)+len(entry.list.Disabled) > 0 {
			c.problem(path, "needs featureSet: CustomNoUpgrade")
		}
		for _, gate := range entry.list.Enabled {
			if slices.ContainsFunc(lists, func(other struct {
				name string
				list GateList
			}) bool {
				return slices.Contains(other.list.Disabled, gate)
			}) {
				c.problem(path, "%s is both enabled and disabled", gate)
			}
		}
	}
}

func (c checker) dns() {
	dns := &c.config.DNS
	if reason := hostnameProblem(dns.BaseDomain); dns.BaseDomain != "" && reason != "" {
		c.problem("dns.baseDomain", "%q %s", dns.BaseDomain, reason)
	}
	if dns.Hosts.Status == "Enabled" {
		if dns.ConfigFile != "" {
			c.problem("dns.configFile", "cannot be used together with dns.hosts")
		}
		c.dnsFile("dns.hosts.file", dns.Hosts.File)
	}
	if dns.ConfigFile != "" {
		c.dnsFile("dns.configFile", dns.ConfigFile)
	}
}

func (c checker) dnsFile(path, file string) {
	if !filepath.IsAbs(file) {
		c.problem(path, "%q is not an absolute path", file)
		return
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		c.problem(path, "%s cannot be read: %s", file, reason(err))
	case !info.Mode().IsRegular():
		c.problem(path, "%s is not a regular file", file)
	case info.Size() > maximumDNSFileSize:
		c.problem(path, "%s is larger than 1 MiB", file)
	}
}

// kubelet has the kubelet's own check, and looks for the keys that its error names.
func (c checker) kubelet() {
	if c.sources.CheckKubelet == nil || len(c.config.Kubelet) == 0 {
		return
	}
	err := c.sources.CheckKubelet(c.config.Kubelet)
	if err == nil {
		return
	}
	message := strings.TrimPrefix(err.Error(), "kubelet: ")
	if key, rest, found := strings.Cut(message, ": "); found && strings.HasPrefix(key, "kubelet.") {
		c.problem(key, "%s", rest)
		return
	}
	// Kubernetes' strict decoder lists the unknown fields, by their paths.
	const unknown = `unknown field "`
	pieces := strings.Split(message, unknown)
	for _, piece := range pieces[1:] {
		if field, _, found := strings.Cut(piece, `"`); found {
			c.problem("kubelet."+field, "unknown key of the kubelet's configuration")
		}
	}
	if len(pieces) == 1 {
		c.problem("kubelet", "%s", message)
	}
}

func (c checker) others() {
	switch strings.ToLower(c.config.Debugging.LogLevel) {
	case "normal":
		c.config.Debugging.LogLevel = "Normal"
	case "debug":
		c.config.Debugging.LogLevel = "Debug"
	case "trace":
		c.config.Debugging.LogLevel = "Trace"
	case "traceall":
		c.config.Debugging.LogLevel = "TraceAll"
	default:
		c.warn("debugging.logLevel", "use Normal, Debug, Trace or TraceAll", "%q is not a log level, Normal is used", c.config.Debugging.LogLevel)
		c.config.Debugging.LogLevel = "Normal"
	}
	for i, pattern := range c.config.Manifests.KustomizePaths {
		path := fmt.Sprintf("manifests.kustomizePaths[%d]", i)
		if _, err := filepath.Match(pattern, ""); err != nil {
			c.problem(path, "%q is not a valid pattern", pattern)
		} else if pattern == "" || !filepath.IsAbs(pattern) {
			c.problem(path, "%q is not an absolute path", pattern)
		}
	}
	if c.config.Storage.Driver == "lvms" {
		c.warn("storage.driver", "", "lvms has no effect in Sandbar, which uses its own driver")
		c.config.Storage.Driver = ""
	}
}

// verbosity is klog's level for a log level in MicroShift's words.
func verbosity(level string) int {
	switch strings.ToLower(level) {
	case "debug":
		return 4
	case "trace":
		return 6
	case "traceall":
		return 10
	default:
		return 2
	}
}
