//! What a command may know of its surroundings, built once in `main`.
