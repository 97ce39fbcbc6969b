package machine

import (
	"encoding/binary"
	"math"
	"math/bits"
	"time"

	"golang.org/x/sys/unix"

	"sandbar.dev/node/internal/machine/control"
)

// incoming is the interface that what comes in goes through, as the kernel lets only what goes out of one wait.
const incoming = "ifb0"

// shape makes the way to the outside as good or bad as a link. Both ways have a queue of their own, with half the latency.
func shape(routing *routing, card string, index uint32, link control.NetworkLink) error {
	folder, err := modulesFolder()
	if err != nil {
		return err
	}
	if err := loadModules(folder, linkList, loadModule); err != nil {
		return err
	}
	mtu, err := interfaceNumber(interfaces, card, "mtu")
	if err != nil {
		return err
	}
	if err := routing.do([]step{{"add the interface " + incoming, addInterface(incoming, "ifb")}}); err != nil {
		return err
	}
	ifb, err := interfaceIndex(interfaces, incoming)
	if err != nil {
		return err
	}
	latency := time.Duration(link.LatencyMillis) * time.Millisecond / 2
	up := queue{kbit: link.UploadKbit, latency: latency, lossPercent: link.LossPercent, frame: mtu + ethernetHeader}
	down := up
	down.kbit = link.DownloadKbit
	return routing.do([]step{
		{"split what goes out of " + card, addSplitter(index, up.frame)},
		{"queue what goes out of " + card, addQueue(index, up)},
		{"switch " + incoming + " on", linkUp(ifb)},
		{"split what comes in", addSplitter(ifb, down.frame)},
		{"queue what comes in", addQueue(ifb, down)},
		{"take what comes in to " + card, addIngress(index)},
		{"lead what comes in through " + incoming, redirectIngress(index, ifb)},
	})
}

// ethernetHeader is what stands before a packet, in bytes.
const ethernetHeader = 14

// queue is one way of a link.
type queue struct {
	// kbit is what goes through in a second, in 1000 bits; 0 is no limit.
	kbit        int64
	latency     time.Duration
	lossPercent float64
	// frame is how long a frame is at most, in bytes.
	frame uint32
}

// bytesPerSecond is 0 for no limit.
func (q queue) bytesPerSecond() uint32 { return uint32(q.kbit * 1000 / 8) }

// packets is how many wait at most: those that are under way, and what a router would keep until it lets packets fall.
func (q queue) packets() uint32 {
	const (
		kept = 100 * time.Millisecond
		// Packets are small, too: answers to a fast way in, on a slow way out.
		fewest = 100
		// What the machine's card brings through without a limit is less.
		unlimited = 1_000_000_000 / 8
	)
	rate := uint64(q.bytesPerSecond())
	if rate == 0 {
		rate = unlimited
	}
	// Both are bounded: rate by 32 bits, the time by half a minute in nanoseconds.
	high, low := bits.Mul64(rate, uint64(q.latency+kept))
	waiting, _ := bits.Div64(high, low, uint64(time.Second))
	return uint32(max(waiting/uint64(q.frame)+1, fewest))
}

// loss is the part of packets that are lost, of 2^32.
func (q queue) loss() uint32 { return uint32(math.Round(q.lossPercent / 100 * math.MaxUint32)) }

// Handles of queueing disciplines, major number above and minor below (linux/pkt_sched.h).
const (
	splitterHandle = 1 << 16
	queueHandle    = 2 << 16
	ingressHandle  = 0xffff << 16
	root           = 0xffffffff // TC_H_ROOT
	ingress        = 0xfffffff1 // TC_H_INGRESS
)

// Attributes of linux/rtnetlink.h, linux/pkt_sched.h, linux/pkt_cls.h and linux/tc_act/tc_mirred.h.
const (
	tcaKind             = 1
	tcaOptions          = 2
	tcaTBFParameters    = 1
	tcaTBFBurst         = 6
	tcaNetemRate        = 6
	tcaNetemLatency64   = 10
	tcaMatchallAction   = 2
	tcaActionKind       = 1
	tcaActionOptions    = 2
	tcaMirredParameters = 2
	firstAction         = 1
	stolen              = 4 // TC_ACT_STOLEN
	redirectOut         = 1 // TCA_EGRESS_REDIR
	linkLayerEthernet   = 1 // TC_LINKLAYER_ETHERNET
)

