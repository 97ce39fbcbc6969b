package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sandbar.dev/node/internal/contract/contracttest"
	"sandbar.dev/node/internal/machine/control"
)

// moment is a time and entropy that are right.
const moment = `"time":"2026-11-26T22:00:00.123456789Z","entropy":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`

// bootLine is a boot message that is right, with what else is put into it.
func bootLine(more string) string {
	return `{"type":"boot",` + moment + `,"hostname":"a","ssh":{"hostKey":"k","authorizedKeys":["ssh-ed25519 A"]},` +
		`"network":{"address":"10.0.2.15/24","gateway":"10.0.2.2"}` + more + `}`
}

// parkLine is a boot message of a machine that is to be parked, with what else is put into it.
func parkLine(more string) string {
	return `{"type":"boot","park":true,` + moment + `,"network":{"address":"10.0.2.15/24","gateway":"10.0.2.2"}` + more + `}`
}

// identityLine is an identity that is right, with what else is put into it.
func identityLine(more string) string {
	return `{"type":"identity",` + moment + `,"hostname":"a","ssh":{"hostKey":"k","authorizedKeys":["ssh-ed25519 A"]}` + more + `}`
}

// linkLine is a boot message whose network has this link.
func linkLine(link string) string {
	return strings.Replace(bootLine(""), `"gateway":"10.0.2.2"`, `"gateway":"10.0.2.2","link":`+link, 1)
}

// recorder is a log and the other side of a link.
type recorder struct {
	mu    sync.Mutex
	lines []string
	wrote bytes.Buffer
}

func (r *recorder) logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Write(data []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wrote.Write(data)
}

