package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/volume/csi"

	"sandbar.dev/node/internal/cni"
	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/components/apiserver"
	"sandbar.dev/node/internal/components/attachdetach"
	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/components/controllermanager"
	"sandbar.dev/node/internal/components/dns"
	"sandbar.dev/node/internal/components/etcd"
	"sandbar.dev/node/internal/components/ingress"
	"sandbar.dev/node/internal/components/kubelet"
	"sandbar.dev/node/internal/components/manifests"
	"sandbar.dev/node/internal/components/network"
	"sandbar.dev/node/internal/components/proxy"
	"sandbar.dev/node/internal/components/scheduler"
	"sandbar.dev/node/internal/components/storage"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/containerdconfig"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/hostinfo"
	"sandbar.dev/node/internal/hostnet"
	"sandbar.dev/node/internal/images"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/paths"
	"sandbar.dev/node/internal/pki"
	"sandbar.dev/node/internal/version"
)

// registerBackoff is for registering a CSI driver, which writes objects that others write too.
var registerBackoff = wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Steps: 10, Cap: 5 * time.Second}

// mastersLifetime is how long a certificate is valid that nothing is refused to: it is for two objects.
const mastersLifetime = 5 * time.Minute

// apiPort is where the API is served, on all addresses.
const apiPort = 6443

// node is all that the list of components is made from.
type node struct {
	layout    paths.Layout
	config    *config.Config
	clusterID string
	pki       *pki.PKI
	host      *hostinfo.Facts
	// address is the node's, and may be another one at the next start; advertise is the API server's own, which stays.
	address, advertise netip.Addr
	ingress            *ingress.Ingress
	names              *dns.DNS
	images             *images.Store
	// listener is where the API is served.
	listener net.Listener
	// begun is what ran before; nil if nothing did.
	begun *provisional
	// wait returns when the named component is ready.
	wait func(ctx context.Context, name string) error
}

// newNode is a node without an identity, of which begun may run already.
func newNode(layout paths.Layout, settings *config.Config, begun *provisional) (*node, error) {
	host, err := hostinfo.Read(layout.HostInfo())
	if err != nil {
		return nil, err
	}
	store, err := images.New(images.Options{Socket: layout.ContainerdSocket, Snapshotter: host.Snapshotter, Emulated: host.Emulated})
	if err != nil {
		return nil, err
	}
	n := &node{layout: layout, config: settings, host: host, images: store, begun: begun}
	if err := n.findAddresses(); err != nil {
		return nil, err
	}
	if begun != nil {
		n.listener = begun.listener
		return n, nil
	}
	n.listener, err = listen()
	return n, err
}

// listen binds the API's port, before anything slow: who asks early waits for an answer instead of having to ask again.
func listen() (net.Listener, error) { return net.Listen("tcp4", fmt.Sprintf(":%d", apiPort)) }

// findAddresses takes the configured addresses, or finds and makes others.
func (n *node) findAddresses() (err error) {
	after := hostnet.After(n.config.ServiceCIDR())
	if configured := n.config.Node.NodeIP; configured != "" {
		n.address, err = netip.ParseAddr(configured)
	} else {
		n.address, err = hostnet.NodeAddress(after.Next())
	}
	if err != nil {
		return fmt.Errorf("the node's address: %w", err)
	}
	if configured := n.config.APIServer.AdvertiseAddress; configured != "" {
		n.advertise, err = netip.ParseAddr(configured)
		return err
	}
	n.advertise = after
	return hostnet.AddToLoopback(n.advertise)
}

// components is the list. Adding a component is one line here and one package.
func (n *node) components() ([]component.Component, error) {
	var list []component.Component
	for _, add := range []func() (component.Component, error){
		n.etcd, n.apiServer, n.bootstrap, n.controllers, n.scheduler, n.attachDetach,
		n.kubelet, n.proxy, n.dns, n.storage, n.ingressController, n.manifests, n.uplink,
	} {
		one, err := add()
		if err != nil {
			return nil, err
		}
		if one != nil {
			list = append(list, one)
		}
	}
	return list, nil
}

