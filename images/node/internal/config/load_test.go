package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	auditpolicy "k8s.io/apiserver/pkg/audit/policy"
)

// write puts files below a new directory and returns sources with an "microshift" and a "sandbar" directory in it.
func write(t *testing.T, files map[string]string) (string, Sources) {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root, Sources{
		Directories: []string{filepath.Join(root, "microshift"), filepath.Join(root, "sandbar")}, Hostname: "Laptop",
	}
}

// problems loads and returns the problems' lines without the root directory.
func problems(t *testing.T, files map[string]string, adapt func(*Sources)) []string {
	t.Helper()
	root, sources := write(t, files)
	if adapt != nil {
		adapt(&sources)
	}
	_, _, err := Load(sources)
	if err == nil {
		return nil
	}
	failed := (*Error)(nil)
	if !errors.As(err, &failed) {
		t.Fatalf("unexpected kind of error: %v", err)
	}
	var lines []string
	for _, problem := range failed.Problems {
		lines = append(lines, strings.ReplaceAll(problem.String(), root+"/", ""))
	}
	return lines
}

func TestProblems(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"mistyped key": {
			"apiServer:\n  subjectAltName: [a.example]\n",
			[]string{`sandbar/config.yaml:2: apiServer.subjectAltName: unknown key (did you mean subjectAltNames?)`},
		},
		"misplaced key": {
			"advertiseAddress: 10.0.0.1\n",
			[]string{`sandbar/config.yaml:1: advertiseAddress: unknown key (did you mean apiServer.advertiseAddress?)`},
		},
		"key of nothing": {
			"flavour: vanilla\n",
			[]string{`sandbar/config.yaml:1: flavour: unknown key`},
		},
		"all at once": {
			"dns:\n  baseDomain: 7\nnetwork:\n  clusterNetwork: 10.42.0.0/16\n  servicesNetwork: []\n",
			[]string{
				`sandbar/config.yaml:2: dns.baseDomain: must be a string, not the number 7 (put it in quotes: "7")`,
				`sandbar/config.yaml:4: network.clusterNetwork: must be a list of strings, not "10.42.0.0/16"`,
				`sandbar/config.yaml:5: network.servicesNetwork: unknown key (did you mean serviceNetwork?)`,
			},
		},
		"values that are checked together": {
			"network:\n  clusterNetwork:\n  - 10.42.0.0\n  serviceNodePortRange: 40000\n",
			[]string{
				`sandbar/config.yaml:4: network.serviceNodePortRange: must be a string, not the number 40000 (put it in quotes: "40000")`,
			},
		},
		"bad network": {
			"network:\n  clusterNetwork:\n  - 10.42.0.0\n  serviceNodePortRange: 40000-3\n",
			[]string{
				`sandbar/config.yaml:3: network.clusterNetwork[0]: "10.42.0.0" is not a network such as 10.42.0.0/16`,
				`sandbar/config.yaml:4: network.serviceNodePortRange: "40000-3" must be within 1-65535 and ascending`,
			},
		},
		"networks that overlap": {
			"network:\n  serviceNetwork: [10.42.128.0/20]\n",
			[]string{`sandbar/config.yaml:2: network.serviceNetwork[0]: 10.42.128.0/20 overlaps the cluster network 10.42.0.0/16`},
		},
		"networks of one family": {
			"network:\n  serviceNetwork: [10.43.0.0/16, 10.44.0.0/16]\n",
			[]string{`sandbar/config.yaml:2: network.serviceNetwork: has two networks of the same IP family`},
		},
		"networks of unequal number": {
			"network:\n  serviceNetwork: [10.43.0.0/16, 'fd02::/112']\n",
			[]string{`sandbar/config.yaml:1: network.clusterNetwork: and network.serviceNetwork must have the same number of networks, not 1 and 2`},
		},
		"only IPv6": {
			"network:\n  clusterNetwork: ['fd01::/48']\n  serviceNetwork: ['fd02::/112']\n",
			[]string{`sandbar/config.yaml:2: network.clusterNetwork: must list an IPv4 network first: Sandbar has no IPv6 pod networks`},
		},
		"service network too small": {
			"network: {serviceNetwork: [10.43.0.0/29]}\n",
			[]string{`sandbar/config.yaml:1: network.serviceNetwork[0]: 10.43.0.0/29 must be between /8 and /28: the tenth address is the DNS server's`},
		},
		"enum": {
			"apiServer: {auditLog: {profile: default}}\n",
			[]string{`sandbar/config.yaml:1: apiServer.auditLog.profile: must be one of Default, WriteRequestBodies, AllRequestBodies, None, not "default"`},
		},
		"negative number": {
			"apiServer: {auditLog: {maxFiles: -1}}\n",
			[]string{`sandbar/config.yaml:1: apiServer.auditLog.maxFiles: -1 may not be negative`},
		},
		"number too large": {
			"apiServer: {auditLog: {maxFiles: 99999999999999999999}}\n",
			[]string{`sandbar/config.yaml:1: apiServer.auditLog.maxFiles: must be a whole number, not the number 99999999999999999999`},
		},
		"subject alternative names": {
			"apiServer:\n  subjectAltNames:\n  - localhost\n  - kubernetes.default.svc\n  - 127.0.0.1\n  - not a name\n  - '*.example.com'\n  - 192.168.1.1\n",
			[]string{
				`sandbar/config.yaml:3: apiServer.subjectAltNames[0]: localhost is in the certificate already and may not be listed`,
				`sandbar/config.yaml:4: apiServer.subjectAltNames[1]: kubernetes.default.svc is in the certificate already and may not be listed`,
				`sandbar/config.yaml:5: apiServer.subjectAltNames[2]: 127.0.0.1 is in the certificate already and may not be listed`,
				`sandbar/config.yaml:6: apiServer.subjectAltNames[3]: "not a name" may have lower-case letters, digits and hyphens only`,
			},
		},
		"addresses": {
			"apiServer:\n  advertiseAddress: 10.0.0.300\nnode:\n  nodeIP: 10.0.0.9\n",
			[]string{
				`sandbar/config.yaml:4: node.nodeIP: no interface of the node has the address 10.0.0.9`,
				`sandbar/config.yaml:2: apiServer.advertiseAddress: "10.0.0.300" is not an IP address`,
			},
		},
		"cipher suites": {
			"apiServer:\n  tls:\n    cipherSuites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA25]\n",
			[]string{`sandbar/config.yaml:3: apiServer.tls.cipherSuites[0]: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA25" is not a cipher suite` +
				` (did you mean TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256?)`},
		},
		"cipher suite of another version": {
			"apiServer:\n  tls:\n    minVersion: VersionTLS13\n    cipherSuites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n",
			[]string{`sandbar/config.yaml:4: apiServer.tls.cipherSuites[0]: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 is not a cipher suite of TLS 1.3` +
				` (TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256)`},
		},
		"feature gates without their set": {
			"apiServer:\n  featureGates:\n    customNoUpgrade:\n      enabled: [A]\n",
			[]string{`sandbar/config.yaml:3: apiServer.featureGates.customNoUpgrade: needs featureSet: CustomNoUpgrade`},
		},
		"feature gate both ways": {
			"apiServer:\n  featureGates:\n    featureSet: CustomNoUpgrade\n    customNoUpgrade:\n      enabled: [A]\n      disabled: [A]\n",
			[]string{`sandbar/config.yaml:4: apiServer.featureGates.customNoUpgrade: A is both enabled and disabled`},
		},
		"feature set of previews": {
			"apiServer: {featureGates: {featureSet: TechPreviewNoUpgrade}}\n",
			[]string{`sandbar/config.yaml:1: apiServer.featureGates.featureSet: the feature set TechPreviewNoUpgrade is not supported; use CustomNoUpgrade and list the gates`},
		},
		"DNS": {
			"dns:\n  configFile: Corefile\n  hosts:\n    status: Enabled\n    file: /no/such/file\n",
			[]string{
				`sandbar/config.yaml:2: dns.configFile: cannot be used together with dns.hosts`,
				`sandbar/config.yaml:5: dns.hosts.file: /no/such/file cannot be read: no such file or directory`,
				`sandbar/config.yaml:2: dns.configFile: "Corefile" is not an absolute path`,
			},
		},
		"manifests": {
			"manifests:\n  kustomizePaths: ['/etc/[', manifests]\n",
			[]string{
				`sandbar/config.yaml:2: manifests.kustomizePaths[0]: "/etc/[" is not a valid pattern`,
				`sandbar/config.yaml:2: manifests.kustomizePaths[1]: "manifests" is not an absolute path`,
			},
		},
		"node names": {
			"node: {hostnameOverride: 10.0.0.1}\n",
			[]string{`sandbar/config.yaml:1: node.hostnameOverride: must be a host name, not the address 10.0.0.1`},
		},
		"Sandbar's own": {
			"sandbar:\n  clusterName: My_Cluster\n  hostPorts: {api: 70000}\n  nodeLabels: {kubernetes.io/os: plan9}\n",
			[]string{
				`sandbar/config.yaml:2: sandbar.clusterName: "My_Cluster" may have lower-case letters, digits and hyphens only`,
				`sandbar/config.yaml:3: sandbar.hostPorts.api: 70000 is not a port (1 to 65535)`,
				`sandbar/config.yaml:4: sandbar.nodeLabels: kubernetes.io/os: kubelet may not set labels below kubernetes.io`,
			},
		},
		"key twice": {
			"dns:\n  baseDomain: a.example\ndns:\n  baseDomain: b.example\n",
			[]string{`sandbar/config.yaml:3: dns: is given twice (first on line 1)`},
		},
		"not YAML": {
			"dns:\n\tbaseDomain: a\n",
			[]string{`sandbar/config.yaml:2: is not valid YAML: found character that cannot start any token`},
		},
		"two documents": {
			"dns: {}\n---\nnode: {}\n",
			[]string{`sandbar/config.yaml:2: has a second YAML document; only one is read`},
		},
		"not a mapping": {
			"- dns\n",
			[]string{`sandbar/config.yaml:1: must be a mapping of keys, not a list`},
		},
		"endless aliases": {
			"kubelet: &a\n  again: [" + strings.Repeat("*a, ", 2) + "1]\n",
			[]string{`sandbar/config.yaml:2: kubelet: is too large or nested too deeply`},
		},
		"unknown key in a list": {
			"apiServer:\n  namedCertificates:\n  - certpath: /a\n    keyPaths: /b\n",
			[]string{`sandbar/config.yaml:4: apiServer.namedCertificates[0].keyPaths: unknown key (did you mean keyPath?)`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, map[string]string{"sandbar/config.yaml": test.text}, func(s *Sources) {
				s.HostAddresses = []netip.Addr{netip.MustParseAddr("10.88.0.2")}
			})
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestErrorIsOneLine(t *testing.T) {
	root, sources := write(t, map[string]string{"sandbar/config.yaml": "a: 1\nb: 2\n"})
	_, _, err := Load(sources)
	want := "invalid configuration: " + root + "/sandbar/config.yaml:1: a: unknown key; " + root + "/sandbar/config.yaml:2: b: unknown key"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

func TestMergeOfFiles(t *testing.T) {
	_, sources := write(t, map[string]string{
		"microshift/config.yaml":              "dns: {baseDomain: first.example}\napiServer:\n  subjectAltNames: [a.example, b.example]\n  auditLog: {maxFiles: 3}\n",
		"microshift/config.d/10-a.yaml":       "apiServer: {auditLog: {maxFileAge: 7}}\n",
		"sandbar/config.yaml":                 "APISERVER: {SubjectAltNames: [c.example]}\nkubelet: {maxPods: 50, evictionHard: {memory.available: 1Mi}}\n",
		"sandbar/config.d/10-empty.yaml":      "# nothing\n",
		"sandbar/config.d/20/deep.yaml":       "dns: {baseDomain: null}\nsandbar: {clusterName: demo}\n",
		"sandbar/config.d/30-ignored.yml":     "unknown: key\n",
		"sandbar/config.d/40-last.yaml":       "apiServer: {auditLog: {maxFiles: 4}}\nkubelet: {maxPods: 60}\nnode: {hostnameOverride: ''}\n",
		"sandbar/config.d/40-last.yaml.saved": "unknown: key\n",
	})
	config, warnings, err := Load(sources)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 0 {
		t.Errorf("unexpected warnings: %v", warnings)
	}
	if got := config.APIServer.SubjectAltNames; !slices.Equal(got, []string{"c.example"}) {
		t.Errorf("lists must be replaced, got %v", got)
	}
	if got := config.APIServer.AuditLog; got != (AuditLog{MaxFileAge: 7, MaxFiles: 4, MaxFileSize: 200, Profile: "None"}) {
		t.Errorf("mappings must be merged, got %+v", got)
	}
	if config.DNS.BaseDomain != "demo.sandbar.internal" {
		t.Errorf("null must bring back the default, got %q", config.DNS.BaseDomain)
	}
	if config.Kubelet["maxPods"] != 60 || config.Kubelet["evictionHard"] == nil {
		t.Errorf("the free mapping must be merged, got %v", config.Kubelet)
	}
	if config.NodeName() != "laptop" {
		t.Errorf("the node's name must be the host's in lower case, got %q", config.NodeName())
	}
}

func TestWarnings(t *testing.T) {
	root, sources := write(t, map[string]string{"sandbar/config.yaml": `
telemetry:
  status: Disabled
ingress:
  status: Managed
  tuningOptions: {threadCount: 2}
dns:
  resources: {requests: {cpu: 50m}}
debugging: {logLevel: Loud}
apiServer:
  tls: {cipherSuites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]}
  namedCertificates: [{certPath: /no/cert, keyPath: /no/key}]
storage: {driver: lvms}
network:
  clusterNetwork: [10.42.0.0/16, 'fd01::/48']
  serviceNetwork: [10.43.0.0/16, 'fd02::/112']
`})
	sources.KnownNodeName = "desk"
	config, warnings, err := Load(sources)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, warning := range warnings {
		got = append(got, warning.Code+" "+strings.ReplaceAll(warning.Message, root+"/", ""))
	}
	want := []string{
		`ConfigKeyWithoutEffect sandbar/config.yaml:2: telemetry has no effect in Sandbar`,
		`ConfigKeyWithoutEffect sandbar/config.yaml:6: ingress.tuningOptions has no effect in Sandbar`,
		`ConfigKeyWithoutEffect sandbar/config.yaml:8: dns.resources has no effect in Sandbar`,
		`NodeNameKept the host is now named "Laptop"; the node keeps its name "desk"`,
		`ConfigValue sandbar/config.yaml:15: network.clusterNetwork[1]: fd01::/48 has no effect in Sandbar, which has no IPv6 pod networks`,
		`ConfigValue sandbar/config.yaml:16: network.serviceNetwork[1]: fd02::/112 has no effect in Sandbar, which has no IPv6 pod networks`,
		`ConfigValue sandbar/config.yaml:11: apiServer.tls.cipherSuites: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 was added, since HTTP/2 needs it`,
		`ConfigValue sandbar/config.yaml:12: apiServer.namedCertificates[0]: is skipped: open /no/cert: no such file or directory`,
		`ConfigValue sandbar/config.yaml:9: debugging.logLevel: "Loud" is not a log level, Normal is used`,
		`ConfigValue sandbar/config.yaml:13: storage.driver: lvms has no effect in Sandbar, which uses its own driver`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if config.NodeName() != "desk" || len(config.Network.ClusterNetwork) != 1 || len(config.APIServer.NamedCertificates) != 0 {
		t.Errorf("the configuration must hold what is used: %+v", config)
	}
}

func TestNodeNameStays(t *testing.T) {
	got := problems(t, map[string]string{"sandbar/config.yaml": "node: {hostnameOverride: New}\n"}, func(s *Sources) {
		s.KnownNodeName = "old"
	})
	want := []string{`sandbar/config.yaml:1: node.hostnameOverride: the node is named "old" since its first start and cannot become "new"`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	directory := t.TempDir()
	if name, err := ReadNodeName(directory); name != "" || err != nil {
		t.Errorf("a new volume has no name: %q, %v", name, err)
	}
	if err := WriteNodeName(directory, "old"); err != nil {
		t.Fatal(err)
	}
	if name, err := ReadNodeName(directory); name != "old" || err != nil {
		t.Errorf("the name must be kept: %q, %v", name, err)
	}
}

func TestDefaults(t *testing.T) {
	config := Default()
	for name, pair := range map[string][2]any{
		"DNS address":     {config.DNSAddress().String(), "10.43.0.10"},
		"cluster network": {config.ClusterCIDR().String(), "10.42.0.0/16"},
		"base domain":     {config.DNS.BaseDomain, "default.sandbar.internal"},
		"node ports":      {config.Network.ServiceNodePortRange, "30000-32767"},
		"verbosity":       {config.Verbosity(), 2},
		"ingress domains": {strings.Join(config.IngressDomains(), " "), "default.localhost apps.default.sandbar.internal"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

// TestYAMLComesBack: the printed configuration is a valid file that gives the same.
func TestYAMLComesBack(t *testing.T) {
	_, sources := write(t, map[string]string{"sandbar/config.yaml": "sandbar: {clusterName: demo, nodeLabels: {a: b}}\nkubelet: {maxPods: 5}\nmanifests: {kustomizePaths: []}\n"})
	config, _, err := Load(sources)
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Manifests.KustomizePaths) != 0 {
		t.Errorf("[] must switch manifests off, got %v", config.Manifests.KustomizePaths)
	}
	printed, err := config.YAML()
	if err != nil {
		t.Fatal(err)
	}
	_, again := write(t, map[string]string{"sandbar/config.yaml": string(printed)})
	reloaded, warnings, err := Load(again)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("the printed configuration does not load: %v %v\n%s", err, warnings, printed)
	}
	second, err := reloaded.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if string(printed) != string(second) {
		t.Errorf("got\n%s\nwant\n%s", second, printed)
	}
}

func TestFeatureGates(t *testing.T) {
	_, sources := write(t, map[string]string{"sandbar/config.yaml": `
apiServer:
  featureGates:
    featureSet: CustomNoUpgrade
    customNoUpgrade: {enabled: [A], disabled: [B]}
    specialHandlingSupportExceptionRequired: {enabled: [C]}
`})
	config, _, err := Load(sources)
	if err != nil {
		t.Fatal(err)
	}
	gates := config.FeatureGates()
	if len(gates) != 3 || !gates["A"] || gates["B"] || !gates["C"] {
		t.Errorf("got %v", gates)
	}
}

func TestKubeletIsChecked(t *testing.T) {
	for message, want := range map[string]string{
		`kubelet: strict decoding error: unknown field "maxPod"`:               `sandbar/config.yaml:3: kubelet.maxPod: unknown key of the kubelet's configuration`,
		`kubelet: strict decoding error: unknown field "memorySwap.behaviour"`: `sandbar/config.yaml:5: kubelet.memorySwap.behaviour: unknown key of the kubelet's configuration`,
		"kubelet.port: is set by the node and cannot be changed":               `sandbar/config.yaml:2: kubelet.port: is set by the node and cannot be changed`,
		"kubelet: decode the configuration: no":                                `sandbar/config.yaml:1: kubelet: decode the configuration: no`,
	} {
		text := "kubelet:\n  port: 1\n  maxPod: 3\n  memorySwap:\n    behaviour: x\n"
		got := problems(t, map[string]string{"sandbar/config.yaml": text}, func(s *Sources) {
			s.CheckKubelet = func(overlay map[string]any) error {
				if overlay["maxPod"] != 3 {
					t.Errorf("got the mapping %v", overlay)
				}
				return errors.New(message)
			}
		})
		if !slices.Equal(got, []string{want}) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAuditPolicy(t *testing.T) {
	for profile, want := range map[string]string{
		"None": "", "Default": "- level: Metadata\n", "WriteRequestBodies": "  verbs: [create, update, patch, delete, deletecollection]\n- level: Metadata\n",
		"AllRequestBodies": "- level: RequestResponse\n- level: Metadata\n",
	} {
		policy := AuditLog{Profile: profile}.Policy()
		if (policy == "") != (want == "") || !strings.HasSuffix(policy, want) {
			t.Errorf("%s: got\n%s", profile, policy)
		}
		if policy == "" {
			continue
		}
		if _, err := auditpolicy.LoadPolicyFromBytes([]byte(policy)); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// FuzzLoad: no file makes the loader panic, hang, or give a configuration that does not load again.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "dns: {baseDomain: a}", "kubelet: &a {b: *a}", "apiServer: {namedCertificates: [{names: [a]}]}",
		"a: &a [1]\nb: *a", "network: {clusterNetwork: [10.0.0.0/8, 'fd00::/8']}", "---\n---\n", "? [a]\n: b", "{<<: {dns: {}}}",
		"kubelet: !!binary aGVsbG8=", "sandbar: {nodeLabels: {a: !!str 1}}", "\ufeffdns: {}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		documents := newDocuments()
		documents.add("fuzz.yaml", content)
		if len(documents.problems) > 0 {
			return
		}
		directory := t.TempDir()
		if err := os.WriteFile(filepath.Join(directory, "config.yaml"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		sources := Sources{Directories: []string{directory}, Hostname: "node"}
		config, _, err := Load(sources)
		if err != nil {
			if strings.Contains(err.Error(), "cannot be read: yaml") {
				t.Fatalf("the table let a shape pass that the struct does not take: %v", err)
			}
			return
		}
		printed, err := config.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(directory, "config.yaml"), printed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(sources); err != nil {
			t.Fatalf("the printed configuration does not load: %v\n%s", err, printed)
		}
	})
}
