//! Linux, macOS and Windows behind one trait.
