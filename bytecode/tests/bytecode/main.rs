//! Tests of the contract: file, verifier, listing, and what `spec/bytecode.md` says of them.

mod builder;
mod disasm;
mod file;
mod spec;
mod verify;
