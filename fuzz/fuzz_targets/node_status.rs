#![no_main]

#[path = "../limit.rs"]
mod limit;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sandbar::fuzzing::node_status(bytes));
