package apiserver

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
	"sigs.k8s.io/yaml"

	"sandbar.dev/node/internal/pki"
)

// ServiceAccountIssuer is in every service account token. It is a name that no address and no restart changes.
const ServiceAccountIssuer = "https://kubernetes.default.svc.cluster.local"

// frontProxyUser is the only user whose word extension API servers take for who is calling.
const frontProxyUser = "front-proxy-client"

// KubeletUser is who the API server is for kubelets, when it fetches logs or runs a command in a pod.
const KubeletUser = "system:sandbar:kube-apiserver"

// Options are what the API server is started with.
type Options struct {
	// EtcdEndpoint is the datastore's URL.
	EtcdEndpoint string
	// PKI issues the API server's certificates and holds its keys.
	PKI *pki.PKI
	// RunDir is a folder, mode 0700 and on a tmpfs, for generated configuration files.
	RunDir string
	// Listener is where the API is served. It takes precedence over Port, which is bound on all addresses.
	Listener net.Listener
	Port     int
	// AdvertiseAddress is where the `kubernetes` Service leads. It should outlive restarts; nil leaves its endpoints alone.
	AdvertiseAddress net.IP
	// ServiceCIDRs is one network, or one of each family.
	ServiceCIDRs []string
	// ServiceNodePorts is a range such as "30000-32767"; empty means that one.
	ServiceNodePorts string
	// NodeName, NodeIPs and ExtraNames are further names of the server's certificate; ExtraNames may be IP addresses.
	NodeName   string
	NodeIPs    []net.IP
	ExtraNames []string
	// NamedCertificates are served to clients that ask for their names.
	NamedCertificates []NamedCertificate
	// MinTLSVersion is "VersionTLS12" or "VersionTLS13"; CipherSuites are IANA names. Empty means Go's defaults.
	MinTLSVersion string
	CipherSuites  []string
	// Audit writes requests to a file; the zero value does not.
	Audit Audit
	// Provisional has the server start as far as it goes while it is nobody's: PKI is one that is thrown away, and nobody is let
	// in until [APIServer.Adopt]. Nothing that a cluster keeps is written before.
	Provisional bool
	// ShutdownTimeout is how long connections may stay open when the server stops, after all requests but watches and
	// the like have been answered. Watches do not end by themselves, so all of it is always used.
	ShutdownTimeout time.Duration
}

// NamedCertificate is a certificate of the user's for some names of the API server.
type NamedCertificate struct {
	Names             []string
	CertFile, KeyFile string
}

// Audit is where and what the API server logs of its requests.
type Audit struct {
	// PolicyFile is an audit.k8s.io/v1 Policy; empty turns auditing off.
	PolicyFile string
	// LogFile is written to and rotated: MaxAgeDays 0 keeps files of any age, MaxFiles 0 any number.
	LogFile                        string
	MaxAgeDays, MaxFiles, MaxSizeM int
}

// files are what the server reads: its certificates, and configuration with keys in it. Their paths depend on nothing but the folder.
type files struct {
	serving, frontProxy, kubelet pki.Files
	encryption, authentication   string
}

// writeFiles issues the certificates and writes the configuration.
func writeFiles(o Options) (*files, error) {
	serviceIPs, err := firstAddresses(o.ServiceCIDRs)
	if err != nil {
		return nil, err
	}
	ips := append(serviceIPs, o.NodeIPs...)
	if o.AdvertiseAddress != nil {
		ips = append(ips, o.AdvertiseAddress)
	}
	names, addresses := pki.APIServerNames(o.NodeName, "cluster.local", ips, o.ExtraNames)
	f := &files{}
	if f.serving, err = o.PKI.Server("kube-apiserver", names, addresses); err != nil {
		return nil, err
	}
	if f.frontProxy, err = o.PKI.FrontProxyClient(frontProxyUser); err != nil {
		return nil, err
	}
	if f.kubelet, err = o.PKI.Client(KubeletUser); err != nil {
		return nil, err
	}
	f.encryption, err = writeConfig(o.RunDir, "encryption.yaml", &apiserverv1.EncryptionConfiguration{
		TypeMeta: typeMeta("EncryptionConfiguration"),
		Resources: []apiserverv1.ResourceConfiguration{{
			Resources: []string{"secrets"},
			Providers: []apiserverv1.ProviderConfiguration{
				{AESGCM: &apiserverv1.AESConfiguration{Keys: []apiserverv1.Key{{
					Name: "1", Secret: base64.StdEncoding.EncodeToString(o.PKI.EncryptionKey()),
				}}}},
				{Identity: &apiserverv1.IdentityConfiguration{}},
			},
		}},
	})
	if err != nil {
		return nil, err
	}
	f.authentication, err = writeConfig(o.RunDir, "authentication.yaml", &apiserverv1.AuthenticationConfiguration{
		TypeMeta: typeMeta("AuthenticationConfiguration"),
		Anonymous: &apiserverv1.AnonymousAuthConfig{
			Enabled:    true,
			Conditions: []apiserverv1.AnonymousAuthCondition{{Path: "/livez"}, {Path: "/readyz"}, {Path: "/healthz"}},
		},
	})
	return f, err
}

