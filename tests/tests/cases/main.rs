//! Every case of `spec/cases/`, in every mode; and the pages of `spec/` against the sources and the cases.

mod case;
mod coverage;
mod delivery;
mod fork;
mod rebuild;
mod run;
mod sources;
