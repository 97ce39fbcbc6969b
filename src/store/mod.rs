//! Sandbar's own files: versioned, locked, atomic.
