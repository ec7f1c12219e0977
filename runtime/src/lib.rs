//! Where the parts meet: compiled definitions, the VM that runs turns, and the log that keeps them.
//!
//! [`System`] is the front door. Inside, a [`partition`] takes messages off its queue, runs each as one turn,
//! and writes one record; [`replay`] makes state of records again. Only this crate sees both
//! values and bytes on disk, and only [`clock`] reads time.
#![forbid(unsafe_code)]

mod backup;
mod catalog;
mod changes;
mod clock;
mod commit;
#[cfg(test)]
mod crash;
mod cut;
pub mod datum;
mod deadletters;
mod difference;
pub mod export;
mod flush;
mod fork;
mod index;
pub mod json;
pub mod kernel;
mod many;
mod message;
mod near;
mod partition;
mod partitions;
mod past;
mod pieces;
mod place;
mod post;
mod program;
mod rebuild;
mod recall;
mod replay;
mod resident;
mod slab;
mod supervise;
mod supervision;
mod system;
pub mod time;
mod timers;
mod trial;
mod turn;
mod upgrade;
mod values;
mod verify;

pub use changes::SlotChange;
pub use clock::{ClockKind, VIRTUAL_START_NS};
pub use cut::Cut;
pub use datum::Datum;
pub use deadletters::{DeadLetter, LetterId, QuarantinedTwin};
pub use difference::{Change, Difference, Part};
pub use export::ImportError;
pub use fork::{Dropped, ForkFault, Forked, Inserted, WhatIf};
pub use message::FaultReport;
pub use near::Reading;
pub use partition::Discipline;
pub use past::{Link, LinkStep, LookError, Reason, TwinDifference};
pub use program::Program;
pub use replay::{HistoryEntry, Moment, TwinState, TwinSummary};
#[doc(hidden)]
pub use system::Simulated;
pub use system::{FeedMessage, OpenError, OpenOptions, Output, SendError, System};
pub use trial::{Trial, TrialStep, Tried};
pub use twintalk_store::{CheckReport, Durability, Position, Settings, StoreError};
pub use twintalk_vm::profile;
pub use twintalk_vm::{Fault, Given, Limits, Request};
pub use upgrade::{Lowered, Orphans};
pub use verify::VerifyReport;
