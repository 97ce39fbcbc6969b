package machinetest_test

import (
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/containerdconfig"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/machine/control"
	"sandbar.dev/node/internal/machine/machinetest"
)

// startLimit is for a host that does much else, under emulation.
const startLimit = 5 * time.Minute

// architecture is this machine's, or SANDBAR_TEST_MACHINE.
func architecture() string {
	if named := os.Getenv("SANDBAR_TEST_MACHINE"); named != "" {
		return named
	}
	return runtime.GOARCH
}

// TestMachine boots the real artefacts twice with the same disk.
func TestMachine(t *testing.T) {
	artefacts := machinetest.Find(t, architecture())
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	keys := machinetest.NewKeys(t)
	disk := artefacts.NewDisk(t, "8G")

	first := bootToHealthy(t, artefacts, disk, keys, true)
	second := bootToHealthy(t, artefacts, disk, keys, false)
	if first == "" || first != second {
		t.Errorf("the cluster is %q at first and %q after a stop and a start", first, second)
	}
}

// bootToHealthy boots, waits until the node is healthy, looks around and stops. It returns the cluster's ID.
func bootToHealthy(t *testing.T, artefacts machinetest.Artefacts, disk string, keys machinetest.Keys, fresh bool) string {
	m := machinetest.Start(t, artefacts, disk, keys)
	hello := m.Wait(control.TypeHello, startLimit)
	if hello.Version != control.Version || hello.Sandbar == "" {
		t.Errorf("hello: %+v", hello)
	}
	m.Send(map[string]any{"type": "from-the-future", "time": 1})
	m.Send(map[string]any{"type": "boot", "hostname": 7})
	if refused := m.Wait(control.TypeRefused, startLimit); refused.Name != control.TypeBoot {
		t.Errorf("refused: %+v", refused)
	}
	boot := m.Boot()
	boot.Files = []control.File{
		{Path: "/etc/sandbar/config.yaml", Content: []byte("sandbar:\n  clusterName: machine\n")},
		// Large messages work.
		{Path: "/root/large", Mode: 0o644, Content: make([]byte, 3<<20)},
	}
	boot.Environment = map[string]string{"SANDBAR_STOP_GRACE": "1s", "FROM_THE_HOST": "yes"}
	contracttest.ValidateValue(t, "control.schema.json", boot)
	m.Send(boot)
	m.Wait(control.TypeReady, startLimit)
	client := m.SSH()
	m.Note("a connection of SSH")
	output := m.Must(client, "sandbarctl", "status", "--output", "json", "--wait", "healthy", "--timeout", "6m")
	m.Note("healthy")
	status := contract.Status{}
	if err := json.Unmarshal([]byte(output), &status); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
	for _, phase := range status.Phases {
		if phase.ReadyMillis != nil {
			t.Logf("%-20s %6d to %6d ms", phase.Name, phase.StartMillis, *phase.ReadyMillis)
		}
	}
	if !status.Healthy || len(status.Warnings) > 0 || status.Node.Name == "" {
		t.Errorf("status: %s", output)
	}
	// The disk is larger than the file system on it was.
	if status.Storage.CapacityBytes < 7<<30 {
		t.Errorf("the volume has %d bytes", status.Storage.CapacityBytes)
	}
	if nodes := m.Must(client, "kubectl", "get", "nodes", "--no-headers"); !strings.Contains(nodes, " Ready ") {
		t.Errorf("nodes: %s", nodes)
	}
	if !strings.Contains(m.Must(client, "cat", "/run/sandbar/host.json"), `"model": "Test Board 1"`) {
		t.Error("the board's name is not known in the machine")
	}
	if size := m.Must(client, "stat", "-c", "%s %a", "/root/large"); size != "3145728 644\n" {
		t.Errorf("the host's file: %q", size)
	}
	if variable := m.Must(client, "sh", "-c", `tr '\0' '\n' </proc/$(pidof sandbar-node)/environ | grep FROM`); variable != "FROM_THE_HOST=yes\n" {
		t.Errorf("the environment: %q", variable)
	}
	// A pod runs, and runs again after the stop.
	if fresh {
		m.Must(client, "kubectl", "run", "probe", "--image", containerdconfig.PauseImage, "--image-pull-policy", "Never")
	}
	m.Must(client, "kubectl", "wait", "--for", "condition=Ready", "--timeout", "2m", "pod/probe")
	m.Note("a pod")
	if fresh {
		lookAround(t, m)
	} else if log := m.Must(client, "dmesg"); strings.Contains(log, "recovery") || !strings.Contains(log, "EXT4-fs") {
		t.Errorf("the disk was not unmounted in order: %s", log)
	}
	graceMillis := int64(500)
	m.Send(control.HostMessage{Type: control.TypeStop, GraceMillis: &graceMillis})
	m.Wait(control.TypeStopped, time.Minute)
	m.Off(time.Minute)
	return status.Node.ClusterID
}

