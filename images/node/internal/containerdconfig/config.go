// Package containerdconfig writes containerd's configuration for a node. Nothing here may import k8s.io.
package containerdconfig

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"sandbar.dev/node/internal/cni"
	"sandbar.dev/node/internal/paths"
)

// PauseImage is the image that holds a pod's namespaces. It is in the seed and pinned, and under localhost so that it is
// never looked for in a registry.
const PauseImage = "localhost/sandbar-pause:1"

// RegistriesDir has a folder hosts.toml for each registry with settings of its own (containerd's "certs.d" layout).
const RegistriesDir = "/etc/sandbar/registries.d/certs.d"

// Handler is the name by which a RuntimeClass asks for the one runtime that there is, and Runtime its program.
const (
	Handler = "runc"
	Runtime = "/usr/bin/crun"
)

// Options are what differs from node to node.
type Options struct {
	// Root is containerd's durable folder, State the one on a tmpfs, Socket the path of its API.
	Root, State, Socket string
	// Snapshotter is "overlayfs" or "native".
	Snapshotter string
	// RestrictOOMScore is for hosts where oom_score_adj may not be lowered.
	RestrictOOMScore bool
}

// disabled are plugins that a node has no use for. Each costs start time and memory, and the restart monitor wakes up
// every ten seconds. NRI stays, switched off: CRI asks for it.
func disabled(snapshotter string) []string {
	names := []string{
		"io.containerd.differ.v1.erofs",
		"io.containerd.image-verifier.v1.bindir",
		"io.containerd.internal.v1.opt",
		"io.containerd.internal.v1.tracing",
		"io.containerd.monitor.container.v1.restart",
		"io.containerd.monitor.task.v1.cgroups",
		"io.containerd.mount-handler.v1.erofs",
		"io.containerd.snapshotter.v1.blockfile",
		"io.containerd.snapshotter.v1.erofs",
		"io.containerd.tracing.processor.v1.otlp",
		"io.containerd.ttrpc.v1.otelttrpc",
	}
	if snapshotter != "native" {
		names = append(names, "io.containerd.snapshotter.v1.native")
	}
	return names
}

// Build is the content of config.toml.
func Build(o Options) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	quote := strconv.Quote
	quoted := make([]string, 0, 16)
	for _, name := range disabled(o.Snapshotter) {
		quoted = append(quoted, quote(name))
	}

	line("# Written by sandbar-init at each start; changes are lost.")
	line("version = 4")
	line("root = %s", quote(o.Root))
	line("state = %s", quote(o.State))
	line("imports = []")
	line("disabled_plugins = [%s]", strings.Join(quoted, ", "))
	line("[debug]")
	line("level = %s", quote("warn"))
	line("[plugins.'io.containerd.server.v1.grpc']")
	line("address = %s", quote(o.Socket))
	line("[plugins.'io.containerd.server.v1.ttrpc']")
	line("address = %s", quote(o.Socket+".ttrpc"))

	line("[plugins.'io.containerd.cri.v1.images']")
	line("snapshotter = %s", quote(o.Snapshotter))
	// Seconds between walks over all snapshots; nothing is evicted by what they find.
	line("stats_collect_period = 120")
	line("[plugins.'io.containerd.cri.v1.images'.pinned_images]")
	line("sandbox = %s", quote(PauseImage))
	line("[plugins.'io.containerd.cri.v1.images'.registry]")
	line("config_path = %s", quote(RegistriesDir))

	line("[plugins.'io.containerd.transfer.v1.local']")
	line("max_concurrent_downloads = 6")
	line("config_path = %s", quote(RegistriesDir))

	line("[plugins.'io.containerd.cri.v1.runtime']")
	line("disable_apparmor = true")
	line("restrict_oom_score_adj = %t", o.RestrictOOMScore)
	// By default every container's CPU is read each second.
	line("stats_collect_period = %s", quote("15s"))
	line("stats_retention_period = %s", quote("1m"))
	line("enable_criu = false")
	line("[plugins.'io.containerd.cri.v1.runtime'.cni]")
	line("bin_dirs = [%s]", quote(cni.BinDir))
	line("conf_dir = %s", quote(paths.CNIConfig))
	line("use_internal_loopback = true")
	// Under the name that containerd's own defaults have: one of another name would stand beside theirs, be asked for its
	// features at each start, and leave pods of a RuntimeClass for "runc" without a program.
	line("[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.%s]", Handler)
	line("runtime_type = %s", quote("io.containerd.runc.v2"))
	line("[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.%s.options]", Handler)
	// In C, and there in a third of the time of runc, which is in Go: the start of Go's runtime is most of what a program
	// does that ends at once, and a pod takes four of them.
	line("BinaryName = %s", quote(Runtime))
	line("SystemdCgroup = false")
	line("[plugins.'io.containerd.nri.v1.nri']")
	line("disable = true")
	line("[plugins.'io.containerd.gc.v1.scheduler']")
	// A first collection at start would compete with everything else that starts.
	line("startup_delay = %s", quote("20s"))
	return b.Bytes()
}
