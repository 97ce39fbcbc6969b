package haproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// State is the administrative state of a server.
type State string

// The states of a server, as the runtime API names them.
const (
	// Ready: it gets its share of the traffic.
	Ready State = "ready"
	// Drain: it finishes what it has and gets nothing new.
	Drain State = "drain"
	// Maintenance: it is not used, as if it were not there.
	Maintenance State = "maint"
)

// Server is one server of a backend, as configured or as running.
type Server struct {
	// Name is unique in its backend.
	Name string
	// Address is where it listens. The zero value and the unspecified address mean none.
	Address netip.AddrPort
	// Weight is its share relative to the backend's other servers, 0 to 256.
	Weight int
	// State is its administrative state.
	State State
}

// Info is what the current worker says of itself.
type Info struct {
	// Description tells which configuration it runs: the value given to Preamble.
	Description string
	// Version is HAProxy's, such as "3.0.11-1+deb13u4".
	Version string
	// PID is its process ID as it sees it.
	PID int
	// Stopping is set on an old worker that finishes its connections.
	Stopping bool
}

// Runtime is a client of the current worker's runtime API. Its zero value is not useful.
type Runtime struct {
	// Socket is the path of the worker's stats socket.
	Socket string
}

// Info asks the worker what it is.
func (r Runtime) Info(ctx context.Context) (Info, error) {
	answer, err := exchange(ctx, r.Socket, "show info")
	if err != nil {
		return Info{}, err
	}
	var info Info
	for line := range strings.Lines(answer) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "description":
			info.Description = value
		case "Version":
			info.Version = value
		case "Pid":
			info.PID, _ = strconv.Atoi(value)
		case "Stopping":
			info.Stopping = value != "0"
		}
	}
	if info.Version == "" {
		return Info{}, fmt.Errorf("show info: unexpected answer %q", strings.TrimSpace(answer))
	}
	return info, nil
}

// Servers lists the servers of every backend, in their order, by the backend's name.
func (r Runtime) Servers(ctx context.Context) (map[string][]Server, error) {
	answer, err := exchange(ctx, r.Socket, "show servers state")
	if err != nil {
		return nil, err
	}
	return parseServers(answer)
}

// parseServers reads version 1 of the state format. https://docs.haproxy.org/3.0/management.html#9.3-show%20servers%20state
func parseServers(answer string) (map[string][]Server, error) {
	const (
		backend, name, address, admin, weight, port, columns = 1, 3, 4, 6, 7, 18, 19
		// Bits of srv_admin_state: maintenance forced, inherited and for want of an address; drain forced and inherited.
		maintenanceBits, drainBits = 0x01 | 0x02 | 0x20, 0x08 | 0x10
	)
	version, rest, _ := strings.Cut(answer, "\n")
	if version != "1" {
		return nil, fmt.Errorf("show servers state: unexpected answer %q", version)
	}
	servers := map[string][]Server{}
	for line := range strings.Lines(rest) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) < columns {
			return nil, fmt.Errorf("show servers state: unexpected line %q", line)
		}
		state, err1 := strconv.Atoi(fields[admin])
		share, err2 := strconv.Atoi(fields[weight])
		number, err3 := strconv.ParseUint(fields[port], 10, 16)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("show servers state: line %q: %w", line, err)
		}
		server := Server{Name: fields[name], Weight: share, State: Ready}
		if ip, err := netip.ParseAddr(fields[address]); err == nil { // "-" when it has none
			server.Address = netip.AddrPortFrom(ip, uint16(number))
		}
		switch {
		case state&maintenanceBits != 0:
			server.State = Maintenance
		case state&drainBits != 0:
			server.State = Drain
		}
		servers[fields[backend]] = append(servers[fields[backend]], server)
	}
	return servers, nil
}

// Update changes a running server of a backend from what it is to what is wanted, which must have the same name. Only
// differences are sent, in an order that never lets traffic reach a half-changed server: one that gets another address
// is out of service meanwhile.
func (r Runtime) Update(ctx context.Context, backend string, is, wanted Server) error {
	if is.Name != wanted.Name || Word(backend) == "" || Word(wanted.Name) != wanted.Name {
		return fmt.Errorf("server %q of backend %q cannot become %q", is.Name, backend, wanted.Name)
	}
	target := "set server " + backend + "/" + wanted.Name
	moved := wanted.State != Maintenance && is.Address != wanted.Address
	if moved && is.State != Maintenance {
		if err := r.set(ctx, target+" state "+string(Maintenance)); err != nil {
			return err
		}
		is.State = Maintenance
	}
	if moved {
		command := fmt.Sprintf("%s addr %s port %d", target, wanted.Address.Addr(), wanted.Address.Port())
		if err := r.set(ctx, command); err != nil {
			return err
		}
	}
	if wanted.State != Maintenance && is.Weight != wanted.Weight {
		if err := r.set(ctx, fmt.Sprintf("%s weight %d", target, wanted.Weight)); err != nil {
			return err
		}
	}
	if is.State != wanted.State {
		return r.set(ctx, target+" state "+string(wanted.State))
	}
	return nil
}

// set runs a command that answers nothing, or what it changed, when it worked.
func (r Runtime) set(ctx context.Context, command string) error {
	answer, err := exchange(ctx, r.Socket, command)
	if err != nil {
		return err
	}
	answer = strings.TrimSpace(answer)
	if answer == "" || strings.Contains(answer, "by 'stats socket command'") || answer == "nothing changed" {
		return nil
	}
	return fmt.Errorf("%s: HAProxy answered %q", command, answer)
}
