package render

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/haproxy"
)

func endpoint(n int) model.Server {
	return model.Server{Address: netip.MustParseAddrPort(fmt.Sprintf("10.42.0.%d:80", n)), Weight: 1}
}

func addresses(servers []haproxy.Server) string {
	s := ""
	for _, server := range servers {
		switch {
		case server.State == haproxy.Maintenance:
			s += "- "
		case server.State == haproxy.Drain:
			s += fmt.Sprintf("(%d) ", server.Address.Addr().As4()[3])
		default:
			s += fmt.Sprintf("%d ", server.Address.Addr().As4()[3])
		}
	}
	return s
}

func TestAssign(t *testing.T) {
	draining := endpoint(1)
	draining.Draining = true
	running := assign(nil, []model.Server{endpoint(1), endpoint(2)})
	used := assign(running, []model.Server{endpoint(3), endpoint(4)})
	for i := range used { // a server in maintenance keeps the address that it had
		if used[i].State == haproxy.Maintenance {
			used[i].Address = running[i].Address
		}
	}
	for _, test := range []struct {
		name      string
		running   []haproxy.Server
		endpoints []model.Server
		want      string
	}{
		{"a new backend without endpoints", nil, nil, "- - - - "},
		{"a new backend", nil, []model.Server{endpoint(1), endpoint(2)}, "1 2 - - "},
		{"a new backend gets room", nil, []model.Server{endpoint(1), endpoint(2), endpoint(3)}, "1 2 3 - - - - - "},
		{"endpoints keep their server", running, []model.Server{endpoint(2)}, "- 2 - - "},
		{"new ones get an unused server", running, []model.Server{endpoint(2), endpoint(9)}, "- 2 9 - "},
		{"draining", running, []model.Server{draining, endpoint(2), endpoint(3)}, "(1) 2 3 - "},
		{"all replaced", running, []model.Server{endpoint(3), endpoint(4)}, "- - 3 4 "},
		{"one that comes back gets its server", used, []model.Server{endpoint(2), endpoint(3)}, "- 2 3 - "},
		{"all full", running, []model.Server{endpoint(1), endpoint(2), endpoint(3), endpoint(4)}, "1 2 3 4 "},
		{
			"more than there is room", running,
			[]model.Server{endpoint(1), endpoint(2), endpoint(3), endpoint(4), endpoint(5)}, "1 2 3 4 5 - - - ",
		},
		{"far too much room", make([]haproxy.Server, 20), []model.Server{endpoint(1)}, "1 - - - "},
	} {
		if got := addresses(assign(test.running, test.endpoints)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestAssignKeepsWhatItCan follows a backend through random changes: every endpoint has exactly one server, none that stays
// is moved, and the number of servers changes only when it must.
func TestAssignKeepsWhatItCan(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var running []haproxy.Server
	for range 2000 {
		var endpoints []model.Server
		for n := range 12 {
			if random.IntN(3) == 0 {
				endpoints = append(endpoints, endpoint(n+1))
			}
		}
		next := assign(running, endpoints)
		fits := len(running) > 0 && len(running) >= len(endpoints) && !tooMany(len(running), len(endpoints))
		if fits && len(next) != len(running) {
			t.Fatalf("%d servers became %d for %d endpoints", len(running), len(next), len(endpoints))
		}
		at := map[netip.AddrPort]int{}
		for i, server := range next {
			if server.State == haproxy.Maintenance {
				continue
			}
			if _, twice := at[server.Address]; twice {
				t.Fatalf("%s has two servers", server.Address)
			}
			at[server.Address] = i
		}
		for _, endpoint := range endpoints {
			if _, ok := at[endpoint.Address]; !ok {
				t.Fatalf("%s has no server", endpoint.Address)
			}
		}
		if len(at) != len(endpoints) {
			t.Fatalf("%d servers for %d endpoints", len(at), len(endpoints))
		}
		for i, server := range running {
			if k, ok := at[server.Address]; ok && server.State == haproxy.Ready && k != i && i < len(next) {
				t.Fatalf("%s moved from %d to %d", server.Address, i, k)
			}
		}
		running = next
	}
}

func TestOnlyServersLeaveTheDescriptionAlone(t *testing.T) {
	settings := Settings{Folder: "/x", ClusterID: "id", DefaultCertificate: []byte("d")}
	base := func() model.Model {
		return model.Model{
			Routes:       []model.Route{{Host: "a", Path: "/", Backend: "n:s:80"}},
			Backends:     []model.Backend{{ID: "n:s:80", Servers: []model.Server{endpoint(1)}}},
			Certificates: []model.Certificate{{Names: []string{"a"}, PEM: []byte("p")}},
		}
	}
	first := Render(base(), settings, nil)
	for _, test := range []struct {
		name   string
		same   bool
		change func(*model.Model, *Settings)
	}{
		{"nothing", true, func(*model.Model, *Settings) {}},
		{"an endpoint more", true, func(m *model.Model, _ *Settings) {
			m.Backends[0].Servers = append(m.Backends[0].Servers, endpoint(2))
		}},
		{"no endpoint", true, func(m *model.Model, _ *Settings) { m.Backends[0].Servers = nil }},
		{"weight", true, func(m *model.Model, _ *Settings) { m.Backends[0].Servers[0].Weight = 9 }},
		{"draining", true, func(m *model.Model, _ *Settings) { m.Backends[0].Servers[0].Draining = true }},
		{"endpoints that need more room", false, func(m *model.Model, _ *Settings) {
			for n := range 5 {
				m.Backends[0].Servers = append(m.Backends[0].Servers, endpoint(n+2))
			}
		}},
		{"host", false, func(m *model.Model, _ *Settings) { m.Routes[0].Host = "b" }},
		{"path", false, func(m *model.Model, _ *Settings) { m.Routes[0].Path = "/b" }},
		{"match", false, func(m *model.Model, _ *Settings) { m.Routes[0].Match = model.Exact }},
		{"protocol", false, func(m *model.Model, _ *Settings) { m.Backends[0].Protocol = model.H2C }},
		{"certificate", false, func(m *model.Model, _ *Settings) { m.Certificates[0].PEM = []byte("q") }},
		{"name", false, func(m *model.Model, _ *Settings) { m.Certificates[0].Names[0] = "b" }},
		{"default certificate", false, func(_ *model.Model, s *Settings) { s.DefaultCertificate = []byte("e") }},
		{"cluster ID", false, func(_ *model.Model, s *Settings) { s.ClusterID = "other" }},
	} {
		m, s := base(), settings
		test.change(&m, &s)
		second := Render(m, s, first.Servers)
		if same := first.Configuration.Description == second.Configuration.Description; same != test.same {
			t.Errorf("%s: same description is %t", test.name, same)
		}
	}
}
