package haproxy

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"sandbar.dev/node/internal/paths"
)

func TestFolderIsTheContracts(t *testing.T) {
	layout := paths.Default()
	folder := Folder(layout.HAProxy())
	if folder.Config() != layout.HAProxyConfig() || folder.MasterSocket() != layout.HAProxyMasterSocket() {
		t.Errorf("%s and %s are not what sandbar-init starts HAProxy with", folder.Config(), folder.MasterSocket())
	}
}

func TestBaselineHoldsTheClusterIDAsAWordOnly(t *testing.T) {
	config := string(Baseline("ab-1'\n  bind :8404 \"%[env(HOME)]"))
	if !strings.Contains(config, " 'ab-1bind8404envHOME' ") {
		t.Errorf("the cluster's ID is not held to its characters:\n%s", config)
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":            `''`,
		"plain":       `'plain'`,
		`"$HOME" #\ `: `'"$HOME" #\ '`,
		"it's":        `'it'\''s'`,
		"a\nb\r\x00c": `'abc'`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestParseProcesses(t *testing.T) {
	const answer = `#<PID>          <type>          <reloads>       <uptime>        <version>      
12902           master          2 [failed: 1]   0d00h00m01s     2.6.12-1+deb12u4
# workers
12967           worker          0               0d00h00m00s     2.6.12-1+deb12u4
# old workers
12950           worker          1               0d00h00m00s     2.6.12-1+deb12u4
# programs

`
	want := []Process{
		{PID: 12902, Type: "master", Reloads: 2, FailedReloads: 1},
		{PID: 12967, Type: "worker"},
		{PID: 12950, Type: "worker", Reloads: 1, Old: true},
	}
	got, err := parseProcesses(answer)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "Unknown command", "x master 0\n", "1 master 0 [failed: x]\n"} {
		if _, err := parseProcesses(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestParseVerdict(t *testing.T) {
	if err := parseVerdict("Success=1\n--\n[NOTICE]   (1) : Loading success.\n"); err != nil {
		t.Error(err)
	}
	err := parseVerdict("Success=0\n--\n[NOTICE]   (1) : Reloading\n" +
		"[ALERT]    (1) : config : parsing [x:1] : unknown keyword 'x'\n  'crt' : no\n" +
		"[WARNING]  (1) : Former worker (7) exited\nand more\n[ALERT]    (1) : config : Fatal errors\n")
	want := "HAProxy refused the configuration: config : parsing [x:1] : unknown keyword 'x' 'crt' : no; config : Fatal errors"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestParseServers(t *testing.T) {
	const answer = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change
3 b1 1 s1 127.0.0.1 2 8 1 1 0 1 0 2 0 0 0 0 - 8080 - 0 0 - - 0
3 b1 2 s2 fd00::1 2 4 50 1 0 1 0 0 8 0 0 0 - 90 - 0 0 - - 0
4 b2 1 s1 - 0 5 1 1 0 1 0 0 8 0 0 0 - 0 - 0 0 - - 0

`
	want := map[string][]Server{
		"b1": {
			{Name: "s1", Address: netip.MustParseAddrPort("127.0.0.1:8080"), Weight: 1, State: Drain},
			{Name: "s2", Address: netip.MustParseAddrPort("[fd00::1]:90"), Weight: 50, State: Ready},
		},
		"b2": {{Name: "s1", Weight: 1, State: Maintenance}},
	}
	got, err := parseServers(answer)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "2\n", "1\n3 b1 1 s1\n", "1\n" + strings.Repeat("x ", 25) + "\n"} {
		if _, err := parseServers(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
