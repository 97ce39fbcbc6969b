package machinetest_test

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/machine/control"
	"sandbar.dev/node/internal/machine/machinetest"
)

// bootWithLink starts a machine behind a link and returns it once SSH answers.
func bootWithLink(t *testing.T, link control.NetworkLink) (*machinetest.Machine, *ssh.Client) {
	t.Helper()
	artefacts := machinetest.Find(t, architecture())
	m := machinetest.Start(t, artefacts, artefacts.NewDisk(t, "8G"), machinetest.NewKeys(t))
	m.Wait(control.TypeHello, startLimit)
	boot := m.Boot()
	boot.Network.Link = &link
	contracttest.ValidateValue(t, "control.schema.json", boot)
	m.Send(boot)
	m.Wait(control.TypeReady, startLimit)
	return m, m.SSH()
}

// TestLink measures a link's bandwidth and latency from outside: neither is better than asked for, nor much worse.
func TestLink(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	// QEMU's own network has 64 KiB of a connection under way at most: with that latency 13 Mbit a second.
	link := control.NetworkLink{DownloadKbit: 8000, UploadKbit: 4000, LatencyMillis: 40}
	m, client := bootWithLink(t, link)
	// The start takes the processor.
	m.Must(client, "sandbarctl", "status", "--wait", "healthy", "--timeout", "5m")

	shortest := time.Hour
	for range 20 {
		started := time.Now()
		if _, _, err := client.SendRequest("keepalive@sandbar.dev", true, nil); err != nil {
			t.Fatal(err)
		}
		shortest = min(shortest, time.Since(started))
	}
	t.Logf("a round trip takes %s", shortest)
	if asked := time.Duration(link.LatencyMillis) * time.Millisecond; shortest < asked || shortest > 3*asked {
		t.Errorf("a round trip takes %s, it should be %s and a little", shortest, asked)
	}

	const size = 4 << 20
	check := func(way string, took time.Duration, asked int64) {
		t.Helper()
		measured := int64(size * 8 / took.Seconds() / 1000)
		t.Logf("%s: %d kbit/s", way, measured)
		// SSH's own is not counted, nor are headers.
		if measured > asked || measured < asked*6/10 {
			t.Errorf("%s: %d kbit/s, it should be %d and a little less", way, measured, asked)
		}
	}
	check("upload", upload(t, client, size), link.UploadKbit)
	check("download", download(t, client, size), link.DownloadKbit)
}

// upload has the machine send bytes and returns how long they came.
func upload(t *testing.T, client *ssh.Client, size int64) time.Duration {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	output, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("head -c " + strconv.FormatInt(size, 10) + " /dev/zero"); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if got, err := io.Copy(io.Discard, output); err != nil || got != size {
		t.Fatalf("%d bytes came, %v", got, err)
	}
	return time.Since(started)
}

// download sends the machine bytes and returns how long it took until they were there.
func download(t *testing.T, client *ssh.Client, size int64) time.Duration {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	session.Stdin = io.LimitReader(zeroes{}, size)
	started := time.Now()
	output, err := session.Output("wc -c")
	if err != nil || strings.TrimSpace(string(output)) != strconv.FormatInt(size, 10) {
		t.Fatalf("%s of %d bytes came, %v", output, size, err)
	}
	return time.Since(started)
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestLossyLink counts what a link loses: of packets that go out and are answered, 1 - 0.9².
func TestLossyLink(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	m, client := bootWithLink(t, control.NetworkLink{LossPercent: 10})
	// With the exit code of what got through.
	output := m.Must(client, "ping", "-q", "-c", "200", "-i", "0.05", "10.0.2.2")
	found := regexp.MustCompile(`(\d+) packets received`).FindStringSubmatch(output)
	if found == nil {
		t.Fatalf("ping: %s", output)
	}
	received, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("of 200 packets %d came back", received)
	// The mean is 162 with a deviation of 5.5: one test in a million fails by chance.
	if received < 162-28 || received > 162+28 {
		t.Errorf("of 200 packets %d came back, it should be about 162", received)
	}
}
