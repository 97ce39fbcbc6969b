//! The one place that reads the environment.
