package machine

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/machine/control"
)

// tree makes files in a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestLoadModules(t *testing.T) {
	folder := tree(t, map[string]string{"load": "kernel/a.ko\n\n  kernel/b.ko \nkernel/c.ko\n"})
	var loaded []string
	refused := errors.New("invalid module format")
	err := loadModules(folder, "load", func(path string) error {
		name, err := filepath.Rel(folder, path)
		if err != nil {
			t.Fatal(err)
		}
		loaded = append(loaded, name)
		if name == "kernel/b.ko" {
			return refused
		}
		return nil
	})
	// In the order of the list, and one that fails does not keep the others away.
	if !slices.Equal(loaded, []string{"kernel/a.ko", "kernel/b.ko", "kernel/c.ko"}) {
		t.Errorf("loaded %q", loaded)
	}
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), "load b.ko") {
		t.Errorf("error %v", err)
	}
	if err := loadModules(t.TempDir(), "load", loadModule); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a list: %v", err)
	}
	if err := loadModules(tree(t, map[string]string{"load": "x.ko"}), "load", loadModule); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the module: %v", err)
	}
}

func TestFindDisk(t *testing.T) {
	folder := tree(t, map[string]string{"vda/serial": "system\n", "vdb/serial": "data", "loop0/size": "0\n"})
	for serial, want := range map[string]string{"system": "/dev/vda", "data": "/dev/vdb"} {
		if got, err := findDisk(folder, serial); err != nil || got != want {
			t.Errorf("%s: %q, %v", serial, got, err)
		}
	}
	if _, err := findDisk(folder, "dat"); err == nil || !strings.Contains(err.Error(), `"dat"`) {
		t.Errorf("error %v", err)
	}
	if _, err := findDisk(filepath.Join(folder, "none"), "data"); err == nil {
		t.Error("a disk was found in no folder")
	}
}

func TestSystemDevice(t *testing.T) {
	disks := map[string]string{"vda/serial": "system\n", "vdb/serial": "data"}
	none := t.TempDir()
	if device, options, err := systemDevice(tree(t, disks), none); err != nil || device != "/dev/vda" || options != "" {
		t.Errorf("a disk: %q, %q, %v", device, options, err)
	}
	disks["pmem0/size"] = "1\n"
	buses := tree(t, map[string]string{"ndbus0/wait_probe": "1\n"})
	if device, options, err := systemDevice(tree(t, disks), buses); err != nil || device != "/dev/pmem0" || options != "dax=always" {
		t.Errorf("memory: %q, %q, %v", device, options, err)
	}
	// The kernel says nothing of what it has not looked at.
	unread := tree(t, map[string]string{"ndbus0/wait_probe/x": ""})
	if _, _, err := systemDevice(tree(t, disks), unread); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("error %v", err)
	}
	if _, _, err := systemDevice(none, none); err == nil || !strings.Contains(err.Error(), `"system"`) {
		t.Errorf("nothing: %v", err)
	}
}

func TestFindPort(t *testing.T) {
	folder := tree(t, map[string]string{
		"vport1p1/name": "dev.sandbar.log\n", "vport1p2/name": control.PortName + "\n", "vport1p3/dev": "1:2\n",
	})
	if got, err := findPort(folder, control.PortName); err != nil || got != "/dev/vport1p2" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := findPort(folder, "dev.sandbar"); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := findPort(filepath.Join(folder, "none"), control.PortName); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

// ext4 is the beginning of a file system with this many blocks.
func ext4(blocks uint64, logBlockSize uint32, wide bool, state uint16) []byte {
	raw := make([]byte, 2048)
	super := raw[1024:]
	binary.LittleEndian.PutUint32(super[0x4:], uint32(blocks))
	binary.LittleEndian.PutUint32(super[0x18:], logBlockSize)
	binary.LittleEndian.PutUint16(super[0x38:], 0xef53)
	binary.LittleEndian.PutUint16(super[0x3a:], state)
	binary.LittleEndian.PutUint32(super[0x150:], uint32(blocks>>32))
	if wide {
		binary.LittleEndian.PutUint32(super[0x60:], 0x80)
	}
	return raw
}

func TestGrowth(t *testing.T) {
	const kib, gib = uint64(1) << 10, uint64(1) << 30
	for _, c := range []struct {
		name  string
		disk  []byte
		size  uint64
		grown uint64
	}{
		{"as large as the disk", ext4(32768, 2, false, 1), 128 << 20, 0},
		{"a larger disk", ext4(32768, 2, false, 1), 8 * gib, 2 << 20},
		{"a disk that is no multiple of a block", ext4(32768, 2, false, 1), 8*gib + 4*kib - 1, 2 << 20},
		{"less than a block more", ext4(32768, 2, false, 1), 128<<20 + 1, 0},
		{"a disk that has shrunk", ext4(32768, 2, false, 1), 64 << 20, 0},
		{"blocks of 1 KiB", ext4(131072, 0, false, 1), gib, 1 << 20},
		{"the high half counts with 64 bits", ext4(1<<32+5, 2, true, 1), 64 << 40, 64 << 28},
		{"and not without", ext4(1<<32+5, 2, false, 1), 5 * 4 * kib, 0},
	} {
		super, err := readSuperblock(bytes.NewReader(c.disk))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := super.grown(c.size); got != c.grown {
			t.Errorf("%s: grows to %d blocks, want %d", c.name, got, c.grown)
		}
	}
	for name, state := range map[string]uint16{"clean": 1, "not unmounted": 0} {
		if super, err := readSuperblock(bytes.NewReader(ext4(1, 2, false, state))); err != nil || super.failed {
			t.Errorf("%s: %+v, %v", name, super, err)
		}
	}
	if super, err := readSuperblock(bytes.NewReader(ext4(1, 2, false, 3))); err != nil || !super.failed {
		t.Errorf("with errors: %+v, %v", super, err)
	}
	if _, err := readSuperblock(bytes.NewReader(make([]byte, 4096))); !errors.Is(err, errNotExt4) {
		t.Errorf("zeroes: %v", err)
	}
	if _, err := readSuperblock(bytes.NewReader(nil)); err == nil {
		t.Error("an empty disk was taken")
	}
}

// messageCase is a message and its bytes in hexadecimal numbers, with spaces.
type messageCase struct {
	name string
	got  []byte
	want string
}

func checkMessages(t *testing.T, cases []messageCase) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the expected bytes are those of little-endian machines")
	}
	for _, c := range cases {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !bytes.Equal(c.got, want) {
			t.Errorf("%s: %x, want %x", c.name, c.got, want)
		}
	}
}

