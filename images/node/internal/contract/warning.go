package contract

// Warning is something that a user should know and that does not stop the node.
type Warning struct {
	// Code is one of the Warning… constants, or another package's.
	Code string `json:"code"`
	// Message says what is.
	Message string `json:"message"`
	// Hint says what to do about it; it may be empty.
	Hint string `json:"hint"`
}

const (
	// WarningKeyWithoutEffect: a configuration key of MicroShift that means nothing here.
	WarningKeyWithoutEffect = "ConfigKeyWithoutEffect"
	// WarningConfigValue: a configuration value that was not taken as it stands.
	WarningConfigValue = "ConfigValue"
	// WarningConfigInvalid: the configuration has errors; the node does not start with it.
	WarningConfigInvalid = "ConfigInvalid"
	// WarningNodeNameKept: the host has another name than the node, which keeps its own.
	WarningNodeNameKept = "NodeNameKept"
	// WarningDiskFull: the volume has so little space that writes fail or are about to.
	WarningDiskFull = "DiskFull"
	// WarningDiskLow: the volume will be full before long.
	WarningDiskLow = "DiskLow"
	// WarningDiskUnknown: the volume's space cannot be read.
	WarningDiskUnknown = "DiskUnknown"
	// WarningMemoryExhausted: the node's memory limit was reached, and the kernel ended processes for it.
	WarningMemoryExhausted = "MemoryExhausted"
	// WarningMemoryLow: the node will reach its memory limit before long.
	WarningMemoryLow = "MemoryLow"
	// WarningMemoryUnknown: what the node has of its memory cannot be read.
	WarningMemoryUnknown = "MemoryUnknown"
	// WarningNamesOutside: pods do not find names outside the cluster.
	WarningNamesOutside = "NamesOutsideFail"
	// WarningAuthorityEnds: the cluster's certificate authorities will not be valid before long.
	WarningAuthorityEnds = "AuthorityEnds"
	// WarningAuthorityEnded: they are not valid any more.
	WarningAuthorityEnded = "AuthorityEnded"
	// WarningNodeUnreachable: sandbar-node does not answer; the report is sandbar-init's.
	WarningNodeUnreachable = "NodeUnreachable"
	// WarningInitUnreachable: sandbar-init does not answer, so its children's states are not known.
	WarningInitUnreachable = "InitUnreachable"
)

// UnhealthyCodes are the codes with which a node is not healthy, whatever its components say.
func UnhealthyCodes() []string {
	return []string{
		WarningConfigInvalid, WarningDiskFull, WarningDiskUnknown, WarningAuthorityEnded,
		WarningNodeUnreachable, WarningInitUnreachable,
	}
}
