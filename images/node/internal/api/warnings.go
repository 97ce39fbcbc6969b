package api

import (
	"errors"
	"fmt"
	"time"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/memory"
)

const (
	// exhaustedFor is how long it is told that the memory limit was reached.
	exhaustedFor = time.Hour
	// authorityWarning is how long before their end it is told that the authorities end.
	authorityWarning = 90 * 24 * time.Hour
)

// memoryWarnings are what there is to say of the node's memory.
func (f facts) memoryWarnings() []contract.Warning {
	var warnings []contract.Warning
	const hint = "give the node more memory, or run less in it"
	if f.init != nil && f.init.OutOfMemory != nil && f.now.Sub(f.init.OutOfMemory.Last) < exhaustedFor {
		limit := "memory limit"
		if f.memory != nil && f.memory.LimitBytes > 0 {
			limit = fmt.Sprintf("memory limit of %d MiB", f.memory.LimitBytes>>20)
		}
		warnings = append(warnings, contract.Warning{
			Code: contract.WarningMemoryExhausted, Hint: hint,
			Message: fmt.Sprintf("the node reached its %s, and the kernel ended processes in it: %s, last at %s",
				limit, times(f.init.OutOfMemory.Times), f.init.OutOfMemory.Last.UTC().Format(time.RFC3339)),
		})
	}
	switch {
	case f.memory == nil && !errors.Is(f.memoryError, memory.ErrNoController):
		warnings = append(warnings, contract.Warning{
			Code: contract.WarningMemoryUnknown, Message: fmt.Sprintf("what the node has of its memory cannot be read: %v", f.memoryError),
		})
	case f.memory != nil && f.memory.LimitBytes > 0 && f.memory.UsedBytes >= f.memory.LimitBytes/10*9:
		warnings = append(warnings, contract.Warning{
			Code: contract.WarningMemoryLow, Hint: hint,
			Message: fmt.Sprintf("the node has %d MiB of its memory limit of %d MiB",
				f.memory.UsedBytes>>20, f.memory.LimitBytes>>20),
		})
	}
	return warnings
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// namesWarnings say that pods do not find names outside.
func (f facts) namesWarnings() []contract.Warning {
	if f.NamesOutside == nil {
		return nil
	}
	err := f.NamesOutside()
	if err == nil {
		return nil
	}
	return []contract.Warning{{
		Code: contract.WarningNamesOutside, Hint: "look at the network of the machine and at its resolvers",
		Message: fmt.Sprintf("pods do not find names outside the cluster: %v", err),
	}}
}

// certificateWarnings say when the cluster's identity comes to its end. Other certificates are renewed.
func (f facts) certificateWarnings() []contract.Warning {
	if f.AuthoritiesEnd.IsZero() || f.AuthoritiesEnd.Sub(f.now) > authorityWarning {
		return nil
	}
	verb, code := "end", contract.WarningAuthorityEnds
	if f.AuthoritiesEnd.Before(f.now) {
		verb, code = "ended", contract.WarningAuthorityEnded
	}
	return []contract.Warning{{
		Code: code, Hint: "make the cluster anew: an authority cannot be renewed",
		Message: fmt.Sprintf("the cluster's certificate authorities %s on %s, and nobody trusts anybody in it from then on",
			verb, f.AuthoritiesEnd.UTC().Format(time.DateOnly)),
	}}
}
