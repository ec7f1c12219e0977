//! The VM from outside: images in, answers, faults and traces out.

mod assemble;
mod block;
mod clone;
mod exception;
mod hostile;
mod index;
mod object;
mod primitive;
mod profile;
mod program;
mod send;
mod stack;
