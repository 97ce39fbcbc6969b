//! A profile: what a machine has to be so that it plays a device.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DiskLimits, Link};
use crate::engine::machine::architecture::Architecture;
use crate::spec::Memory;

/// A device that a machine can play.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Its name: lower-case letters, digits and hyphens. It becomes the label `sandbar.dev/device` of the node.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The architecture of its processor.
    pub architecture: Architecture,
    /// What it says that it is: /proc/device-tree/model, and on x86 the product of the system's DMI table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Cores.
    pub cores: u32,
    /// What is not emulated, in words.
    pub not_emulated: Vec<String>,
    /// Its processor; the best of the architecture that QEMU has where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<DeviceCpu>,
    /// Memory.
    pub memory: DeviceMemory,
    /// The disk of the cluster's data.
    pub disk: DeviceDisk,
    /// Its network.
    #[serde(default, skip_serializing_if = "Link::is_unlimited")]
    pub network: Link,
    /// Labels of the Node object.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When the kubelet makes room; Kubernetes' own thresholds where it is left out.
    #[serde(default)]
    pub kubelet: Thresholds,
}

/// A processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceCpu {
    /// QEMU's name for it (`qemu-system-aarch64 -machine virt -cpu help`), or for the nearest that QEMU has.
    pub model: String,
    /// How it differs from the device's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Memory of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceMemory {
    /// What it has where nobody says how much.
    pub default: Memory,
    /// Sizes that it is sold with; any will do where this is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Memory>,
}

/// The disk of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceDisk {
    /// Its size; it takes no more of this host's than is written to it.
    pub size: Memory,
    /// Bytes a second that are read at most; not limited where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub read_bytes_per_second: Option<u64>,
    /// Bytes a second that are written at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub write_bytes_per_second: Option<u64>,
    /// Reads a second at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub read_iops: Option<u64>,
    /// Writes a second at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub write_iops: Option<u64>,
}

/// When the kubelet makes room: <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Below which amounts or percentages pods are evicted at once, by the kubelet's signals.
    #[serde(rename = "evictionHard")]
    pub eviction_hard: BTreeMap<String, String>,
    /// How full the disk is, in percent, when images that nothing uses are removed.
    #[serde(rename = "imageGCHighThresholdPercent")]
    #[schemars(range(min = 0, max = 100))]
    pub image_gc_high: u8,
    /// Down to which percentage they are.
    #[serde(rename = "imageGCLowThresholdPercent")]
    #[schemars(range(min = 0, max = 100))]
    pub image_gc_low: u8,
}

impl Default for Thresholds {
    /// Those of a kubelet that nobody configured (`KubeletConfiguration` v1beta1 of Linux).
    fn default() -> Self {
        let signals = [
            ("memory.available", "100Mi"),
            ("nodefs.available", "10%"),
            ("nodefs.inodesFree", "5%"),
            ("imagefs.available", "15%"),
            ("imagefs.inodesFree", "5%"),
        ];
        Self {
            eviction_hard: signals.into_iter().map(|(signal, least)| (signal.to_owned(), least.to_owned())).collect(),
            image_gc_high: 85,
            image_gc_low: 80,
        }
    }
}

impl DeviceDisk {
    /// How fast it is.
    #[must_use]
    pub fn limits(&self) -> DiskLimits {
        DiskLimits {
            read_bytes_per_second: self.read_bytes_per_second,
            write_bytes_per_second: self.write_bytes_per_second,
            read_iops: self.read_iops,
            write_iops: self.write_iops,
        }
    }
}

impl Device {
    /// The label by which pods and people find it.
    pub const LABEL: &str = "sandbar.dev/device";

    /// The labels of its Node object.
    #[must_use]
    pub fn node_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(Self::LABEL.to_owned(), self.name.clone());
        labels
    }

    /// What somebody who asks for other memory or more cores than the board has should know.
    #[must_use]
    pub fn remarks(&self, cores: Option<u32>, memory: Option<&Memory>) -> Vec<String> {
        let mut remarks = Vec::new();
        let choices = &self.memory.choices;
        if let Some(memory) = memory.filter(|memory| !choices.is_empty() && !choices.contains(memory)) {
            let sold: Vec<String> = choices.iter().map(ToString::to_string).collect();
            remarks.push(format!("no {} has {memory} of memory; there are those with {}", self.title, sold.join(", ")));
        }
        if let Some(cores) = cores.filter(|cores| *cores > self.cores) {
            remarks.push(format!("{} has {} cores, not {cores}", self.title, self.cores));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;

    #[test]
    fn what_no_board_has_is_said() {
        let device = find("raspberry-pi-4").unwrap().device();
        let memory = |text: &str| text.parse().unwrap();
        assert!(device.remarks(Some(2), Some(&memory("2048Mi"))).is_empty());
        let remarks = device.remarks(Some(8), Some(&memory("3Gi")));
        assert_eq!(
            remarks,
            [
                "no Raspberry Pi 4 Model B has 3Gi of memory; there are those with 2Gi, 4Gi, 8Gi",
                "Raspberry Pi 4 Model B has 4 cores, not 8"
            ]
        );
        // Where nothing is said of choices, any is one.
        assert!(find("arm64").unwrap().device().remarks(None, Some(&memory("3Gi"))).is_empty());
    }
}
