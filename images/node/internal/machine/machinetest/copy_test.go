package machinetest_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/machine/control"
	"sandbar.dev/node/internal/machine/machinetest"
)

// qemuArguments is a variable with what [machinetest.Start] adds to QEMU's arguments. This test has its own.
const qemuArguments = "SANDBAR_TEST_QEMU_ARGUMENTS"

// TestCopiesOfAParkedMachine saves a machine that is parked, and makes two of it.
func TestCopiesOfAParkedMachine(t *testing.T) {
	artefacts := machinetest.Find(t, architecture())
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	folder, keys := t.TempDir(), machinetest.NewKeys(t)
	state, disk := filepath.Join(folder, "state"), artefacts.NewDisk(t, "8G")
	save(t, artefacts, disk, keys, state)

	seen := map[string]string{}
	// The last has an API server of its own, in place of the one that runs in the state.
	audited := control.File{Path: "/etc/sandbar/config.yaml", Content: []byte("apiServer:\n  auditLog:\n    profile: Default\n")}
	for name, files := range map[string][]control.File{"one": nil, "two": nil, "audited": {audited}} {
		copied := filepath.Join(folder, name+".qcow2")
		if output, err := exec.Command("cp", "--sparse=always", disk, copied).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		for what, value := range becomeCopy(t, artefacts, copied, keys, state, name, files) {
			t.Logf("%s: %s is %s", name, what, value)
			if before, known := seen[what]; known && before == value {
				t.Errorf("%s is %s in both copies", what, value)
			}
			seen[what] = value
		}
	}
}

// save parks a machine, writes its memory to a file, and ends QEMU.
func save(t *testing.T, artefacts machinetest.Artefacts, disk string, keys machinetest.Keys, state string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "monitor")
	t.Setenv(qemuArguments, "-monitor unix:"+socket+",server=on,wait=off")
	m := machinetest.Start(t, artefacts, disk, keys)
	m.Wait(control.TypeHello, startLimit)
	m.Send(m.ParkedBoot())
	m.Wait(control.TypeParked, startLimit)
	monitor, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = monitor.Close() }()
	// A command waits for the one before. The machine is stopped by the first: one that was before would be in its copies too.
	if _, err := fmt.Fprintf(monitor, "migrate file:%s\nquit\n", state); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(monitor); err != nil || strings.Contains(string(said), "Error") {
		t.Fatalf("the monitor: %v: %s", err, said)
	}
	m.Off(time.Minute)
	if info, err := os.Stat(state); err != nil {
		t.Fatal(err)
	} else {
		t.Logf("the state has %d MB", info.Size()>>20)
	}
}

// becomeCopy makes a cluster of a copy, and returns what no other copy may have.
func becomeCopy(
	t *testing.T, artefacts machinetest.Artefacts, disk string, keys machinetest.Keys, state, name string, files []control.File,
) map[string]string {
	t.Helper()
	t.Setenv(qemuArguments, "-incoming file:"+state)
	m := machinetest.Start(t, artefacts, disk, keys)
	identity := m.Identity()
	identity.Hostname, identity.Files = name, files
	m.Send(identity)
	m.Wait(control.TypeReady, time.Minute)
	client := m.SSH()
	m.Must(client, "sandbarctl", "status", "--wait", "healthy", "--timeout", "6m")
	m.Note("healthy")
	if got := m.Must(client, "hostname"); got != name+"\n" {
		t.Errorf("the name is %q", got)
	}
	logged, err := m.Run(client, "test", "-s", "/var/lib/sandbar/log/audit.log")
	if has, want := err == nil, len(files) > 0; has != want {
		t.Errorf("%s has an audit log: %v: %s", name, has, logged)
	}
	found := map[string]string{}
	for what, command := range map[string]string{
		"the boot ID": "cat /proc/sys/kernel/random/boot_id", "a UUID of the kernel": "cat /proc/sys/kernel/random/uuid",
		"the machine ID": "cat /etc/machine-id", "containerd's UUID": "cat /var/lib/sandbar/containerd/io.containerd.grpc.v1.introspection/uuid",
		"the cluster's ID":        "sandbarctl status --output json | grep -o '\"clusterId\":\"[^\"]*\"'",
		"the cluster's CAs":       "cat $(find /var/lib/sandbar -name '*ca*.crt' -type f) | md5sum",
		"a UID of the API server": "kubectl get --raw /api/v1/namespaces/kube-system | grep -o '\"uid\":\"[^\"]*\"'",
	} {
		value, err := m.Run(client, "sh", "-c", command)
		if err != nil || strings.TrimSpace(value) == "" {
			t.Errorf("%s: %q, %v", what, value, err)
		}
		found[what] = strings.TrimSpace(value)
	}
	stopInOrder(m)
	return found
}
