//! stdout for results, stderr for everything else.

pub mod reporter;
