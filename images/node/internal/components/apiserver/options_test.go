package apiserver

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/controlplane/reconcilers"
	"sigs.k8s.io/yaml"

	"sandbar.dev/node/internal/pki"
)

func testOptions(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	identity, err := pki.Open(filepath.Join(dir, "pki"), filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		EtcdEndpoint: "unix:///run/sandbar/etcd.sock", PKI: identity, RunDir: filepath.Join(dir, "run"), Port: 6443,
		AdvertiseAddress: net.IPv4(10, 44, 0, 0), ServiceCIDRs: []string{"10.43.0.0/16"}, NodeName: "edge",
	}
}

// written is build with the files that it wants.
func written(o Options) (*options.ServerRunOptions, error) {
	f, err := writeFiles(o)
	if err != nil {
		return nil, err
	}
	return build(o, f)
}

func TestBuild(t *testing.T) {
	o := testOptions(t)
	s, err := written(o)
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]any{
		"authorization":           {s.Authorization.Modes, []string{"Node", "RBAC"}},
		"authorization webhook":   {s.Authorization.WebhookConfigFile, ""},
		"authorization file":      {s.Authorization.AuthorizationConfigurationFile, ""},
		"tokens in a file":        {s.Authentication.TokenFile == nil, true},
		"token webhook":           {s.Authentication.WebHook == nil, true},
		"bootstrap tokens":        {s.Authentication.BootstrapToken.Enable, false},
		"clients' authority":      {s.Authentication.ClientCert.ClientCA, o.PKI.ClusterCAFile()},
		"who speaks for others":   {s.Authentication.RequestHeader.AllowedNames, []string{"front-proxy-client"}},
		"others' authority":       {s.Authentication.RequestHeader.ClientCAFile, o.PKI.FrontProxyCAFile()},
		"issuer":                  {s.Authentication.ServiceAccounts.Issuers, []string{ServiceAccountIssuer}},
		"plugins that are off":    {len(s.Admission.GenericAdmission.DisablePlugins), 0},
		"admission configuration": {s.Admission.GenericAdmission.ConfigFile, ""},
		"port":                    {s.SecureServing.BindPort, 6443},
		"profiles over the API":   {s.Features.EnableProfiling, false},
		"kubelet's authority":     {s.KubeletConfig.TLSClientConfig.CAFile, o.PKI.ClusterCAFile()},
		"way to the kubelet":      {s.KubeletConfig.PreferredAddressTypes, []string{"InternalIP", "Hostname"}},
		"audit":                   {s.Audit.PolicyFile, ""},
		"endpoints":               {s.EndpointReconcilerType, string(reconcilers.MasterCountReconcilerType)},
		"datastore":               {s.Etcd.StorageConfig.Transport.ServerList, []string{o.EtcdEndpoint}},
		"services":                {s.ServiceClusterIPRanges, "10.43.0.0/16"},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
	keys, err := newCredentials(o.PKI.ServiceAccountKeyFile(), s.Etcd.EncryptionProviderConfigFilepath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := complete(t.Context(), s, keys); err != nil {
		t.Errorf("the API server's own validation: %v", err)
	}
}

// TestAdmission names the plugins that the node's promises stand on; the library decides which are on by default.
func TestAdmission(t *testing.T) {
	s, err := written(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, plugin := range []string{
		"NodeRestriction", "PodSecurity", "ServiceAccount", "LimitRanger", "ResourceQuota", "DefaultStorageClass",
		"DefaultIngressClass", "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook", "ValidatingAdmissionPolicy",
	} {
		if !isOn(s, plugin) {
			t.Errorf("%s is off", plugin)
		}
	}
	if isOn(s, "AlwaysPullImages") {
		t.Error("images that were loaded into the node would be pulled")
	}
}

// isOn follows the rule of the library's own unexported function.
func isOn(s *options.ServerRunOptions, plugin string) bool {
	admission := s.Admission.GenericAdmission
	return slices.Contains(admission.EnablePlugins, plugin) ||
		!slices.Contains(admission.DisablePlugins, plugin) && !admission.DefaultOffPlugins.Has(plugin) &&
			slices.Contains(admission.RecommendedPluginOrder, plugin)
}

func TestAnybodyMayAskOnlyWhetherItIsHealthy(t *testing.T) {
	s, err := written(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	var config apiserverv1.AuthenticationConfiguration
	readConfig(t, s.Authentication.AuthenticationConfigFile, &config)
	want := &apiserverv1.AnonymousAuthConfig{
		Enabled:    true,
		Conditions: []apiserverv1.AnonymousAuthCondition{{Path: "/livez"}, {Path: "/readyz"}, {Path: "/healthz"}},
	}
	if !reflect.DeepEqual(config.Anonymous, want) || len(config.JWT) != 0 {
		t.Errorf("got %+v", config)
	}
}

func TestSecretsAreStoredUnderTheClustersKey(t *testing.T) {
	o := testOptions(t)
	s, err := written(o)
	if err != nil {
		t.Fatal(err)
	}
	var config apiserverv1.EncryptionConfiguration
	readConfig(t, s.Etcd.EncryptionProviderConfigFilepath, &config)
	if len(config.Resources) != 1 || !slices.Equal(config.Resources[0].Resources, []string{"secrets"}) {
		t.Fatalf("resources %+v", config.Resources)
	}
	// The first writes; the second reads what was there before.
	providers := config.Resources[0].Providers
	if len(providers) != 2 || providers[0].AESGCM == nil || len(providers[0].AESGCM.Keys) != 1 || providers[1].Identity == nil {
		t.Errorf("providers %+v", providers)
	}
}

func TestAuditOnlyWhereItIsAskedFor(t *testing.T) {
	o := testOptions(t)
	o.Audit = Audit{PolicyFile: "/run/policy.yaml", LogFile: "/log/audit.log", MaxAgeDays: 1, MaxFiles: 2, MaxSizeM: 3}
	s, err := written(o)
	if err != nil {
		t.Fatal(err)
	}
	log := s.Audit.LogOptions
	if s.Audit.PolicyFile != "/run/policy.yaml" || log.Path != "/log/audit.log" || log.MaxAge != 1 || log.MaxBackups != 2 || log.MaxSize != 3 {
		t.Errorf("audit %+v", s.Audit)
	}
}

// TestWhoItIs: for kubelets and extension API servers it is a user of its own, and in no group.
func TestWhoItIs(t *testing.T) {
	s, err := written(testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		s.KubeletConfig.TLSClientConfig.CertFile:    "CN=system:sandbar:kube-apiserver",
		s.ProxyClientCertFile:                       "CN=front-proxy-client",
		s.SecureServing.ServerCert.CertKey.CertFile: "CN=kube-apiserver",
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if got := certificate.Subject.String(); got != want {
			t.Errorf("%s says %s, want %s", filepath.Base(file), got, want)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"a network that is none": {
			func(o *Options) { o.ServiceCIDRs = []string{"services"} }, "service network: invalid CIDR address: services",
		},
		"a range that is none": {
			func(o *Options) { o.ServiceNodePorts = "many" },
			`range of node ports: strconv.Atoi: parsing "many": invalid syntax`,
		},
	} {
		o := testOptions(t)
		test.change(&o)
		if _, err := written(o); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}

// readConfig reads a file that holds keys, and so may be read by its owner alone.
func readConfig(t *testing.T, path string, into any) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatal(err)
	}
}
