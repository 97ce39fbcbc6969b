package ctl

import (
	"context"
	"os"

	"sandbar.dev/node/internal/host"
	"sandbar.dev/node/internal/netcheck"
)

// runHostCheck tries what a node needs of the machine. It takes the container for its own, so it has to be the first
// process of one that is thrown away afterwards.
func runHostCheck(_ context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	format := flags.output(asJSON)
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	if os.Getpid() != 1 {
		return &usageError{"host-check must be the first process of a container of its own, which is thrown away afterwards"}
	}
	report := host.Check(env.Layout,
		host.Try{Code: "veth", Do: netcheck.Veth, Good: "a pod's network can be made", Bad: "pods get no network"},
		host.Try{Code: "nftables", Do: netcheck.Nftables, Good: "the rules of services can be loaded", Bad: "services get no addresses"},
	)
	if format.json() {
		return printJSON(env.Stdout, report)
	}
	rows := [][]string{{"CHECK", "RESULT", "FOUND"}}
	for _, check := range report.Checks {
		rows = append(rows, []string{check.Code, string(check.Result), check.Message})
	}
	return printTable(env.Stdout, rows)
}
