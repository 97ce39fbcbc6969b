package control_test

import (
	"strings"
	"testing"
	"time"

	"sandbar.dev/node/internal/machine/control"
)

// Whatever a host writes: what comes through is checked, and each line that is read is answered once at most.
func FuzzReadHost(f *testing.F) {
	for _, line := range []string{bootLine(""), linkLine(`{"uploadKbit":9,"lossPercent":1e3}`), parkLine(""), parkLine(`,"hostname":"a","files":[{"path":"/x"}]`), identityLine(`,"files":[{"path":"/x","mode":7}]`), `{"type":"clock",` + moment + `}`, `{"type":"shrink"}`, `{"type":"stop","graceMillis":5}`, `{"type":"x"}`, `[`, "\n\n", `{"type":null}`} {
		f.Add(line + "\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		log := &recorder{}
		link := control.NewLink(log.logf)
		link.Connect(log)
		handled := 0
		err := link.ReadHost(strings.NewReader(text), func(message control.HostMessage) {
			handled++
			if err := message.Check(); err != nil {
				t.Errorf("%+v came through: %v", message, err)
			}
		})
		if err != nil {
			t.Errorf("a text that ends is read to its end: %v", err)
		}
		if err := link.Flush(time.Minute); err != nil {
			t.Fatal(err)
		}
		if answers := strings.Count(log.wrote.String(), "\n"); handled+answers > strings.Count(text, "\n") {
			t.Errorf("%d messages and %d answers to %q", handled, answers, text)
		}
	})
}