// The messages are what iproute2's ip sends for the same (seen with strace), but for flags and sequence numbers.
func TestNetlinkMessages(t *testing.T) {
	checkMessages(t, []messageCase{
		{"link set up", linkUp(2), "20000000 1000 0500 00000000 00000000" + "00 00 0000 02000000 01000000 01000000"},
		{
			"address add", addAddress(2, netip.MustParsePrefix("10.0.2.15/24")),
			"28000000 1400 0505 00000000 00000000" + "02 18 00 00 02000000" + "0800 0200 0a00020f" + "0800 0100 0a00020f",
		},
		{
			"route add default", addDefaultRoute(2, netip.MustParseAddr("10.0.2.2")),
			"2c000000 1800 0505 00000000 00000000" + "02 00 00 00 fe 03 00 01 00000000" + "0800 0500 0a000202" + "0800 0400 02000000",
		},
	})
	if padded := request(1, 0, []byte{1, 2, 3}, attribute{1, []byte{1}}); len(padded) != 16+4+8 || padded[20] != 5 {
		t.Errorf("what is not a multiple of four is padded, and its length is not: %x", padded)
	}
}

func TestAcknowledgement(t *testing.T) {
	answer := func(kind uint16, sequence uint32, code int32) []byte {
		raw := make([]byte, 36)
		binary.NativeEndian.PutUint16(raw[4:], kind)
		binary.NativeEndian.PutUint32(raw[8:], sequence)
		binary.NativeEndian.PutUint32(raw[16:], uint32(code))
		return raw
	}
	if err := acknowledgement(answer(unix.NLMSG_ERROR, 3, 0), 3); err != nil {
		t.Errorf("done: %v", err)
	}
	if err := acknowledgement(answer(unix.NLMSG_ERROR, 3, -int32(unix.ENODEV)), 3); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no such device: %v", err)
	}
	for name, raw := range map[string][]byte{
		"another request's": answer(unix.NLMSG_ERROR, 2, 0), "another type": answer(unix.NLMSG_DONE, 3, 0), "short": make([]byte, 19), "empty": nil,
	} {
		if err := acknowledgement(raw, 3); err == nil {
			t.Errorf("%s was taken for done", name)
		}
	}
}

func TestInterfaces(t *testing.T) {
	folder := tree(t, map[string]string{"eth0/ifindex": "2\n", "eth0/device/vendor": "0x1af4\n", "lo/ifindex": "1\n", "dummy0/ifindex": "what"})
	if name, index, err := deviceIndex(folder); err != nil || name != "eth0" || index != 2 {
		t.Errorf("%s %d, %v", name, index, err)
	}
	if index, err := interfaceIndex(folder, "lo"); err != nil || index != 1 {
		t.Errorf("lo: %d, %v", index, err)
	}
	if _, err := interfaceIndex(folder, "dummy0"); err == nil {
		t.Error("nonsense was taken for an index")
	}
	if _, _, err := deviceIndex(tree(t, map[string]string{"lo/ifindex": "1"})); err == nil {
		t.Error("a card was found where there is none")
	}
}

