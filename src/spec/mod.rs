//! The cluster file, flags and defaults, resolved into one `ClusterSpec`.
