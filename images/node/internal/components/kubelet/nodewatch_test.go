package kubelet

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func nodeWith(status corev1.ConditionStatus, heartbeat, transition time.Time) *corev1.Node {
	return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse},
		{
			Type: corev1.NodeReady, Status: status, Reason: "KubeletNotReady", Message: "no network",
			LastHeartbeatTime: metav1.NewTime(heartbeat), LastTransitionTime: metav1.NewTime(transition),
		},
	}}}
}

func TestReadiness(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	before, after := start.Add(-time.Minute), start.Add(time.Second)
	for name, test := range map[string]struct {
		node    *corev1.Node
		current bool
		err     string
	}{
		"ready by this run":           {nodeWith(corev1.ConditionTrue, after, before), true, ""},
		"ready by an earlier run":     {nodeWith(corev1.ConditionTrue, before, before), false, ""},
		"not ready by this run":       {nodeWith(corev1.ConditionFalse, after, after), true, "KubeletNotReady: no network"},
		"lost: the controller's word": {nodeWith(corev1.ConditionUnknown, before, after), true, "the Node is not ready"},
		"no condition yet":            {&corev1.Node{}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			current, err := readiness(test.node, start)
			if current != test.current {
				t.Errorf("current %v, want %v", current, test.current)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

func TestNodeWatchCallsReadyOnceItIsTrue(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	watch := &nodeWatch{since: start}
	calls := 0
	ready := func() { calls++ }
	if watch.check() == nil {
		t.Error("a node that was never seen passes the check")
	}
	watch.update(context.Background(), nodeWith(corev1.ConditionTrue, start.Add(-time.Hour), start.Add(-time.Hour)), ready)
	if calls != 0 || watch.check() == nil {
		t.Error("the condition of an earlier run counts")
	}
	watch.update(context.Background(), nodeWith(corev1.ConditionTrue, start, start), ready)
	if calls != 1 || watch.check() != nil {
		t.Errorf("calls %d, check %v", calls, watch.check())
	}
	watch.update(context.Background(), nodeWith(corev1.ConditionFalse, start, start), ready)
	if calls != 1 || watch.check() == nil {
		t.Errorf("calls %d, check %v", calls, watch.check())
	}
}

func TestNodeWatchOutlivesAClockThatIsSetBack(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	watch := &nodeWatch{since: start}
	calls := 0
	ready := func() { calls++ }
	long, back := start.Add(-24*time.Hour), start.Add(-time.Hour)
	watch.update(context.Background(), nodeWith(corev1.ConditionTrue, long, long), ready)
	watch.update(context.Background(), nodeWith(corev1.ConditionTrue, long, long), ready)
	if calls != 0 {
		t.Error("the condition of an earlier run counts")
	}
	// This run writes it, an hour before it began.
	watch.update(context.Background(), nodeWith(corev1.ConditionTrue, back, long), ready)
	if calls != 1 || watch.check() != nil {
		t.Errorf("calls %d, check %v", calls, watch.check())
	}
}
