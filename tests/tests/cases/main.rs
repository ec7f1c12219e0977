//! `spec/language.md` against the compiler.

mod coverage;