func TestPutFiles(t *testing.T) {
	folder := t.TempDir()
	there := filepath.Join(folder, "there")
	if err := os.WriteFile(there, []byte("longer than what comes"), 0o644); err != nil {
		t.Fatal(err)
	}
	files := []control.File{
		{Path: filepath.Join(folder, "a/b/secret"), Content: []byte("x")},
		{Path: filepath.Join(folder, "a/open"), Mode: 0o666, Content: nil},
		{Path: there, Mode: 0o600, Content: []byte("new")},
	}
	if err := putFiles(files); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"a/b/secret": 0o600, "a/open": 0o666, "there": 0o600} {
		if info, err := os.Stat(filepath.Join(folder, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if content, err := os.ReadFile(there); err != nil || string(content) != "new" {
		t.Errorf("%q, %v", content, err)
	}
	if err := putFiles([]control.File{{Path: filepath.Join(there, "below a file")}}); err == nil {
		t.Error("a file below a file was written")
	}
}

func TestNames(t *testing.T) {
	if got := hosts("default", netip.MustParseAddr("10.0.2.15")); !strings.HasSuffix(got, "\n10.0.2.15\tdefault\n") || !strings.HasPrefix(got, "127.0.0.1\tlocalhost\n") {
		t.Errorf("hosts: %q", got)
	}
	if got := hosts("", netip.MustParseAddr("10.0.2.15")); strings.Contains(got, "10.0.2.15") {
		t.Errorf("hosts of a machine without a name: %q", got)
	}
	if got := resolvers(netip.MustParseAddr("10.0.2.3")) + resolvers(netip.Addr{}); got != "nameserver 10.0.2.3\n" {
		t.Errorf("resolvers: %q", got)
	}
	if got := environment(map[string]string{"B": "2=3", "A": ""}); !slices.Equal(got, []string{"A=", "B=2=3"}) {
		t.Errorf("environment: %q", got)
	}
}

// A second word of the host is refused, and one that comes while nothing waits is kept.
func TestHandle(t *testing.T) {
	var said []string
	m := New("1", func(format string, _ ...any) { said = append(said, format) })
	m.handle(control.HostMessage{Type: control.TypeBoot, Boot: control.Boot{Identity: control.Identity{Hostname: "first"}}})
	m.handle(control.HostMessage{Type: control.TypeBoot, Boot: control.Boot{Identity: control.Identity{Hostname: "second"}}})
	if got := <-m.boots; got.Hostname != "first" || len(said) != 1 {
		t.Errorf("%s, said %q", got.Hostname, said)
	}
	m.handle(control.HostMessage{Type: control.TypeBoot})
	if len(said) != 2 || len(m.boots) != 0 {
		t.Errorf("a third word: said %q", said)
	}
	grace, late := int64(1500), int64(1<<40)
	m.handle(control.HostMessage{Type: control.TypeStop, GraceMillis: &grace})
	m.handle(control.HostMessage{Type: control.TypeStop})
	if got := <-m.stops; got == nil || got.Milliseconds() != 1500 {
		t.Errorf("grace %v", got)
	}
	m.handle(control.HostMessage{Type: control.TypeStop, GraceMillis: &late})
	if got := <-m.stops; got == nil || got.Hours() != 1 {
		t.Errorf("a grace of years: %v", got)
	}
}

// The host hears when the machine's memory is small, or why it is not.
func TestHandleShrink(t *testing.T) {
	var said []string
	m := New("1", func(format string, arguments ...any) { said = append(said, fmt.Sprintf(format, arguments...)) })
	var heard bytes.Buffer
	failure := errors.New("no such file")
	m.shrink = func() error { return failure }
	m.handle(control.HostMessage{Type: control.TypeShrink})
	failure = nil
	m.handle(control.HostMessage{Type: control.TypeShrink})
	m.link.Connect(&heard)
	if err := m.link.Flush(time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{`{"type":"refused","name":"shrink","reason":"no such file"}`, `{"type":"shrunk"}`} {
		if !strings.Contains(heard.String(), answer+"\n") {
			t.Errorf("%s is not in %s", answer, &heard)
		}
	}
	if len(said) != 1 {
		t.Errorf("said %q", said)
	}
}

// An identity is taken once, by a machine that is parked.
func TestHandleIdentity(t *testing.T) {
	refused := 0
	m := New("1", func(string, ...any) { refused++ })
	m.handle(control.HostMessage{Type: control.TypeBoot, Boot: control.Boot{Park: true}})
	m.handle(control.HostMessage{Type: control.TypeIdentity})
	if refused != 1 || len(m.identities) != 0 {
		t.Errorf("before it was parked: %d refused", refused)
	}
	m.parked.Store(true)
	m.handle(control.HostMessage{Type: control.TypeIdentity, Boot: control.Boot{Identity: control.Identity{Hostname: "first"}}})
	m.handle(control.HostMessage{Type: control.TypeIdentity, Boot: control.Boot{Identity: control.Identity{Hostname: "second"}}})
	if got := <-m.identities; got.Hostname != "first" || refused != 2 || len(m.identities) != 0 {
		t.Errorf("%s, %d refused", got.Hostname, refused)
	}
}
