//! The built program, run in folders as a user would run it: what it says where, and how it exits.

mod backup;
mod deadletters;
mod demo;
mod doc;
mod folder;
mod machine;
mod past;
mod profile;
mod repl;
mod shown;
mod som;
mod source;
mod test;
mod twins;
mod whatif;
