package host

import (
	"fmt"
	"os"
	"strings"
	"time"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/paths"
)

// Try is something that other packages try.
type Try struct {
	// Code is the check's stable name.
	Code string
	// Do tries it.
	Do func() error
	// Good says what is so when it works, Bad what follows when it does not.
	Good, Bad string
}

// finding is what a check found; a zero result is decided by the warnings that its steps gave.
type finding struct {
	result  contract.Result
	message string
}

func passed(format string, args ...any) finding {
	return finding{contract.ResultPassed, fmt.Sprintf(format, args...)}
}

func warned(format string, args ...any) finding {
	return finding{contract.ResultWarning, fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) finding {
	return finding{contract.ResultFailed, fmt.Sprintf(format, args...)}
}

// Check tries what a node needs of the machine that this process is the first one of, and says what became of it: by the
// very steps of [Prepare] and by what the node's components do later. It changes mounts, control groups and settings of the
// container, which is therefore to be thrown away, and nothing that outlives it: what is the whole machine's, such as the
// limits of inotify, is looked at alone.
//
// further are tried last.
func Check(layout paths.Layout, further ...Try) contract.HostReport {
	report := contract.HostReport{
		SchemaVersion: contract.SchemaVersion, ContractVersion: contract.Version, Time: time.Now().UTC(),
	}
	p := &preparer{options: Options{Layout: layout, Logf: func(string, ...any) {}}, layout: layout}
	p.result.Facts.Container = true
	add := func(code string, found finding) {
		message := strings.Join(strings.Fields(found.message), " ")
		report.Checks = append(report.Checks, contract.HostCheck{Code: code, Result: found.result, Message: message})
	}
	for _, check := range []struct {
		code string
		try  func(*preparer, *contract.HostReport) finding
	}{
		// In the order in which one needs the other.
		{"capabilities", checkCapabilities},
		{"mounts", checkMounts},
		{"cgroups", checkCgroups},
		{"limits", checkLimits},
		{"sysctls", checkSysctls},
		{"overlay", checkOverlay},
		{"inotify", checkInotify},
		{"disk", checkDisk},
		{"memory", checkMemory},
	} {
		add(check.code, check.try(p, &report))
	}
	for _, try := range further {
		found := passed("%s", try.Good)
		if err := try.Do(); err != nil {
			found = failed("%s: %v", try.Bad, err)
		}
		add(try.Code, found)
	}
	return report
}

// during runs a step and returns the warnings that it gave.
func (p *preparer) during(step func() error) ([]initapi.Warning, error) {
	before := len(p.result.Warnings)
	err := step()
	return p.result.Warnings[before:], err
}

// judge makes a finding of a step's warnings; those of these codes mean that a node does not work.
func judge(warnings []initapi.Warning, fatal []string, good finding) finding {
	if len(warnings) == 0 {
		return good
	}
	result := contract.ResultWarning
	var messages []string
	for _, warning := range warnings {
		messages = append(messages, warning.Message)
		for _, code := range fatal {
			if warning.Code == code {
				result = contract.ResultFailed
			}
		}
	}
	return finding{result, strings.Join(messages, "; ")}
}

func checkCapabilities(p *preparer, _ *contract.HostReport) finding {
	warnings, _ := p.during(func() error { p.capabilities(); return nil })
	good := passed("all that a node needs")
	if !p.result.Facts.CanLowerOOMScore {
		good = passed("all that a node needs; without CAP_SYS_RESOURCE it raises no limits")
	}
	return judge(warnings, []string{"CapabilityMissing"}, good)
}

// checkMounts makes all mounts shared and /run and /tmp ready, as the first process of a node does first.
func checkMounts(p *preparer, _ *contract.HostReport) finding {
	warnings, err := p.during(func() error {
		for _, step := range []func() error{p.shareMounts, p.temporaryFileSystems, p.clean, p.folders} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed("%v", err)
	}
	return judge(warnings, []string{"ReadOnly"}, passed("shared and writable"))
}

// checkLimits raises the limit of open files as a node does, and looks at the one of processes.
func checkLimits(p *preparer, _ *contract.HostReport) finding {
	warnings, _ := p.during(func() error { p.limits(); return nil })
	files, err := openFiles()
	if err != nil {
		return failed("%v", err)
	}
	return judge(warnings, []string{"FileLimit", "LimitsUnknown"}, p.processes(passed("%d open files in a process", files)))
}

// checkSysctls makes the settings of a node's own network, and shows kubelet those that it wants to read.
func checkSysctls(p *preparer, _ *contract.HostReport) finding {
	warnings, _ := p.during(func() error {
		p.settle(ownSettings())
		for _, s := range kubeletSettings() {
			if err := p.standIn(s); err != nil {
				p.warn("SettingNotMade", "", "%v", err)
			}
		}
		return nil
	})
	return judge(warnings, []string{"SettingNotMade"}, passed("the settings of its network can be made"))
}

// checkOverlay stacks folders of the volume, as containerd does for each container.
func checkOverlay(p *preparer, _ *contract.HostReport) finding {
	folder := p.layout.ContainerdData()
	if err := os.MkdirAll(folder, 0o711); err != nil {
		return failed("%v", err)
	}
	mounted, err := tryOverlay(folder)
	switch {
	case err != nil:
		return failed("%v", err)
	case mounted != nil:
		return warned("no overlay can be mounted on the volume (%v): images are copied for each container", mounted)
	}
	return passed("an overlay can be mounted on the volume")
}
