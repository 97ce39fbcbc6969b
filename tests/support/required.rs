//! Which engines have to be here: `make test` names those that it installed, and then a suite that cannot use one fails,
//! where it otherwise counts the engine's tests as skipped.

use libtest_mimic::{Failed, Trial};

/// The variable with their names, separated by spaces.
const VARIABLE: &str = "SANDBAR_TEST_REQUIRE";

/// A failure for an engine that has to be here and cannot be used, for that reason.
#[expect(clippy::disallowed_methods, reason = "it is the tests' own variable")]
pub fn failure(engine: &str, reason: &str) -> Option<Trial> {
    let required = std::env::var(VARIABLE).unwrap_or_default();
    let reason = reason.to_owned();
    required
        .split_ascii_whitespace()
        .any(|name| name == engine)
        .then(|| Trial::test(format!("{engine}::can_be_used"), move || Err(Failed::from(reason))))
}
