package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"sandbar.dev/node/internal/node"
	"sandbar.dev/node/internal/seed"
)

// seedCommand makes the seeded datastore of an image.
func seedCommand(ctx context.Context, arguments []string) int {
	flags := flag.NewFlagSet("seed", flag.ContinueOnError)
	output := flags.String("output", "", "the folder in which etcd.db is written")
	if err := flags.Parse(arguments); err == flag.ErrHelp {
		return 0
	} else if err != nil {
		return 2
	}
	if *output == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "sandbar-node: seed needs --output DIR and nothing else")
		return 2
	}
	objects, err := node.SeedObjects()
	if err == nil {
		err = seed.Write(ctx, *output, objects)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "sandbar-node: seed: %v\n", err)
		return 1
	}
	return 0
}