func (n *node) etcd() (component.Component, error) {
	if n.begun != nil {
		return n.begun.etcd, nil
	}
	return etcd.New(n.etcdOptions()), nil
}

func (n *node) etcdOptions() etcd.Options {
	return etcd.Options{DataDir: n.layout.Etcd(), Socket: n.layout.EtcdSocket(), Seed: n.layout.SeedDatastore()}
}

func (n *node) apiServer() (component.Component, error) {
	if n.begun != nil {
		return n.begun.apiServer, nil
	}
	options, err := n.apiServerOptions()
	return apiserver.New(options), err
}

func (n *node) apiServerOptions() (apiserver.Options, error) {
	settings := n.config.APIServer
	options := apiserver.Options{
		Listener:     n.listener,
		EtcdEndpoint: "unix://" + n.layout.EtcdSocket(), PKI: n.pki, RunDir: n.layout.RunPKI(), Port: apiPort,
		AdvertiseAddress: n.advertise.AsSlice(), ServiceCIDRs: n.config.Network.ServiceNetwork,
		ServiceNodePorts: n.config.Network.ServiceNodePortRange,
		NodeName:         n.config.NodeName(), NodeIPs: []net.IP{n.address.AsSlice()}, ExtraNames: settings.SubjectAltNames,
		MinTLSVersion: settings.TLS.MinVersion, CipherSuites: settings.TLS.CipherSuites,
		ShutdownTimeout: 100 * time.Millisecond,
	}
	if policy := settings.AuditLog.Policy(); policy != "" {
		if err := os.WriteFile(n.layout.AuditPolicy(), []byte(policy), 0o600); err != nil {
			return options, err
		}
		options.Audit = apiserver.Audit{
			PolicyFile: n.layout.AuditPolicy(), LogFile: n.layout.AuditLog(), MaxAgeDays: settings.AuditLog.MaxFileAge,
			MaxFiles: settings.AuditLog.MaxFiles, MaxSizeM: settings.AuditLog.MaxFileSize,
		}
	}
	for _, named := range settings.NamedCertificates {
		options.NamedCertificates = append(options.NamedCertificates,
			apiserver.NamedCertificate{Names: named.Names, CertFile: named.CertPath, KeyFile: named.KeyPath})
	}
	return options, nil
}

func (n *node) bootstrap() (component.Component, error) {
	options, err := n.bootstrapOptions()
	return bootstrap.New(options), err
}

func (n *node) bootstrapOptions() (bootstrap.Options, error) {
	client, err := n.pki.RESTConfig(bootstrap.User)
	if err != nil {
		return bootstrap.Options{}, err
	}
	role, err := bootstrapRole()
	labels := map[string]string{"node-role.kubernetes.io/control-plane": "", "node-role.kubernetes.io/worker": ""}
	maps.Copy(labels, n.config.Sandbar.NodeLabels)
	options := bootstrap.Options{
		Client: client, Role: role,
		Masters: func() (*rest.Config, error) {
			return n.pki.BriefRESTConfig(mastersLifetime, bootstrap.User, bootstrap.MastersGroup)
		},
		Objects:  append(commonObjects(), dns.Objects(n.config.DNSAddress())...),
		NodeName: n.config.NodeName(), NodeLabels: labels,
	}
	if n.hasManifests() {
		options.Objects = append(options.Objects, manifestObjects()...)
	} else {
		options.Absent = manifestObjects()
	}
	return options, err
}