// build turns Options into the API server's.
func build(o Options, f *files) (*options.ServerRunOptions, error) {
	s := options.NewServerRunOptions()
	storage(s, o, f)
	authentication(s, o, f)
	if err := errors.Join(serving(s, o, f), network(s, o)); err != nil {
		return nil, err
	}

	s.Authorization.Modes = []string{"Node", "RBAC"}
	s.Admission.GenericAdmission.EnablePlugins = []string{"NodeRestriction"}
	s.AllowPrivileged = true

	s.GenericServerRunOptions.ShutdownSendRetryAfter = false
	s.Features.EnableProfiling = false
	s.Features.EnableContentionProfiling = false
	// Go's profiles of the whole process, for root on the node.
	s.Features.DebugSocketPath = filepath.Join(o.RunDir, "debug.sock")
	if o.Audit.PolicyFile != "" {
		s.Audit.PolicyFile = o.Audit.PolicyFile
		s.Audit.LogOptions.Path = o.Audit.LogFile
		s.Audit.LogOptions.MaxAge = o.Audit.MaxAgeDays
		s.Audit.LogOptions.MaxBackups = o.Audit.MaxFiles
		s.Audit.LogOptions.MaxSize = o.Audit.MaxSizeM
	}
	return s, nil
}

// complete gives the server's options their defaults and the keys that it works with, and checks them.
func complete(ctx context.Context, s *options.ServerRunOptions, keys *credentials) (options.CompletedOptions, error) {
	s.Authentication.ServiceAccounts.ExternalPublicKeysGetter = keys
	completed, err := s.Complete(ctx)
	if err != nil {
		return completed, fmt.Errorf("options: %w", err)
	}
	completed.ServiceAccountIssuer = keys
	if problems := completed.Validate(); len(problems) > 0 {
		return completed, fmt.Errorf("options: %w", errors.Join(problems...))
	}
	return completed, nil
}

// serving is where the server listens and which certificate it shows.
func serving(s *options.ServerRunOptions, o Options, f *files) error {
	secure := s.SecureServing
	secure.Listener = o.Listener
	secure.BindAddress = net.IPv4zero
	secure.BindPort = o.Port
	if o.Listener != nil {
		address, ok := o.Listener.Addr().(*net.TCPAddr)
		if !ok {
			return fmt.Errorf("the API cannot be served on %s", o.Listener.Addr())
		}
		secure.BindPort = address.Port
	}
	secure.ServerCert.CertKey = genericoptions.CertKey{CertFile: f.serving.Cert, KeyFile: f.serving.Key}
	secure.ServerCert.CertDirectory = ""
	secure.MinTLSVersion = o.MinTLSVersion
	secure.CipherSuites = o.CipherSuites
	for _, named := range o.NamedCertificates {
		secure.SNICertKeys = append(secure.SNICertKeys,
			cliflag.NamedCertKey{Names: named.Names, CertFile: named.CertFile, KeyFile: named.KeyFile})
	}
	return nil
}

