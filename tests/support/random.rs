//! Chance that can be repeated.

/// A generator of numbers that needs no crate (Numerical Recipes' linear congruence).
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed: it is printed, and can be given again with `SANDBAR_TEST_SEED`.
    #[expect(clippy::print_stderr, reason = "whoever repeats a test has to know")]
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test's own setting")]
        let given = std::env::var("SANDBAR_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into());
        eprintln!("SANDBAR_TEST_SEED={seed}");
        Self(seed)
    }

    /// A generator of its own for another thread.
    #[allow(dead_code, reason = "not every test has threads")]
    pub fn branch(&mut self) -> Self {
        Self(self.below(1 << 30))
    }

    /// A number below that limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