func TestReadHost(t *testing.T) {
	for _, c := range []struct {
		name, line string
		// handled is the type that got through; refused is a part of the refusal; logged of the log alone.
		handled, refused, logged string
	}{
		{name: "boot", line: bootLine(""), handled: "boot"},
		{name: "boot with fields from the future", line: bootLine(`,"colour":"red"`), handled: "boot"},
		{name: "clock", line: `{"type":"clock",` + moment + `}`, handled: "clock"},
		{name: "shrink", line: `{"type":"shrink"}`, handled: "shrink"},
		{name: "stop", line: `{"type":"stop"}`, handled: "stop"},
		{name: "stop with a grace", line: `{"type":"stop","graceMillis":0}`, handled: "stop"},
		{name: "stop with a grace below zero", line: `{"type":"stop","graceMillis":-1}`, refused: "graceMillis is -1"},
		{name: "from the future", line: `{"type":"dance","time":7}`, logged: `"dance"`},
		{name: "no JSON", line: `boot`, refused: "the line is no message"},
		{name: "no object", line: `[1]`, refused: "the line is no message"},
		{name: "cut off", line: `{"type":"boot"`, refused: "the line is no message"},
		{name: "no type", line: `{}`, refused: "the line is no message"},
		{name: "another type of a field", line: `{"type":"clock","time":7}`, refused: "the line is not understood"},
		{name: "entropy that is no base64", line: `{"type":"clock","time":"2026-11-26T22:00:00Z","entropy":"-"}`, refused: "not understood"},
		{name: "too little entropy", line: `{"type":"clock","time":"2026-11-26T22:00:00Z","entropy":"AAAA"}`, refused: "entropy has 3 bytes, 32 are needed"},
		{name: "a clock that cannot be", line: strings.Replace(`{"type":"clock",`+moment+`}`, "2026", "1970", 1), refused: "time is 1970"},
		{name: "no key", line: strings.Replace(bootLine(""), `["ssh-ed25519 A"]`, `[]`, 1), refused: "ssh lacks"},
		{name: "no name", line: strings.Replace(bootLine(""), `"hostname":"a"`, `"hostname":"a b"`, 1), refused: "hostname"},
		{name: "an address of IPv6", line: strings.Replace(bootLine(""), "10.0.2.15/24", "fd00::1/64", 1), refused: "IPv4"},
		{name: "no network", line: strings.Replace(bootLine(""), "10.0.2.15/24", "", 1), refused: "IPv4"},
		{name: "a link", line: linkLine(`{"downloadKbit":100000,"uploadKbit":40000,"latencyMillis":20,"lossPercent":0.5}`), handled: "boot"},
		{name: "a link that changes nothing", line: linkLine(`{}`), handled: "boot"},
		{name: "no link", line: linkLine(`null`), handled: "boot"},
		{name: "a link that is too slow", line: linkLine(`{"uploadKbit":7}`), refused: "network.link.uploadKbit is 7: it may be 8 to 10000000, and 0 for no limit"},
		{name: "a link that is too fast", line: linkLine(`{"downloadKbit":10000001}`), refused: "network.link.downloadKbit is 10000001"},
		{name: "a link back in time", line: linkLine(`{"latencyMillis":-1}`), refused: "network.link.latencyMillis is -1: it may be 0 to 60000"},
		{name: "a link that loses everything", line: linkLine(`{"lossPercent":100}`), refused: "network.link.lossPercent is 100: it may be 0 to 90"},
		{name: "a link of words", line: linkLine(`{"latencyMillis":"20ms"}`), refused: "latencyMillis"},
		{name: "a command", line: bootLine(`,"command":["sh"]`), refused: "no other command"},
		{name: "a machine to be parked", line: parkLine(`,"environment":{"A":"b"},"model":"m","emulateBinaries":true`), handled: "boot"},
		{name: "a machine to be parked with empty fields", line: parkLine(`,"hostname":"","files":null,"ssh":{"hostKey":"","authorizedKeys":[]}`), handled: "boot"},
		{name: "a machine to be parked with a name", line: parkLine(`,"hostname":"a"`), refused: "a machine that is to be parked gets no hostname: that comes with identity"},
		{name: "a machine to be parked with a key", line: parkLine(`,"ssh":{"authorizedKeys":["ssh-ed25519 A"]}`), refused: "gets no ssh"},
		{name: "a machine to be parked with a file", line: parkLine(`,"files":[{"path":"/x"}]`), refused: "gets no files"},
		{name: "a machine to be parked without a network", line: strings.Replace(parkLine(""), "10.0.2.15/24", "", 1), refused: "IPv4"},
		{name: "a machine that is not to be parked", line: bootLine(`,"park":false`), handled: "boot"},
		{name: "identity", line: identityLine(`,"files":[{"path":"/x","content":"eA=="}]`), handled: "identity"},
		{name: "identity without ssh", line: strings.Replace(identityLine(""), `"ssh"`, `"key"`, 1), refused: "ssh lacks"},
		{name: "identity without a name", line: strings.Replace(identityLine(""), `"hostname":"a",`, "", 1), refused: "hostname"},
		{name: "identity with a kernel's file", line: identityLine(`,"files":[{"path":"/dev/x"}]`), refused: "kernel's"},
		{name: "identity without a clock", line: strings.Replace(identityLine(""), moment, `"time":"1970-01-01T00:00:00Z"`, 1), refused: "entropy has 0 bytes"},
		{name: "a relative file", line: bootLine(`,"files":[{"path":"etc/x"}]`), refused: `"etc/x"`},
		{name: "a file elsewhere", line: bootLine(`,"files":[{"path":"/etc/../proc/x"}]`), refused: "clean"},
		{name: "a kernel's file", line: bootLine(`,"files":[{"path":"/proc/sys/x"}]`), refused: "kernel's"},
		{name: "a file with more than permissions", line: bootLine(`,"files":[{"path":"/x","mode":2048}]`), refused: "mode 4000"},
		{name: "a variable without a name", line: bootLine(`,"environment":{"":"x"}`), refused: "variable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &recorder{}
			link := control.NewLink(log.logf)
			link.Connect(log)
			var handled string
			// Whatever stands before does not hold up the stop that comes late; what is cut off at the end is none.
			var stopped bool
			err := link.ReadHost(strings.NewReader("\n"+c.line+"\r\n{\"type\":\"stop\",\"graceMillis\":77}\n{\"type\":\"st"), func(message control.HostMessage) {
				if message.GraceMillis != nil && *message.GraceMillis == 77 {
					stopped = true
					return
				}
				handled = message.Type
			})
			if err != nil || !stopped {
				t.Fatalf("error %v, the next message was read: %t", err, stopped)
			}
			if err := link.Flush(time.Minute); err != nil {
				t.Fatal(err)
			}
			if handled != c.handled {
				t.Errorf("handled %q", handled)
			}
			answer := log.wrote.String()
			if c.refused == "" && answer != "" || c.refused != "" && (!strings.Contains(answer, `"type":"refused"`) || strings.Count(answer, "\n") != 1) {
				t.Errorf("answered %q", answer)
			}
			if said := strings.Join(log.lines, "\n"); !strings.Contains(said, c.refused+c.logged) || c.refused+c.logged == "" && said != "" {
				t.Errorf("logged %q", said)
			}
			if c.refused != "" {
				message := control.GuestMessage{}
				if err := json.Unmarshal([]byte(answer), &message); err != nil || !strings.Contains(message.Reason, c.refused) {
					t.Errorf("answered %q, %v", answer, err)
				}
			}
		})
	}
}

