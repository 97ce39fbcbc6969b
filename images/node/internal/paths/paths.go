// Package paths names the files of the node contract, so that no other package spells one out. It imports nothing of
// Kubernetes: sandbar-init and sandbarctl use it too.
package paths

import "path/filepath"

// Roots of everything that a node touches. They are the defaults of Layout; tests use folders of their own.
const (
	// Data is the volume: everything durable.
	Data = "/var/lib/sandbar"
	// Run is a tmpfs, mode 0700: sockets and what is made anew at each start.
	Run = "/run/sandbar"
	// Config is the folder of Sandbar's own configuration.
	Config = "/etc/sandbar"
	// MicroShiftConfig is read before Config, for parity.
	MicroShiftConfig = "/etc/microshift"
	// Seed is the read-only part of the image that is copied into the volume at the first start.
	Seed = "/usr/share/sandbar/seed"
	// Kubelet is where the kubelet and CSI drivers expect each other's sockets; the volume's kubelet folder is mounted there.
	Kubelet = "/var/lib/kubelet"
	// CNIConfig is where containerd looks for the configuration of the pod network.
	CNIConfig = "/etc/cni/net.d"
	// ContainerdSocket is containerd's API and CRI socket.
	ContainerdSocket = "/run/containerd/containerd.sock"
)

// Layout is the set of a node's files. The zero value is not useful; use Default or In.
type Layout struct {
	// Data, Run, Config, MicroShiftConfig and Seed are the roots, absolute.
	Data, Run, Config, MicroShiftConfig, Seed string
	// Kubelet is the kubelet's root folder, CNIConfig that of the pod network's configuration, and ContainerdSocket the
	// path of containerd's socket.
	Kubelet, CNIConfig, ContainerdSocket string
}

// Default is the layout of a real node.
func Default() Layout {
	return Layout{
		Data:             Data,
		Run:              Run,
		Config:           Config,
		MicroShiftConfig: MicroShiftConfig,
		Seed:             Seed,
		Kubelet:          Kubelet,
		CNIConfig:        CNIConfig,
		ContainerdSocket: ContainerdSocket,
	}
}

// In is the same layout below root, for tests and for building a seed.
func In(root string) Layout {
	layout := Default()
	for _, path := range []*string{
		&layout.Data, &layout.Run, &layout.Config, &layout.MicroShiftConfig, &layout.Seed,
		&layout.Kubelet, &layout.CNIConfig, &layout.ContainerdSocket,
	} {
		*path = filepath.Join(root, *path)
	}
	return layout
}

// DataVersion is the JSON file that says which node wrote the volume; written last.
func (l Layout) DataVersion() string { return filepath.Join(l.Data, "data-version") }

// ClusterID is the file with the cluster's UUID and a newline.
func (l Layout) ClusterID() string { return filepath.Join(l.Data, "cluster-id") }

// PKI is the folder of the authorities and keys that must survive a restart, mode 0700.
func (l Layout) PKI() string { return filepath.Join(l.Data, "pki") }

// Etcd is etcd's data folder.
func (l Layout) Etcd() string { return filepath.Join(l.Data, "etcd") }

// Provisional is there as long as the datastore was begun for nobody: what is in it may be thrown away.
func (l Layout) Provisional() string { return filepath.Join(l.Data, "provisional") }

// Storage is the folder of the CSI driver's pools.
func (l Layout) Storage() string { return filepath.Join(l.Data, "storage") }

// KubeletData and ContainerdData are the folders of the volume behind /var/lib/kubelet and /var/lib/containerd.
func (l Layout) KubeletData() string { return filepath.Join(l.Data, "kubelet") }

// ContainerdData is containerd's root folder in the volume.
func (l Layout) ContainerdData() string { return filepath.Join(l.Data, "containerd") }

// Backups is the folder of the copies that are made before a Kubernetes minor changes the data.
func (l Layout) Backups() string { return filepath.Join(l.Data, "backups") }

// Log is the folder with one log file for each child of sandbar-init.
func (l Layout) Log() string { return filepath.Join(l.Data, "log") }

// ChildLog is the log file of one child of sandbar-init, such as "node" or "init".
func (l Layout) ChildLog(child string) string { return filepath.Join(l.Log(), child+".log") }

// RunPKI is the folder, on tmpfs, of the certificates that are made anew at each start.
func (l Layout) RunPKI() string { return filepath.Join(l.Run, "pki") }

// NodeSocket is sandbar-node's API.
func (l Layout) NodeSocket() string { return filepath.Join(l.Run, "node.sock") }

// InitSocket is sandbar-init's API.
func (l Layout) InitSocket() string { return filepath.Join(l.Run, "init.sock") }

// HostInfo is what sandbar-init found out about the machine, for the node.
func (l Layout) HostInfo() string { return filepath.Join(l.Run, "host.json") }

// SSHHostKey is the private key by which a machine's SSH server proves itself.
func (l Layout) SSHHostKey() string { return filepath.Join(l.Run, "ssh", "host_key") }

// SSHAuthorizedKeys are the public keys that a machine's SSH server lets in, one a line.
func (l Layout) SSHAuthorizedKeys() string { return filepath.Join(l.Run, "ssh", "authorized_keys") }

// ResolvConf is the resolv.conf for pods, without the resolvers that only the node itself can reach.
func (l Layout) ResolvConf() string { return filepath.Join(l.Run, "resolv.conf") }

// EtcdSocket is where etcd serves the API server. It has no port: the socket's mode is its access control.
func (l Layout) EtcdSocket() string { return filepath.Join(l.Run, "etcd.sock") }

// HAProxy is the folder of HAProxy's configuration and sockets.
func (l Layout) HAProxy() string { return filepath.Join(l.Run, "haproxy") }

// HAProxyConfig is the configuration that HAProxy is started with.
func (l Layout) HAProxyConfig() string { return filepath.Join(l.HAProxy(), "haproxy.cfg") }

// HAProxyMasterSocket is HAProxy's master CLI.
func (l Layout) HAProxyMasterSocket() string { return filepath.Join(l.HAProxy(), "master.sock") }

// Kubeconfig is the administrator's kubeconfig inside the node, which `kubectl` in the node uses by itself.
func (l Layout) Kubeconfig() string { return filepath.Join(l.Run, "kubeconfig") }

// SeedDatastore is the seeded etcd database of the image.
func (l Layout) SeedDatastore() string { return filepath.Join(l.Seed, "etcd.db") }

// SeedPauseImage is the archive of the pause image.
func (l Layout) SeedPauseImage() string { return filepath.Join(l.Seed, "pause.tar") }

// AuditLog is the API server's audit log, where one is configured.
func (l Layout) AuditLog() string { return filepath.Join(l.Log(), "audit.log") }

// AuditPolicy is what the API server is to log, made anew at each start.
func (l Layout) AuditPolicy() string { return filepath.Join(l.Run, "audit-policy.yaml") }
