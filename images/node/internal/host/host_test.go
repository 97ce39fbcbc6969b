package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestResolversForPods(t *testing.T) {
	for _, c := range []struct {
		name, file, want string
	}{
		{
			"Podman's", "search dns.podman\nnameserver 10.89.0.1\nnameserver 10.89.0.1\n",
			"nameserver 10.89.0.1\nsearch dns.podman\n",
		},
		{
			"Docker's", "nameserver 127.0.0.11\noptions edns0 ndots:0\n\n# ExtServers: [192.168.1.1 host(127.0.0.53)]\n",
			"nameserver 192.168.1.1\noptions edns0 ndots:0\n",
		},
		{"only a loopback resolver", "nameserver 127.0.0.53\nnameserver ::1\n", ""},
		{"link-local and nonsense", "nameserver fe80::1%eth0\nnameserver here\n; nameserver 9.9.9.9\n#nameserver 9.9.9.9\n", ""},
		{"the last search counts", "search a.example b.example\ndomain c.example\n", "search c.example\n"},
		{"the root as search", "search .\nnameserver fd00::53\n", "nameserver fd00::53\n"},
		{"none", "", ""},
	} {
		if got := parseResolvConf(c.file).forPods(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		present, want string
		setting       setting
	}{
		{"0\n", "1", setting{"a", 1, false}},
		{"2\n", "1", setting{"a", 1, false}},
		{"1\n", "1\n", setting{"a", 1, false}},
		{"128\n", "512", setting{"a", 512, true}},
		{"1024\n", "1024\n", setting{"a", 512, true}},
	} {
		root := t.TempDir()
		path := filepath.Join(root, "a")
		if err := os.WriteFile(path, []byte(c.present), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.setting.apply(root); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.want {
			t.Errorf("%+v over %q gives %q, %v", c.setting, c.present, got, err)
		}
	}
	if err := (setting{"not/there", 1, false}).apply(t.TempDir()); err != nil {
		t.Errorf("a setting that the kernel does not have: %v", err)
	}
}

func TestMachineID(t *testing.T) {
	for id, want := range map[string]bool{
		newID(): true, "": false, "24ad6a1ff428f41df26a61e163a8393": false, "24AD6A1FF428F41DF26A61E163A83935": false, "uninitialized": false,
	} {
		if got := validMachineID(id); got != want {
			t.Errorf("validMachineID(%q) = %t", id, got)
		}
	}
}

func TestReplaceFileLeavesNothingBehind(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "machine-id")
	for _, content := range []string{"one\n", "two\n"} {
		if err := replaceFile(path, content, 0o444); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("content %q, %v", got, err)
		}
	}
	if entries, err := os.ReadDir(directory); err != nil || len(entries) != 1 {
		t.Errorf("files %v, %v", entries, err)
	}
}
