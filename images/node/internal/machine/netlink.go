package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// attribute is one of rtnetlink(7).
type attribute struct {
	kind  uint16
	value []byte
}

// request builds a netlink message (netlink(7)) with a family's header and attributes, to which [routing.ask] gives its
// number. It asks for an acknowledgement.
func request(kind, flags uint16, header []byte, attributes ...attribute) []byte {
	message := make([]byte, unix.NLMSG_HDRLEN, 128)
	message = appendAttributes(pad(append(message, header...)), attributes...)
	binary.NativeEndian.PutUint32(message[0:], uint32(len(message)))
	binary.NativeEndian.PutUint16(message[4:], kind)
	binary.NativeEndian.PutUint16(message[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	return message
}

func appendAttributes(message []byte, attributes ...attribute) []byte {
	for _, a := range attributes {
		message = binary.NativeEndian.AppendUint16(message, uint16(unix.SizeofRtAttr+len(a.value)))
		message = binary.NativeEndian.AppendUint16(message, a.kind)
		message = pad(append(message, a.value...))
	}
	return message
}

// nested is an attribute of attributes.
func nested(kind uint16, attributes ...attribute) attribute {
	return attribute{kind, appendAttributes(nil, attributes...)}
}

// number is an attribute of 32 bits.
func number(kind uint16, value uint32) attribute {
	return attribute{kind, binary.NativeEndian.AppendUint32(nil, value)}
}

// text is an attribute that ends with a zero.
func text(kind uint16, value string) attribute { return attribute{kind, append([]byte(value), 0)} }

func pad(message []byte) []byte {
	for len(message)%unix.NLMSG_ALIGNTO != 0 {
		message = append(message, 0)
	}
	return message
}

// linkUp switches an interface on.
func linkUp(index uint32) []byte {
	// struct ifinfomsg: family, padding, type, index, flags, mask of the flags that are meant.
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], index)
	binary.NativeEndian.PutUint32(header[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(header[12:], unix.IFF_UP)
	return request(unix.RTM_NEWLINK, 0, header)
}

// addAddress gives an interface an address of IPv4.
func addAddress(index uint32, address netip.Prefix) []byte {
	// struct ifaddrmsg: family, length of the prefix, flags, scope, index.
	header := make([]byte, unix.SizeofIfAddrmsg)
	header[0], header[1] = unix.AF_INET, uint8(address.Bits())
	binary.NativeEndian.PutUint32(header[4:], index)
	ip := address.Addr().As4()
	return request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, header,
		attribute{unix.IFA_LOCAL, ip[:]}, attribute{unix.IFA_ADDRESS, ip[:]})
}

// addDefaultRoute leads everything else to a gateway.
func addDefaultRoute(index uint32, gateway netip.Addr) []byte {
	// struct rtmsg: family, lengths of the destination and the source, TOS, table, protocol, scope, type, flags.
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[4], header[5], header[6], header[7] =
		unix.AF_INET, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST
	ip := gateway.As4()
	return request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, header,
		attribute{unix.RTA_GATEWAY, ip[:]}, number(unix.RTA_OIF, index))
}

// acknowledgement is what the kernel answered to a request: nil for done.
func acknowledgement(answer []byte, sequence uint32) error {
	if len(answer) < unix.NLMSG_HDRLEN+4 {
		return fmt.Errorf("an answer of %d bytes", len(answer))
	}
	if kind := binary.NativeEndian.Uint16(answer[4:]); kind != unix.NLMSG_ERROR {
		return fmt.Errorf("an answer of type %d", kind)
	}
	if got := binary.NativeEndian.Uint32(answer[8:]); got != sequence {
		return fmt.Errorf("an answer to request %d instead of %d", got, sequence)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// routing is a conversation with the kernel's routing.
type routing struct {
	socket int
	// sequence is the number of the last request.
	sequence uint32
}

// step is a request and what it is for.
type step struct {
	what    string
	message []byte
}

func openRouting() (*routing, error) {
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("speak with the kernel's routing: %w", err)
	}
	return &routing{socket: socket}, nil
}

func (r *routing) close() { _ = unix.Close(r.socket) }

// do makes one request after the other, up to one that fails.
func (r *routing) do(steps []step) error {
	for _, step := range steps {
		if err := r.ask(step.message); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// ask sends a request and waits for the kernel's answer, which it gives at once.
func (r *routing) ask(message []byte) error {
	r.sequence++
	binary.NativeEndian.PutUint32(message[8:], r.sequence)
	if err := unix.Sendto(r.socket, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buffer := make([]byte, 8<<10)
	for {
		n, _, err := unix.Recvfrom(r.socket, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		return acknowledgement(buffer[:n], r.sequence)
	}
}
