//! Bytes that no writer wrote: never a panic, never unbounded memory, never taken for something else.

use proptest::prelude::*;
use twintalk_store::block::with_checksum;
use twintalk_store::record::{Flags, RecordError};
use twintalk_store::{BlockBuilder, BlockBytes, Partition, Position};

use crate::sample::{random, sensor_blocks, sensor_turn};

/// Reads all that can be read; the answer is whether it was taken for a whole block.
fn read(bytes: &[u8]) -> Result<(), RecordError> {
    let block = BlockBytes::new(bytes.into())?;
    let view = block.open()?;
    for record in view.records(0) {
        record?;
    }
    view.check().map_err(|(_, error)| error)
}

fn sample() -> Vec<u8> {
    let blocks = sensor_blocks(Partition(1), Position::block(9), &[5]);
    blocks.iter().next().unwrap().1.to_vec()
}

#[test]
fn a_flipped_bit_anywhere_in_a_block_is_found() {
    let mut bytes = sample();
    for at in 0..bytes.len() * 8 {
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(BlockBytes::new(bytes.as_slice().into()).is_err(), "bit {at}");
        bytes[at / 8] ^= 1 << (at % 8);
    }
    read(&bytes).unwrap();
}

#[test]
fn a_block_cut_off_at_any_byte_is_found() {
    let bytes = sample();
    for end in 0..bytes.len() {
        assert!(read(&bytes[..end]).is_err(), "{end} bytes");
        if let Some(bytes) = with_checksum(&bytes[..end]) {
            assert!(read(&bytes).is_err(), "{end} bytes, checksum put right");
        }
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(read(&with_checksum(&longer).unwrap()), Err(RecordError::Malformed("bytes follow the end")));
}

#[test]
fn a_newer_version_is_told_from_a_damaged_one() {
    let mut bytes = sample();
    bytes[4] = 2;
    assert_eq!(read(&bytes), Err(RecordError::Checksum));
    assert_eq!(read(&with_checksum(&bytes).unwrap()), Err(RecordError::Version { found: 2 }));
}

#[test]
fn a_sealed_body_is_refused_by_its_key() {
    // One record; its last bytes are the body, which begins with the arguments.
    let record = sensor_turn("pump-1", 1, None);
    let mut builder = BlockBuilder::new(Partition(0), Position::FIRST);
    builder.push(&record).unwrap();
    let plain = builder.finish().iter().next().unwrap().1.to_vec();
    let body_bytes = 1 + record.input.arguments.len() + 1 + record.twins[0].bytes.len();
    let record_bytes = 3 + 1 + 1 + 5 + 1 + 1 + 1 + 1 + 2 + body_bytes;
    let record_at = plain.len() - record_bytes;
    assert_eq!(usize::from(plain[record_at - 1]), record_bytes, "the length stands in front of the record");
    let mut head = plain[record_at..plain.len() - body_bytes].to_vec();
    head[0] |= 2;
    let sealed = [head.as_slice(), &[42, 5], b"?????"].concat();
    let bytes = [&plain[..record_at - 1], &[sealed.len() as u8], &sealed].concat();
    let block = BlockBytes::new(with_checksum(&bytes).unwrap().as_slice().into()).unwrap();
    let view = block.open().unwrap();
    let error = view.record(0).unwrap_err();
    assert_eq!(error, RecordError::Sealed { key: 42 });
    assert_eq!(
        error.to_string(),
        "the body is sealed under key 42, and this version of TwinTalk opens no sealed bodies"
    );
    view.check().expect("what is sealed is not damaged");
}

#[test]
fn unknown_bits_are_refused() {
    let mut record = sensor_turn("pump-1", 1, None);
    record.envelope.flags = Flags(128);
    let mut builder = BlockBuilder::new(Partition(0), Position::FIRST);
    assert!(builder.push(&record).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// With the checksum put right, so that the change reaches the decoder.
    #[test]
    fn a_changed_block_is_refused_or_is_what_a_writer_writes(
        sample in random(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut builder = BlockBuilder::new(Partition(0), Position::block(3));
        for time_ns in [5, 9] {
            builder.push(&sample.record(time_ns, Position::block(3))).unwrap();
        }
        for turn in [1, 2] {
            builder.push(&sensor_turn("pump-1", turn, None)).unwrap();
        }
        for (_, bytes) in builder.finish().iter() {
            let mut bytes = bytes.to_vec();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let bytes = with_checksum(&bytes).unwrap();
            if read(&bytes).is_ok() {
                let block = BlockBytes::new(bytes.as_slice().into()).unwrap();
                let view = block.open().unwrap();
                let mut again = BlockBuilder::new(view.partition(), Position::block(view.number()));
                for record in view.records(0) {
                    again.push(&record.unwrap().1).unwrap();
                }
                let written: Vec<u8> = again.finish().iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
                prop_assert_eq!(written, bytes);
            }
        }
    }

    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let block = [b"\x8aTWB\x01\0\0\0\0\0\0\0".as_slice(), &bytes].concat();
        let _ = with_checksum(&block).map(|block| read(&block));
    }
}
