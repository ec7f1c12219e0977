//! Whether the files that RocksDB appends to end torn, as a crash leaves them, or are damaged.
//!
//! The write-ahead logs and the manifest are sequences of blocks of 32 KiB. A block is filled with frames: a
//! masked CRC-32C of type and payload (4 bytes), the length of the payload (2), the type (1), and the payload. A
//! record that does not fit into a block is several frames: first, middle, last. Fewer than 7 bytes at the end of a
//! block are zeros.
//!
//! RocksDB drops a torn end, and what it takes for one may be thousands of acknowledged commits: the checksum does
//! not cover the length, so a changed length can reach behind the end of the file; a changed type can name a kind of
//! frame that ends the reading, or makes it run for ever; zeros where a frame should start end their block. So before
//! RocksDB opens these files, all of their frames are looked at here. A write-ahead log is checked for gaps too:
//! each record starts with the number of its first change and how many it has, so the next record's number is known.
//!
//! Only two ends are taken for torn: a frame that is cut short by the end of the file, matches its checksum at no
//! length, and has no whole frame behind it; and zeros up to the end, which have been reserved and not written.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::{Corruption, Place, StoreError};

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// How much of a record is looked at: in a write-ahead log a number (8 bytes) and a count (4).
const HEAD_BYTES: usize = 12;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// What is wrong with a file, and at which byte.
#[derive(Debug, PartialEq, Eq)]
struct Damage {
    at: u64,
    what: &'static str,
}

