package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Uplink is the way out of the node as it was when it was looked for: by which others reach it, and it them.
type Uplink struct {
	node netip.Addr
	// address is where the node's stood; without a valid IP there was no way out.
	address Address
}

// MovedError says that the machine's way out has another address than the one by which the node is known.
type MovedError struct{ From, To netip.Addr }

// Error says both.
func (e *MovedError) Error() string {
	return fmt.Sprintf("the node is known by %s, and its network has the address %s now", e.From, e.To)
}

// FindUplink looks for the way out that the node's address has now.
func FindUplink(node netip.Addr) (Uplink, error) {
	addresses, err := Addresses()
	if err != nil {
		return Uplink{}, err
	}
	for _, address := range addresses {
		if address.IP == node && address.mayBeTheNodes() {
			return Uplink{node: node, address: address}, nil
		}
	}
	return Uplink{node: node}, nil
}

// Check says why the way out leads nowhere any more. The error is a *MovedError where another address has the default route,
// which the node's has not.
func (u Uplink) Check() error {
	addresses, err := Addresses()
	if err != nil {
		return err
	}
	was := u.address
	for _, address := range addresses {
		if address.IP != was.IP || address.Interface != was.Interface {
			continue
		}
		if down, err := isDown(address.Interface); err != nil {
			return err
		} else if down {
			return fmt.Errorf("the network interface %s is down", address.Interface)
		}
		if address.Default {
			return nil
		}
	}
	for _, address := range addresses {
		if address.Default && address.mayBeTheNodes() {
			return &MovedError{From: u.node, To: address.IP}
		}
	}
	switch {
	case !was.IP.IsValid():
		return nil // there never was one
	case !slices.ContainsFunc(addresses, func(address Address) bool { return address.IP == was.IP }):
		return fmt.Errorf("the address %s of %s is gone", was.IP, was.Interface)
	case was.Default:
		return fmt.Errorf("no default route leads through %s", was.Interface)
	default:
		return nil
	}
}

// isDown says whether an interface has no carrier or was switched off. Some kinds do not know.
func isDown(name string) (bool, error) {
	link, err := netlink.LinkByName(name)
	if notFound := (netlink.LinkNotFoundError{}); errors.As(err, &notFound) {
		return true, nil // it went since its address was seen
	} else if err != nil {
		return false, fmt.Errorf("look at the network interface %s: %w", name, err)
	}
	state := link.Attrs().OperState
	return state == netlink.OperDown || state == netlink.OperLowerLayerDown, nil
}
