package initapi

import (
	"testing"
	"time"
)

func TestParseStopGrace(t *testing.T) {
	for text, want := range map[string]time.Duration{"0s": 0, "1.5s\n": DefaultStopGrace, " 2m ": 2 * time.Minute, "1h": MaxStopGrace} {
		got, err := ParseStopGrace(text)
		if err != nil || got != want {
			t.Errorf("ParseStopGrace(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":     `grace "" is not a duration such as 10s`,
		"10":   `grace "10" is not a duration such as 10s`,
		"-1s":  "grace -1s is not between 0s and 1h0m0s",
		"2h":   "grace 2h0m0s is not between 0s and 1h0m0s",
		"soon": `grace "soon" is not a duration such as 10s`,
	} {
		if _, err := ParseStopGrace(text); err == nil || err.Error() != want {
			t.Errorf("ParseStopGrace(%q): error %v; want %s", text, err, want)
		}
	}
}

func TestStopGraceFile(t *testing.T) {
	directory := t.TempDir()
	if got, err := ReadStopGrace(directory); err != nil || got != DefaultStopGrace {
		t.Errorf("without a file: %v, %v", got, err)
	}
	if err := WriteStopGrace(directory, 7*time.Second); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadStopGrace(directory); err != nil || got != 7*time.Second {
		t.Errorf("with a file: %v, %v", got, err)
	}
}
