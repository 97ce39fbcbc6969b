package api

import (
	"fmt"

	"sandbar.dev/node/internal/contract"
	"sandbar.dev/node/internal/initapi"
)

// Offline is the report of a node whose sandbar-node does not answer, made from what sandbar-init says; report is nil when
// that does not answer either. It is never healthy.
func Offline(sources Sources, report *initapi.Report, initError, nodeError error, volume string) contract.Status {
	server := New(Options{Volume: volume})
	sources.Warnings = append([]contract.Warning{{
		Code: contract.WarningNodeUnreachable, Message: offlineMessage(report, nodeError),
		Hint: "see `sandbarctl logs`",
	}}, sources.Warnings...)
	return server.facts(sources, report, initError).report()
}

// offlineMessage says why sandbar-node does not answer, as far as sandbar-init knows.
func offlineMessage(report *initapi.Report, nodeError error) string {
	if report == nil {
		return nodeError.Error()
	}
	node, known := report.Child(initapi.ChildNode)
	switch {
	case !known:
		return nodeError.Error()
	case node.State == initapi.StateFailed && node.LastExit != nil:
		return fmt.Sprintf("sandbar-node ended with %s and is not started again", node.LastExit)
	case node.State == initapi.StateBackoff && node.LastExit != nil:
		return fmt.Sprintf("sandbar-node ended with %s and is being started again", node.LastExit)
	default:
		return fmt.Sprintf("sandbar-node is %s and does not answer yet", node.State)
	}
}