func (n *node) controllers() (component.Component, error) {
	client, err := n.pki.RESTConfig(controllermanager.User)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(n.layout.RunPKI(), controllermanager.Name+".kubeconfig")
	if err := n.pki.KubeconfigFile(kubeconfig, controllermanager.User); err != nil {
		return nil, err
	}
	return controllermanager.New(controllermanager.Options{
		Client: client, Kubeconfig: kubeconfig,
		ClusterCIDR: n.config.ClusterCIDR().String(), ServiceCIDR: n.config.ServiceCIDR().String(),
		ClusterCAFile: n.pki.ClusterCAFile(), ClusterCAKeyFile: n.pki.ClusterCAKeyFile(),
		ServiceAccountKeyFile: n.pki.ServiceAccountKeyFile(),
	}), nil
}

func (n *node) scheduler() (component.Component, error) {
	client, err := n.pki.RESTConfig(scheduler.User)
	return scheduler.New(scheduler.Options{Client: client}), err
}

func (n *node) attachDetach() (component.Component, error) {
	client, err := n.pki.RESTConfig("system:sandbar:" + attachdetach.Name)
	return attachdetach.New(attachdetach.Options{
		Client:   client,
		APIReady: func(ctx context.Context) error { return n.wait(ctx, apiserver.Name) },
	}), err
}

func (n *node) kubelet() (component.Component, error) {
	options, err := n.kubeletOptions()
	return kubelet.New(options), err
}

func (n *node) kubeletOptions() (kubelet.Options, error) {
	name := n.config.NodeName()
	client, err := n.pki.RESTConfig("system:node:"+name, "system:nodes")
	if err != nil {
		return kubelet.Options{}, err
	}
	serving, err := n.pki.Server("kubelet", []string{name}, []net.IP{n.address.AsSlice()})
	if err != nil {
		return kubelet.Options{}, err
	}
	return kubelet.Options{
		NodeName: name, NodeIPs: []netip.Addr{n.address}, Client: client, ClientCAFile: n.pki.ClusterCAFile(),
		ServingCertFile: serving.Cert, ServingKeyFile: serving.Key,
		RootDirectory: n.layout.Kubelet, RuntimeSocket: n.layout.ContainerdSocket, ResolvConf: n.host.ResolvConf,
		ClusterDNS: []netip.Addr{n.config.DNSAddress()}, CgroupRoot: n.host.CgroupRoot,
		CanLowerOOMScore: n.host.CanLowerOOMScore, Labels: n.config.Sandbar.NodeLabels,
		TLSMinVersion: n.config.APIServer.TLS.MinVersion, TLSCipherSuites: n.config.APIServer.TLS.CipherSuites,
		Overlay: n.config.Kubelet, StopGrace: n.stopGrace,
		PrepareNetwork: func(ctx context.Context) error {
			return cni.Setup(ctx, cni.Options{
				PodCIDRs: n.config.Network.ClusterNetwork, ConfDir: n.layout.CNIConfig, NFT: "nft",
			})
		},
		PrepareImages: func(ctx context.Context) error {
			return n.images.Ensure(ctx, containerdconfig.PauseImage, n.layout.SeedPauseImage())
		},
		// Not the API server: it starts beside it, and its first requests wait in the listener's queue.
		Needs: []string{attachdetach.Name},
		// Pods that are ended may still want the API.
		LeansOn: []string{apiserver.Name},
	}, nil
}

// stopGrace is how long pods may take now that the node stops.
func (n *node) stopGrace() time.Duration {
	grace, err := initapi.ReadStopGrace(n.layout.Run)
	if err != nil {
		klog.Background().Error(err, "The grace for pods could not be read", "grace", grace)
	}
	return grace
}

func (n *node) proxy() (component.Component, error) {
	client, err := n.pki.RESTConfig("system:kube-proxy")
	return proxy.New(proxy.Options{
		NodeName: n.config.NodeName(), NodeIPs: []netip.Addr{n.address}, PodCIDRs: []netip.Prefix{n.config.ClusterCIDR()},
		Client: client, Needs: []string{apiserver.Name},
	}), err
}

