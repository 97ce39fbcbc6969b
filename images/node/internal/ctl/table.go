package ctl

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/contract"
)

// shownLines is how many of the last lines of a process a table shows; the report and `logs` have more.
const shownLines = 5

// printStatus prints a report as JSON or for people.
func printStatus(env *Environment, format *outputFormat, status contract.Status) error {
	if format.json() {
		return printJSON(env.Stdout, status)
	}
	health := "not healthy"
	if status.Healthy {
		health = "healthy"
	}
	rows := [][]string{
		{"Node", orDash(status.Node.Name), health},
		{"Cluster", orDash(status.Node.ClusterName), status.Node.ClusterID},
		{"Kubernetes", orDash(status.Node.KubernetesVersion), status.Node.Architecture},
		{"Address", orDash(status.Node.Address), ""},
		{"Ingress", orDash(strings.Join(status.Ingress.Hosts, ", ")), ""},
		{"Volume", fmt.Sprintf("%s free of %s", formatBytes(status.Storage.AvailableBytes), formatBytes(status.Storage.CapacityBytes)), ""},
	}
	if err := printTable(env.Stdout, rows); err != nil {
		return err
	}
	rows = [][]string{{"\nCOMPONENT", "STATE", "SINCE", "READY AFTER", "RESTARTS", "DETAIL"}}
	ready := map[string]string{}
	for _, phase := range status.Phases {
		if phase.ReadyMillis != nil {
			ready[phase.Name] = fmt.Sprintf("%.2f s", float64(*phase.ReadyMillis)/1000)
		}
	}
	for _, part := range status.Components {
		after := ready[part.Name]
		if part.Restarts > 0 {
			// It would count from the first start.
			after = ""
		}
		rows = append(rows, []string{
			part.Name, string(part.State), part.Since.UTC().Format(time.DateTime), orDash(after),
			fmt.Sprint(part.Restarts), componentDetail(part),
		})
	}
	if err := printTable(env.Stdout, rows); err != nil {
		return err
	}
	for _, part := range status.Components {
		for _, line := range part.LastLines[max(0, len(part.LastLines)-shownLines):] {
			if err := print(env.Stdout, "  %s: %s\n", part.Name, line); err != nil {
				return err
			}
		}
	}
	for _, warning := range status.Warnings {
		if err := print(env.Stdout, "\nWARNING %s: %s\n", warning.Code, warning.Message); err != nil {
			return err
		}
		if warning.Hint != "" {
			if err := print(env.Stdout, "  %s\n", warning.Hint); err != nil {
				return err
			}
		}
	}
	return nil
}

// componentDetail is why a component is not ready.
func componentDetail(part contract.Component) string {
	switch {
	case part.State == component.StateReady:
		return ""
	case len(part.WaitingFor) > 0:
		return "for " + strings.Join(part.WaitingFor, ", ")
	case part.Reason != "":
		return part.Reason
	default:
		return part.LastError
	}
}

// printTable aligns the columns of rows.
func printTable(to io.Writer, rows [][]string) error {
	writer := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(writer, strings.TrimRight(strings.Join(row, "\t"), "\t")); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	}
	if err := writer.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// formatBytes words a size in binary units.
func formatBytes(count uint64) string {
	const step = 1024
	value, units := float64(count), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	unit := 0
	for value >= step && unit < len(units)-1 {
		value /= step
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", count)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}
