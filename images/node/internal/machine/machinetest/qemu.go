// Package machinetest runs machines for tests: the artefacts of images/machine in QEMU, and the host's side of
// contract/machine.md, as small as can be. The command-line tool has its own.
package machinetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/machine/control"
)

// oldestQEMU is the first major version that has what the command-line tool uses (mapped-ram).
const oldestQEMU = 9

// Artefacts is what images/machine/build.sh makes for one architecture.
type Artefacts struct {
	// Folder has the files, Architecture is Go's name of it.
	Folder, Architecture string
	// KernelArguments are for the kernel's command line, before the console's.
	KernelArguments string
	emulator        string
}

// Find returns the artefacts for an architecture, or skips the test and says why.
func Find(t *testing.T, architecture string) Artefacts {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// A test runs in its package's folder.
	for !exists(filepath.Join(folder, "Cargo.toml")) {
		if folder == "/" {
			t.Fatal("the project's folder is not above the test's")
		}
		folder = filepath.Dir(folder)
	}
	a := Artefacts{Folder: filepath.Join(folder, "build", architecture, "machine"), Architecture: architecture}
	manifest, err := os.ReadFile(filepath.Join(a.Folder, "manifest.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("there are no artefacts in %s: images/machine/build.sh set %s makes them", a.Folder, architecture)
	}
	if err != nil {
		t.Fatal(err)
	}
	contracttest.Validate(t, "machine.schema.json", manifest)
	content := struct {
		KernelArguments string `json:"kernelArguments"`
	}{}
	if err := json.Unmarshal(manifest, &content); err != nil {
		t.Fatal(err)
	}
	a.KernelArguments = content.KernelArguments
	a.emulator = "qemu-system-" + map[string]string{"amd64": "x86_64", "arm64": "aarch64", "riscv64": "riscv64"}[architecture]
	version, err := exec.Command(a.emulator, "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skipf("%s is not installed", a.emulator)
	}
	if err != nil {
		t.Fatal(err)
	}
	// QEMU emulator version 10.0.2 (Debian …)
	text := strings.TrimPrefix(string(version), "QEMU emulator version ")
	major, _, _ := strings.Cut(text, ".")
	if number, err := strconv.Atoi(major); err != nil || number < oldestQEMU {
		t.Skipf("%s is older than %d: %s", a.emulator, oldestQEMU, strings.TrimSpace(strings.SplitN(text, "\n", 2)[0]))
	}
	return a
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// NewDisk makes a cluster's disk: an overlay on the artefacts' empty file system, with more room than that has.
func (a Artefacts) NewDisk(t *testing.T, size string) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "data.qcow2")
	if output, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw",
		"-b", filepath.Join(a.Folder, "data.img"), disk, size).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, output)
	}
	return disk
}

// Keys are the host key of a machine and the key that it lets in.
type Keys struct {
	// HostKey is a private key as PEM; AuthorizedKey a line of authorized_keys(5).
	HostKey, AuthorizedKey string
	hostKey                ssh.PublicKey
	signer                 ssh.Signer
}

// NewKeys makes both.
func NewKeys(t *testing.T) Keys {
	t.Helper()
	_, host, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(host, "")
	if err != nil {
		t.Fatal(err)
	}
	hostSigner, err := ssh.NewSignerFromKey(host)
	if err != nil {
		t.Fatal(err)
	}
	_, user, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(user)
	if err != nil {
		t.Fatal(err)
	}
	return Keys{
		HostKey: string(pem.EncodeToMemory(block)), AuthorizedKey: string(ssh.MarshalAuthorizedKey(signer.PublicKey())),
		hostKey: hostSigner.PublicKey(), signer: signer,
	}
}

// Machine is a QEMU that runs.
type Machine struct {
	// Console is the file with what the serial console said, Log with what came on the log port.
	Console, Log string
	// SSHPort and APIPort are on 127.0.0.1.
	SSHPort, APIPort int
	// Started is when QEMU was.
	Started time.Time

	t        *testing.T
	process  *os.Process
	keys     Keys
	link     *control.Link
	messages chan control.GuestMessage
	exited   chan struct{}
	exit     error
	output   strings.Builder

	mu sync.Mutex
	// history are the lines of the machine with the host's times.
	history []string
}

