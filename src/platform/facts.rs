//! What machine and system this is, for reports.

/// What machine and system this is.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostFacts {
    /// Such as `Debian GNU/Linux 12 (bookworm)`, or the kernel's name where the system has no other.
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
    /// Such as `x86_64`.
    pub architecture: String,
    /// How many processors this program may use.
    pub processors: Option<usize>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory in bytes that is available without swapping.
    pub available_bytes: Option<u64>,
    /// Version of the control groups: `1`, `2`, or `1 and 2` where both are in use. None where there are none.
    pub cgroups: Option<&'static str>,
}
