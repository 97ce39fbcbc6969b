package hostnet

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Uplink is the way out of the node as it was when it was looked for: by which others reach it, and it them.
type Uplink struct {
	address Address
	// none says that there was no way out.
	none bool
}

// MovedError says that the machine has another address than the one by which the node is known.
type MovedError struct{ From, To netip.Addr }

// Error says both.
func (e *MovedError) Error() string {
	return fmt.Sprintf("the node is known by %s, and the machine has the address %s now", e.From, e.To)
}

// FindUplink looks for the way out that the node's address has now.
func FindUplink(node netip.Addr) (Uplink, error) {
	addresses, err := Addresses()
	if err != nil {
		return Uplink{}, err
	}
	for _, address := range addresses {
		if address.IP == node && address.Interface != "lo" {
			return Uplink{address: address}, nil
		}
	}
	return Uplink{none: true}, nil
}

// Check says why the way out leads nowhere any more. The error is a *MovedError where there is another one.
func (u Uplink) Check() error {
	if u.none {
		return nil
	}
	was := u.address
	addresses, err := Addresses()
	if err != nil {
		return err
	}
	for _, address := range addresses {
		if address.IP != was.IP || address.Interface == "lo" {
			continue
		}
		if down, err := isDown(address.Interface); err != nil {
			return err
		} else if down {
			return fmt.Errorf("the network interface %s is down", address.Interface)
		}
		if was.Default && !address.Default {
			return fmt.Errorf("no default route leads through %s", address.Interface)
		}
		return nil
	}
	if other := choose(addresses); other.IsValid() {
		return &MovedError{From: was.IP, To: other}
	}
	return fmt.Errorf("the address %s of %s is gone", was.IP, was.Interface)
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
