package cni

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestConflist(t *testing.T) {
	data, err := Conflist([]string{"10.42.0.0/16", "fd42::/56"}, 1400)
	if err != nil {
		t.Fatal(err)
	}
	list := struct {
		Plugins []struct {
			Type string
			MTU  int
			IPAM struct {
				Type   string
				Ranges [][]struct{ Subnet string }
				Routes []struct{ Dst string }
			}
		}
	}{}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	first := list.Plugins[0]
	if first.Type != "ptp" || first.MTU != 1400 || first.IPAM.Type != "host-local" || list.Plugins[1].Type != "portmap" {
		t.Errorf("plugins: %s", data)
	}
	if first.IPAM.Ranges[0][0].Subnet != "10.42.0.0/16" || first.IPAM.Ranges[1][0].Subnet != "fd42::/56" {
		t.Errorf("ranges: %v", first.IPAM.Ranges)
	}
	if first.IPAM.Routes[0].Dst != "0.0.0.0/0" || first.IPAM.Routes[1].Dst != "::/0" {
		t.Errorf("routes: %v", first.IPAM.Routes)
	}
}

func TestConflistErrors(t *testing.T) {
	for _, c := range []struct {
		cidrs []string
		want  string
	}{
		{nil, "no pod network is given"},
		{[]string{"10.42.0.1/16"}, "pod network 10.42.0.1/16 has host bits set: 10.42.0.0/16 is meant"},
		{[]string{"10.42.0.0/16", "10.44.0.0/16"}, "pod networks 10.42.0.0/16 and 10.44.0.0/16 are of one address family"},
		{[]string{"pods"}, `pod network "pods": netip.ParsePrefix("pods"): no '/'`},
	} {
		if _, err := Conflist(c.cidrs, 0); err == nil || err.Error() != c.want {
			t.Errorf("Conflist(%v): error %v; want %s", c.cidrs, err, c.want)
		}
	}
}

func TestWriteLeavesTheSameAlone(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "net.d")
	if err := Write(directory, []string{"10.42.0.0/16"}, 0); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(directory, File))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(directory, []string{"10.42.0.0/16"}, 0); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(directory, File))
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file was written again")
	}
	if err := Write(directory, []string{"10.44.0.0/16"}, 0); err != nil {
		t.Fatal(err)
	}
	if changed, err := os.Stat(filepath.Join(directory, File)); err != nil || os.SameFile(before, changed) {
		t.Errorf("the file was not replaced: %v", err)
	}
}
