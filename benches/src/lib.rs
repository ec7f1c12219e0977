//! The benches.