func (n *node) dns() (component.Component, error) {
	client, err := n.pki.RESTConfig("system:sandbar:" + dns.Name)
	options := dns.Options{
		Address: n.config.DNSAddress(), BaseDomain: n.config.DNS.BaseDomain, NodeIP: n.address,
		Upstreams: n.host.Upstreams, ConfigFile: n.config.DNS.ConfigFile, Client: client, Needs: []string{apiserver.Name},
	}
	if n.config.DNS.Hosts.Status == "Enabled" {
		options.HostsFile = n.config.DNS.Hosts.File
	}
	n.names = dns.New(options)
	return n.names, err
}

func (n *node) storage() (component.Component, error) {
	if n.config.Storage.Driver == "none" {
		return nil, nil // the list leaves it out
	}
	client, err := n.pki.RESTConfig("system:sandbar:storage")
	return storage.New(storage.Options{
		Client: client, NodeName: n.config.NodeName(), Root: n.layout.Storage(), KubeletDir: n.layout.Kubelet,
		Version:  version.Sandbar,
		Register: n.registerDriver,
	}), err
}

// registerDriver tells the kubelet in this process of a CSI driver. Its plugin watcher would look for a socket once a
// second; and before it has initialised its CSINode, which it has when it is ready, a registration would delete that.
func (n *node) registerDriver(ctx context.Context, driver, endpoint string) error {
	if err := n.wait(ctx, kubelet.Name); err != nil {
		return err
	}
	return wait.ExponentialBackoffWithContext(ctx, registerBackoff, func(ctx context.Context) (bool, error) {
		err := csi.PluginHandler.RegisterPlugin(ctx, driver, endpoint, []string{"1.0.0"}, nil)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Kubelet has not registered the driver yet", "driver", driver)
		}
		return err == nil, nil
	})
}

func (n *node) ingressController() (component.Component, error) {
	if n.config.Ingress.Status == "Removed" {
		return nil, nil // the list leaves it out
	}
	client, err := n.pki.RESTConfig("system:sandbar:ingress")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, domain := range n.config.IngressDomains() {
		names = append(names, domain, "*."+domain)
	}
	cert, err := n.pki.Server("ingress-default", names, nil)
	n.ingress = ingress.New(ingress.Options{
		Client: client, ClusterID: n.clusterID, ClusterName: n.config.Sandbar.ClusterName,
		BaseDomain: n.config.DNS.BaseDomain, DefaultCertFile: cert.Cert, DefaultKeyFile: cert.Key,
		HAProxyFolder: n.layout.HAProxy(),
	})
	return n.ingress, err
}

func (n *node) manifests() (component.Component, error) {
	options := manifests.Options{Globs: n.config.Manifests.KustomizePaths, Needs: []string{bootstrap.Name}}
	var err error
	// A certificate with all rights is not made for nothing.
	if n.hasManifests() {
		options.Client, err = n.pki.RESTConfig(manifests.User)
	}
	return manifests.New(options), err
}

func (n *node) uplink() (component.Component, error) {
	return network.New(n.address, n.config.Node.NodeIP != ""), nil
}

func (n *node) hasManifests() bool { return manifests.Any(n.config.Manifests.KustomizePaths) }

// describe is who the node is, for reports.
func (n *node) describe() contract.Node {
	return contract.Node{
		Name: n.config.NodeName(), ClusterID: n.clusterID, ClusterName: n.config.Sandbar.ClusterName,
		Version: version.Sandbar, KubernetesVersion: version.Kubernetes, Architecture: runtime.GOARCH,
		Address: n.address.String(),
	}
}

// network is which addresses are in use, for reports.
func (n *node) network() contract.Network {
	return contract.Network{
		ClusterNetwork: n.config.Network.ClusterNetwork, ServiceNetwork: n.config.Network.ServiceNetwork,
		DNS: n.config.DNSAddress().String(), BaseDomain: n.config.DNS.BaseDomain,
	}
}
