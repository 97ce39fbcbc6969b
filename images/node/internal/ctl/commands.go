package ctl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sandbar.dev/node/internal/api/client"
	"sandbar.dev/node/internal/config"
	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/initapi"
)

// runKubeconfig waits for sandbar-node and its PKI.
func runKubeconfig(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	server := flags.set.String("server", "", "")
	name := flags.set.String("name", "", "")
	timeout := flags.timeout()
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	if *server == "" {
		return &usageError{"--server is missing: the URL under which the API is reached"}
	}
	if *timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *timeout)
		defer cancel()
	}
	for {
		changes, err := watchFile(env.Layout.NodeSocket())
		if err != nil {
			return err
		}
		content, err := env.node().Kubeconfig(ctx, *server, *name)
		if *timeout > 0 && errors.Is(err, client.ErrUnreachable) && ctx.Err() == nil {
			err = (&waiter{env: env}).awaitNode(ctx, changes)
			changes.close()
			if err == nil {
				continue
			}
		}
		changes.close()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return &exitError{exitTimedOut, fmt.Sprintf("no kubeconfig within %s: the node has no keys yet", *timeout)}
		case err != nil:
			return err
		}
		if _, err := env.Stdout.Write(content); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
		return nil
	}
}

func runImageList(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	format := flags.output(table)
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	list, err := env.node().Images(ctx)
	if err != nil {
		return err
	}
	if format.json() {
		return printJSON(env.Stdout, list)
	}
	rows := [][]string{{"NAME", "ID", "SIZE", "PINNED"}}
	for _, image := range list.Images {
		for _, name := range image.Names {
			pinned := ""
			if image.Pinned {
				pinned = "yes"
			}
			rows = append(rows, []string{name, shortID(image.ID), formatBytes(uint64(max(0, image.SizeBytes))), pinned})
		}
	}
	return printTable(env.Stdout, rows)
}

// shortID is the beginning of a digest, as engines show it.
func shortID(id string) string {
	_, hex, _ := strings.Cut(id, ":")
	return hex[:min(12, len(hex))]
}

func runImageMissing(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	format := flags.output(table)
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	missing, err := env.node().Missing(ctx, env.Stdin)
	if err != nil {
		return err
	}
	if format.json() {
		return printJSON(env.Stdout, map[string][]string{"missing": missing})
	}
	for _, digest := range missing {
		if err := print(env.Stdout, "%s\n", digest); err != nil {
			return err
		}
	}
	return nil
}

func runImageImport(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	format := flags.output(asJSON)
	var names list
	flags.set.Var(&names, "name", "")
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	report, err := env.node().Import(ctx, env.Stdin, names)
	if err != nil {
		return err
	}
	return printImported(env, format, report)
}

func runImageTag(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	format := flags.output(asJSON)
	others, err := flags.parse(arguments, 2, -1)
	if err != nil {
		return err
	}
	report, err := env.node().Tag(ctx, others[0], others[1:])
	if err != nil {
		return err
	}
	return printImported(env, format, report)
}

func printImported(env *Environment, format *outputFormat, report contract.ImportReport) error {
	if format.json() {
		return printJSON(env.Stdout, report)
	}
	rows := [][]string{{"NAME", "ID", "LAYERS MOVED", "LAYERS PRESENT", "MOVED"}}
	for _, image := range report.Images {
		rows = append(rows, []string{
			image.Name, shortID(image.ID), fmt.Sprint(image.LayersMoved), fmt.Sprint(image.LayersPresent),
			formatBytes(uint64(max(0, image.BytesMoved))),
		})
	}
	return printTable(env.Stdout, rows)
}

func runImageRemove(ctx context.Context, env *Environment, arguments []string) error {
	names, err := newFlags().parse(arguments, 1, -1)
	if err != nil {
		return err
	}
	return env.node().Remove(ctx, names) // sandbar-node's words
}

func runStop(ctx context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	text := flags.set.String("grace", "", "")
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	connection := env.init()
	defer connection.Close()
	if *text == "" {
		return connection.Stop(ctx, nil) // it says whom it asked
	}
	grace, err := initapi.ParseStopGrace(*text)
	if err != nil {
		return &usageError{err.Error()}
	}
	return connection.Stop(ctx, &grace) // it says whom it asked
}

func runConfig(_ context.Context, env *Environment, arguments []string) error {
	flags := newFlags()
	mode := flags.set.String("mode", "effective", "")
	if _, err := flags.parse(arguments, 0, 0); err != nil {
		return err
	}
	var shown *config.Config
	switch *mode {
	case "default":
		shown = config.Default()
	case "effective":
		loaded, warnings, err := loadConfig(env)
		if err != nil {
			return err
		}
		shown = loaded
		for _, warning := range warnings {
			if err := print(env.Stdout, "# WARNING: %s\n", warning.Message); err != nil {
				return err
			}
		}
	default:
		return &usageError{fmt.Sprintf("--mode must be effective or default, not %q", *mode)}
	}
	content, err := shown.YAML()
	if err != nil {
		return err // it says what it did
	}
	return print(env.Stdout, "%s", content)
}

// loadConfig reads the node's configuration as sandbar-node does.
func loadConfig(env *Environment) (*config.Config, []config.Warning, error) {
	known, err := config.ReadNodeName(env.Layout.Data)
	if err != nil {
		return nil, nil, err // it says what it read
	}
	return config.Load(config.Sources{ // it says what is wrong
		Directories: []string{env.Layout.MicroShiftConfig, env.Layout.Config}, Hostname: env.Hostname, KnownNodeName: known,
	})
}
