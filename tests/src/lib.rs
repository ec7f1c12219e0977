//! What the tests share: programs made at random, and what must hold for any program. The tests themselves live in `tests/`.
#![forbid(unsafe_code)]

pub mod programs;
pub mod trial;
