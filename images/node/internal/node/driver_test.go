package node

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/volume/csi"
	volumetest "k8s.io/kubernetes/pkg/volume/testing"

	"sandbar.dev/node/internal/component"
	"sandbar.dev/node/internal/components/apiserver"
	"sandbar.dev/node/internal/components/attachdetach"
	"sandbar.dev/node/internal/components/bootstrap"
	"sandbar.dev/node/internal/components/kubelet"
	"sandbar.dev/node/internal/components/storage"
	"sandbar.dev/node/internal/components/storage/driver"
	"sandbar.dev/node/internal/controlplanetest"
)

// headStart is how long the attach/detach controller lets others go before it. With the kubelet's needs as they must be,
// the kubelet does not take it.
const headStart = 300 * time.Millisecond

// TestTheDriverRegistersForTheNode runs the components that share the CSI plugin's variable with the needs that the node
// gives them. The kubelet is a stand-in that initialises its plugins as the real one does; everything else is real.
func TestTheDriverRegistersForTheNode(t *testing.T) {
	plane := controlplanetest.Start(t)
	plane.Apply(t, bootstrap.Bind(attachdetach.ClusterRole())...)
	plane.Apply(t, bootstrap.Bind(storage.ClusterRole())...)
	plane.Apply(t, storage.Objects()...)
	n := testNode(t)
	n.config.Node.HostnameOverride = "with-driver"
	plane.Node(t, n.config.NodeName(), nil)
	needs, err := n.kubeletOptions()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its name is too long for a socket.
	folder, err := os.MkdirTemp("", "driver-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })

	initialised := make(chan struct{})
	attach := attachdetach.New(attachdetach.Options{Client: plane.Client(t, "system:sandbar:attach-detach")})
	supervisor, err := component.New([]component.Component{
		&standIn{name: apiserver.Name},
		&standIn{name: attach.Name(), needs: attach.Needs(), run: func(ctx context.Context, ready func()) error {
			select {
			case <-initialised:
			case <-time.After(headStart):
			}
			return attach.Run(ctx, ready)
		}},
		&standIn{name: kubelet.Name, needs: needs.Needs, run: func(ctx context.Context, ready func()) error {
			if err := initialisePlugins(t, folder, kubernetes.NewForConfigOrDie(plane.Admin), n.config.NodeName()); err != nil {
				return err
			}
			close(initialised)
			ready()
			<-ctx.Done()
			return nil
		}},
		storage.New(storage.Options{
			Client: plane.Client(t, "system:sandbar:storage"), NodeName: n.config.NodeName(),
			Root: folder + "/storage", KubeletDir: folder, Register: n.registerDriver,
		}),
	}, component.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n.wait = supervisor.Wait
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- supervisor.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	limit, stop := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("kubelet has not registered the driver"))
	defer stop()
	if err := supervisor.Wait(limit, "storage"); err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(plane.Admin)
	registered, err := client.StorageV1().CSINodes().Get(t.Context(), n.config.NodeName(), metav1.GetOptions{})
	if err != nil || len(registered.Spec.Drivers) != 1 || registered.Spec.Drivers[0].Name != driver.Name {
		t.Errorf("the node's drivers: %v, %v", registered, err)
	}
}

// initialisePlugins is what the kubelet does when it is made, and returns when it would report itself Ready.
func initialisePlugins(t *testing.T, folder string, client kubernetes.Interface, name string) error {
	drivers := informers.NewSharedInformerFactory(client, 0).Storage().V1().CSIDrivers().Lister()
	host := volumetest.NewFakeKubeletVolumeHostWithCSINodeName(t, folder, client, nil, name, drivers, nil)
	if err := host.GetPluginMgr().InitPlugins(csi.ProbeVolumePlugins(), nil, host); err != nil {
		return err
	}
	return host.WaitForKubeletErrNil()
}

// standIn is a component that is what a test says.
type standIn struct {
	name  string
	needs []string
	// run is ready at once and waits if it is nil.
	run func(ctx context.Context, ready func()) error
}

func (s *standIn) Name() string    { return s.name }
func (s *standIn) Needs() []string { return s.needs }

func (s *standIn) Run(ctx context.Context, ready func()) error {
	if s.run != nil {
		return s.run(ctx, ready)
	}
	ready()
	<-ctx.Done()
	return nil
}