// Start starts a machine with that disk, and without those of its disks that are named by their serial numbers. It is killed
// at the end of the test if it still runs.
func Start(t *testing.T, a Artefacts, disk string, keys Keys, without ...string) *Machine {
	t.Helper()
	folder := t.TempDir()
	m := &Machine{
		Console: filepath.Join(folder, "console"), Log: filepath.Join(folder, "log"),
		t: t, keys: keys, messages: make(chan control.GuestMessage, 64), exited: make(chan struct{}),
	}
	listener, err := net.Listen("unix", filepath.Join(folder, "control"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	m.SSHPort, m.APIPort = freePort(t), freePort(t)
	command := exec.Command(a.emulator, a.arguments(m, listener.Addr().String(), disk, without)...)
	command.Stdout, command.Stderr = &m.output, &m.output
	// A test that runs into its limit cleans nothing up.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.Started = time.Now()
	started := make(chan error)
	go func() {
		// That signal comes when the thread ends that has started it: this one stays for it.
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			m.exit = command.Wait()
			close(m.exited)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	m.process = command.Process
	t.Cleanup(func() {
		// It has ended already if all went well.
		_ = command.Process.Kill()
		<-m.exited
		m.report()
	})
	accepted := make(chan net.Conn, 1)
	go func() {
		// An error is the listener's end.
		if connection, err := listener.Accept(); err == nil {
			accepted <- connection
		}
	}()
	select {
	case connection := <-accepted:
		m.link = control.NewLink(t.Logf)
		m.link.Connect(connection)
		go func() {
			defer close(m.messages)
			// It ends with QEMU.
			_ = m.link.ReadGuest(connection, func(message control.GuestMessage) {
				contracttest.ValidateValue(t, "control.schema.json", message)
				m.note(message)
				m.messages <- message
			})
		}()
	case <-m.exited:
		t.Fatalf("QEMU ended: %v: %s", m.exit, m.output.String())
	case <-time.After(30 * time.Second):
		t.Fatal("QEMU does not connect")
	}
	return m
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// arguments are QEMU's. SANDBAR_TEST_QEMU_ARGUMENTS adds to them, SANDBAR_TEST_KERNEL_ARGUMENTS to the kernel's.
func (a Artefacts) arguments(m *Machine, control, disk string, without []string) []string {
	machine, console := []string{"-machine", "q35", "-cpu", "max"}, "ttyS0"
	switch a.Architecture {
	case "arm64":
		machine, console = []string{"-machine", "virt", "-cpu", "cortex-a72"}, "ttyAMA0"
	case "riscv64":
		// Without vectors, which are emulated element by element.
		machine, console = []string{"-machine", "virt", "-cpu", "rv64"}, "ttyS0"
	}
	forward := fmt.Sprintf("user,id=network,hostfwd=tcp:127.0.0.1:%d-:22,hostfwd=tcp:127.0.0.1:%d-:6443", m.SSHPort, m.APIPort)
	arguments := append(machine,
		"-accel", "tcg,thread=multi,tb-size=256", "-smp", "2", "-m", "3072", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(a.Folder, "kernel"), "-initrd", filepath.Join(a.Folder, "initramfs"),
		"-append", strings.TrimSpace(a.KernelArguments+" console="+console+" "+os.Getenv("SANDBAR_TEST_KERNEL_ARGUMENTS")),
		"-serial", "file:"+m.Console,
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=control,path="+control, "-device", "virtserialport,chardev=control,name=dev.sandbar.control",
		"-chardev", "file,id=log,path="+m.Log, "-device", "virtserialport,chardev=log,name=dev.sandbar.log",
		"-device", "virtio-rng-pci", "-device", "virtio-balloon-pci,free-page-reporting=on",
		"-netdev", forward, "-device", "virtio-net-pci,netdev=network,romfile=")
	// In an order of their own: a machine's saved state goes into one with the same devices in the same places.
	for _, one := range [][2]string{
		{"system", "format=raw,readonly=on,file=" + filepath.Join(a.Folder, "system.img")},
		{"data", "format=qcow2,cache=writeback,discard=unmap,file=" + disk},
	} {
		serial, drive := one[0], one[1]
		if !slices.Contains(without, serial) {
			arguments = append(arguments, "-drive", "if=none,id="+serial+","+drive, "-device", "virtio-blk-pci,drive="+serial+",serial="+serial)
		}
	}
	return append(arguments, strings.Fields(os.Getenv("SANDBAR_TEST_QEMU_ARGUMENTS"))...)
}

func (m *Machine) note(message control.GuestMessage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = append(m.history, strings.TrimSpace(fmt.Sprintf("%s  %s %s %s", m.clock(), message.Type, message.Name, message.Reason)))
}

// clock is how long QEMU has run and how long it has computed, in milliseconds; the second says more on a busy host.
func (m *Machine) clock() string {
	// proc_pid_stat(5): the 14th and 15th field, in hundredths of a second; the second is in parentheses and may hold spaces.
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.process.Pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	ticks := 0
	if err == nil && len(fields) > 12 {
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		ticks = user + system
	}
	return fmt.Sprintf("%6d ms (%6d ms of processor time)", time.Since(m.Started).Milliseconds(), ticks*10)
}

// Note adds a line to what is logged at the end, with the time.
func (m *Machine) Note(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history = append(m.history, m.clock()+"  "+text)
}

// report logs what the machine said, and for a test that failed its last lines.
func (m *Machine) report() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.t.Logf("the machine said:\n%s", strings.Join(m.history, "\n"))
	if output := m.output.String(); output != "" {
		m.t.Logf("QEMU said: %s", output)
	}
	if !m.t.Failed() {
		return
	}
	for _, path := range []string{m.Console, m.Log} {
		text, err := os.ReadFile(path)
		if err != nil {
			m.t.Log(err)
			continue
		}
		m.t.Logf("the end of %s:\n%s", filepath.Base(path), text[max(0, len(text)-20000):])
	}
}

// LogText is what came on the log port.
func (m *Machine) LogText() string {
	m.t.Helper()
	text, err := os.ReadFile(m.Log)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// Wait waits for a message of a type and returns it; another end of the start is a failure.
func (m *Machine) Wait(kind string, limit time.Duration) control.GuestMessage {
	m.t.Helper()
	deadline := time.After(limit)
	for {
		select {
		case message, open := <-m.messages:
			switch {
			case !open:
				<-m.exited
				m.t.Fatalf("QEMU ended before the machine said %q: %v", kind, m.exit)
			case message.Type == kind:
				return message
			case message.Type == control.TypeFailed:
				m.t.Fatalf("the machine failed: %s", message.Reason)
			}
		case <-deadline:
			m.t.Fatalf("the machine did not say %q within %s", kind, limit)
		}
	}
}

// Send sends a message, or anything that JSON can say.
func (m *Machine) Send(message any) { m.link.Send(message) }

// Boot is a message that makes the machine a node.
func (m *Machine) Boot() control.HostMessage {
	m.t.Helper()
	return control.HostMessage{
		Type: control.TypeBoot, Time: time.Now(), Entropy: Entropy(m.t),
		Boot: control.Boot{
			Identity: control.Identity{
				Hostname: "machine", SSH: control.SSH{HostKey: m.keys.HostKey, AuthorizedKeys: []string{m.keys.AuthorizedKey}},
			},
			Model: "Test Board 1",
			Network: control.Network{
				Address: netip.MustParsePrefix("10.0.2.15/24"), Gateway: netip.MustParseAddr("10.0.2.2"), DNS: netip.MustParseAddr("10.0.2.3"),
			},
		},
	}
}

// ParkedBoot is a message that makes the machine one that waits for [Machine.Identity].
func (m *Machine) ParkedBoot() control.HostMessage {
	m.t.Helper()
	boot := m.Boot()
	boot.Identity, boot.Park = control.Identity{}, true
	return boot
}

// Identity is a message that makes a machine that is parked a node.
func (m *Machine) Identity() control.HostMessage {
	m.t.Helper()
	boot := m.Boot()
	return control.HostMessage{
		Type: control.TypeIdentity, Time: boot.Time, Entropy: boot.Entropy, Boot: control.Boot{Identity: boot.Identity},
	}
}

// Entropy is what a message has to bring.
func Entropy(t *testing.T) []byte {
	t.Helper()
	entropy := make([]byte, 64)
	if _, err := rand.Read(entropy); err != nil {
		t.Fatal(err)
	}
	return entropy
}

// SSH connects.
func (m *Machine) SSH() *ssh.Client {
	m.t.Helper()
	client, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.SSHPort), &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(m.keys.signer)}, HostKeyCallback: ssh.FixedHostKey(m.keys.hostKey),
		Timeout: time.Minute,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Run runs a program with these arguments and returns what it wrote to standard output.
func (m *Machine) Run(client *ssh.Client, arguments ...string) (string, error) {
	m.t.Helper()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = session.Close() }()
	line, err := json.Marshal(arguments)
	if err != nil {
		return "", err
	}
	var output, errorOutput strings.Builder
	session.Stdout, session.Stderr = &output, &errorOutput
	if err := session.Run(string(line)); err != nil {
		return output.String(), fmt.Errorf("%s: %w: %s", strings.Join(arguments, " "), err, errorOutput.String())
	}
	return output.String(), nil
}

// Must is Run for what has to work.
func (m *Machine) Must(client *ssh.Client, arguments ...string) string {
	m.t.Helper()
	output, err := m.Run(client, arguments...)
	if err != nil {
		m.t.Fatal(err)
	}
	return output
}

// Off waits until QEMU has ended by itself.
func (m *Machine) Off(limit time.Duration) {
	m.t.Helper()
	select {
	case <-m.exited:
		if m.exit != nil {
			m.t.Fatalf("QEMU ended with %v", m.exit)
		}
	case <-time.After(limit):
		m.t.Fatalf("the machine is not off after %s", limit)
	}
}
