//! A block: records that are written together, and the names they share.
//!
//! A header, tables of names in the order of their first use, then the records, each with its
//! length in front. The header says which block of which partition it is, so that a block in the
//! wrong place is found, and its checksum covers every other byte. `spec/record.md` has every byte.
//!
//! [`BlockBuilder`] packs records into [`Blocks`]; [`BlockBytes`] is a block whose header and
//! checksum have been looked at; [`Block`] is the view that gives its records.
//!
//! Invariants: a block has 1 record or more; it has at most [`BLOCK_BYTES_MAX`] bytes, unless it has
//! just one record; the same records make the same bytes.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::codec::{self, Context};
use crate::record::{EncodeError, ProgramHash, Record, RecordError};
use crate::record::{NAME_BYTES_MAX, PATH_BYTES_MAX, RECORD_BYTES_MAX};
use crate::wire::{Reader, put_bytes, put_number};
use crate::{Partition, Position};

/// The first bytes of every block.
pub const MAGIC: [u8; 4] = *b"\x8aTWB";

/// The format of blocks that this build writes, and the only one it reads.
pub const FORMAT_VERSION: u16 = 1;

/// How many bytes a block has at most, unless it is one long record.
pub const BLOCK_BYTES_MAX: usize = 16 << 10;

/// How many bytes stand before the tables.
const HEADER_BYTES: usize = 28;
/// Where the checksum stands.
const CHECKSUM: Range<usize> = 8..12;
/// A table of names in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    Program,
    Prototype,
    Selector,
    Path,
    Principal,
}

impl NameKind {
    /// Every table, in the order in which they stand.
    const ALL: [NameKind; 5] =
        [NameKind::Program, NameKind::Prototype, NameKind::Selector, NameKind::Path, NameKind::Principal];

    const fn number(self) -> usize {
        self as usize
    }

    const fn bytes_max(self) -> usize {
        match self {
            NameKind::Program => size_of::<ProgramHash>(),
            NameKind::Prototype | NameKind::Selector | NameKind::Principal => NAME_BYTES_MAX,
            NameKind::Path => PATH_BYTES_MAX,
        }
    }
}

/// Where a record being read finds its names.
pub(crate) trait Names<'a> {
    fn program(&mut self, number: u64) -> Result<&'a ProgramHash, RecordError>;
    fn text(&mut self, kind: NameKind, number: u64) -> Result<&'a str, RecordError>;
}

/// Names as they are written: each once, numbered in the order of first use.
#[derive(Debug, Default)]
pub(crate) struct Written {
    tables: [WrittenTable; 5],
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Default)]
struct WrittenTable {
    /// The entries as they stand in the block: length, then bytes.
    encoded: Vec<u8>,
    /// Where in `encoded` the bytes of each entry stand.
    names: Vec<Range<usize>>,
    index: HashTable<u32>,
    /// The numbers that were asked for last, to be looked at before the name is hashed: records that follow each other name
    /// the same. What the names were that had them does not matter, since they are compared.
    recent: [u32; 3],
}

/// How much of [`Written`] there was at some moment.
type Mark = [usize; 5];

impl Written {
    /// Writes the number of `name` to `out`; a name not seen before gets the next one.
    pub(crate) fn put(&mut self, kind: NameKind, name: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if name.is_empty() || name.len() > kind.bytes_max() {
            return Err(EncodeError::Name { bytes: name.len(), bytes_max: kind.bytes_max() });
        }
        let WrittenTable { encoded, names, index, recent } = &mut self.tables[kind.number()];
        let is_it = |number: &u32| names.get(*number as usize).is_some_and(|place| encoded[place.clone()] == *name);
        if let Some(&number) = recent.iter().find(|number| is_it(number)) {
            put_number(out, u64::from(number));
            return Ok(());
        }
        let hash = self.hasher.hash_one(name);
        let number = match index.find(hash, |&number| encoded[names[number as usize].clone()] == *name) {
            Some(&number) => number,
            None => {
                let number = names.len() as u32;
                put_bytes(encoded, name);
                names.push(encoded.len() - name.len()..encoded.len());
                let hasher = &self.hasher;
                index.insert_unique(hash, number, |&number| hasher.hash_one(&encoded[names[number as usize].clone()]));
                number
            }
        };
        *recent = [number, recent[0], recent[1]];
        put_number(out, u64::from(number));
        Ok(())
    }

    fn mark(&self) -> Mark {
        NameKind::ALL.map(|kind| self.tables[kind.number()].names.len())
    }

