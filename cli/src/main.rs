//! `twintalk`, the command line. Its verbs are not here yet.
#![forbid(unsafe_code)]

fn main() {}
