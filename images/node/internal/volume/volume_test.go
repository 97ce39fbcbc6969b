package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sandbar.dev/node/internal/paths"
)

func prepare(t *testing.T, layout paths.Layout, kubernetes string) *Prepared {
	t.Helper()
	p, err := Prepare(layout, kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIdentityAndVersionStay(t *testing.T) {
	layout := paths.In(t.TempDir())
	first := prepare(t, layout, "v1.37.2")
	if first.Previous != nil || len(first.ClusterID) != 36 {
		t.Errorf("first start: %+v", first)
	}
	data, err := os.ReadFile(layout.DataVersion())
	if err != nil || string(data) != `{"data":1,"kubernetes":"1.37"}`+"\n" {
		t.Errorf("data-version: %q %v", data, err)
	}
	second := prepare(t, layout, "v1.37.9")
	if second.ClusterID != first.ClusterID || second.Previous == nil || second.Backup != "" {
		t.Errorf("second start: %+v", second)
	}
	if other := prepare(t, paths.In(t.TempDir()), "v1.37.2"); other.ClusterID == first.ClusterID {
		t.Error("two clusters share an identity")
	}
}

func TestOneMinorVersionForwardWithACopy(t *testing.T) {
	layout := paths.In(t.TempDir())
	prepare(t, layout, "v1.37.2")
	database := filepath.Join(layout.Etcd(), "member", "snap", "db")
	if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(database, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	// An upgrade that does not get as far as Commit is repeated and keeps the first copy.
	if _, err := Prepare(layout, "v1.38.0"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(database, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := prepare(t, layout, "v1.38.0")
	copied, err := os.ReadFile(filepath.Join(p.Backup, "etcd", "member", "snap", "db"))
	if err != nil || string(copied) != "data" {
		t.Errorf("the copy in %q has %q: %v", p.Backup, copied, err)
	}
	var refused *VersionError
	if _, err := Prepare(layout, "v1.37.2"); !errors.As(err, &refused) || !strings.Contains(err.Error(), "downgrade") {
		t.Errorf("a downgrade: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"two minor versions": {`{"data":1,"kubernetes":"1.35"}`, "start it with a node image with Kubernetes 1.36 first"},
		"a newer layout":     {`{"data":2,"kubernetes":"1.37"}`, "says data format 2, this node knows 1"},
		"damage":             {`{"data":`, "is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			layout := paths.In(t.TempDir())
			if err := os.MkdirAll(layout.Data, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(layout.DataVersion(), []byte(test.file), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Prepare(layout, "v1.37.2")
			var refused *VersionError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
