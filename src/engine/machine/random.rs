//! Randomness of the system, for keys and for guests.

use std::io;

/// Fills a buffer with what nobody can foretell.
pub fn fill(buffer: &mut [u8]) -> io::Result<()> {
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(buffer).map_err(|_| io::Error::other("this system gives no randomness"))
}
