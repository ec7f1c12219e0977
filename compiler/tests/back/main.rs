//! What the compiler makes of programs: instructions, images and diagnostics of meaning.

mod check;
mod definitions;
mod diagnostics;
mod generated;
mod kernel;
mod limits;
mod listings;
mod machine;
mod mangled;
mod programs;
mod tree_walk;
