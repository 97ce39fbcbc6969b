package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletscheme "k8s.io/kubernetes/pkg/kubelet/apis/config/scheme"
)

// reservedKeys are what the node itself must decide: with another value the kubelet would not be this node's any more.
var reservedKeys = []string{
	"apiVersion", "kind", "authentication", "authorization", "containerRuntimeEndpoint", "registerNode", "staticPodURL",
	"tlsCertFile", "tlsPrivateKeyFile", "serverTLSBootstrap", "rotateCertificates", "enableServer", "port", "address",
	"cgroupDriver", "failCgroupV1", "clusterDNS", "clusterDomain",
}

// buildServer makes the kubelet's flags and configuration out of o. It is pure.
func buildServer(o Options) (*options.KubeletServer, error) {
	if len(o.NodeIPs) == 0 {
		return nil, errors.New("kubelet: the node has no address")
	}
	configuration, err := buildConfiguration(o)
	if err != nil {
		return nil, err
	}
	flags := options.NewKubeletFlags()
	flags.HostnameOverride = o.NodeName
	flags.NodeIP = joinAddresses(o.NodeIPs)
	flags.RootDirectory = o.RootDirectory
	flags.NodeLabels = maps.Clone(o.Labels)
	// Only whether it is empty matters: the clients are given as dependencies, and without a name here the kubelet
	// would run without an API server.
	flags.KubeConfig = "given by sandbar-node"
	return &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *configuration}, nil
}

// CheckOverlay says what is wrong with the user's KubeletConfiguration, before anything is started with it.
func CheckOverlay(overlay map[string]any) error {
	_, err := buildConfiguration(Options{Overlay: overlay}.withDefaults())
	return err
}

// buildConfiguration lays the user's keys over ours and decodes the whole strictly, so that a mistyped key is an error.
func buildConfiguration(o Options) (*kubeletconfig.KubeletConfiguration, error) {
	fields := baseConfiguration(o)
	for _, key := range slices.Sorted(maps.Keys(o.Overlay)) {
		if slices.Contains(reservedKeys, key) {
			return nil, fmt.Errorf("kubelet.%s: is set by the node and cannot be changed", key)
		}
		fields[key] = o.Overlay[key]
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("kubelet: encode the configuration: %w", err)
	}
	_, codecs, err := kubeletscheme.NewSchemeAndCodecs(serializer.EnableStrict)
	if err != nil {
		return nil, fmt.Errorf("kubelet: %w", err)
	}
	object, _, err := codecs.UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		if strict, ok := runtime.AsStrictDecodingError(err); ok {
			return nil, fmt.Errorf("kubelet: %w", strict)
		}
		return nil, fmt.Errorf("kubelet: decode the configuration: %w", err)
	}
	configuration, ok := object.(*kubeletconfig.KubeletConfiguration)
	if !ok {
		return nil, fmt.Errorf("kubelet: the configuration decodes as %T", object)
	}
	return configuration, nil
}

// baseConfiguration is a KubeletConfiguration of version v1beta1 as its JSON fields.
func baseConfiguration(o Options) map[string]any {
	fields := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",

		"address": listenAddress(o.NodeIPs),
		"port":    Port,
		// The node checks the kubelet through its Node object; nothing needs another port.
		"healthzPort":        0,
		"readOnlyPort":       0,
		"tlsCertFile":        o.ServingCertFile,
		"tlsPrivateKeyFile":  o.ServingKeyFile,
		"rotateCertificates": false,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": o.ClientCAFile},
		},
		"authorization": map[string]any{"mode": "Webhook"},

		"containerRuntimeEndpoint": "unix://" + o.RuntimeSocket,
		"resolvConf":               o.ResolvConf,
		"clusterDNS":               addressStrings(o.ClusterDNS),
		"clusterDomain":            o.ClusterDomain,

		"cgroupDriver": "cgroupfs",
		"cgroupRoot":   o.CgroupRoot,
		"failCgroupV1": false,
		// Laptops have swap, and their disks are fuller than servers' are: neither may make a cluster unusable.
		"failSwapOn":                       false,
		"evictionHard":                     map[string]string{},
		"imageGCHighThresholdPercent":      100,
		"imageGCLowThresholdPercent":       99,
		"evictionPressureTransitionPeriod": "30s",
		"enforceNodeAllocatable":           []string{"pods"},

		"serializeImagePulls":   false,
		"maxParallelImagePulls": 4,
		"registryPullQPS":       0,
		"eventRecordQPS":        0,
		"kubeAPIQPS":            1000,
		"kubeAPIBurst":          2000,

		// The lease is the heartbeat. The status is computed every ten seconds but written only when it changes, or
		// after the report period.
		"nodeStatusUpdateFrequency": "10s",
		"nodeStatusReportFrequency": "5m0s",
		"nodeLeaseDurationSeconds":  40,
		// Volumes' use is measured for kubectl's and the metrics API's sake only.
		"volumeStatsAggPeriod": "2m0s",
		// Secrets and ConfigMaps in pods follow their objects by a watch.
		"configMapAndSecretChangeDetectionStrategy": "Watch",

		// It would edit iptables' tables; kube-proxy uses nftables alone.
		"makeIPTablesUtilChains": false,
		"memoryManagerPolicy":    "None",
		"cpuManagerPolicy":       "none",
		"topologyManagerPolicy":  "none",
		"protectKernelDefaults":  false,
		// 0 keeps the limit that the engine gave: raising it fails without CAP_SYS_RESOURCE.
		"maxOpenFiles":           1000000,
		"maxPods":                250,
		"enableSystemLogQuery":   false,
		"volumePluginDir":        o.RootDirectory + "/volumeplugins",
		"shutdownGracePeriod":    "0s",
		"hairpinMode":            "none",
		"containerLogMaxSize":    "10Mi",
		"containerLogMaxFiles":   3,
		"enableProfilingHandler": false,
	}
	if o.MaxOpenFiles > 0 {
		fields["maxOpenFiles"] = o.MaxOpenFiles
	}
	if !o.CanLowerOOMScore {
		// The kubelet sets it again each minute: to what it is, which is always allowed.
		fields["oomScoreAdj"] = o.OOMScore
	}
	if o.TLSMinVersion != "" {
		fields["tlsMinVersion"] = o.TLSMinVersion
	}
	if len(o.TLSCipherSuites) > 0 {
		fields["tlsCipherSuites"] = o.TLSCipherSuites
	}
	return fields
}

// listenAddress is where the kubelet's API is served: where the API server looks for it, the node's first address. Without
// one, as when only an overlay is checked, it is left open.
func listenAddress(nodeIPs []netip.Addr) string {
	if len(nodeIPs) == 0 {
		return ""
	}
	return nodeIPs[0].String()
}

func addressStrings(addresses []netip.Addr) []string {
	texts := make([]string, 0, len(addresses))
	for _, address := range addresses {
		texts = append(texts, address.String())
	}
	return texts
}

func joinAddresses(addresses []netip.Addr) string {
	return strings.Join(addressStrings(addresses), ",")
}
