//! From text to tree, and from text to better-looking text.

mod anything;
mod generate;
mod layout;
mod mistakes;
mod print;
mod trees;