    /// Forgets the names that came after `mark`.
    fn forget_after(&mut self, mark: Mark) {
        for (table, count) in self.tables.iter_mut().zip(mark) {
            for number in (count..table.names.len()).rev() {
                let name = table.names[number].clone();
                let hash = self.hasher.hash_one(&table.encoded[name.clone()]);
                if let Ok(entry) = table.index.find_entry(hash, |&other| other as usize == number) {
                    entry.remove();
                }
                table.names.pop();
                let end = table.names.last().map_or(0, |last| last.end);
                table.encoded.truncate(end);
            }
        }
    }

    fn clear(&mut self) {
        for table in &mut self.tables {
            table.encoded.clear();
            table.names.clear();
            table.index.clear();
        }
    }

    fn encoded_bytes(&self) -> usize {
        self.tables.iter().map(|table| number_bytes(table.names.len()) + table.encoded.len()).sum()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for table in &self.tables {
            put_number(out, table.names.len() as u64);
            out.extend_from_slice(&table.encoded);
        }
    }
}

/// How many bytes `put_number` writes.
const fn number_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Blocks that follow each other in one partition, ready to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    partition: Partition,
    first: u64,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Blocks {
    /// No block yet; the first will be `next.block`.
    pub fn new(partition: Partition, next: Position) -> Blocks {
        Blocks { partition, first: next.block, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Takes a block that was written elsewhere: read from another log, or received.
    ///
    /// # Errors
    /// When it is not the next block of this partition.
    pub fn push(&mut self, block: &BlockBytes) -> Result<(), RecordError> {
        if block.partition() != self.partition || block.number() != self.next().block {
            return Err(RecordError::Malformed("a block is in the wrong place"));
        }
        self.bytes.extend_from_slice(block.bytes());
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// The partition they are of.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Where the first of them stands.
    pub fn start(&self) -> Position {
        Position { block: self.first, index: 0 }
    }

    /// The position after the last of them.
    pub fn next(&self) -> Position {
        Position { block: self.first + self.ends.len() as u64, index: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes they have together.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// The number and the bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (0..self.ends.len()).map(|nth| {
            let start = if nth == 0 { 0 } else { self.ends[nth - 1] };
            (self.first + nth as u64, &self.bytes[start..self.ends[nth]])
        })
    }

    fn clear(&mut self) {
        self.first = self.next().block;
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Packs records into blocks of one partition.
///
/// `push` each record, append what `finish` gives, then `clear` and go on: positions continue, and
/// memory is reused. Cost of a push: linear in the record; nothing is allocated once it is warm.
#[derive(Debug)]
pub struct BlockBuilder {
    blocks: Blocks,
    names: Written,
    records: Vec<u8>,
    /// Where one record is written before its length is known.
    scratch: Vec<u8>,
    count: u32,
    base_time_ns: i64,
    last_time_ns: i64,
}

impl BlockBuilder {
    /// A builder whose first record will stand at `next`, the end of the partition's log.
    ///
    /// # Panics
    /// When `next` is not the start of a block.
    pub fn new(partition: Partition, next: Position) -> BlockBuilder {
        assert!(next.index == 0 && next.block >= 1, "blocks are appended whole, from block 1");
        BlockBuilder {
            blocks: Blocks::new(partition, next),
            names: Written::default(),
            records: Vec::new(),
            scratch: Vec::new(),
            count: 0,
            base_time_ns: 0,
            last_time_ns: i64::MIN,
        }
    }

    /// The position that the next record will have, if it still fits into the open block.
    ///
    /// A record that does not fit starts the next block, so only what [`push`](Self::push) answers
    /// is certain.
    pub fn next(&self) -> Position {
        Position { block: self.blocks.next().block, index: self.count }
    }

    /// How many bytes are waiting, about.
    pub fn bytes_len(&self) -> usize {
        self.blocks.bytes_len() + self.open_bytes()
    }

    /// Whether there is nothing to append.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.blocks.is_empty()
    }

    /// Writes `record` behind the others and answers its position.
    ///
    /// # Errors
    /// Then the builder is as it was before.
    pub fn push(&mut self, record: &Record<'_>) -> Result<Position, EncodeError> {
        if record.envelope.time_ns < self.last_time_ns {
            return Err(EncodeError::Rule("time never goes back within a partition"));
        }
        if self.count > 0 {
            let mark = self.names.mark();
            let result = self.encode(record);
            let framed = number_bytes(self.scratch.len()) + self.scratch.len();
            if result.is_ok() && self.open_bytes() + framed <= BLOCK_BYTES_MAX && self.count < u32::from(u16::MAX) {
                return Ok(self.take_scratch(record.envelope.time_ns));
            }
            self.names.forget_after(mark);
            // A rule that is broken here is broken in the next block too.
            result?;
            self.seal();
        }
        self.base_time_ns = record.envelope.time_ns;
        let result = self.encode(record);
        let bytes = self.names.encoded_bytes() + self.scratch.len();
        if let Err(error) = result {
            self.names.clear();
            return Err(error);
        }
        if bytes > RECORD_BYTES_MAX {
            self.names.clear();
            return Err(EncodeError::TooLong { bytes });
        }
        Ok(self.take_scratch(record.envelope.time_ns))
    }

    /// Closes the open block, and answers all that are ready to append.
    pub fn finish(&mut self) -> &Blocks {
        self.seal();
        &self.blocks
    }

    /// Forgets the blocks, which have been appended, and goes on behind them.
    ///
    /// # Panics
    /// When records were pushed after [`finish`](Self::finish).
    pub fn clear(&mut self) {
        assert!(self.count == 0, "records that nobody appended would be lost");
        self.blocks.clear();
    }

    fn encode(&mut self, record: &Record<'_>) -> Result<(), EncodeError> {
        self.scratch.clear();
        let context =
            Context { partition: self.blocks.partition, position: self.next(), base_time_ns: self.base_time_ns };
        codec::encode(record, context, &mut self.names, &mut self.scratch)
    }

    fn take_scratch(&mut self, time_ns: i64) -> Position {
        let position = self.next();
        put_bytes(&mut self.records, &self.scratch);
        self.count += 1;
        self.last_time_ns = time_ns;
        position
    }

    fn open_bytes(&self) -> usize {
        if self.count == 0 { 0 } else { HEADER_BYTES + self.names.encoded_bytes() + self.records.len() }
    }

    fn seal(&mut self) {
        if self.count == 0 {
            return;
        }
        let number = self.blocks.next().block;
        assert!(number <= Position::BLOCK_MAX, "a partition has at most 2^48 blocks");
        let out = &mut self.blocks.bytes;
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&self.blocks.partition.0.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&number.to_le_bytes()[..6]);
        out.extend_from_slice(&(self.count as u16).to_le_bytes());
        out.extend_from_slice(&self.base_time_ns.to_le_bytes());
        self.names.encode(out);
        out.extend_from_slice(&self.records);
        let sum = checksum(&out[start..]);
        out[start + CHECKSUM.start..start + CHECKSUM.end].copy_from_slice(&sum.to_le_bytes());
        self.blocks.ends.push(out.len());
        self.names.clear();
        self.records.clear();
        self.count = 0;
    }
}

/// CRC-32 (IEEE) of a block without the checksum itself.
fn checksum(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..CHECKSUM.start]);
    hasher.update(&block[CHECKSUM.end..]);
    hasher.finalize()
}

