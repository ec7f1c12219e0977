//! Where the parts meet. `System` is not written yet; what passes its door is.
#![forbid(unsafe_code)]

pub mod datum;
pub mod json;
pub mod kernel;
pub mod time;
