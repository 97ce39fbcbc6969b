//! What a cluster is and how it becomes that: lifecycle, plan, journaled transaction.

pub mod probe;
