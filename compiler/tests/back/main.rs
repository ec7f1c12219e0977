//! What the compiler makes of programs: instructions, images and diagnostics of meaning.

mod check;
mod definitions;
mod diagnostics;
mod kernel;
mod listings;