/// `bytes` with the checksum that they would have as a block; `None` when they are too few. For tests
/// and tools that change blocks on purpose.
pub fn with_checksum(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < HEADER_BYTES {
        return None;
    }
    let mut bytes = bytes.to_vec();
    let sum = checksum(&bytes);
    bytes[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
    Some(bytes)
}

/// What the header says.
#[derive(Clone, Copy, Debug)]
struct Header {
    partition: Partition,
    number: u64,
    count: u16,
    base_time_ns: i64,
}

/// Looks at header and checksum.
///
/// Magic, version and checksum stand in the same places in every version, and the checksum covers
/// the same bytes: so a damaged version number is told from a newer one.
fn read_header(bytes: &[u8]) -> Result<Header, RecordError> {
    let mut input = Reader::new(bytes);
    if *input.array::<4>()? != MAGIC {
        return Err(RecordError::Malformed("these bytes do not start like a block"));
    }
    let version = u16::from_le_bytes(*input.array()?);
    let partition = Partition(u16::from_le_bytes(*input.array()?));
    let sum = u32::from_le_bytes(*input.array()?);
    if bytes.len() < HEADER_BYTES {
        return Err(RecordError::Truncated);
    }
    if sum != checksum(bytes) {
        return Err(RecordError::Checksum);
    }
    if version != FORMAT_VERSION {
        return Err(RecordError::Version { found: version });
    }
    let [a, b, c, d, e, f] = *input.array()?;
    let number = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    let count = u16::from_le_bytes(*input.array()?);
    let base_time_ns = i64::from_le_bytes(*input.array()?);
    if count == 0 {
        return Err(RecordError::Malformed("a block has no record"));
    }
    if number == 0 {
        return Err(RecordError::Malformed("blocks count from 1"));
    }
    Ok(Header { partition, number, count, base_time_ns })
}

/// The bytes of one block, whose header and checksum are right. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockBytes {
    bytes: Arc<[u8]>,
    partition: Partition,
    number: u64,
}

