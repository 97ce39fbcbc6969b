package controlplanetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TestNobodyIsElectedAndNothingElseListens: a control plane that is the only one has no leases to renew, and its one
// process has one port, the API's.
func TestNobodyIsElectedAndNothingElseListens(t *testing.T) {
	plane := Start(t)
	plane.StartControllers(t)
	plane.StartScheduler(t)
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	leases, err := client.CoordinationV1().Leases("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, lease := range leases.Items {
		// Leases of nodes are kubelets', and the API server's identity is a gate that the node switches off.
		if lease.Namespace != "kube-node-lease" && !strings.HasPrefix(lease.Name, "apiserver-") {
			t.Errorf("lease %s/%s", lease.Namespace, lease.Name)
		}
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(plane.Admin.Host, "https://"), ":")
	if got := listening(t); !slices.Equal(got, []string{port}) {
		t.Errorf("this process listens on the ports %v, the API's is %s", got, port)
	}
}

// listening are the TCP ports on which this process listens (proc_pid_net(5)).
func listening(t *testing.T) []string {
	t.Helper()
	descriptors, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, descriptor := range descriptors {
		// Some have been closed by now.
		if target, err := os.Readlink(descriptor); err == nil {
			own[target] = true
		}
	}
	var ports []string
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		const stateListen = "0A"
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			if len(fields) < 10 || fields[3] != stateListen || !own[fmt.Sprintf("socket:[%s]", fields[9])] {
				continue
			}
			port, err := strconv.ParseUint(fields[1][strings.LastIndexByte(fields[1], ':')+1:], 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, strconv.FormatUint(port, 10))
		}
	}
	return ports
}
