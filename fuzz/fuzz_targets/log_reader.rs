//! Any bytes as a block: they are refused, or read and written again as the same bytes.
//!
//! The checksum is put right first, so that the bytes reach the decoder.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use twintalk_store::{BlockBuilder, BlockBytes, Position};

fuzz_target!(|bytes: &[u8]| {
    let Some(bytes) = twintalk_store::block::with_checksum(bytes) else { return };
    let Ok(block) = BlockBytes::new(Arc::from(bytes.as_slice())) else { return };
    let Ok(view) = block.open() else { return };
    let records: Result<Vec<_>, _> = view.records(0).collect();
    let Ok(records) = records else { return };
    if view.check().is_err() {
        return;
    }
    let mut builder = BlockBuilder::new(view.partition(), Position::block(view.number()));
    for (_, record) in &records {
        builder.push(record).expect("what was read can be written");
    }
    let written: Vec<u8> = builder.finish().iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    assert_eq!(written, bytes, "there is one way to write a block");
});
