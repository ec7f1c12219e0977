//! Tests of the store: records as bytes, and what both stores promise.

mod anew;
mod both;
mod crash;
mod fixture;
mod folder;
mod hostile;
mod keys;
mod record;
mod sample;
