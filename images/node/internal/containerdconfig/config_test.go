package containerdconfig

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	// All plugins that a containerd of ours has, so that names can be checked against them.
	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	"github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
)

func options() Options {
	return Options{
		Root: "/var/lib/sandbar/containerd", State: "/run/containerd", Socket: "/run/containerd/containerd.sock",
		Snapshotter: "overlayfs", RestrictOOMScore: true,
	}
}

func load(t *testing.T, o Options) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, Build(o), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := &config.Config{}
	if err := config.LoadConfig(context.Background(), path, loaded); err != nil {
		t.Fatalf("containerd does not read it: %v", err)
	}
	return loaded
}

func TestContainerdReadsIt(t *testing.T) {
	loaded := load(t, options())
	if loaded.Version != 4 || loaded.Root != "/var/lib/sandbar/containerd" || loaded.State != "/run/containerd" {
		t.Errorf("version %d, root %s, state %s", loaded.Version, loaded.Root, loaded.State)
	}
	runtime, ok := loaded.Plugins["io.containerd.cri.v1.runtime"].(map[string]any)
	if !ok || runtime["restrict_oom_score_adj"] != true {
		t.Errorf("CRI's runtime section: %v", loaded.Plugins["io.containerd.cri.v1.runtime"])
	}
}

// containerd adds what is configured to the runtimes of its own defaults, and asks each for its features at every start.
func TestOneRuntime(t *testing.T) {
	const uri = "io.containerd.cri.v1.runtime"
	var defaults any
	for _, registration := range registry.Graph(func(*plugin.Registration) bool { return false }) {
		if registration.URI() == uri {
			defaults = registration.Config
		}
	}
	merged, err := load(t, options()).Decode(context.Background(), uri, defaults)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(merged)
	if err != nil {
		t.Fatal(err)
	}
	var cri struct {
		Containerd struct {
			DefaultRuntimeName string
			Runtimes           map[string]struct {
				RuntimeType string
				Options     map[string]any
			}
		}
	}
	if err := json.Unmarshal(encoded, &cri); err != nil {
		t.Fatal(err)
	}
	runtime, ok := cri.Containerd.Runtimes[Handler]
	if len(cri.Containerd.Runtimes) != 1 || !ok || cri.Containerd.DefaultRuntimeName != Handler {
		t.Fatalf("default %q of %v", cri.Containerd.DefaultRuntimeName, cri.Containerd.Runtimes)
	}
	if runtime.RuntimeType != "io.containerd.runc.v2" || runtime.Options["BinaryName"] != Runtime {
		t.Errorf("%+v", runtime)
	}
}

// Every name must be a plugin's: containerd only warns of others, and would go on with the plugin.
func TestNamesArePlugins(t *testing.T) {
	known := map[string]bool{}
	for _, registration := range registry.Graph(func(*plugin.Registration) bool { return false }) {
		known[registration.URI()] = true
	}
	loaded := load(t, options())
	for _, name := range loaded.DisabledPlugins {
		if !known[name] {
			t.Errorf("disabled plugin %s does not exist", name)
		}
	}
	for name := range loaded.Plugins {
		if !known[name] {
			t.Errorf("configured plugin %s does not exist", name)
		}
	}
}

func TestSnapshotterInUseIsNotDisabled(t *testing.T) {
	for _, snapshotter := range []string{"overlayfs", "native"} {
		o := options()
		o.Snapshotter = snapshotter
		for _, name := range load(t, o).DisabledPlugins {
			if strings.HasSuffix(name, ".snapshotter.v1."+snapshotter) {
				t.Errorf("%s is disabled while it is used", snapshotter)
			}
		}
	}
}
