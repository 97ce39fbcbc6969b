package render

import (
	"fmt"
	"net/netip"

	"sandbar.dev/node/internal/components/ingress/model"
	"sandbar.dev/node/internal/haproxy"
)

// placeholder is the address of a server that stands for none. Nothing is ever sent there: such servers are in
// maintenance, and nothing listens on that port.
var placeholder = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)

// capacity is how many servers a new backend with n endpoints gets: room for a rolling update to add pods before it
// removes others, in steps, so that the number changes rarely.
func capacity(n int) int { return (n + 2 + 3) / 4 * 4 }

// tooMany says that a backend has many more servers than it needs and may shrink with a reload.
func tooMany(slots, n int) bool { return slots > 4*capacity(n) }

// assign gives each endpoint a server of a backend. Endpoints that have one keep it, others get one that was never used
// if there is one, so that connections to a pod that just went away are least disturbed. More servers than are running
// mean that a reload is needed; the caller sees it in the configuration's description.
func assign(running []haproxy.Server, endpoints []model.Server) []haproxy.Server {
	size := len(running)
	if size < len(endpoints) || size == 0 || tooMany(size, len(endpoints)) {
		size = capacity(len(endpoints))
	}
	slots := make([]haproxy.Server, size)
	used := make([]bool, size)
	for i := range slots {
		slots[i] = haproxy.Server{
			Name: fmt.Sprintf("s%d", i+1), Address: placeholder, Weight: 1, State: haproxy.Maintenance,
		}
	}
	place := func(i int, endpoint model.Server) {
		used[i] = true
		slots[i].Address, slots[i].Weight, slots[i].State = endpoint.Address, endpoint.Weight, haproxy.Ready
		if endpoint.Draining {
			slots[i].State = haproxy.Drain
		}
	}
	find := func(fits func(haproxy.Server) bool) int {
		for i := range min(size, len(running)) {
			if !used[i] && fits(running[i]) {
				return i
			}
		}
		return -1
	}
	var homeless []model.Server
	for _, endpoint := range endpoints {
		i := find(func(s haproxy.Server) bool { return s.Address == endpoint.Address && s.State != haproxy.Maintenance })
		if i < 0 {
			homeless = append(homeless, endpoint)
			continue
		}
		place(i, endpoint)
	}
	for _, endpoint := range homeless {
		i := find(func(s haproxy.Server) bool { return s.Address == endpoint.Address })
		if i < 0 {
			i = find(func(s haproxy.Server) bool { return s.Address == placeholder })
		}
		if i < 0 {
			i = find(func(s haproxy.Server) bool { return s.State == haproxy.Maintenance })
		}
		for k := 0; i < 0 && k < size; k++ {
			if !used[k] {
				i = k
			}
		}
		place(i, endpoint)
	}
	return slots
}