func TestBootSaysAllThatIsWrong(t *testing.T) {
	message := control.HostMessage{Type: control.TypeBoot}
	err := message.Check()
	for _, part := range []string{"time", "entropy", "hostname", "ssh", "network"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is missing in: %v", part, err)
		}
	}
}

// The lines that this package takes are those of the schema, and so is what the schema does not allow refused here.
func TestSchema(t *testing.T) {
	schema := contracttest.Schema(t, "control.schema.json")
	for _, c := range []struct {
		line string
		fits bool
	}{
		{bootLine(""), true},
		{bootLine(`,"park":false`), true},
		{parkLine(""), true},
		{parkLine(`,"hostname":"","files":null,"ssh":{"hostKey":"","authorizedKeys":null}`), true},
		{parkLine(`,"hostname":"a"`), false},
		{parkLine(`,"ssh":{"hostKey":"k","authorizedKeys":[]}`), false},
		{parkLine(`,"files":[{"path":"/x"}]`), false},
		{strings.Replace(bootLine(""), `"ssh"`, `"key"`, 1), false},
		{`{"type":"shrink"}`, true},
		{identityLine(""), true},
		{identityLine(`,"files":[{"path":"/x"}]`), true},
		{strings.Replace(identityLine(""), `"ssh"`, `"key"`, 1), false},
		{strings.Replace(identityLine(""), `"hostname":"a"`, `"hostname":""`, 1), false},
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(c.line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); (err == nil) != c.fits {
			t.Errorf("%s: %v", c.line, err)
		}
		message := control.HostMessage{}
		if err := json.Unmarshal([]byte(c.line), &message); err != nil {
			t.Fatal(err)
		}
		if err := message.Check(); (err == nil) != c.fits {
			t.Errorf("%s: %v", c.line, err)
		}
	}
	contracttest.ValidateValue(t, "control.schema.json", control.GuestMessage{Type: control.TypeParked, Millis: 1234})
	contracttest.ValidateValue(t, "control.schema.json", control.GuestMessage{Type: control.TypeShrunk})
}

func TestLargeBoot(t *testing.T) {
	content := bytes.Repeat([]byte{0, 1, 2, 255}, 2<<20)
	line, err := json.Marshal(map[string]any{"path": "/etc/large", "content": content})
	if err != nil {
		t.Fatal(err)
	}
	log := &recorder{}
	link := control.NewLink(log.logf)
	var got []byte
	if err := link.ReadHost(strings.NewReader(bootLine(`,"files":[`+string(line)+`]`)+"\n"), func(m control.HostMessage) { got = m.Files[0].Content }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Errorf("%d bytes of %d; %v", len(got), len(content), log.lines)
	}
}

// endless has no end of a line.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestALineWithoutEndIsAnError(t *testing.T) {
	log := &recorder{}
	if err := control.NewLink(log.logf).ReadHost(endless{}, func(control.HostMessage) {}); err == nil {
		t.Error("it was taken")
	}
}

// The host may listen late or never; what was said is said in order once it does.
func TestWhatWasSentWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &recorder{}
		link := control.NewLink(log.logf)
		for _, kind := range []string{control.TypeHello, control.TypePhase, control.TypeReady} {
			link.Send(control.GuestMessage{Type: kind})
		}
		if err := link.Flush(2 * time.Second); err == nil || !strings.Contains(err.Error(), "within 2s") {
			t.Errorf("nobody listens: %v", err)
		}
		reader, writer := io.Pipe()
		link.Connect(writer)
		if err := link.Flush(time.Second); err == nil {
			t.Error("nobody reads, and all was written")
		}
		var order []string
		go func() {
			_ = control.NewLink(log.logf).ReadGuest(reader, func(m control.GuestMessage) { order = append(order, m.Type) })
		}()
		if err := link.Flush(time.Second); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if strings.Join(order, " ") != "hello phase ready" {
			t.Errorf("order: %v", order)
		}
		_ = reader.CloseWithError(errors.New("gone"))
		link.Send(control.GuestMessage{Type: control.TypeStopped})
		if err := link.Flush(time.Second); err == nil || !strings.Contains(err.Error(), "gone") {
			t.Errorf("the host is gone: %v", err)
		}
	})
}

func TestReadGuestPassesOverOtherLines(t *testing.T) {
	log := &recorder{}
	var got []control.GuestMessage
	if err := control.NewLink(log.logf).ReadGuest(strings.NewReader("garbage\n{\"type\":\"phase\",\"name\":\"disks\",\"millis\":12}\n"),
		func(m control.GuestMessage) { got = append(got, m) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Name != control.PhaseDisks || got[0].Millis != 12 || len(log.lines) != 1 {
		t.Errorf("got %+v, logged %v", got, log.lines)
	}
}
