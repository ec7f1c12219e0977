//! Arithmetic and printing beside what Rust and `num-bigint` say: the same for numbers by chance.
