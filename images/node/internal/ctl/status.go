package ctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"sandbar.dev/node/internal/api"
	"sandbar.dev/node/internal/api/client"
	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/hostinfo"
	"sandbar.dev/node/internal/initapi"
	"sandbar.dev/node/internal/version"
)

// initTimeout limits how long a report waits for sandbar-init.
const initTimeout = time.Second

func runVersion(_ context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	format := flags.output(table)
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	report := version.Report()
	emulated, err := emulatedThere(env.Layout.HostInfo())
	if err != nil {
		return err
	}
	report.Emulated = emulated
	if format.json() {
		return printJSON(env.Stdout, report)
	}
	return print(env.Stdout, "Sandbar %s, Kubernetes %s, %s, contract %d\n",
		report.Version, report.KubernetesVersion, report.Architecture, report.ContractVersion)
}

// emulatedThere are the architectures that sandbar-init noted as emulated; none where it has noted nothing yet.
func emulatedThere(path string) ([]string, error) {
	facts, err := hostinfo.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return facts.Emulated, nil
}

func runStatus(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	format, timeout := flags.output(table), flags.timeout()
	condition := flags.set.String("wait", "", "")
	watch, withInput := flags.set.Bool("watch", false, ""), flags.untilEOF()
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	if *condition == "" && !*watch {
		if *timeout != 0 {
			return &usageError{"--timeout needs --wait or --watch"}
		}
		return statusNow(ctx, env, format)
	}
	if *timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *timeout)
		defer cancel()
	}
	ctx, cancel := untilEOF(ctx, *withInput, env.Stdin)
	defer cancel()
	waiter := &waiter{env: env, condition: *condition}
	if *watch {
		waiter.each = func(status contract.Status) error { return printJSON(env.Stdout, status) }
	}
	err := waiter.wait(ctx)
	if waiter.last == nil && errors.Is(err, context.DeadlineExceeded) {
		report, initError := initReport(context.WithoutCancel(ctx), env)
		if err := waiter.receive(offline(env, report, initError, client.ErrUnreachable)); err != nil {
			return err
		}
	}
	if waiter.last != nil && !*watch {
		if err := printStatus(env, format, *waiter.last); err != nil {
			return err
		}
	}
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		return &exitError{exitTimedOut, fmt.Sprintf("not %s within %s: %s", conditionName(*condition), *timeout, waitedFor(waiter.last, *condition))}
	}
	return err
}

// conditionName words the condition in a sentence that begins with "not".
func conditionName(condition string) string {
	if condition == "" || condition == "healthy" {
		return "healthy"
	}
	return condition + " ready"
}

// waitedFor says what still lacks.
func waitedFor(status *contract.Status, condition string) string {
	if status == nil {
		return "sandbar-node did not answer"
	}
	var lacking []string
	for _, part := range status.Components {
		if part.State == component.StateReady || condition != "" && condition != "healthy" && part.Name != condition {
			continue
		}
		text := fmt.Sprintf("%s is %s", part.Name, part.State)
		if detail := componentDetail(part); detail != "" {
			text += " (" + detail + ")"
		}
		if count := len(part.LastLines); count > 0 {
			text += ": " + part.LastLines[count-1]
		}
		lacking = append(lacking, text)
	}
	for _, warning := range status.Warnings {
		for _, code := range contract.UnhealthyCodes() {
			if warning.Code == code {
				lacking = append(lacking, warning.Message)
			}
		}
	}
	if len(lacking) == 0 {
		return "no component of that name was seen"
	}
	return strings.Join(lacking, ", ")
}

// statusNow prints one report; without sandbar-node, sandbar-init's.
func statusNow(ctx context.Context, env *Environment, format *outputFormat) error {
	status, err := env.node().Status(ctx)
	var initError error
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var report *initapi.Report
		report, initError = initReport(ctx, env)
		status = offline(env, report, initError, err)
	}
	if err := printStatus(env, format, status); err != nil {
		return err
	}
	switch {
	case err != nil && initError != nil:
		return err
	case !status.Healthy:
		return &exitError{exitFailed, "the node is not healthy: " + waitedFor(&status, "healthy")}
	}
	return nil
}

// initReport asks sandbar-init.
func initReport(ctx context.Context, env *Environment) (*initapi.Report, error) {
	limit, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	connection := env.init()
	defer connection.Close()
	return connection.Report(limit) // it says whom it asked
}

