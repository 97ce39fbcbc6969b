package controllermanager

import (
	"reflect"
	"slices"
	"testing"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func TestBuild(t *testing.T) {
	s, err := build(Options{
		Kubeconfig: "/run/controllers.kubeconfig", ClusterCIDR: "10.42.0.0/16", ServiceCIDR: "10.43.0.0/16",
		ClusterCAFile: "/pki/ca.crt", ClusterCAKeyFile: "/pki/ca.key", ServiceAccountKeyFile: "/pki/service-account.key",
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]any{
		"port":                   {s.SecureServing.BindPort, 0},
		"leader election":        {s.Generic.LeaderElection.LeaderElect, false},
		"kubeconfig":             {s.Generic.ClientConnection.Kubeconfig, "/run/controllers.kubeconfig"},
		"credentials":            {s.KubeCloudShared.UseServiceAccountCredentials, false},
		"pods' networks":         {s.KubeCloudShared.ClusterCIDR, "10.42.0.0/16"},
		"gives nodes networks":   {s.KubeCloudShared.AllocateNodeCIDRs, true},
		"services' networks":     {s.NodeIPAMController.ServiceCIDR, "10.43.0.0/16"},
		"tokens' key":            {s.SAController.ServiceAccountKeyFile, "/pki/service-account.key"},
		"authority given to all": {s.SAController.RootCAFile, "/pki/ca.crt"},
		"signs with":             {s.CSRSigningController.ClusterSigningCertFile, "/pki/ca.crt"},
		"key of that":            {s.CSRSigningController.ClusterSigningKeyFile, "/pki/ca.key"},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	// It runs as a component of its own, so that the kubelet can register CSI drivers: see package attachdetach.
	for _, name := range []string{"-persistentvolume-attach-detach-controller", "-selinux-warning-controller"} {
		if !slices.Contains(s.Generic.Controllers, name) {
			t.Errorf("controllers %v, without %s", s.Generic.Controllers, name)
		}
	}
	// It checks the names of the controllers too.
	if err := s.Validate(app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()); err != nil {
		t.Errorf("the library's own validation: %v", err)
	}
}
