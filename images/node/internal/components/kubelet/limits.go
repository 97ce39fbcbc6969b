package kubelet

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// withOwnLimits fills in what the kubelet would otherwise try to raise, and may not, with what the process has.
func withOwnLimits(o Options) (Options, error) {
	if !o.CanLowerOOMScore {
		data, err := os.ReadFile("/proc/self/oom_score_adj")
		if err != nil {
			return o, err
		}
		if o.OOMScore, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
			return o, fmt.Errorf("/proc/self/oom_score_adj: %w", err)
		}
	}
	if o.MaxOpenFiles == 0 {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return o, fmt.Errorf("limit of open files: %w", err)
		}
		o.MaxOpenFiles = limit.Max
	}
	return o, nil
}