// storage is the datastore and how Secrets are stored in it.
func storage(s *options.ServerRunOptions, o Options, f *files) {
	s.Etcd.StorageConfig.Transport.ServerList = []string{o.EtcdEndpoint}
	// A cache of each of eighty kinds pays for itself with many clients. For a node's own it is a fifth of the start's
	// work and a tenth of the memory; the datastore is in the same process.
	s.Etcd.EnableWatchCache = false
	// Both only feed metrics; on an idle node they are most of what etcd has to do.
	s.Etcd.StorageConfig.CountMetricPollPeriod = 10 * time.Minute
	s.Etcd.StorageConfig.DBMetricPollInterval = 10 * time.Minute
	s.Etcd.EncryptionProviderConfigFilepath = f.encryption
}

// authentication is who may speak with the server: client certificates, service accounts, the aggregation layer; and
// anyone at all about whether the server is healthy, which is how the laptop knows.
func authentication(s *options.ServerRunOptions, o Options, f *files) {
	a := s.Authentication
	a.AuthenticationConfigFile = f.authentication
	a.OIDC, a.TokenFile, a.WebHook = nil, nil, nil
	a.ClientCert.ClientCA = o.PKI.ClusterCAFile()
	a.RequestHeader.ClientCAFile = o.PKI.FrontProxyCAFile()
	a.RequestHeader.AllowedNames = []string{frontProxyUser}
	a.RequestHeader.UsernameHeaders = []string{"X-Remote-User"}
	a.RequestHeader.UIDHeaders = []string{"X-Remote-Uid"}
	a.RequestHeader.GroupHeaders = []string{"X-Remote-Group"}
	a.RequestHeader.ExtraHeaderPrefixes = []string{"X-Remote-Extra-"}
	a.ServiceAccounts.Issuers = []string{ServiceAccountIssuer}

	s.ProxyClientCertFile, s.ProxyClientKeyFile = f.frontProxy.Cert, f.frontProxy.Key
	s.KubeletConfig.TLSClientConfig.CAFile = o.PKI.ClusterCAFile()
	s.KubeletConfig.TLSClientConfig.CertFile = f.kubelet.Cert
	s.KubeletConfig.TLSClientConfig.KeyFile = f.kubelet.Key
	// The node's name need not be one that anything can resolve.
	s.KubeletConfig.PreferredAddressTypes = []string{"InternalIP", "Hostname"}
}

// network is the cluster's Services and the way from the server to them.
func network(s *options.ServerRunOptions, o Options) error {
	s.ServiceClusterIPRanges = strings.Join(o.ServiceCIDRs, ",")
	if o.ServiceNodePorts != "" {
		ports, err := utilnet.ParsePortRange(o.ServiceNodePorts)
		if err != nil {
			return fmt.Errorf("range of node ports: %w", err)
		}
		s.ServiceNodePortRange = *ports
	}
	// Webhooks and extension API servers are reached at their pods, so also before kube-proxy has written its rules.
	s.EnableAggregatorRouting = true
	s.EndpointReconcilerType = string(reconcilers.NoneEndpointReconcilerType)
	s.GenericServerRunOptions.AdvertiseAddress = net.IPv4(127, 0, 0, 1)
	if o.AdvertiseAddress != nil {
		s.GenericServerRunOptions.AdvertiseAddress = o.AdvertiseAddress
		// The only API server needs no lease that is renewed for ever to tell others that it lives.
		s.EndpointReconcilerType = string(reconcilers.MasterCountReconcilerType)
	}
	s.GenericServerRunOptions.ExternalHost = "kubernetes.default.svc.cluster.local"
	return nil
}

// firstAddresses is the first host address of each network: the API server's own Service.
func firstAddresses(cidrs []string) ([]net.IP, error) {
	var all []net.IP
	for _, cidr := range cidrs {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			return nil, fmt.Errorf("service network: %w", err)
		}
		first := append(net.IP(nil), network.IP...)
		first[len(first)-1]++
		all = append(all, first)
	}
	return all, nil
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiserverv1.SchemeGroupVersion.String(), Kind: kind}
}

// writeConfig writes a configuration file of the API server; it may hold keys.
func writeConfig(dir, name string, config runtime.Object) (string, error) {
	data, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, data, 0o600)
}
