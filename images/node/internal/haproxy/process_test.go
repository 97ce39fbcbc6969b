package haproxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbar.dev/node/internal/haproxy"
	"sandbar.dev/node/internal/haproxy/haproxytest"
)

func eachHAProxy(t *testing.T, run func(t *testing.T, p *haproxytest.Process)) {
	haproxytest.Each(t, func(t *testing.T, binary string) { run(t, haproxytest.Start(t, binary, "cluster-1")) })
}

// configuration sends everything on port 80 to one backend with the given server lines.
func configuration(p *haproxytest.Process, description string, servers ...string) haproxy.Configuration {
	var b bytes.Buffer
	b.Write(haproxy.Preamble(p.Folder, description))
	fmt.Fprintf(&b, "\nfrontend http\n  bind fd@%d\n", haproxy.HTTPDescriptor)
	b.WriteString(haproxy.HealthRule("cluster-1"))
	b.WriteString("  default_backend b\nbackend b\n")
	for i, server := range servers {
		fmt.Fprintf(&b, "  server s%d %s\n", i+1, server)
	}
	return haproxy.Configuration{
		Description: description, Main: b.Bytes(), FilesFolder: haproxy.FilesFolder(description),
		Files: map[string][]byte{"some.map": []byte("a b\n")},
	}
}

func install(t *testing.T, p *haproxytest.Process, c haproxy.Configuration) {
	t.Helper()
	if err := (haproxy.Installer{Folder: p.Folder, Binary: p.Binary}).Install(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func expectNoFailure(t *testing.T, result haproxytest.Result) {
	t.Helper()
	if len(result.Failures) > 0 {
		t.Errorf("%d of %d requests failed, the first with %s", len(result.Failures), result.Requests, result.Failures[0])
	}
	t.Logf("%d requests, %v", result.Requests, result.Bodies)
}

func TestBaselineAnswersTheHealthHostOnly(t *testing.T) {
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		for host, want := range map[string]string{
			haproxy.HealthHost: "200 OK: ok", "other": "503 Service Unavailable: starting\n",
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTP, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if got := response.Status + ": " + string(body); err != nil || got != want {
				t.Errorf("%s: got %q, %v, want %q", host, got, err, want)
			}
			if id := response.Header.Get(haproxy.HealthHeader); host == haproxy.HealthHost && id != "cluster-1" {
				t.Errorf("the cluster is %q", id)
			}
		}
	})
}

func TestReloadsUnderLoadFailNoRequest(t *testing.T) {
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		address := haproxytest.Named(t, "one")
		install(t, p, configuration(p, "gen-0", address))
		load := haproxytest.StartLoad(t, p.HTTP, "x", 4)
		for i := range 5 {
			load.Await(60)
			install(t, p, configuration(p, fmt.Sprintf("gen-%d", i+1), address))
		}
		load.Await(60)
		expectNoFailure(t, load.Stop())
	})
}

func TestServerUpdatesUnderLoadFailNoRequest(t *testing.T) {
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		runtime := haproxy.Runtime{Socket: p.Folder.WorkerSocket()}
		addresses := []string{haproxytest.Named(t, "one"), haproxytest.Named(t, "two"), haproxytest.Named(t, "three")}
		spare := "127.0.0.1:1 disabled"
		install(t, p, configuration(p, "gen", addresses[0], spare, spare))
		worker := p.Worker(t)
		load := haproxytest.StartLoad(t, p.HTTP, "x", 4)
		is := []haproxy.Server{
			{Name: "s1", Address: netip.MustParseAddrPort(addresses[0]), Weight: 1, State: haproxy.Ready},
			{Name: "s2", Address: netip.MustParseAddrPort("127.0.0.1:1"), Weight: 1, State: haproxy.Maintenance},
			{Name: "s3", Address: netip.MustParseAddrPort("127.0.0.1:1"), Weight: 1, State: haproxy.Maintenance},
		}
		change := func(i int, change func(*haproxy.Server)) {
			t.Helper()
			load.Await(25)
			wanted := is[i]
			change(&wanted)
			if err := runtime.Update(t.Context(), "b", is[i], wanted); err != nil {
				t.Fatal(err)
			}
			is[i] = wanted
			got, err := runtime.Servers(t.Context())
			if err != nil || !reflect.DeepEqual(got["b"], is) {
				t.Fatalf("servers are %+v, %v, want %+v", got, err, is)
			}
		}
		for round := range 3 {
			at := func(k int) netip.AddrPort { return netip.MustParseAddrPort(addresses[(round+k)%3]) }
			change(1, func(s *haproxy.Server) { s.Address, s.State, s.Weight = at(1), haproxy.Ready, 2+round })
			change(0, func(s *haproxy.Server) { s.State = haproxy.Drain })
			change(0, func(s *haproxy.Server) { s.State = haproxy.Maintenance })
			change(0, func(s *haproxy.Server) { s.Address, s.State = at(2), haproxy.Ready })
			change(0, func(s *haproxy.Server) { s.Address = at(0) }) // moved while it serves
			change(1, func(s *haproxy.Server) { s.State = haproxy.Maintenance })
		}
		load.Await(25)
		result := load.Stop()
		expectNoFailure(t, result)
		if len(result.Bodies) != 3 {
			t.Errorf("not all servers were used: %v", result.Bodies)
		}
		if got := p.Worker(t); got != worker {
			t.Errorf("worker %d became %d: there was a reload", worker, got)
		}
	})
}

