//! What `spec/delivery.md` says of logs, senders and restarts, where a case cannot look.

mod durable;
mod log;
mod outside;
mod partitions;
mod records;
mod restart;
mod verify;