// lookAround tries what the host may ask of a machine that runs.
func lookAround(t *testing.T, m *machinetest.Machine) {
	client := m.SSH()
	// A second word is refused, and the clock is set whenever it is asked for.
	m.Send(m.Boot())
	if refused := m.Wait(control.TypeRefused, time.Minute); refused.Name != control.TypeBoot {
		t.Errorf("refused: %+v", refused)
	}
	m.Send(control.HostMessage{Type: control.TypeClock, Time: time.Now().Add(48 * time.Hour), Entropy: machinetest.Entropy(t)})
	m.Wait(control.TypeClockSet, time.Minute)
	tomorrow := time.Now().Add(48 * time.Hour).UTC().Format("2006-01-02")
	if date := strings.TrimSpace(m.Must(client, "date", "-u", "+%F")); date < tomorrow {
		t.Errorf("the machine says it is %s, not %s", date, tomorrow)
	}
	m.Send(control.HostMessage{Type: control.TypeClock, Time: time.Now(), Entropy: machinetest.Entropy(t)})
	m.Wait(control.TypeClockSet, time.Minute)
	// What only the start needed was given back, and free memory goes back in small pieces.
	if order := m.Must(client, "cat", "/sys/module/page_reporting/parameters/page_reporting_order"); order != "2\n" {
		t.Errorf("free memory is given back from order %q on", order)
	}
	// It makes itself small whenever it is asked to, and goes on.
	m.Send(map[string]any{"type": control.TypeShrink})
	m.Wait(control.TypeShrunk, time.Minute)
	// The kernel gets modules by itself, netem among them.
	m.Must(client, "modprobe", "sch_netem")
	if modules := m.Must(client, "cat", "/proc/modules"); !strings.Contains(modules, "sch_netem ") || !strings.Contains(modules, "nf_tables ") {
		t.Errorf("modules: %s", modules)
	}
	m.Must(client, "nft", "add table ip probe; add chain ip probe c; add rule ip probe c quota over 1 mbytes; delete table ip probe")
	if line, err := m.Run(client, "false"); err == nil {
		t.Errorf("false: %q", line)
	}
}

// TestStopBeforeBoot ends a machine that was never told what it is to be.
func TestStopBeforeBoot(t *testing.T) {
	artefacts := machinetest.Find(t, architecture())
	m := machinetest.Start(t, artefacts, artefacts.NewDisk(t, "1G"), machinetest.NewKeys(t))
	m.Send(control.HostMessage{Type: control.TypeStop})
	m.Wait(control.TypeStopped, startLimit)
	m.Off(time.Minute)
}

// TestFailedStart says why and switches itself off.
func TestFailedStart(t *testing.T) {
	artefacts := machinetest.Find(t, architecture())
	m := machinetest.Start(t, artefacts, "", machinetest.NewKeys(t), "data")
	m.Send(m.Boot())
	failed := m.Wait(control.TypeFailed, startLimit)
	if failed.Reason != `no disk has the serial number "data": the machine has to be given one` {
		t.Errorf("reason: %s", failed.Reason)
	}
	m.Off(time.Minute)
	console, err := os.ReadFile(m.Console)
	if err != nil || !strings.Contains(string(console), "sandbar-init: "+failed.Reason) {
		t.Errorf("the console has no such line: %s, %v", console, err)
	}
}