func TestARefusedConfigurationLeavesTheOldOne(t *testing.T) {
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		good := configuration(p, "good", haproxytest.Named(t, "good"))
		install(t, p, good)
		worker := p.Worker(t)

		bad := configuration(p, "bad", "127.0.0.1:80 no-such-keyword")
		err := haproxy.Installer{Folder: p.Folder, Binary: p.Binary}.Install(t.Context(), bad)
		var refused *haproxy.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "no-such-keyword") {
			t.Fatalf("the refusal was %v", err)
		}
		if got := p.AwaitDescription(t, "good"); got != worker {
			t.Errorf("worker %d became %d", worker, got)
		}
		if onDisk, err := os.ReadFile(p.Folder.Config()); err != nil || !bytes.Equal(onDisk, good.Main) {
			t.Errorf("on disk is %s, %v", onDisk, err)
		}
		entries, err := os.ReadDir(string(p.Folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			name := entry.Name()
			if strings.HasPrefix(name, "files-") && name != good.FilesFolder || strings.Contains(name, ".new") {
				t.Errorf("%s was left behind", name)
			}
		}
	})
}

// A configuration that passes the check and fails in the reload: its file is damaged in between.
func TestAReloadThatFailsLeavesTheOldWorker(t *testing.T) {
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		install(t, p, configuration(p, "good", haproxytest.Named(t, "good")))
		if err := os.WriteFile(p.Folder.Config(), []byte("nonsense\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		master := haproxy.Master{Socket: p.Folder.MasterSocket()}
		var refused *haproxy.RefusedError
		if err := master.Reload(t.Context()); !errors.As(err, &refused) {
			t.Fatalf("the reload said %v", err)
		}
		p.AwaitDescription(t, "good")
		install(t, p, configuration(p, "better", haproxytest.Named(t, "better")))
		processes, err := master.Processes(t.Context())
		if err != nil || processes[0].FailedReloads != 0 {
			t.Errorf("processes are %+v, %v", processes, err)
		}
	})
}

func TestKilledProcessesComeBackWithoutALostConnection(t *testing.T) {
	eachHAProxy(t, func(t *testing.T, p *haproxytest.Process) {
		install(t, p, configuration(p, "good", haproxytest.Named(t, "good")))
		for _, victim := range []string{"worker", "master"} {
			pid := p.Worker(t)
			before := pid
			if victim == "master" {
				pid = p.Master()
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			// The listening socket is not HAProxy's: connections wait for the next one instead of being refused.
			start := time.Now()
			load := haproxytest.StartLoad(t, p.HTTP, "x", 1)
			p.AwaitWorkerAfter(t, before)
			load.Await(1)
			done := load.Stop()
			if len(done.Failures) > 1 { // the dying process may have accepted one
				t.Errorf("after the end of the %s: %v", victim, done.Failures)
			}
			p.AwaitDescription(t, "good")
			t.Logf("%s killed, served again after %v", victim, time.Since(start).Round(time.Millisecond))
		}
	})
}

func TestNobodyListens(t *testing.T) {
	folder := haproxy.Folder(t.TempDir())
	_, err := haproxy.Runtime{Socket: folder.WorkerSocket()}.Info(t.Context())
	if !haproxy.Unreachable(err) {
		t.Errorf("got %v", err)
	}
	_, err = haproxy.Master{Socket: folder.MasterSocket()}.Processes(t.Context())
	if !haproxy.Unreachable(err) {
		t.Errorf("got %v", err)
	}
}
