//! How fast a device's disk and network are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Percent;

/// How fast a disk is at most. What is left out is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskLimits {
    /// Bytes a second that are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes_per_second: Option<u64>,
    /// Bytes a second that are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_bytes_per_second: Option<u64>,
    /// Reads a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u64>,
    /// Writes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u64>,
}

/// What a network is like. What is left out is as this host has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Link {
    /// Thousands of bits a second that come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_kbit: Option<u64>,
    /// Thousands of bits a second that go out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_kbit: Option<u64>,
    /// What a round trip takes longer, in milliseconds; half of it each way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_millis: Option<u32>,
    /// Packets that are lost, of a hundred, each way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_percent: Option<Percent>,
}

impl DiskLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

impl Link {
    /// Whether it is as this host has it.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}
