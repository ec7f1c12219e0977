//! Runs one turn of TwinTalk bytecode, or a program.
//!
//! A [`Vm`] links verified images ([`link`]) and runs them: [`interpret`] has a handler for each
//! instruction, [`send`] the sends in full, [`unwind`] exceptions, [`heap`] the objects. What a turn
//! reads and does is [`turn`]'s, and all it sees of the world comes through the one trait of [`world`].
//!
//! Nothing here opens a file, reads a clock or starts a thread. Callers verify images before they link
//! them; linked code cannot leave its memory, and what it spends is limited by fuel, memory and depth.
#![deny(unsafe_code)]

mod apart;
mod carry;
pub mod class;
mod clone;
pub mod codec;
mod commit;
mod delta;
mod drive;
pub mod exact;
pub mod fault;
#[allow(unsafe_code, reason = "windows and frames are reached by pointer")]
pub mod frame;
#[allow(unsafe_code, reason = "objects are words")]
pub mod heap;
pub mod indexed;
#[allow(unsafe_code, reason = "handlers run verified code without checking it again")]
pub mod interpret;
pub mod link;
pub mod many;
#[allow(unsafe_code, reason = "the bytes of a short name are text")]
mod name;
pub mod number;
mod part;
pub mod primitive;
pub mod primitives;
pub mod profile;
mod promise;
mod quantity;
pub mod reference;
#[allow(unsafe_code, reason = "the slow half of the interpreter")]
pub mod send;
pub mod shape;
mod supervise;
pub mod symbol;
mod traced;
pub mod tree;
pub mod turn;
#[allow(unsafe_code, reason = "a run reaches the world that its turn was given")]
mod turn_world;
#[allow(unsafe_code, reason = "the slow half of the interpreter")]
pub mod unwind;
pub mod value;
pub mod vm;
pub mod world;

pub use apart::PROMISE_PIECE;
pub use class::{Class, ClassId, ClassKind};
pub use delta::{AtRest, PieceChange, Pieces};
pub use fault::{ExceptionKind, Fault};
pub use link::LinkError;
pub use link::earlier::Program as EarlierProgram;
pub use name::Name;
pub use shape::{Shape, Shapes};
pub use symbol::Symbol;
pub use tree::Tree;
pub use value::{Kind, Value};
pub use vm::{Limits, Vm};
pub use world::{Answer, FarAnswer, FarQuery, Given, ProgramWorld, Request, World};
