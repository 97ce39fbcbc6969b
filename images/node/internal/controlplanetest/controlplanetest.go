// Package controlplanetest gives tests a real control plane: etcd, kube-apiserver and, if asked for, the controllers and
// the scheduler, as the node runs them, in the test's own process. It starts in about two seconds at its first use and is
// shared by all tests of the binary; let each test use a namespace of its own.
//
//	func TestMain(m *testing.M) { controlplanetest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		plane := controlplanetest.Start(t)
//		client := kubernetes.NewForConfigOrDie(plane.Admin)
//		namespace := plane.Namespace(t)
//		…
//	}
package controlplanetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/components/controllermanager"
	"sandbar.dev/node/internal/components/scheduler"
	"sandbar.dev/node/internal/controlplane"
)

// startLimit is how long a control plane may take to become ready on a busy machine.
const startLimit = 2 * time.Minute

// Plane is a running control plane.
type Plane struct {
	*controlplane.Plane

	extraMu   sync.Mutex
	extra     map[string]bool
	extraCtx  context.Context
	stopExtra context.CancelFunc
}

var (
	once    sync.Once
	shared  *Plane
	failure error
)

// Main runs a package's tests and takes down the control plane that they have started. It does not return.
func Main(m *testing.M) {
	code := m.Run()
	if shared != nil {
		if err := shared.shutDown(); err != nil {
			fmt.Fprintln(os.Stderr, "controlplanetest:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Start returns the test binary's control plane. The package's TestMain must call Main.
func Start(t testing.TB) *Plane {
	t.Helper()
	once.Do(func() { shared, failure = launch() })
	if failure != nil {
		t.Fatalf("control plane: %v", failure)
	}
	return shared
}

// Client is a client that is the given user.
func (p *Plane) Client(t testing.TB, user string, groups ...string) *rest.Config {
	t.Helper()
	config, err := p.Plane.Client(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// Namespace makes a namespace that is deleted after the test.
func (p *Plane) Namespace(t testing.TB) string {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(p.Admin)
	namespace, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := client.CoreV1().Namespaces().Delete(context.Background(), namespace.Name, metav1.DeleteOptions{})
		if err != nil {
			t.Errorf("delete namespace %s: %v", namespace.Name, err)
		}
	})
	return namespace.Name
}

// Node makes a Node with these labels that is Ready, as a kubelet's would be, and is deleted after the test.
func (p *Plane) Node(t testing.TB, name string, labels map[string]string) {
	t.Helper()
	nodes := kubernetes.NewForConfigOrDie(p.Admin).CoreV1().Nodes()
	node, err := nodes.Create(t.Context(),
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete node %s: %v", name, err)
		}
	})
	node.Status.Conditions = []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()},
	}
	// The controllers write to a new node too; whatever they have done by now stays.
	node.ResourceVersion = ""
	node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("10")}
	if _, err := nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Apply puts objects into the cluster, as the node's bootstrap does.
func (p *Plane) Apply(t testing.TB, objects ...runtime.Object) {
	t.Helper()
	if err := bootstrap.Apply(t.Context(), p.Admin, objects); err != nil {
		t.Fatal(err)
	}
}

// StartControllers also runs kube-controller-manager, once for the test binary.
func (p *Plane) StartControllers(t testing.TB) {
	t.Helper()
	p.Apply(t, bootstrap.RBAC()...)
	path := filepath.Join(p.Dir, "controllers.kubeconfig")
	data, err := p.PKI.Kubeconfig(p.Admin.Host, "test", controllermanager.User)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.run(t, controllermanager.New(controllermanager.Options{
		Client: p.Client(t, controllermanager.User), Kubeconfig: path,
		ClusterCIDR: "10.42.0.0/16", ServiceCIDR: "10.43.0.0/16",
		ClusterCAFile: p.PKI.ClusterCAFile(), ClusterCAKeyFile: p.PKI.ClusterCAKeyFile(),
		ServiceAccountKeyFile: p.PKI.ServiceAccountKeyFile(),
	}))
}

// StartScheduler also runs kube-scheduler, once for the test binary.
func (p *Plane) StartScheduler(t testing.TB) {
	t.Helper()
	p.run(t, scheduler.New(scheduler.Options{Client: p.Client(t, scheduler.User)}))
}

// run starts one more component and waits until it is ready.
func (p *Plane) run(t testing.TB, c component.Component) {
	t.Helper()
	p.extraMu.Lock()
	defer p.extraMu.Unlock()
	if p.extra[c.Name()] {
		return
	}
	p.extra[c.Name()] = true
	ready, ended := make(chan struct{}), make(chan error, 1)
	var readyOnce sync.Once
	go func() { ended <- c.Run(p.extraCtx, func() { readyOnce.Do(func() { close(ready) }) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("%s ended: %v", c.Name(), err)
	case <-time.After(startLimit):
		t.Fatalf("%s is not ready after %s", c.Name(), startLimit)
	}
}

// launch starts the shared control plane in a folder of its own.
func launch() (*Plane, error) {
	dir, err := os.MkdirTemp("", "controlplane-")
	if err != nil {
		return nil, err
	}
	plane, err := controlplane.Start(context.Background(), dir, "")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p := &Plane{Plane: plane, extra: map[string]bool{}}
	p.extraCtx, p.stopExtra = context.WithCancel(context.Background())
	return p, nil
}

func (p *Plane) shutDown() error {
	p.stopExtra()
	return errors.Join(p.Stop(), os.RemoveAll(p.Dir))
}
