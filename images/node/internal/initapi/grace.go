package initapi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// graceFile is where sandbar-init leaves the grace for pods before it sends SIGTERM to sandbar-node.
const graceFile = "stop-grace"

// MaxStopGrace is the longest grace that is accepted.
const MaxStopGrace = time.Hour

// ParseStopGrace reads a grace as users write it: a Go duration from 0 to [MaxStopGrace].
func ParseStopGrace(text string) (time.Duration, error) {
	grace, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("grace %q is not a duration such as 10s", text)
	}
	if grace < 0 || grace > MaxStopGrace {
		return 0, fmt.Errorf("grace %s is not between 0s and %s", grace, MaxStopGrace)
	}
	return grace, nil
}

// ReadStopGrace returns what pods get at most now that SIGTERM came: what sandbar-init left in directory (normally
// /run/sandbar), or [DefaultStopGrace] when it left nothing.
func ReadStopGrace(directory string) (time.Duration, error) {
	data, err := os.ReadFile(filepath.Join(directory, graceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return DefaultStopGrace, nil
	}
	if err != nil {
		return DefaultStopGrace, fmt.Errorf("read the stop grace: %w", err)
	}
	grace, err := ParseStopGrace(string(data))
	if err != nil {
		return DefaultStopGrace, err
	}
	return grace, nil
}

// WriteStopGrace leaves grace in directory for [ReadStopGrace]; sandbar-init calls it before it stops sandbar-node.
func WriteStopGrace(directory string, grace time.Duration) error {
	if err := os.WriteFile(filepath.Join(directory, graceFile), []byte(grace.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("leave the stop grace: %w", err)
	}
	return nil
}