impl BlockBytes {
    /// Takes `bytes` for a block, once header and checksum have been found right.
    ///
    /// Cost: one pass over the bytes.
    ///
    /// # Errors
    /// [`RecordError`] says what is wrong with them.
    pub fn new(bytes: Arc<[u8]>) -> Result<BlockBytes, RecordError> {
        let Header { partition, number, count: _, base_time_ns: _ } = read_header(&bytes)?;
        Ok(BlockBytes { bytes, partition, number })
    }

    /// What a builder of this process made.
    pub(crate) fn trusted(bytes: Arc<[u8]>, partition: Partition, number: u64) -> BlockBytes {
        BlockBytes { bytes, partition, number }
    }

    /// The partition it was written for.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its records.
    ///
    /// # Errors
    /// [`RecordError`] when its tables or lengths do not add up.
    pub fn open(&self) -> Result<Block<'_>, RecordError> {
        Block::parse(&self.bytes)
    }
}

/// The names and records of a block, where they stand in its bytes.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    header: Header,
    names: Tables<'a>,
    records: Vec<&'a [u8]>,
}

/// The names of a block. Any of them can be asked for, in any order.
#[derive(Clone, Debug, Default)]
struct Tables<'a> {
    programs: Vec<&'a ProgramHash>,
    texts: [Vec<&'a str>; 5],
}

const NO_SUCH_NAME: RecordError = RecordError::Malformed("a name is not in the tables");

impl<'a> Tables<'a> {
    fn read(input: &mut Reader<'a>) -> Result<Tables<'a>, RecordError> {
        let mut tables = Tables::default();
        for kind in NameKind::ALL {
            let count = input.count(2)?;
            let texts = &mut tables.texts[kind.number()];
            match kind {
                NameKind::Program => tables.programs.reserve_exact(count),
                NameKind::Prototype | NameKind::Selector | NameKind::Path | NameKind::Principal => {
                    texts.reserve_exact(count);
                }
            }
            for _ in 0..count {
                let name = input.bytes()?;
                if name.is_empty() || name.len() > kind.bytes_max() {
                    return Err(RecordError::Malformed("a name is empty or too long"));
                }
                match kind {
                    NameKind::Program => tables.programs.push(
                        name.try_into().map_err(|_| RecordError::Malformed("the hash of a program has 32 bytes"))?,
                    ),
                    NameKind::Prototype | NameKind::Selector | NameKind::Path | NameKind::Principal => {
                        texts.push(str::from_utf8(name).map_err(|_| RecordError::Malformed("a name is not UTF-8"))?)
                    }
                }
            }
        }
        Ok(tables)
    }

    fn len(&self, kind: NameKind) -> usize {
        match kind {
            NameKind::Program => self.programs.len(),
            NameKind::Prototype | NameKind::Selector | NameKind::Path | NameKind::Principal => {
                self.texts[kind.number()].len()
            }
        }
    }

    /// Whether each name is there once.
    fn are_distinct(&self) -> bool {
        fn distinct<T: Ord>(mut names: Vec<T>) -> bool {
            names.sort_unstable();
            names.windows(2).all(|pair| pair[0] != pair[1])
        }
        distinct(self.programs.clone()) && self.texts.iter().all(|texts| distinct(texts.clone()))
    }
}

impl<'a> Names<'a> for &Tables<'a> {
    fn program(&mut self, number: u64) -> Result<&'a ProgramHash, RecordError> {
        usize::try_from(number).ok().and_then(|number| self.programs.get(number).copied()).ok_or(NO_SUCH_NAME)
    }

    fn text(&mut self, kind: NameKind, number: u64) -> Result<&'a str, RecordError> {
        let texts = &self.texts[kind.number()];
        usize::try_from(number).ok().and_then(|number| texts.get(number).copied()).ok_or(NO_SUCH_NAME)
    }
}

/// The same, when records are read from the first to the last: names must come in the order of
/// their numbers, as a writer hands them out.
struct FirstUses<'t, 'a> {
    names: &'t Tables<'a>,
    used: [u64; 5],
}

impl FirstUses<'_, '_> {
    fn note(&mut self, kind: NameKind, number: u64) -> Result<(), RecordError> {
        let used = &mut self.used[kind.number()];
        if number > *used {
            return Err(RecordError::Malformed("names are not in the order of their first use"));
        }
        if number == *used {
            *used += 1;
        }
        Ok(())
    }
}

