package machinetest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/machine/control"
	"sandbar.dev/node/internal/machine/machinetest"
)

// TestEmulateBinaries runs a program of another architecture, in the machine and where nothing but the program is seen, as in
// a container; and not in a machine that was not asked to.
func TestEmulateBinaries(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	artefacts := machinetest.Find(t, architecture())
	foreign := map[string]string{"amd64": "arm64"}[artefacts.Architecture]
	if foreign == "" {
		foreign = "amd64"
	}
	program := build(t, foreign)
	start := func(emulate bool) (*machinetest.Machine, string, error) {
		m := machinetest.Start(t, artefacts, artefacts.NewDisk(t, "8G"), machinetest.NewKeys(t))
		m.Wait(control.TypeHello, startLimit)
		boot := m.Boot()
		boot.EmulateBinaries = emulate
		boot.Files = []control.File{{Path: "/opt/alone/program", Mode: 0o755, Content: program}}
		contracttest.ValidateValue(t, "control.schema.json", boot)
		m.Send(boot)
		m.Wait(control.TypeReady, startLimit)
		output, err := m.Run(m.SSH(), "/opt/alone/program")
		return m, output, err
	}

	m, output, err := start(true)
	if err != nil || output != "linux/"+foreign+"\n" {
		t.Errorf("%q, %v", output, err)
	}
	client := m.SSH()
	if output := m.Must(client, "chroot", "/opt/alone", "/program"); output != "linux/"+foreign+"\n" {
		t.Errorf("from elsewhere: %q", output)
	}
	if facts := m.Must(client, "cat", "/run/sandbar/host.json"); !strings.Contains(strings.Join(strings.Fields(facts), ""), `"emulated":["`+foreign+`"]`) {
		t.Errorf("the node does not know of it: %s", facts)
	}

	if _, output, err := start(false); err == nil {
		t.Errorf("a machine that was not asked to ran it: %q", output)
	}
}

// build makes a static program that says what it was made for.
func build(t *testing.T, architecture string) []byte {
	t.Helper()
	folder := t.TempDir()
	source, program := filepath.Join(folder, "main.go"), filepath.Join(folder, "program")
	text := "package main\n\nimport (\n\t\"os\"\n\t\"runtime\"\n)\n\nfunc main() { _, _ = os.Stdout.WriteString(runtime.GOOS + \"/\" + runtime.GOARCH + \"\\n\") }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, source)
	command.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+architecture, "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
