//! Every case of `spec/cases/`, in every mode; and `spec/language.md` against the compiler and the cases.

mod case;
mod coverage;
mod run;
mod sources;
