//! The primitives, one file per class of the kernel.
//!
//! Each file has `pub const ROWS: &[Row]`, its rows named `Prototype.selector`, or
//! `Prototype class.selector` behind the dashes; [`TABLES`] collects them. Any program may name any
//! primitive in a method of its own, so a primitive checks its receiver like its arguments.

use crate::primitive::Row;

mod block;
mod exception;
mod prototype;
mod twin;

/// The rows of every file.
pub const TABLES: &[&[Row]] = &[block::ROWS, exception::ROWS, prototype::ROWS, twin::ROWS];
