//! The program as a process over the fake engine: each test has its own home, its own engine and no other environment.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should end there")]

mod all;
mod bad_input;
mod contract;
mod device;
mod doctor;
mod elsewhere;
mod ephemeral;
mod images;
mod interrupted;
mod kept;
mod kubeconfig;
mod library;
mod life;
mod machine;
mod node_image;
mod pause;
mod port;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/release_server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod release_server;
mod renew;
mod report;
mod sandbox;
mod scripts;
mod storm;
mod terminal;
mod tools;
