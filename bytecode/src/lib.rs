//! The contract between compiler, interpreter and JIT: instructions, their encoding, and images.
//!
//! One table ([`op`]) says what instructions there are; encoder, decoder, listing and the tables
//! of handlers elsewhere derive from it.
#![forbid(unsafe_code)]

pub mod codec;
pub mod definitions;
pub mod disasm;
pub mod file;
pub mod image;
pub mod op;
pub mod operand;
pub mod units;
pub mod verify;

pub use image::Image;
pub use op::{Op, Opcode};
