package config

// effect says what a key does here.
type effect int

const (
	// works: the node does what the key says.
	works effect = iota
	// without: MicroShift knows the key, it means nothing here, and a warning says so.
	without
)

// key is one line of the table: everything the loader knows of a configuration key.
type key struct {
	// path names the key from the top; "[]" after a part means a list of mappings.
	path string
	// effect says what it does here.
	effect effect
	// shape is what its value must look like.
	shape shape
}

// keyTable lists every key. The three classes come from it: a key that is listed works or is warned of, any other is an
// error. A new key is one line here and a field in [Config] when it works.
func keyTable() []key {
	toggle := oneOf("Disabled", "Enabled")
	return []key{
		{"apiServer.advertiseAddress", works, text},
		{"apiServer.auditLog.maxFileAge", works, integer},
		{"apiServer.auditLog.maxFileSize", works, integer},
		{"apiServer.auditLog.maxFiles", works, integer},
		{"apiServer.auditLog.profile", works, oneOf("Default", "WriteRequestBodies", "AllRequestBodies", "None")},
		{"apiServer.featureGates.featureSet", works, text},
		{"apiServer.featureGates.customNoUpgrade.enabled", works, listOf(text)},
		{"apiServer.featureGates.customNoUpgrade.disabled", works, listOf(text)},
		{"apiServer.featureGates.specialHandlingSupportExceptionRequired.enabled", works, listOf(text)},
		{"apiServer.featureGates.specialHandlingSupportExceptionRequired.disabled", works, listOf(text)},
		{"apiServer.namedCertificates[].certPath", works, text},
		{"apiServer.namedCertificates[].keyPath", works, text},
		{"apiServer.namedCertificates[].names", works, listOf(text)},
		{"apiServer.subjectAltNames", works, listOf(text)},
		{"apiServer.tls.cipherSuites", works, listOf(text)},
		{"apiServer.tls.minVersion", works, oneOf("VersionTLS12", "VersionTLS13")},

		{"clusterToCluster.dns.cacheTTL", without, integer},
		{"clusterToCluster.dns.cacheNegativeTTL", without, integer},
		{"clusterToCluster.probeInterval", without, text},
		{"clusterToCluster.remoteClusters[].clusterNetwork", without, listOf(text)},
		{"clusterToCluster.remoteClusters[].domain", without, text},
		{"clusterToCluster.remoteClusters[].nextHop", without, listOf(text)},
		{"clusterToCluster.remoteClusters[].serviceNetwork", without, listOf(text)},
		{"clusterToCluster.routing.routeTableID", without, integer},
		{"clusterToCluster.routing.serviceRouteTableID", without, integer},

		{"debugging.logLevel", works, text},

		{"dns.baseDomain", works, text},
		{"dns.configFile", works, text},
		{"dns.hosts.file", works, text},
		{"dns.hosts.status", works, toggle},
		{"dns.resources.limits", without, anyMapping},
		{"dns.resources.requests", without, anyMapping},

		{"etcd.memoryLimitMB", without, integer},

		{"genericDevicePlugin.devices", without, anything},
		{"genericDevicePlugin.domain", without, text},
		{"genericDevicePlugin.status", without, toggle},

		{"ingress.accessLogging", without, anyMapping},
		{"ingress.certificateSecret", without, text},
		{"ingress.clientTLS.allowedSubjectPatterns", without, listOf(text)},
		{"ingress.clientTLS.clientCA.name", without, text},
		{"ingress.clientTLS.clientCertificatePolicy", without, oneOf("Required", "Optional")},
		{"ingress.defaultHTTPVersion", without, integer},
		{"ingress.forwardedHeaderPolicy", without, oneOf("Append", "Replace", "IfNone", "Never")},
		{"ingress.httpCompression.mimeTypes", without, listOf(text)},
		{"ingress.httpEmptyRequestsPolicy", without, oneOf("Respond", "Ignore")},
		{"ingress.httpErrorCodePages.name", without, text},
		{"ingress.listenAddress", without, listOf(text)},
		{"ingress.logEmptyRequests", without, oneOf("Log", "Ignore")},
		{"ingress.ports.http", without, integer},
		{"ingress.ports.https", without, integer},
		{"ingress.routeAdmissionPolicy.namespaceOwnership", without, oneOf("InterNamespaceAllowed", "Strict")},
		{"ingress.routeAdmissionPolicy.wildcardPolicy", without, oneOf("WildcardsDisallowed", "WildcardsAllowed")},
		{"ingress.status", works, oneOf("Managed", "Removed")},
		{"ingress.tlsSecurityProfile.custom.ciphers", without, listOf(text)},
		{"ingress.tlsSecurityProfile.custom.minTLSVersion", without, text},
		{"ingress.tlsSecurityProfile.type", without, oneOf("Intermediate", "Old", "Modern", "Custom")},
		{"ingress.tuningOptions.clientFinTimeout", without, text},
		{"ingress.tuningOptions.clientTimeout", without, text},
		{"ingress.tuningOptions.headerBufferBytes", without, integer},
		{"ingress.tuningOptions.headerBufferMaxRewriteBytes", without, integer},
		{"ingress.tuningOptions.healthCheckInterval", without, text},
		{"ingress.tuningOptions.maxConnections", without, integer},
		{"ingress.tuningOptions.serverFinTimeout", without, text},
		{"ingress.tuningOptions.serverTimeout", without, text},
		{"ingress.tuningOptions.threadCount", without, integer},
		{"ingress.tuningOptions.tlsInspectDelay", without, text},
		{"ingress.tuningOptions.tunnelTimeout", without, text},

		{"kubelet", works, anyMapping},

		{"manifests.kustomizePaths", works, listOf(text)},

		{"network.clusterNetwork", works, listOf(text)},
		{"network.cniPlugin", without, oneOf("", "ovnk", "none")},
		{"network.multus.status", without, toggle},
		{"network.serviceNetwork", works, listOf(text)},
		{"network.serviceNodePortRange", works, text},

		{"node.hostnameOverride", works, text},
		{"node.nodeIP", works, text},
		{"node.nodeIPv6", without, text},

		{"sandbar.clusterName", works, text},
		{"sandbar.hostPorts.api", works, integer},
		{"sandbar.hostPorts.http", works, integer},
		{"sandbar.hostPorts.https", works, integer},
		{"sandbar.nodeLabels", works, mapOf(text)},

		{"storage.driver", works, oneOf("", "lvms", "none")},
		{"storage.optionalCsiComponents", without, listOf(text)},

		{"telemetry.endpoint", without, text},
		{"telemetry.proxy", without, text},
		{"telemetry.status", without, oneOf("Enabled", "Disabled")},
	}
}
