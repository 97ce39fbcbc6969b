package kubelet

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
)

func testOptions() Options {
	return Options{
		NodeName:        "default",
		NodeIPs:         []netip.Addr{netip.MustParseAddr("10.88.0.2")},
		ClientCAFile:    "/run/sandbar/pki/ca.crt",
		ServingCertFile: "/run/sandbar/pki/kubelet.crt",
		ServingKeyFile:  "/run/sandbar/pki/kubelet.key",
		ResolvConf:      "/run/sandbar/resolv.conf",
		ClusterDNS:      []netip.Addr{netip.MustParseAddr("10.43.0.10")},
		Labels:          map[string]string{"team": "edge"},
		OOMScore:        200,
	}.withDefaults()
}

func TestBuildServer(t *testing.T) {
	server, err := buildServer(testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := options.ValidateKubeletServer(server); err != nil {
		t.Errorf("the kubelet's own validation: %v", err)
	}
	for what, pair := range map[string][2]any{
		"host name":            {server.HostnameOverride, "default"},
		"node address":         {server.NodeIP, "10.88.0.2"},
		"listens on":           {server.Address, "10.88.0.2"},
		"root":                 {server.RootDirectory, "/var/lib/kubelet"},
		"label":                {server.NodeLabels["team"], "edge"},
		"runtime":              {server.ContainerRuntimeEndpoint, "unix:///run/containerd/containerd.sock"},
		"cgroup driver":        {server.CgroupDriver, "cgroupfs"},
		"cgroup v1":            {server.FailCgroupV1, false},
		"swap":                 {server.FailSwapOn, false},
		"eviction":             {len(server.EvictionHard), 0},
		"image collection":     {server.ImageGCHighThresholdPercent, int32(100)},
		"anonymous":            {server.Authentication.Anonymous.Enabled, false},
		"authorization":        {server.Authorization.Mode, kubeletconfig.KubeletAuthorizationModeWebhook},
		"read-only port":       {server.ReadOnlyPort, int32(0)},
		"health port":          {server.HealthzPort, int32(0)},
		"serial pulls":         {server.SerializeImagePulls, false},
		"cluster DNS":          {strings.Join(server.ClusterDNS, ","), "10.43.0.10"},
		"iptables chains":      {server.MakeIPTablesUtilChains, false},
		"rotation":             {server.RotateCertificates, false},
		"API server mode":      {server.KubeConfig != "", true},
		"certificate":          {server.TLSCertFile, "/run/sandbar/pki/kubelet.crt"},
		"write of status":      {server.NodeStatusReportFrequency.Duration, 5 * time.Minute},
		"registers itself":     {server.RegisterNode, true},
		"out-of-memory score":  {server.OOMScoreAdj, int32(200)},
		"attach by controller": {server.EnableControllerAttachDetach, true},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestAKubeletWithoutAnAddressDoesNotListenEverywhere(t *testing.T) {
	o := testOptions()
	o.NodeIPs = nil
	if _, err := buildServer(o); err == nil || err.Error() != "kubelet: the node has no address" {
		t.Errorf("got %v", err)
	}
}

func TestOverlay(t *testing.T) {
	for name, test := range map[string]struct {
		overlay map[string]any
		check   func(*kubeletconfig.KubeletConfiguration) bool
		err     string
	}{
		"a number": {
			overlay: map[string]any{"maxPods": 17},
			check:   func(c *kubeletconfig.KubeletConfiguration) bool { return c.MaxPods == 17 },
		},
		"a map is replaced whole": {
			overlay: map[string]any{"evictionHard": map[string]any{"memory.available": "100Mi"}},
			check: func(c *kubeletconfig.KubeletConfiguration) bool {
				return len(c.EvictionHard) == 1 && c.EvictionHard["memory.available"] == "100Mi"
			},
		},
		"a key that is not set by us": {
			overlay: map[string]any{"allowedUnsafeSysctls": []any{"net.core.somaxconn"}},
			check:   func(c *kubeletconfig.KubeletConfiguration) bool { return len(c.AllowedUnsafeSysctls) == 1 },
		},
		"a mistyped key": {overlay: map[string]any{"maxPod": 17}, err: `unknown field "maxPod"`},
		"a wrong type":   {overlay: map[string]any{"maxPods": "many"}, err: "maxPods"},
		"the node's own": {overlay: map[string]any{"port": 1}, err: "kubelet.port: is set by the node and cannot be changed"},
		"authentication": {overlay: map[string]any{"authentication": nil}, err: "kubelet.authentication: is set by the node"},
		"a nested typo":  {overlay: map[string]any{"memorySwap": map[string]any{"swapBehaviour": "x"}}, err: "swapBehaviour"},
		"a null is unset": {
			overlay: map[string]any{"maxPods": nil},
			check:   func(c *kubeletconfig.KubeletConfiguration) bool { return c.MaxPods == 110 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			o.Overlay = test.overlay
			configuration, err := buildConfiguration(o)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !test.check(configuration) {
				t.Errorf("the overlay is not in %+v", configuration)
			}
			if err := validation.ValidateKubeletConfiguration(configuration, utilfeature.DefaultFeatureGate); err != nil {
				t.Errorf("validation: %v", err)
			}
		})
	}
}
