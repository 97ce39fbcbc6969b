// Package hostinfo is what sandbar-init found out about the machine it woke up on, for sandbar-node to read.
//
// It is plain data in a file, so that neither side needs the other's code. Nothing here may import k8s.io.
package hostinfo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// File is where sandbar-init writes it.
const File = "/run/sandbar/host.json"

// CgroupMode is how the kernel's control groups are mounted here.
type CgroupMode string

// Modes of control groups.
const (
	// CgroupV1 means one hierarchy a controller.
	CgroupV1 CgroupMode = "v1"
	// CgroupHybrid means v1 controllers beside an empty v2 hierarchy; to be used like v1.
	CgroupHybrid CgroupMode = "hybrid"
	// CgroupV2 means the unified hierarchy.
	CgroupV2 CgroupMode = "v2"
)

// Facts are what sandbar-node's components need to know of the host.
type Facts struct {
	// Cgroup is how control groups are mounted.
	Cgroup CgroupMode `json:"cgroup"`
	// CgroupRoot is the cgroup under which kubelet puts its own ("/" in a private cgroup namespace).
	CgroupRoot string `json:"cgroupRoot"`
	// CanLowerOOMScore says whether oom_score_adj may be lowered (CAP_SYS_RESOURCE).
	CanLowerOOMScore bool `json:"canLowerOOMScore"`
	// ResolvConf is the path of a resolv.conf for pods, without resolvers that only this network namespace reaches.
	ResolvConf string `json:"resolvConf"`
	// Upstreams are the resolvers of the host as found (ADDRESS or ADDRESS:PORT), the engine's own among them: for
	// processes of the node itself, such as the cluster's DNS server. May be empty.
	Upstreams []string `json:"upstreams"`
	// Snapshotter is containerd's, "overlayfs", or "native" where no overlay can be mounted on the volume.
	Snapshotter string `json:"snapshotter"`
	// Container says that the node runs in a container, not as a machine's init.
	Container bool `json:"container"`
	// Model is the board that a machine stands for; empty in containers and where the machine stands for none.
	Model string `json:"model,omitempty"`
	// Emulated are architectures (Go's names) whose programs run here through an emulator, beside the machine's own.
	Emulated []string `json:"emulated,omitempty"`
}

// Read reads the facts from path, normally [File].
func Read(path string) (*Facts, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the facts about the host: %w", err)
	}
	facts := &Facts{}
	if err := json.Unmarshal(data, facts); err != nil {
		return nil, fmt.Errorf("decode the facts about the host in %s: %w", path, err)
	}
	return facts, nil
}

// Write puts the facts at path by a temporary file and a rename. The folder is on a tmpfs: nothing is synced.
func (f *Facts) Write(path string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the facts about the host: %w", err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".host-*")
	if err != nil {
		return fmt.Errorf("write the facts about the host: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	if _, err := temporary.Write(append(data, '\n')); err != nil {
		_ = temporary.Close()
		return fmt.Errorf("write the facts about the host: %w", err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("write the facts about the host: %w", err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write the facts about the host: %w", err)
	}
	return nil
}
