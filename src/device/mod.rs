//! Devices that a machine can play: profiles of boards, as data.
//!
//! A profile is a TOML file. Those of known boards come with this program; a user's own works the same. Nothing here has an
//! effect: what a profile means for QEMU, the node and Kubernetes is said where those are spoken to.

mod error;
mod limits;
mod parse;
mod percent;
mod profile;
mod schema;
mod shipped;

pub use self::error::ProfileError;
pub use self::limits::{DiskLimits, Link};
pub use self::parse::parse;
pub use self::percent::{Percent, PercentError};
pub use self::profile::{Device, DeviceCpu, DeviceDisk, DeviceMemory, Thresholds};
pub use self::schema::profile_schema;
pub use self::shipped::{Shipped, find, is_path, names, shipped};