// trafficControl begins a message about queueing: struct tcmsg of linux/rtnetlink.h, which is the family, padding, the
// interface, the handle, the parent's and information.
func trafficControl(index, handle, parent, info uint32) []byte {
	header := make([]byte, 20)
	header[0] = unix.AF_UNSPEC
	for i, value := range []uint32{index, handle, parent, info} {
		binary.NativeEndian.PutUint32(header[4+4*i:], value)
	}
	return header
}

const makeOrReplace = unix.NLM_F_CREATE | unix.NLM_F_REPLACE

// addSplitter puts a tbf first that is too fast to hold up anything. What it is for is its burst of one frame: the kernel's
// and pods' runs of many frames, which travel through the kernel as one, are split by it, so that each is lost by itself
// and none blocks a slow link for long.
func addSplitter(index, frame uint32) []byte {
	// struct tc_tbf_qopt: two struct tc_ratespec (cell_log, linklayer, overhead, cell_align, mpu, rate), limit, buffer, mtu.
	// Without a limit it has no queue of its own; the burst comes in bytes below.
	parameters := make([]byte, 36)
	parameters[1] = linkLayerEthernet
	binary.NativeEndian.PutUint32(parameters[8:], math.MaxUint32)
	return request(unix.RTM_NEWQDISC, makeOrReplace, trafficControl(index, splitterHandle, root, 0),
		text(tcaKind, "tbf"), nested(tcaOptions, attribute{tcaTBFParameters, parameters}, number(tcaTBFBurst, frame)))
}

// addQueue puts the netem behind the splitter that makes a link slow, long and bad.
func addQueue(index uint32, q queue) []byte {
	// struct tc_netem_qopt: latency (in ticks; the other attribute has it in nanoseconds), limit, loss, gap, duplicate, jitter.
	options := make([]byte, 24)
	binary.NativeEndian.PutUint32(options[4:], q.packets())
	binary.NativeEndian.PutUint32(options[8:], q.loss())
	options = appendAttributes(options, attribute{tcaNetemLatency64, binary.NativeEndian.AppendUint64(nil, uint64(q.latency))})
	if rate := q.bytesPerSecond(); rate != 0 {
		// struct tc_netem_rate: rate, packet_overhead, cell_size, cell_overhead.
		options = appendAttributes(options, attribute{tcaNetemRate, append(binary.NativeEndian.AppendUint32(nil, rate), make([]byte, 12)...)})
	}
	return request(unix.RTM_NEWQDISC, makeOrReplace, trafficControl(index, queueHandle, splitterHandle|1, 0),
		text(tcaKind, "netem"), attribute{tcaOptions, options})
}

// addIngress makes the place where what comes in can be led elsewhere.
func addIngress(index uint32) []byte {
	return request(unix.RTM_NEWQDISC, makeOrReplace, trafficControl(index, ingressHandle, ingress, 0), text(tcaKind, "ingress"))
}

// redirectIngress leads all that comes in through another interface's queue.
func redirectIngress(index, through uint32) []byte {
	// struct tc_mirred: index, capab, action, refcnt, bindcnt, eaction, ifindex.
	parameters := make([]byte, 28)
	binary.NativeEndian.PutUint32(parameters[8:], stolen)
	binary.NativeEndian.PutUint32(parameters[20:], redirectOut)
	binary.NativeEndian.PutUint32(parameters[24:], through)
	mirred := nested(firstAction, text(tcaActionKind, "mirred"), nested(tcaActionOptions, attribute{tcaMirredParameters, parameters}))
	// The information is the priority and the protocol, the latter as it is on the wire.
	var protocol [2]byte
	binary.BigEndian.PutUint16(protocol[:], unix.ETH_P_ALL)
	info := 1<<16 | uint32(binary.NativeEndian.Uint16(protocol[:]))
	return request(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, trafficControl(index, 0, ingressHandle, info),
		text(tcaKind, "matchall"), nested(tcaOptions, nested(tcaMatchallAction, mirred)))
}

// addInterface makes an interface of a kind, such as ifb.
func addInterface(name, kind string) []byte {
	return request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, make([]byte, unix.SizeofIfInfomsg),
		text(unix.IFLA_IFNAME, name), nested(unix.IFLA_LINKINFO, text(unix.IFLA_INFO_KIND, kind)))
}
