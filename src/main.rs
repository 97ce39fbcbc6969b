//! The `sandbar` program.

fn main() {}
