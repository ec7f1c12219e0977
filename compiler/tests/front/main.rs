//! From text to tree, and from text to better-looking text.

mod print;
mod trees;
