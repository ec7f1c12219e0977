//! The VM from outside: images in, answers, faults and traces out.

mod assemble;
mod send;
