//! The primitives, one file per class of the kernel.
//!
//! Each file has `pub const ROWS: &[Row]`, its rows named `Prototype.selector`, or
//! `Prototype class.selector` behind the dashes; [`TABLES`] collects them. Any program may name any
//! primitive in a method of its own, so a primitive checks its receiver like its arguments.

use crate::primitive::Row;

mod array;
mod block;
mod exception;
mod float;
mod hashed;
mod integer;
mod json;
mod large_table;
pub(crate) mod list;
mod machine;
mod object;
mod promise;
mod prototype;
mod quantity;
mod stream;
mod support;
mod text;
mod twin;

/// A float as it prints.
pub(crate) use float::text as float_text;

/// The rows of every file.
pub const TABLES: &[&[Row]] = &[
    array::ROWS,
    block::ROWS,
    exception::ROWS,
    float::ROWS,
    hashed::ROWS,
    integer::ROWS,
    json::ROWS,
    list::ROWS,
    machine::ROWS,
    object::ROWS,
    promise::ROWS,
    prototype::ROWS,
    quantity::ROWS,
    stream::ROWS,
    text::ROWS,
    twin::ROWS,
];