/// Refuses files in `engine`, the folder of a store's RocksDB, that are damaged, and not torn. Answers how many
/// write-ahead logs there are.
///
/// Cost: reads the manifest and every write-ahead log once.
pub(super) fn refuse_damage(engine: &Path) -> Result<usize, StoreError> {
    let manifest = current_manifest(engine)?;
    refuse(&manifest, look(&engine.join(&manifest), |_| Ok(()))?)?;
    let mut logs = Vec::new();
    for entry in fs::read_dir(engine)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(number) = name.strip_suffix(".log").and_then(|digits| digits.parse::<u64>().ok()) {
            logs.push((number, name));
        }
    }
    logs.sort_unstable();
    let mut next = None;
    for (_, name) in &logs {
        let found = look(&engine.join(name), |head| {
            let Some((number, count)) = head.split_first_chunk::<8>() else { return Err("a record without its head") };
            let Ok(count) = count.try_into().map(u32::from_le_bytes) else { return Err("a record without its head") };
            let number = u64::from_le_bytes(*number);
            if next.is_some_and(|next| next != number) {
                return Err("commits are missing before this one");
            }
            next = number.checked_add(u64::from(count));
            Ok(())
        });
        match found {
            Ok(found) => refuse(name, found)?,
            // The process that runs the store has no more need of it; nor of those before it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => next = None,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(logs.len())
}

fn refuse(name: &str, found: Option<Damage>) -> Result<(), StoreError> {
    match found {
        None => Ok(()),
        Some(Damage { at, what }) => Err(damaged(name, Some(at), what)),
    }
}

pub(super) fn damaged(name: &str, byte: Option<u64>, what: &str) -> StoreError {
    StoreError::Corrupt {
        at: Place::File { name: name.to_owned(), table: None, byte },
        reason: Corruption::Engine(what.to_owned()),
    }
}

/// The name of the manifest, which the file `CURRENT` holds.
fn current_manifest(engine: &Path) -> Result<String, StoreError> {
    let text = fs::read(engine.join("CURRENT"))?;
    let name = std::str::from_utf8(&text).ok().and_then(|text| text.strip_suffix('\n'));
    let digits = name.and_then(|name| name.strip_prefix("MANIFEST-"));
    match (name, digits) {
        (Some(name), Some(digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            if engine.join(name).exists() {
                Ok(name.to_owned())
            } else {
                Err(damaged("CURRENT", None, &format!("it names `{name}`, which is missing")))
            }
        }
        (_, _) => Err(damaged("CURRENT", Some(0), "it does not name a manifest")),
    }
}

/// Reads a file and answers the first damage; `check` is given the start of each record.
fn look(path: &Path, check: impl FnMut(&[u8]) -> Result<(), &'static str>) -> io::Result<Option<Damage>> {
    let file = File::open(path)?;
    // Whoever runs the store may be writing: what comes later is not looked at.
    let length = file.metadata()?.len();
    look_at(BufReader::with_capacity(BLOCK_BYTES, file.take(length)), check)
}

fn look_at(
    mut file: impl Read,
    mut check: impl FnMut(&[u8]) -> Result<(), &'static str>,
) -> io::Result<Option<Damage>> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut record: Option<(u64, Vec<u8>)> = None;
    let mut start = 0;
    loop {
        block.clear();
        file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        let mut rest = block.as_slice();
        while let Some((header, payload)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let at = start + (block.len() - rest.len()) as u64;
            let damage = |what| Ok(Some(Damage { at, what }));
            if *header == [0; HEADER_BYTES] {
                let mut behind = Vec::new();
                file.read_to_end(&mut behind)?;
                let unwritten = rest.iter().chain(&behind).all(|&byte| byte == 0);
                return match unwritten && record.is_none() {
                    true => Ok(None),
                    false => damage("zeros where a record should be"),
                };
            }
            let length = length_of(header);
            if length > payload.len() {
                // No frame reaches into the next block. The end of the file may have cut this one short.
                let torn = block.len() < BLOCK_BYTES
                    && !matches_at_some_length(header, payload)
                    && !(1..rest.len()).any(|behind| is_frame(&rest[behind..]));
                return if torn { Ok(None) } else { damage("a record's length has changed") };
            }
            let (payload, behind) = payload.split_at(length);
            if checksum(header[6], payload) != stored_checksum(header) {
                return damage("a record does not match its checksum");
            }
            rest = behind;
            let mut whole = None;
            match (header[6], &mut record) {
                (FULL, None) => whole = Some((at, payload[..payload.len().min(HEAD_BYTES)].to_vec())),
                (FIRST, None) => record = Some((at, payload[..payload.len().min(HEAD_BYTES)].to_vec())),
                (MIDDLE | LAST, Some((_, head))) => {
                    head.extend_from_slice(&payload[..payload.len().min(HEAD_BYTES - head.len())]);
                    if header[6] == LAST {
                        whole = record.take();
                    }
                }
                (FULL | FIRST, Some(_)) => return damage("a record starts inside another"),
                (MIDDLE | LAST, None) => return damage("a record without its start"),
                (_, _) => return damage("a kind of record that TwinTalk does not write"),
            }
            if let Some((at, head)) = whole
                && let Err(what) = check(&head)
            {
                return Ok(Some(Damage { at, what }));
            }
        }
        if block.len() < BLOCK_BYTES {
            // The end, inside a record or not.
            return Ok(None);
        }
        if rest.iter().any(|&byte| byte != 0) {
            let at = start + (block.len() - rest.len()) as u64;
            return Ok(Some(Damage { at, what: "bytes where none are written" }));
        }
        start += BLOCK_BYTES as u64;
    }
}

fn length_of(header: &[u8; HEADER_BYTES]) -> usize {
    usize::from(u16::from_le_bytes([header[4], header[5]]))
}

fn stored_checksum(header: &[u8; HEADER_BYTES]) -> u32 {
    let masked = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// Whether the frame would be right if it were shorter: then it was whole, and its length has changed.
fn matches_at_some_length(header: &[u8; HEADER_BYTES], payload: &[u8]) -> bool {
    let expected = stored_checksum(header);
    let mut crc = step(!0, header[6]);
    payload.iter().any(|&byte| {
        crc = step(crc, byte);
        !crc == expected
    })
}

fn is_frame(bytes: &[u8]) -> bool {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return false };
    let length = length_of(header);
    (FULL..=LAST).contains(&header[6])
        && (1..=payload.len()).contains(&length)
        && checksum(header[6], &payload[..length]) == stored_checksum(header)
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    !payload.iter().fold(step(!0, kind), |crc, &byte| step(crc, byte))
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

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let masked = checksum(kind, payload).rotate_right(15).wrapping_add(0xa282_ead8);
        [&masked.to_le_bytes(), (payload.len() as u16).to_le_bytes().as_slice(), &[kind], payload].concat()
    }

    /// Where the bytes of a file are damaged.
    fn find(bytes: &[u8]) -> Option<u64> {
        look_at(bytes, |_| Ok(())).unwrap().map(|damage| damage.at)
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(!b"123456789".iter().fold(!0, |crc, &byte| step(crc, byte)), 0xe306_9283);
    }

    /// Two blocks: a record in each, and one of two frames across.
    fn file() -> (Vec<u8>, Vec<u64>) {
        let second = frame(FIRST, &vec![7; BLOCK_BYTES - 3 * HEADER_BYTES]);
        let frames = [frame(FULL, b"first"), second, frame(LAST, b"the second one"), frame(FULL, b"third")];
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for one in &frames {
            if bytes.len() < BLOCK_BYTES && bytes.len() + HEADER_BYTES > BLOCK_BYTES {
                bytes.resize(BLOCK_BYTES, 0);
            }
            starts.push(bytes.len() as u64);
            bytes.extend_from_slice(one);
        }
        (bytes, starts)
    }

    #[test]
    fn a_torn_end_is_no_damage() {
        let (bytes, starts) = file();
        assert_eq!(starts[2], BLOCK_BYTES as u64, "the rest of the first block is too short for a frame");
        for end in (0..starts[1] as usize + 100).chain(BLOCK_BYTES - 20..=bytes.len()) {
            assert_eq!(find(&bytes[..end]), None, "{end}");
        }
        assert_eq!(find(&[bytes, vec![0; 2 * BLOCK_BYTES]].concat()), None, "reserved and not written");
    }

    #[test]
    fn any_changed_byte_is_damage() {
        let (bytes, starts) = file();
        let middle = (starts[1] as usize + 200..BLOCK_BYTES - 200).step_by(997);
        for at in (0..starts[1] as usize + 200).chain(middle).chain(BLOCK_BYTES - 200..bytes.len()) {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let found = find(&changed).unwrap_or_else(|| panic!("bit {bit} of byte {at}"));
                let start = starts.iter().rev().find(|&&start| start <= at as u64).unwrap();
                let trailer = (BLOCK_BYTES - 2..BLOCK_BYTES).contains(&at);
                assert_eq!(found, if trailer { BLOCK_BYTES as u64 - 2 } else { *start }, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_changed_length_shows_by_what_stands_behind_if_its_checksum_is_damaged_too() {
        let (bytes, starts) = file();
        for &start in &starts[2..] {
            let mut changed = bytes.clone();
            changed[start as usize + 5] ^= 0x40;
            changed[start as usize] ^= 1;
            assert_eq!(find(&changed), (start != starts[3]).then_some(start));
        }
    }

    #[test]
    fn zeros_with_something_behind_them_are_damage() {
        let (bytes, starts) = file();
        for from in [starts[1], starts[2]] {
            let mut changed = bytes.clone();
            changed[from as usize..starts[3] as usize].fill(0);
            assert_eq!(find(&changed), Some(from));
        }
        let unfinished = [&bytes[..BLOCK_BYTES], &[0; 50]].concat();
        assert_eq!(find(&unfinished), Some(BLOCK_BYTES as u64), "the record that has begun does not end in zeros");
    }

    #[test]
    fn the_start_of_each_record_is_checked() {
        let (bytes, starts) = file();
        let mut heads = Vec::new();
        let found = look_at(bytes.as_slice(), |head| {
            heads.push(head.to_vec());
            if head == b"third" { Err("third") } else { Ok(()) }
        });
        assert_eq!(found.unwrap(), Some(Damage { at: starts[3], what: "third" }));
        assert_eq!(heads, [b"first".to_vec(), vec![7; HEAD_BYTES], b"third".to_vec()]);
    }
}
