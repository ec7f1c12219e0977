//! TwinTalk source text to bytecode image: a pure function, without files, clock or running code.
#![forbid(unsafe_code)]

pub mod ast;
pub mod diagnostic;
