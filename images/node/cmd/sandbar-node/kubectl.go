package main

import (
	"fmt"
	"os"
	"path/filepath"

	_ "early.sandbar.dev/untranslated" // before kubectl's packages
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	"sandbar.dev/node/internal/paths"
)

// kubectl is the ordinary kubectl, which shares nearly all of its code with the rest. Inside the node it speaks with the
// node's cluster unless it is told otherwise. It takes its arguments from the process, like the original.
func kubectl(arguments []string) int {
	os.Args = arguments
	if _, chosen := os.LookupEnv("KUBECONFIG"); !chosen {
		home, err := os.UserHomeDir()
		if err == nil {
			_, err = os.Stat(filepath.Join(home, ".kube", "config"))
		}
		if err != nil {
			if err := os.Setenv("KUBECONFIG", paths.Default().Kubeconfig()); err != nil {
				fmt.Fprintf(os.Stderr, "kubectl: %v\n", err)
				return 1
			}
		}
	}
	if _, err := logs.GlogSetter(cmd.GetLogVerbosity(arguments)); err != nil {
		fmt.Fprintf(os.Stderr, "kubectl: %v\n", err)
		return 1
	}
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // prints and exits as users of kubectl expect
	}
	return 0
}
