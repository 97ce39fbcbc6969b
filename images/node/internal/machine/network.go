package machine

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/machine/control"
)

// interfaces is where the kernel lists network interfaces.
const interfaces = "/sys/class/net"

// deviceIndex returns the name and index of the first network card: an interface with a device behind it.
func deviceIndex(folder string) (name string, index uint32, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", 0, err
	}
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(folder, entry.Name(), "device")); err != nil {
			continue
		}
		index, err := interfaceIndex(folder, entry.Name())
		return entry.Name(), index, err
	}
	return "", 0, fmt.Errorf("the machine has no network card")
}

func interfaceIndex(folder, name string) (uint32, error) {
	return interfaceNumber(folder, name, "ifindex")
}

// interfaceNumber is what the kernel says of an interface in a file of that name.
func interfaceNumber(folder, name, file string) (uint32, error) {
	text, err := os.ReadFile(filepath.Join(folder, name, file))
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("the %s of %s: %w", file, name, err)
	}
	return uint32(number), nil
}

// configureNetwork switches the loopback and the first network card on, and gives the card its address and the route out.
func configureNetwork(network control.Network) error {
	loopback, err := interfaceIndex(interfaces, "lo")
	if err != nil {
		return err
	}
	name, card, err := deviceIndex(interfaces)
	if err != nil {
		return err
	}
	routing, err := openRouting()
	if err != nil {
		return err
	}
	defer routing.close()
	if network.Link != nil {
		if err := shape(routing, name, card, *network.Link); err != nil {
			return err
		}
	}
	return routing.do([]step{
		{"switch the loopback on", linkUp(loopback)},
		{"switch " + name + " on", linkUp(card)},
		{"give " + name + " its address", addAddress(card, network.Address)},
		{"make the default route", addDefaultRoute(card, network.Gateway)},
	})
}

// nameFiles sets the machine's name, if it has one yet, and writes what an engine gives a container: its name, hosts and
// resolvers.
func nameFiles(boot *control.Boot) error {
	files := map[string]string{
		"/etc/hosts":       hosts(boot.Hostname, boot.Network.Address.Addr()),
		"/etc/resolv.conf": resolvers(boot.Network.DNS),
	}
	if boot.Hostname != "" {
		if err := unix.Sethostname([]byte(boot.Hostname)); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
		files["/etc/hostname"] = boot.Hostname + "\n"
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func hosts(name string, address netip.Addr) string {
	lines := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if name == "" {
		return lines
	}
	return lines + address.String() + "\t" + name + "\n"
}

func resolvers(dns netip.Addr) string {
	if !dns.IsValid() {
		return ""
	}
	return "nameserver " + dns.String() + "\n"
}

// putFiles writes the host's files.
func putFiles(files []control.File) error {
	// A file that another one's folder would be is found by the write itself; the order is the host's.
	for _, file := range files {
		mode := os.FileMode(file.Mode)
		if mode == 0 {
			mode = 0o600
		}
		if err := os.MkdirAll(filepath.Dir(file.Path), 0o755); err != nil {
			return fmt.Errorf("put the host's file: %w", err)
		}
		if err := os.WriteFile(file.Path, file.Content, mode); err != nil {
			return fmt.Errorf("put the host's file: %w", err)
		}
		// The mode of a file that was there, and whatever the mask is.
		if err := os.Chmod(file.Path, mode); err != nil {
			return fmt.Errorf("put the host's file: %w", err)
		}
	}
	return nil
}

// environment is a boot's as os.Environ has it, sorted.
func environment(variables map[string]string) []string {
	list := make([]string, 0, len(variables))
	for name, value := range variables {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
