//! Checks that try things: what a cluster needs of this machine and of its engine, with why it matters and what helps.
//!
//! What only shows inside a container is tried in one container that is thrown away, made with all that a node gets
//! ([`container`]). The quick ones run before `up` makes anything ([`preflight`]). Everything goes through [`Host`]; nothing
//! here knows a terminal or a concrete engine, and nothing changes the machine but a [`Fix`] that is applied.

mod catalogue;
mod check;
mod clock;
mod container;
mod engine;
mod files;
mod finding;
mod fix;
mod names;
mod ports;
mod preflight;
mod proxy;
mod run;
mod subnets;

pub use self::catalogue::CHECKS;
pub use self::check::{Check, CheckReport, Outcome, Place, find};
pub use self::fix::{Fix, FixError};
pub use self::preflight::{Unfit, preflight};
pub use self::proxy::Proxy;
pub use self::run::{Report, Request, run};
