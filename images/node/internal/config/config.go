// Package config reads a node's configuration: MicroShift's keys, and Sandbar's own below "sandbar".
//
// It reads files and nothing else: no environment, no network. It imports nothing of Kubernetes, since sandbarctl uses it.
package config

import (
	"bytes"
	"fmt"
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// Config is what the node uses. [Load] fills in every default, so that a zero value means "none" or "off".
type Config struct {
	APIServer APIServer      `yaml:"apiServer"`
	Debugging Debugging      `yaml:"debugging"`
	DNS       DNS            `yaml:"dns"`
	Ingress   Ingress        `yaml:"ingress"`
	Kubelet   map[string]any `yaml:"kubelet,omitempty"` // laid over the KubeletConfiguration, a top-level key replaced whole
	Manifests Manifests      `yaml:"manifests"`
	Network   Network        `yaml:"network"`
	Node      Node           `yaml:"node"`
	Sandbar   Sandbar        `yaml:"sandbar"`
	Storage   Storage        `yaml:"storage"`
}

// APIServer configures kube-apiserver.
type APIServer struct {
	// AdvertiseAddress is the endpoint of the Service "kubernetes"; empty means the node's address.
	AdvertiseAddress string `yaml:"advertiseAddress"`
	// AuditLog is off with the profile None, the default here: a laptop does not want its disk written for it.
	AuditLog AuditLog `yaml:"auditLog"`
	// FeatureGates are Kubernetes' own; use [Config.FeatureGates].
	FeatureGates FeatureGates `yaml:"featureGates"`
	// NamedCertificates are served by SNI. Those that cannot be used have been dropped with a warning.
	NamedCertificates []NamedCertificate `yaml:"namedCertificates"`
	// SubjectAltNames are further names and addresses for the API server's certificate.
	SubjectAltNames []string `yaml:"subjectAltNames"`
	// TLS is for the API server and kubelet.
	TLS TLS `yaml:"tls"`
}

// AuditLog configures the API server's audit log.
type AuditLog struct {
	// MaxFileAge in days; 0 keeps files for ever.
	MaxFileAge int `yaml:"maxFileAge"`
	// MaxFileSize in megabytes.
	MaxFileSize int `yaml:"maxFileSize"`
	// MaxFiles is how many rotated files are kept.
	MaxFiles int `yaml:"maxFiles"`
	// Profile is Default, WriteRequestBodies, AllRequestBodies or None.
	Profile string `yaml:"profile"`
}

// FeatureGates selects Kubernetes' feature gates.
type FeatureGates struct {
	// FeatureSet is "" or CustomNoUpgrade; only with the latter do the lists mean anything.
	FeatureSet                              string   `yaml:"featureSet"`
	CustomNoUpgrade                         GateList `yaml:"customNoUpgrade"`
	SpecialHandlingSupportExceptionRequired GateList `yaml:"specialHandlingSupportExceptionRequired"`
}

// GateList names feature gates.
type GateList struct {
	Enabled  []string `yaml:"enabled"`
	Disabled []string `yaml:"disabled"`
}

// NamedCertificate is a certificate for further names of the API server.
type NamedCertificate struct {
	// CertPath and KeyPath are PEM files.
	CertPath string `yaml:"certPath"`
	KeyPath  string `yaml:"keyPath"`
	// Names are the SNI names; empty means those in the certificate.
	Names []string `yaml:"names"`
}

// TLS limits what servers speak.
type TLS struct {
	// CipherSuites are IANA names.
	CipherSuites []string `yaml:"cipherSuites"`
	// MinVersion is VersionTLS12 or VersionTLS13.
	MinVersion string `yaml:"minVersion"`
}

// Debugging configures logging.
type Debugging struct {
	// LogLevel is Normal, Debug, Trace or TraceAll; use [Config.Verbosity].
	LogLevel string `yaml:"logLevel"`
}

// DNS configures the cluster's DNS server.
type DNS struct {
	// BaseDomain is the domain of the ingress' names: *.apps.BaseDomain.
	BaseDomain string `yaml:"baseDomain"`
	// ConfigFile is a Corefile that replaces Sandbar's; empty means none.
	ConfigFile string `yaml:"configFile"`
	// Hosts serves the names of a hosts file.
	Hosts DNSHosts `yaml:"hosts"`
}

// DNSHosts configures the hosts file that DNS serves.
type DNSHosts struct {
	// File is an absolute path.
	File string `yaml:"file"`
	// Status is Enabled or Disabled.
	Status string `yaml:"status"`
}

// Ingress configures the ingress controller.
type Ingress struct {
	// Status is Managed, or Removed when there is to be none.
	Status string `yaml:"status"`
}

// Manifests configures what is applied after each start.
type Manifests struct {
	// KustomizePaths are globs of folders (and files) in the order in which they are applied; empty means nothing is.
	KustomizePaths []string `yaml:"kustomizePaths"`
}

// Network configures the addresses of pods and Services.
type Network struct {
	// ClusterNetwork has one IPv4 CIDR.
	ClusterNetwork []string `yaml:"clusterNetwork"`
	// ServiceNetwork has one IPv4 CIDR.
	ServiceNetwork []string `yaml:"serviceNetwork"`
	// ServiceNodePortRange is two ports with a hyphen between them.
	ServiceNodePortRange string `yaml:"serviceNodePortRange"`
}

// Node configures the Node object.
type Node struct {
	// HostnameOverride is what the file says; the resolved name is [Config.NodeName].
	HostnameOverride string `yaml:"hostnameOverride"`
	// NodeIP is the node's address; empty means that of the default route's interface.
	NodeIP string `yaml:"nodeIP"`
}

// Sandbar has the keys that MicroShift does not have.
type Sandbar struct {
	// ClusterName is what the laptop calls the cluster: *.ClusterName.localhost leads to the ingress.
	ClusterName string `yaml:"clusterName"`
	// HostPorts are the laptop's ports that lead here, for reports; 0 means not known.
	HostPorts HostPorts `yaml:"hostPorts"`
	// NodeLabels are further labels of the Node object.
	NodeLabels map[string]string `yaml:"nodeLabels"`
}

// HostPorts are ports of the laptop.
type HostPorts struct {
	API   int `yaml:"api"`
	HTTP  int `yaml:"http"`
	HTTPS int `yaml:"https"`
}

// Storage configures the default StorageClass.
type Storage struct {
	// Driver is "none" when there is to be no storage, else "".
	Driver string `yaml:"driver"`
}

// Default returns the configuration without any file: for a cluster named "default".
func Default() *Config {
	config := defaults()
	config.complete()
	return config
}

// defaults are the values before any file is read.
func defaults() *Config {
	return &Config{
		APIServer: APIServer{
			AuditLog: AuditLog{MaxFiles: 10, MaxFileSize: 200, Profile: "None"},
			TLS:      TLS{MinVersion: "VersionTLS12"},
		},
		Debugging: Debugging{LogLevel: "Normal"},
		DNS:       DNS{Hosts: DNSHosts{File: "/etc/hosts", Status: "Disabled"}},
		Ingress:   Ingress{Status: "Managed"},
		Manifests: Manifests{KustomizePaths: []string{
			"/usr/lib/microshift/manifests", "/usr/lib/microshift/manifests.d/*",
			"/etc/microshift/manifests", "/etc/microshift/manifests.d/*", "/etc/sandbar/manifests.d/*",
		}},
		Network: Network{
			ClusterNetwork: []string{"10.42.0.0/16"}, ServiceNetwork: []string{"10.43.0.0/16"},
			ServiceNodePortRange: "30000-32767",
		},
		Sandbar: Sandbar{ClusterName: "default"},
	}
}

// complete fills in the defaults that hang on other values.
func (c *Config) complete() {
	if c.DNS.BaseDomain == "" {
		c.DNS.BaseDomain = c.Sandbar.ClusterName + ".sandbar.internal"
	}
	if len(c.APIServer.TLS.CipherSuites) == 0 {
		c.APIServer.TLS.CipherSuites = defaultCipherSuites(c.APIServer.TLS.MinVersion)
	}
}

// ClusterCIDR is the network of pods.
func (c *Config) ClusterCIDR() netip.Prefix { return firstPrefix(c.Network.ClusterNetwork) }

// ServiceCIDR is the network of Services.
func (c *Config) ServiceCIDR() netip.Prefix { return firstPrefix(c.Network.ServiceNetwork) }

// DNSAddress is the address of the cluster's DNS server: the tenth of the service network.
func (c *Config) DNSAddress() netip.Addr {
	address := c.ServiceCIDR().Addr()
	for range 10 {
		address = address.Next()
	}
	return address
}

// NodeName is the name of the Node object.
func (c *Config) NodeName() string { return c.Node.HostnameOverride }

// Verbosity is klog's level for the log level.
func (c *Config) Verbosity() int { return verbosity(c.Debugging.LogLevel) }

// FeatureGates are the gates that were switched, by name; nil when none were.
func (c *Config) FeatureGates() map[string]bool {
	gates := c.APIServer.FeatureGates
	if gates.FeatureSet != "CustomNoUpgrade" {
		return nil
	}
	switched := map[string]bool{}
	for _, list := range []GateList{gates.CustomNoUpgrade, gates.SpecialHandlingSupportExceptionRequired} {
		for _, gate := range list.Enabled {
			switched[gate] = true
		}
		for _, gate := range list.Disabled {
			switched[gate] = false
		}
	}
	return switched
}

// IngressDomains are the domains below which every name leads to the ingress.
func (c *Config) IngressDomains() []string {
	return []string{c.Sandbar.ClusterName + ".localhost", "apps." + c.DNS.BaseDomain}
}

// YAML is the configuration as a file that would give the same.
func (c *Config) YAML() ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(c); err != nil {
		return nil, fmt.Errorf("write the configuration as YAML: %w", err)
	}
	return text.Bytes(), nil
}

func firstPrefix(cidrs []string) netip.Prefix {
	if len(cidrs) == 0 {
		return netip.Prefix{}
	}
	prefix, err := netip.ParsePrefix(cidrs[0])
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
