//! Tests of the store: records as bytes, and what both stores promise.

mod record;
