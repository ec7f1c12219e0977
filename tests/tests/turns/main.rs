//! What `spec/delivery.md` says of logs, senders and restarts, where a case cannot look.

mod log;
mod outside;
mod records;
mod restart;