impl<'a> Names<'a> for FirstUses<'_, 'a> {
    fn program(&mut self, number: u64) -> Result<&'a ProgramHash, RecordError> {
        self.note(NameKind::Program, number)?;
        let mut names = self.names;
        names.program(number)
    }

    fn text(&mut self, kind: NameKind, number: u64) -> Result<&'a str, RecordError> {
        self.note(kind, number)?;
        let mut names = self.names;
        names.text(kind, number)
    }
}

impl<'a> Block<'a> {
    /// Reads header, checksum, tables and the places of the records.
    fn parse(bytes: &'a [u8]) -> Result<Block<'a>, RecordError> {
        let header = read_header(bytes)?;
        let mut input = Reader::new(&bytes[HEADER_BYTES..]);
        let names = Tables::read(&mut input)?;
        let count = usize::from(header.count);
        // A record has three bytes of mask, and a length.
        if count > input.left() / 4 {
            return Err(RecordError::Truncated);
        }
        let mut records = Vec::with_capacity(count);
        for _ in 0..count {
            records.push(input.bytes()?);
        }
        input.end()?;
        let is_too_long = match records.as_slice() {
            [record] => bytes.len() - HEADER_BYTES - number_bytes(record.len()) > RECORD_BYTES_MAX,
            _ => bytes.len() > BLOCK_BYTES_MAX,
        };
        if is_too_long {
            return Err(RecordError::Malformed("a block is too long"));
        }
        Ok(Block { header, names, records })
    }

    /// The partition it was written for.
    pub fn partition(&self) -> Partition {
        self.header.partition
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// The time of the first record, in nanoseconds since 1970.
    pub fn base_time_ns(&self) -> i64 {
        self.header.base_time_ns
    }

    /// How many records it has: at least one.
    #[expect(clippy::len_without_is_empty, reason = "a block is never empty")]
    pub fn len(&self) -> u32 {
        self.records.len() as u32
    }

    /// The position of the `index`th record.
    pub fn position(&self, index: u32) -> Position {
        Position { block: self.header.number, index }
    }

    /// The bytes of one record; its names are numbers that mean something only in this block.
    pub fn record_bytes(&self, index: u32) -> Option<&'a [u8]> {
        self.records.get(index as usize).copied()
    }

    /// One record.
    ///
    /// # Errors
    /// [`RecordError`] when there is no such record, or its bytes are none, or its body is sealed.
    pub fn record(&self, index: u32) -> Result<Record<'a>, RecordError> {
        let bytes = self.record_bytes(index).ok_or(RecordError::Malformed("the block has no such record"))?;
        codec::decode(bytes, self.context(index), &mut &self.names)
    }

    /// All records from the `from`th on, with their positions.
    pub fn records(&self, from: u32) -> impl Iterator<Item = Result<(Position, Record<'a>), RecordError>> {
        (from..self.len()).map(|index| Ok((self.position(index), self.record(index)?)))
    }

    /// Reads everything, and refuses what no writer writes: names that stand twice, in another
    /// order than that of their first use, or unused.
    ///
    /// # Errors
    /// The index of the record where the damage is, and what it is. A sealed body is no damage.
    pub fn check(&self) -> Result<(), (u32, RecordError)> {
        let mut names = FirstUses { names: &self.names, used: [0; 5] };
        let mut sealed = false;
        let mut last_time_ns = self.header.base_time_ns;
        for (index, bytes) in (0..).zip(&self.records) {
            match codec::decode(bytes, self.context(index), &mut names) {
                Ok(record) if index == 0 && record.envelope.time_ns != self.header.base_time_ns => {
                    return Err((0, RecordError::Malformed("a block starts at the time of its first record")));
                }
                Ok(record) if record.envelope.time_ns < last_time_ns => {
                    return Err((index, RecordError::Malformed("time never goes back within a partition")));
                }
                Ok(record) => last_time_ns = record.envelope.time_ns,
                Err(RecordError::Sealed { key: _ }) => sealed = true,
                Err(error) => return Err((index, error)),
            }
        }
        // What a sealed body names, nobody can see without its key.
        let all_used =
            sealed || NameKind::ALL.iter().all(|kind| names.used[kind.number()] == self.names.len(*kind) as u64);
        if !all_used || !self.names.are_distinct() {
            return Err((0, RecordError::Malformed("a block has names that its records do not use")));
        }
        Ok(())
    }

    fn context(&self, index: u32) -> Context {
        Context {
            partition: self.header.partition,
            position: self.position(index),
            base_time_ns: self.header.base_time_ns,
        }
    }
}
