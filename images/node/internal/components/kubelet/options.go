// Package kubelet runs Kubernetes' kubelet inside sandbar-node.
//
// Its one job is to turn Options into the kubelet's configuration and dependencies, to say when this run of the kubelet
// has made its Node Ready, and to end the pods when the node stops. It must not read files of configuration itself.
package kubelet

import (
	"context"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"sandbar.dev/node/internal/paths"
)

// Name is the component's name.
const Name = "kubelet"

// Port is where the kubelet's API listens, on the node's first address alone.
const Port = 10250

// Options are what the kubelet needs to know. All fields without a stated default are required.
type Options struct {
	// NodeName is the name of the Node object.
	NodeName string
	// NodeIPs is the node's address, or one of each family.
	NodeIPs []netip.Addr
	// Client is the identity system:node:NodeName in the group system:nodes.
	Client *rest.Config
	// ClientCAFile is the PEM file of the authority whose clients may call the kubelet.
	ClientCAFile string
	// ServingCertFile and ServingKeyFile are the kubelet's serving certificate and its key. They are read again when
	// they change.
	ServingCertFile, ServingKeyFile string
	// RootDirectory is the kubelet's own folder. Default /var/lib/kubelet.
	RootDirectory string
	// RuntimeSocket is the path of the CRI socket. Default is containerd's.
	RuntimeSocket string
	// ResolvConf is the resolv.conf that pods with dnsPolicy Default get, and whose upstreams others inherit.
	ResolvConf string
	// ClusterDNS is the address of the cluster's DNS server, or one of each family.
	ClusterDNS []netip.Addr
	// ClusterDomain is the domain of the cluster's DNS names. Default cluster.local.
	ClusterDomain string
	// CgroupRoot is the control group below which the pods' groups are made. Default "/".
	CgroupRoot string
	// CanLowerOOMScore says whether the process may lower oom_score_adj; where it may not, it stays at OOMScore, which Run
	// reads from the kernel.
	CanLowerOOMScore bool
	OOMScore         int
	// MaxOpenFiles is the limit that the kubelet sets for its process. 0 takes what Run finds as the limit: raising it
	// fails without CAP_SYS_RESOURCE.
	MaxOpenFiles uint64
	// Labels are put on the Node when it registers for the first time, so that pods find a new node at once. Later changes,
	// and labels in kubernetes.io that NodeRestriction refuses, are the business of another client.
	Labels map[string]string
	// TLSMinVersion is VersionTLS12 or VersionTLS13, and TLSCipherSuites a list of IANA names; both may be empty.
	TLSMinVersion   string
	TLSCipherSuites []string
	// Overlay is the user's own KubeletConfiguration: each top-level key replaces the built one whole.
	Overlay map[string]any
	// StopGrace returns how long pods may take at most when the node stops. Nil leaves the pods running.
	StopGrace func() time.Duration
	// PrepareNetwork is called before the kubelet starts, to make the pod network ready. May be nil.
	PrepareNetwork func(context.Context) error
	// PrepareImages is called as soon as the container runtime answers, beside the kubelet's own start, to put images in
	// place that no pod can do without. May be nil.
	PrepareImages func(context.Context) error
	// Needs names the components that must be ready first.
	Needs []string
	// LeansOn names the components that stop only after the kubelet has ended the pods.
	LeansOn []string
}

func (o Options) withDefaults() Options {
	if o.RootDirectory == "" {
		o.RootDirectory = paths.Kubelet
	}
	if o.RuntimeSocket == "" {
		o.RuntimeSocket = paths.ContainerdSocket
	}
	if o.ClusterDomain == "" {
		o.ClusterDomain = "cluster.local"
	}
	if o.CgroupRoot == "" {
		o.CgroupRoot = "/"
	}
	return o
}