// offline is the report of a node whose sandbar-node does not answer. What the files know is filled in, and what is wrong
// with the configuration is said, since that is the commonest reason.
func offline(env *Environment, report *initapi.Report, initError, nodeError error) contract.Status {
	sources := api.Sources{}
	identity := version.Report()
	sources.Node.Version, sources.Node.KubernetesVersion = identity.Version, identity.KubernetesVersion
	sources.Node.Architecture = identity.Architecture
	if content, err := os.ReadFile(env.Layout.ClusterID()); err == nil {
		sources.Node.ClusterID = strings.TrimSpace(string(content))
	}
	loaded, warnings, err := loadConfig(env)
	sources.Warnings = warnings
	if invalid := (*config.Error)(nil); errors.As(err, &invalid) {
		for _, problem := range invalid.Problems {
			sources.Warnings = append(sources.Warnings, contract.Warning{
				Code: contract.WarningConfigInvalid, Message: problem.String(), Hint: "correct the file and start the node again",
			})
		}
	}
	if err == nil {
		sources.Node.Name, sources.Node.ClusterName = loaded.NodeName(), loaded.Sandbar.ClusterName
		sources.Network = contract.Network{
			ClusterNetwork: loaded.Network.ClusterNetwork, ServiceNetwork: loaded.Network.ServiceNetwork,
			DNS: loaded.DNSAddress().String(), BaseDomain: loaded.DNS.BaseDomain,
		}
		sources.IngressDomains = loaded.IngressDomains()
	}
	return api.Offline(sources, report, initError, nodeError, env.Layout.Data)
}

// waiter follows reports until a condition holds.
type waiter struct {
	env *Environment
	// condition is "healthy", a component's name, or empty: never.
	condition string
	// each is called with every report; nil to call nothing.
	each func(contract.Status) error
	// last is the newest report.
	last *contract.Status
}

// wait returns nil once the condition holds; it waits for the socket to appear, too. It gives up at once when sandbar-init
// has given sandbar-node up.
func (w *waiter) wait(ctx context.Context) error {
	for {
		changes, err := watchFile(w.env.Layout.NodeSocket())
		if err != nil {
			return err
		}
		satisfied, err := w.follow(ctx)
		if satisfied || err != nil {
			changes.close()
			return err
		}
		err = w.awaitNode(ctx, changes)
		changes.close()
		if err != nil {
			return err
		}
	}
}

// follow receives sandbar-node's reports until the condition holds or the connection is lost.
func (w *waiter) follow(ctx context.Context) (satisfied bool, err error) {
	var failed error
	err = w.env.node().Watch(ctx, func(status contract.Status) bool {
		failed = w.receive(status)
		satisfied = w.holds(status)
		return failed == nil && !satisfied
	})
	switch {
	case failed != nil:
		return false, failed
	case satisfied:
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil && !errors.Is(err, client.ErrUnreachable):
		return false, err
	}
	return false, nil
}

// awaitNode reports what sandbar-init says until sandbar-node's socket is made anew.
func (w *waiter) awaitNode(ctx context.Context, changes *fileWatch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		report *initapi.Report
		err    error
	}
	answers := make(chan answer)
	go func() {
		connection := w.env.init()
		defer connection.Close()
		report, err := connection.Report(ctx)
		for {
			select {
			case answers <- answer{report, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			report, err = connection.Next(ctx, report.Revision)
		}
	}()
	// Without sandbar-init there is no news of it; the socket still tells, and a look now and then.
	retry := time.NewTicker(initTimeout)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changes.changed:
			return nil
		case <-retry.C:
			return nil
		case news := <-answers:
			if news.err != nil {
				continue
			}
			if err := w.receive(offline(w.env, news.report, nil, client.ErrUnreachable)); err != nil {
				return err
			}
			if node, known := news.report.Child(initapi.ChildNode); known && node.State == initapi.StateFailed {
				return givenUp(*w.last, node)
			}
			if news.report.Stopping {
				return &exitError{exitFailed, "the node is being stopped"}
			}
		}
	}
}

// givenUp is the error of a node that sandbar-init does not start again.
func givenUp(status contract.Status, node initapi.Child) error {
	var problems []string
	for _, warning := range status.Warnings {
		if warning.Code == contract.WarningConfigInvalid {
			problems = append(problems, warning.Message)
		}
	}
	if len(problems) > 0 {
		return &exitError{exitUsage, "invalid configuration: " + strings.Join(problems, "; ")}
	}
	code, detail := exitFailed, node.Reason
	if node.LastExit != nil {
		detail = node.LastExit.String()
		if node.LastExit.Code == initapi.ExitBadConfiguration {
			code = exitUsage
		}
	}
	message := fmt.Sprintf("sandbar-node ended (%s) and is not started again", detail)
	if lines := node.LastLines; len(lines) > 0 {
		message += ": " + lines[len(lines)-1]
	}
	return &exitError{code, message}
}

func (w *waiter) receive(status contract.Status) error {
	w.last = &status
	if w.each == nil {
		return nil
	}
	return w.each(status)
}

func (w *waiter) holds(status contract.Status) bool {
	if w.condition == "healthy" {
		return status.Healthy
	}
	for _, part := range status.Components {
		if part.Name == w.condition && part.State == component.StateReady {
			return true
		}
	}
	return false
}
