package main

import (
	"errors"
	"flag"
	"os"
	"runtime/pprof"
)

// startProfile writes a CPU profile of the start when the arguments ask for one; the returned function ends it.
func startProfile(arguments []string) (func() error, error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	path := flags.String("cpu-profile", "", "write a CPU profile of the start to this file")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, errors.New("run takes no arguments")
	}
	if *path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(*path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
