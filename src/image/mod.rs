//! Getting images into nodes.
