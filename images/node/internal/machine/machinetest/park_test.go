package machinetest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/machine/control"
	"sandbar.dev/node/internal/machine/machinetest"
)

// park starts a machine that waits for its identity.
func park(t *testing.T) *machinetest.Machine {
	t.Helper()
	artefacts := machinetest.Find(t, architecture())
	m := machinetest.Start(t, artefacts, artefacts.NewDisk(t, "8G"), machinetest.NewKeys(t))
	m.Wait(control.TypeHello, startLimit)
	boot := m.ParkedBoot()
	boot.Environment = map[string]string{"FROM_THE_HOST": "yes"}
	contracttest.ValidateValue(t, "control.schema.json", boot)
	m.Send(boot)
	if parked := m.Wait(control.TypeParked, startLimit); parked.Millis == 0 {
		t.Errorf("parked: %+v", parked)
	}
	return m
}

// TestMachineParked gives a machine its identity late, as a copy gets it, and days after it was started.
func TestMachineParked(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	m := park(t)
	// Nothing is to happen now that a copy would have to do again.
	time.Sleep(2 * time.Second)
	identity := m.Identity()
	identity.Time = identity.Time.Add(72 * time.Hour)
	identity.Hostname = "somebody"
	identity.Files = []control.File{{Path: "/etc/sandbar/config.yaml", Content: []byte("sandbar:\n  clusterName: somebody\n")}}
	contracttest.ValidateValue(t, "control.schema.json", identity)
	began := time.Now()
	m.Note("the identity")
	m.Send(identity)
	m.Send(identity)
	if refused := m.Wait(control.TypeRefused, startLimit); refused.Name != control.TypeIdentity {
		t.Errorf("refused: %+v", refused)
	}
	m.Wait(control.TypeReady, startLimit)
	t.Logf("ready %d ms after the identity", time.Since(began).Milliseconds())
	client := m.SSH()
	output := m.Must(client, "sandbarctl", "status", "--output", "json", "--wait", "healthy", "--timeout", "6m")
	took := time.Since(began)
	t.Logf("healthy %d ms after the identity", took.Milliseconds())
	m.Note("healthy")
	status := contract.Status{}
	if err := json.Unmarshal([]byte(output), &status); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
	if !status.Healthy || len(status.Warnings) > 0 || status.Node.Name != "somebody" || status.Node.ClusterName != "somebody" {
		t.Errorf("status: %s", output)
	}
	// Times count from the identity: nothing of the machine's life before is in them.
	if started := status.Node.Started; started.Before(identity.Time) || started.After(identity.Time.Add(took)) {
		t.Errorf("started %s, and the identity is from %s", started, identity.Time)
	}
	for _, phase := range status.Phases {
		if phase.ReadyMillis != nil {
			t.Logf("%-20s %6d to %6d ms", phase.Name, phase.StartMillis, *phase.ReadyMillis)
			if *phase.ReadyMillis > took.Milliseconds() {
				t.Errorf("%s was ready before the identity came", phase.Name)
			}
		}
	}
	for _, component := range status.Components {
		if component.Since.Before(identity.Time) {
			t.Errorf("%s is %s since %s", component.Name, component.State, component.Since)
		}
	}
	lookAtIdentity(t, m)
	stopInOrder(m)
}

// lookAtIdentity looks for what the machine had no right to have before it was somebody's, and for what is left of the wait.
func lookAtIdentity(t *testing.T, m *machinetest.Machine) {
	client := m.SSH()
	if names := m.Must(client, "sh", "-c", "hostname; cat /etc/hostname; grep -c somebody /etc/hosts"); names != "somebody\nsomebody\n1\n" {
		t.Errorf("names: %q", names)
	}
	// All that a cluster is, but for containerd's empty state and what the datastore has of the image's seed, is younger than the
	// clock that came with the identity, by which three days have gone by.
	old := m.Must(client, "find", "/var/lib/sandbar", "/etc/machine-id", "/run/sandbar", "-type", "f", "-mmin", "+1440")
	for path := range strings.Lines(old) {
		t.Logf("older than the identity: %s", strings.TrimSpace(path))
		for _, kept := range []string{"machine-id", "uuid", "pki", "ssh", "id", "provisional"} {
			if slices.Contains(strings.Split(strings.TrimSpace(path), "/"), kept) {
				t.Errorf("%s makes a cluster another than the next, and was there before it was one", path)
			}
		}
	}
	variables := m.Must(client, "sh", "-c", "env | grep -c SANDBAR_PARK_FD || true")
	if variables != "0\n" {
		t.Errorf("%s lines about the wait are in the environment of a session", variables)
	}
	for _, child := range []string{"sandbar-node", "sandbar-sshd"} {
		if before := m.Must(client, "pidof", child); strings.TrimSpace(before) == "" {
			t.Errorf("%s does not run", child)
		}
	}
	// A process that is started again later does not wait.
	m.Must(client, "sh", "-c", "kill -9 $(pidof sandbar-node)")
	m.Must(client, "sandbarctl", "status", "--wait", "healthy", "--timeout", "6m")
}

func stopInOrder(m *machinetest.Machine) {
	graceMillis := int64(500)
	m.Send(control.HostMessage{Type: control.TypeStop, GraceMillis: &graceMillis})
	m.Wait(control.TypeStopped, time.Minute)
	m.Off(time.Minute)
}

// TestStopWhileParked ends a machine that never was anybody's, in order: nobody has to be killed.
func TestStopWhileParked(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	m := park(t)
	stopInOrder(m)
	if log := m.LogText(); strings.Contains(log, "does not end") || !strings.Contains(log, "node (process") {
		t.Errorf("the log: %s", log)
	}
}

// TestIdentityThatIsNotAwaited is refused by a machine that is somebody's, or that is not parked yet.
func TestIdentityThatIsNotAwaited(t *testing.T) {
	artefacts := machinetest.Find(t, architecture())
	m := machinetest.Start(t, artefacts, artefacts.NewDisk(t, "1G"), machinetest.NewKeys(t))
	m.Wait(control.TypeHello, startLimit)
	m.Send(m.Identity())
	refused := m.Wait(control.TypeRefused, startLimit)
	if refused.Name != control.TypeIdentity || refused.Reason != "the machine is not parked" {
		t.Errorf("refused: %+v", refused)
	}
	named := m.ParkedBoot()
	named.Hostname = "somebody"
	m.Send(named)
	if refused := m.Wait(control.TypeRefused, startLimit); refused.Name != control.TypeBoot || !strings.Contains(refused.Reason, "hostname") {
		t.Errorf("refused: %+v", refused)
	}
	m.Send(control.HostMessage{Type: control.TypeStop})
	m.Wait(control.TypeStopped, startLimit)
	m.Off(time.Minute)
}
