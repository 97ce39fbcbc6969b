package api

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/memory"
)

// noon is when the reports of these tests are made.
func noon() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

func TestMemoryWarnings(t *testing.T) {
	const hint = "give the node more memory, or run less in it"
	exhausted := func(times uint64, ago time.Duration) *initapi.Report {
		return &initapi.Report{OutOfMemory: &initapi.OutOfMemory{Times: times, Last: noon().Add(-ago)}}
	}
	for name, test := range map[string]struct {
		facts facts
		want  []contract.Warning
	}{
		"enough":        {facts{memory: &memory.Usage{LimitBytes: 1 << 30, UsedBytes: 800 << 20}}, nil},
		"no limit":      {facts{memory: &memory.Usage{UsedBytes: 800 << 20}}, nil},
		"no controller": {facts{memoryError: fmt.Errorf("/sys: %w", memory.ErrNoController)}, nil},
		"unknown": {
			facts{memoryError: errors.New("no such file")},
			[]contract.Warning{{
				Code: "MemoryUnknown", Message: "what the node has of its memory cannot be read: no such file",
			}},
		},
		"nearly all of it": {
			facts{memory: &memory.Usage{LimitBytes: 1 << 30, UsedBytes: 950 << 20}},
			[]contract.Warning{{
				Code: "MemoryLow", Message: "the node has 950 MiB of its memory limit of 1024 MiB", Hint: hint,
			}},
		},
		"it was reached": {
			facts{memory: &memory.Usage{LimitBytes: 1 << 30}, init: exhausted(3, time.Minute)},
			[]contract.Warning{{
				Code: "MemoryExhausted", Hint: hint, Message: "the node reached its memory limit of 1024 MiB, and the kernel " +
					"ended processes in it: 3 times, last at 2026-11-26T11:59:00Z",
			}},
		},
		"it was reached once, and the limit is not known": {
			facts{memoryError: memory.ErrNoController, init: exhausted(1, time.Minute)},
			[]contract.Warning{{
				Code: "MemoryExhausted", Hint: hint, Message: "the node reached its memory limit, and the kernel ended " +
					"processes in it: once, last at 2026-11-26T11:59:00Z",
			}},
		},
		"it was reached long ago": {facts{memory: &memory.Usage{LimitBytes: 1 << 30}, init: exhausted(3, 2*time.Hour)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.facts.now = noon()
			compare(t, test.facts.memoryWarnings(), test.want)
		})
	}
}

func TestCertificateWarnings(t *testing.T) {
	const hint, day = "make the cluster anew: an authority cannot be renewed", 24 * time.Hour
	const words = "the cluster's certificate authorities %s on %s, and nobody trusts anybody in it from then on"
	for name, test := range map[string]struct {
		end  time.Time
		want []contract.Warning
	}{
		"not known yet": {time.Time{}, nil},
		"years left":    {noon().Add(3000 * day), nil},
		"weeks left": {
			noon().Add(30 * day),
			[]contract.Warning{{Code: "AuthorityEnds", Message: fmt.Sprintf(words, "end", "2026-12-26"), Hint: hint}},
		},
		"over": {
			noon().Add(-day),
			[]contract.Warning{{Code: "AuthorityEnded", Message: fmt.Sprintf(words, "ended", "2026-11-25"), Hint: hint}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts{now: noon()}
			f.AuthoritiesEnd = test.end
			compare(t, f.certificateWarnings(), test.want)
		})
	}
}

func TestNamesWarnings(t *testing.T) {
	var f facts
	compare(t, f.namesWarnings(), nil)
	f.NamesOutside = func() error { return nil }
	compare(t, f.namesWarnings(), nil)
	f.NamesOutside = func() error { return errors.New("no answer") }
	compare(t, f.namesWarnings(), []contract.Warning{{
		Code: "NamesOutsideFail", Hint: "look at the network of the machine and at its resolvers",
		Message: "pods do not find names outside the cluster: no answer",
	}})
}

func compare(t *testing.T, got, want []contract.Warning) {
	t.Helper()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
