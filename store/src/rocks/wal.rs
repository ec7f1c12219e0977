//! Whether the end of RocksDB's write-ahead log is torn, as a crash leaves it, or damaged.
//!
//! RocksDB drops a record that is longer than what is left of the file: a torn end. It does so too
//! when a damaged length only makes a record seem longer, and then drops it and all behind it, which
//! may be thousands of acknowledged commits, without a word. So before RocksDB opens it, the end is
//! looked at here.
//!
//! The file is a sequence of blocks of 32 KiB; a record starts at each, and has a masked CRC-32C of
//! its type and payload (4 bytes), the length of the payload (2), the type (1), and the payload. The
//! checksum does not cover the length: so of a record that was whole, some length makes it match.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::{Corruption, Place, StoreError};

const BLOCK_BYTES: u64 = 32 << 10;
const HEADER_BYTES: usize = 7;
/// The types of records in use: full, first, middle, last.
const TYPES: std::ops::RangeInclusive<u8> = 1..=4;

/// Refuses a write-ahead log in `path` whose end is damaged, and not torn.
pub(super) fn refuse_damaged_end(path: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        let (start, last_block) = match read_last_block(&file) {
            Ok(read) => read,
            // The process that runs the store has no more need of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(at) = find_damage(&last_block) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let message = format!(
                "the write-ahead log `{name}` is damaged at byte {}, and has whole records behind it",
                start + at as u64
            );
            return Err(StoreError::Corrupt { at: Place::Folder, reason: Corruption::Engine(message) });
        }
    }
    Ok(())
}

/// Where the last block starts, and what there is of it.
fn read_last_block(path: &Path) -> io::Result<(u64, Vec<u8>)> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len() / BLOCK_BYTES * BLOCK_BYTES;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(BLOCK_BYTES).read_to_end(&mut bytes)?;
    Ok((start, bytes))
}

/// Where a record starts that ends behind `block`, but did not when it was written.
fn find_damage(block: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &block[at..];
        let (header, payload) = rest.split_first_chunk::<HEADER_BYTES>()?;
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        if length <= payload.len() {
            // Zeros at the end have been reserved and not written.
            if rest.iter().all(|&byte| byte == 0) {
                return None;
            }
            at += HEADER_BYTES + length;
            continue;
        }
        // The length may be wrong, or the file may end in the middle of the record.
        let whole = matches_at_some_length(header, payload);
        let followed = (1..rest.len()).any(|behind| is_record(&rest[behind..]));
        return (whole || followed).then_some(at);
    }
}

fn stored_checksum(header: &[u8; HEADER_BYTES]) -> u32 {
    let masked = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

fn matches_at_some_length(header: &[u8; HEADER_BYTES], payload: &[u8]) -> bool {
    let expected = stored_checksum(header);
    let mut crc = step(!0, header[6]);
    payload.iter().any(|&byte| {
        crc = step(crc, byte);
        !crc == expected
    })
}

fn is_record(bytes: &[u8]) -> bool {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return false };
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    if !TYPES.contains(&header[6]) || length == 0 || length > payload.len() {
        return false;
    }
    let crc = payload[..length].iter().fold(step(!0, header[6]), |crc, &byte| step(crc, byte));
    !crc == stored_checksum(header)
}

/// CRC-32C (Castagnoli), a byte at a time.
const fn step(crc: u32, byte: u8) -> u32 {
    TABLE[(crc as u8 ^ byte) as usize] ^ (crc >> 8)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Vec<u8> {
        let crc = !payload.iter().fold(step(!0, 1), |crc, &byte| step(crc, byte));
        let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
        [&masked.to_le_bytes(), (payload.len() as u16).to_le_bytes().as_slice(), &[1], payload].concat()
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(!b"123456789".iter().fold(!0, |crc, &byte| step(crc, byte)), 0xe306_9283);
    }

    #[test]
    fn a_torn_end_is_no_damage() {
        let block = [record(b"first"), record(b"the second one")].concat();
        for end in 0..=block.len() {
            assert_eq!(find_damage(&block[..end]), None, "{end}");
        }
        assert_eq!(find_damage(&[block, vec![0; 100]].concat()), None);
    }

    #[test]
    fn a_damaged_length_is() {
        let whole = [record(b"first"), record(b"the second one"), record(b"third")].concat();
        let starts = [0, record(b"first").len(), whole.len() - record(b"third").len()];
        for start in starts {
            let mut block = whole.clone();
            block[start + 5] ^= 0x40;
            assert_eq!(find_damage(&block), Some(start));
            // And if its checksum is damaged too, what stands behind shows it.
            block[start] ^= 1;
            assert_eq!(find_damage(&block), (start != starts[2]).then_some(start));
        }
    }
}
