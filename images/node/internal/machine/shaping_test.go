package machine

import (
	"math"
	"testing"
	"time"
)

// The messages are what iproute2's tc and ip send for the same (seen with strace), but for flags, sequence numbers, and that
// tc says the burst in time and latencies in ticks, too.
func TestShapingMessages(t *testing.T) {
	q := queue{kbit: 40_000, latency: 10 * time.Millisecond, lossPercent: 0.5, frame: 1514}
	checkMessages(t, []messageCase{
		{
			"qdisc add root handle 1: tbf", addSplitter(2, 1514),
			"60000000 2400 0505 00000000 00000000" + "00000000 02000000 00000100 ffffffff 00000000" + "0800 0100 74626600" +
				"3400 0200" + "2800 0100" + "0001 0000 0000 0000 ffffffff" + "000000000000000000000000" + "000000000000000000000000" + "0800 0600 ea050000",
		},
		{
			"qdisc add parent 1:1 handle 2: netem limit 364 delay 10ms loss 0.5% rate 40000kbit", addQueue(2, q),
			"6c000000 2400 0505 00000000 00000000" + "00000000 02000000 00000200 01000100 00000000" + "0a00 0100 6e6574656d000000" +
				"3c00 0200" + "00000000 6c010000 14ae4701 00000000 00000000 00000000" + "0c00 0a00 8096980000000000" +
				"1400 0600 404b4c00 00000000 00000000 00000000",
		},
		{
			"qdisc add netem limit 9082 delay 10ms", addQueue(2, queue{latency: 10 * time.Millisecond, frame: 1514}),
			"58000000 2400 0505 00000000 00000000" + "00000000 02000000 00000200 01000100 00000000" + "0a00 0100 6e6574656d000000" +
				"2800 0200" + "00000000 7a230000 00000000 00000000 00000000 00000000" + "0c00 0a00 8096980000000000",
		},
		{
			"qdisc add ingress", addIngress(2),
			"30000000 2400 0505 00000000 00000000" + "00000000 02000000 0000ffff f1ffffff 00000000" + "0c00 0100 696e677265737300",
		},
		{
			"filter add parent ffff: protocol all prio 1 matchall action mirred egress redirect", redirectIngress(2, 3),
			"70000000 2c00 0506 00000000 00000000" + "00000000 02000000 00000000 0000ffff 00030100" + "0d00 0100 6d61746368616c6c00000000" +
				"3c00 0200" + "3800 0200" + "3400 0100" + "0b00 0100 6d697272656400" + "00" +
				"2400 0200" + "2000 0200" + "00000000 00000000 04000000 00000000 00000000 01000000 03000000",
		},
		{
			"link add ifb0 type ifb", addInterface("ifb0", "ifb"),
			"38000000 1000 0506 00000000 00000000" + "00000000 00000000 00000000 00000000" + "0900 0300 6966623000000000" +
				"0c00 1200" + "0800 0100 69666200",
		},
	})
}

// What is under way and what a router keeps has room, for every link that a host may ask for.
func TestQueue(t *testing.T) {
	for _, c := range []struct {
		name    string
		queue   queue
		packets uint32
		loss    uint32
	}{
		{"no limit and no latency", queue{}, 8257, 0},
		{"slow", queue{kbit: 8}, 100, 0},
		{"a home's way out", queue{kbit: 40_000, latency: 10 * time.Millisecond}, 364, 0},
		{"a satellite", queue{kbit: 100_000, latency: 300 * time.Millisecond}, 3303, 0},
		{"as fast and as far as may be", queue{kbit: 10_000_000, latency: 30 * time.Second}, 24_851_388, 0},
		{"half is lost", queue{kbit: 8, lossPercent: 50}, 100, math.MaxUint32/2 + 1},
	} {
		c.queue.frame = 1514
		if got := c.queue.packets(); got != c.packets {
			t.Errorf("%s: %d packets, want %d", c.name, got, c.packets)
		}
		if got := c.queue.loss(); got != c.loss {
			t.Errorf("%s: %d of 2^32 are lost, want %d", c.name, got, c.loss)
		}
	}
}
