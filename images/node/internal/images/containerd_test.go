package images_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"sandbar.dev/node/internal/images"
)

// containerd is a real one, with a root of its own, for all tests of the package.
type containerd struct {
	socket      string
	snapshotter string
	command     *exec.Cmd
	root        string
}

// shared is the one that tests use. It is started by the first test that needs it, so that others (fuzzing, above all) do
// without.
var shared struct {
	*containerd
	once sync.Once
	// skipped is why there is none, err why it does not work.
	skipped string
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.containerd != nil {
		shared.stop()
	}
	os.Exit(code)
}

// startShared starts the shared containerd, unless this machine cannot have one.
func startShared() {
	if os.Geteuid() != 0 {
		shared.skipped = "containerd needs root"
		return
	}
	root, err := os.MkdirTemp("", "sandbar-images-")
	if err != nil {
		shared.err = err
		return
	}
	program, err := findContainerd(root)
	if err != nil {
		shared.skipped = err.Error()
		return
	}
	shared.containerd, shared.err = startContainerd(program, root)
}

// findContainerd returns the machine's, or builds the node's own.
func findContainerd(root string) (string, error) {
	if program, err := exec.LookPath("containerd"); err == nil {
		return program, nil
	}
	program := filepath.Join(root, "containerd")
	build := exec.Command("go", "build", "-tags", "no_aufs no_btrfs no_devmapper no_zfs", "-o", program,
		"github.com/containerd/containerd/v2/cmd/containerd")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("containerd is neither installed nor can it be built: %w: %s", err, output)
	}
	return program, nil
}

func startContainerd(program, root string) (*containerd, error) {
	daemon := &containerd{socket: filepath.Join(root, "containerd.sock"), root: root}
	config := fmt.Sprintf(`version = 3
root = %q
state = %q
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.blockfile"]
[grpc]
address = %q
[ttrpc]
address = %q
[plugins."io.containerd.cri.v1.runtime".cni]
conf_dir = %q
`, filepath.Join(root, "root"), filepath.Join(root, "state"), daemon.socket, daemon.socket+".ttrpc", filepath.Join(root, "cni"))
	path := filepath.Join(root, "config.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(root, "log"))
	if err != nil {
		return nil, err
	}
	daemon.command = exec.Command(program, "--config", path)
	daemon.command.Stdout, daemon.command.Stderr = log, log
	daemon.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.command.Start(); err != nil {
		return nil, err
	}
	if err := daemon.await(); err != nil {
		daemon.stop()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return daemon, nil
}

// await waits for the daemon and finds out which snapshotter works here.
func (c *containerd) await() error {
	connection, err := grpc.NewClient("unix://"+c.socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	plugins, err := introspection.NewIntrospectionClient(connection).Plugins(ctx, &introspection.PluginsRequest{})
	if err != nil {
		return fmt.Errorf("containerd does not answer: %w", err)
	}
	c.snapshotter = "native"
	for _, plugin := range plugins.GetPlugins() {
		if plugin.GetID() == "overlayfs" && plugin.GetInitErr() == nil {
			c.snapshotter = "overlayfs"
		}
	}
	return nil
}

func (c *containerd) stop() {
	_ = c.command.Process.Signal(syscall.SIGTERM)
	_ = c.command.Wait()
	_ = os.RemoveAll(c.root)
}

// newStore connects to the shared containerd, or skips the test.
func newStore(t testing.TB) *images.Store {
	t.Helper()
	shared.once.Do(startShared)
	if shared.skipped != "" {
		t.Skip(shared.skipped)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	store, err := images.New(images.Options{Socket: shared.socket, Snapshotter: shared.snapshotter, Architecture: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// importAll imports an archive that must be fine.
func importAll(t testing.TB, store *images.Store, archive []byte, names ...string) []string {
	t.Helper()
	imported, err := store.Import(context.Background(), bytes.NewReader(archive), names)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, image := range imported {
		lines = append(lines, fmt.Sprintf("%s moved %d present %d", image.Name, image.LayersMoved, image.LayersPresent))
	}
	return lines
}
