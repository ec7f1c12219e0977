//! A disk that loses, tears and reorders what was not flushed, and the store that lives on it.
//!
//! The store appends one frame per commit to one file: checksum, sequence number, blocks and rows. What it hands over
//! lies in the page cache; a flush moves it to the disk. When the machine loses its power, each page that was not
//! flushed is as it is in the cache, as it was before, as it was at some moment in between, or torn; each by
//! itself, so that a later page may be there and an earlier one not. When only the process ends, the cache
//! stays. Opening reads the longest valid prefix of frames and flushes it, as RocksDB does with its write-ahead
//! log (`spec/record.md`, sections 5 and 6).
//!
//! One fault at a time can be armed, for the nth write or flush from now. Once it struck, nothing works until
//! the store is opened anew; who talks of success after that is lying, which the harness sees.
//!
//! What is read lies in a [`MemoryStore`], which keeps the rules of positions and rows.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use twintalk_store::memory::MemoryStore;
use twintalk_store::{
    Batch, BlockBytes, BlockIter, Blocks, Change, CheckReport, Durability, Key, KeyRange, Log, Partition, Position,
    Row, RowIter, Rows, Settings, Store, StoreError, Table, Tables,
};

use crate::dice::Dice;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends before the write or flush has done anything.
    KillBefore,
    /// It ends in the middle: a part of the bytes is handed over.
    KillWithin,
    /// It ends when all is done, before it is told so.
    KillAfter,
    /// The flush fails: nobody knows what of it is on the disk.
    FailedFlush,
    /// There is no room for the write.
    Full,
}

/// A defect that is put into the store, so that we know that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// None.
    Nothing,
    /// A flush says that all is on the disk, and does nothing.
    IdleFlush,
    /// Rows that say how far messages were taken are not written.
    ForgetsTaken,
    /// Blocks and rows are two frames.
    TwoFrames,
    /// Every tenth row of a twin or a timer is not written.
    LosesRows,
}

/// The disk of a machine; it outlives processes and their stores.
pub struct Disk {
    settings: Settings,
    sabotage: Sabotage,
    state: Mutex<State>,
}

struct State {
    /// How many bytes a page has.
    page_bytes: usize,
    /// What is on the disk for good.
    durable: Vec<u8>,
    /// What was handed over since: where, and the bytes; in order.
    cached: Vec<(usize, Vec<u8>)>,
    /// The file as the operating system shows it.
    file: Vec<u8>,
    /// What will go wrong, and after how many writes and flushes.
    armed: Option<(Fault, usize)>,
    /// What went wrong; until the store is opened anew nothing works.
    struck: Option<Fault>,
    /// How many writes and flushes there were.
    events: u64,
    sequence: u64,
    dice: Dice,
}

impl Disk {
    /// An empty disk.
    pub fn new(settings: Settings, page_bytes: usize, sabotage: Sabotage, dice: Dice) -> Disk {
        let state = State {
            page_bytes,
            durable: Vec::new(),
            cached: Vec::new(),
            file: Vec::new(),
            armed: None,
            struck: None,
            events: 0,
            sequence: 0,
            dice,
        };
        Disk { settings, sabotage, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `fault` strike after `events` more writes and flushes, at the first one that it fits.
    pub fn arm(&self, fault: Fault, events: usize) {
        self.state().armed = Some((fault, events));
    }

    /// From now on nothing goes wrong.
    pub fn disarm(&self) {
        self.state().armed = None;
    }

    /// What went wrong, if something did.
    pub fn struck(&self) -> Option<Fault> {
        self.state().struck
    }

    /// How many writes and flushes there were.
    pub fn events(&self) -> u64 {
        self.state().events
    }

    /// How many bytes the file has, and how many of them are on the disk.
    pub fn bytes(&self) -> (usize, usize) {
        let state = self.state();
        (state.file.len(), state.durable.len())
    }

    /// The machine loses its power. Answers how many pages were at stake, and how many of them were kept.
    pub fn lose_power(&self) -> (usize, usize) {
        self.state().lose_power()
    }

    /// All rows are gone, and nothing else.
    pub fn lose_tables(&self) {
        let mut state = self.state();
        let (mut file, mut at, mut read, mut written) = (Vec::new(), 0, 0, 0);
        while let Some((next, payload)) = frame(&state.file[at..], read) {
            let blocks = blocks_of(payload);
            // A frame of nothing but rows is one of nothing now.
            if blocks.len() > NO_BLOCKS_BYTES {
                file.extend_from_slice(&framed(blocks, written));
                written += 1;
            }
            at += next;
            read += 1;
        }
        state.cached.clear();
        state.durable.clone_from(&file);
        state.file = file;
    }

    /// Reads what is there into a store, for a new process.
    pub fn open(self: &Arc<Disk>) -> SimulatedStore {
        let mut state = self.state();
        state.struck = None;
        let (memory, valid, sequence) = self.recovered(&state.file);
        state.sequence = sequence;
        state.file.truncate(valid);
        state.durable = state.file.clone();
        state.cached.clear();
        drop(state);
        let flushed = (0..self.settings.partitions).map(|number| end_of(&memory, Partition(number))).collect();
        SimulatedStore { disk: self.clone(), memory, flushed: Mutex::new(flushed), writing: Mutex::default() }
    }

    /// What a process would find, was it started now.
    pub fn look(&self) -> MemoryStore {
        self.recovered(&self.state().file).0
    }

    /// What is durable now, by the mode of the store.
    pub fn look_durable(&self) -> MemoryStore {
        let state = self.state();
        match self.settings.durability {
            Durability::Sync => self.recovered(&state.durable).0,
            Durability::Memory | Durability::Async => self.recovered(&state.file).0,
        }
    }

    /// What the longest valid prefix of frames says, how many bytes that has, and how many frames.
    fn recovered(&self, file: &[u8]) -> (MemoryStore, usize, u64) {
        let memory = MemoryStore::new(self.settings.partitions, &self.settings.placing);
        let (mut valid, mut sequence) = (0, 0);
        while let Some((next, payload)) = frame(&file[valid..], sequence) {
            if apply(&memory, payload).is_none() {
                break;
            }
            valid += next;
            sequence += 1;
        }
        (memory, valid, sequence)
    }
}

fn end_of(memory: &MemoryStore, partition: Partition) -> Position {
    memory.end(partition).expect("there is that partition")
}

impl State {
    /// What strikes at this write or flush.
    fn strikes(&mut self, flush: bool) -> Option<Fault> {
        self.events += 1;
        let (fault, left) = self.armed.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let fits = match fault {
            Fault::KillBefore | Fault::KillWithin | Fault::KillAfter => true,
            Fault::FailedFlush => flush,
            Fault::Full => !flush,
        };
        if !fits {
            return None;
        }
        self.struck = Some(*fault);
        self.armed = None;
        self.struck
    }

    fn hand_over(&mut self, bytes: &[u8]) {
        self.cached.push((self.file.len(), bytes.to_vec()));
        self.file.extend_from_slice(bytes);
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), StoreError> {
        self.refuse()?;
        let bytes = framed(payload, self.sequence);
        match self.strikes(false) {
            None => {
                self.hand_over(&bytes);
                self.sequence += 1;
                Ok(())
            }
            Some(fault) => {
                let count = match fault {
                    Fault::KillBefore => 0,
                    Fault::KillAfter => bytes.len(),
                    Fault::KillWithin | Fault::FailedFlush | Fault::Full => self.dice.below(bytes.len()),
                };
                self.hand_over(&bytes[..count]);
                Err(refusal(fault))
            }
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.refuse()?;
        let struck = self.strikes(true);
        match struck {
            None | Some(Fault::KillAfter) => {
                // Since it was opened the file has only grown.
                self.durable.extend_from_slice(&self.file[self.durable.len()..]);
                self.cached.clear();
            }
            Some(Fault::KillBefore | Fault::KillWithin | Fault::FailedFlush | Fault::Full) => {}
        }
        struck.map_or(Ok(()), |fault| Err(refusal(fault)))
    }

    fn refuse(&self) -> Result<(), StoreError> {
        match self.struck {
            None => Ok(()),
            Some(Fault::FailedFlush | Fault::Full) => Err(StoreError::Stopped),
            Some(fault @ (Fault::KillBefore | Fault::KillWithin | Fault::KillAfter)) => Err(refusal(fault)),
        }
    }

    fn lose_power(&mut self) -> (usize, usize) {
        let page_bytes = self.page_bytes;
        // Each page that was written since the last flush, in all the states it was in, oldest first.
        let mut pages: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
        for (at, bytes) in std::mem::take(&mut self.cached) {
            let end = at + bytes.len();
            for page in at / page_bytes..end.div_ceil(page_bytes) {
                let start = page * page_bytes;
                let states = pages.entry(page).or_insert_with(|| {
                    let old = self.durable.get(start..).unwrap_or_default();
                    vec![old[..old.len().min(page_bytes)].to_vec()]
                });
                let mut next = states.last().cloned().unwrap_or_default();
                let (from, to) = (at.max(start), end.min(start + page_bytes));
                next.resize(next.len().max(to - start), 0);
                next[from - start..to - start].copy_from_slice(&bytes[from - at..to - at]);
                states.push(next);
            }
        }
        let (at_stake, mut kept) = (pages.len(), 0);
        // Mostly the disk writes in order, and what is lost is an end.
        let in_order = self.dice.one_in(3).then(|| self.dice.between(0, at_stake));
        for (nth, (page, states)) in pages.into_iter().enumerate() {
            let newest = states.len() - 1;
            let choice = match in_order {
                Some(count) if nth < count => newest,
                Some(count) if nth > count => 0,
                _ => [newest, newest, 0, self.dice.between(0, newest)][self.dice.below(4)],
            };
            let mut bytes = states[choice].clone();
            if choice < newest && self.dice.one_in(4) {
                let torn = self.dice.between(0, states[choice + 1].len());
                bytes.resize(bytes.len().max(torn), 0);
                bytes[..torn].copy_from_slice(&states[choice + 1][..torn]);
            }
            kept += usize::from(choice == newest);
            if bytes.is_empty() {
                continue;
            }
            let start = page * page_bytes;
            let end = start + bytes.len();
            let length = self.durable.len().max(end);
            self.durable.resize(length, 0);
            self.durable[start..end].copy_from_slice(&bytes);
        }
        self.file = self.durable.clone();
        (at_stake, kept)
    }
}

fn refusal(fault: Fault) -> StoreError {
    StoreError::Io(match fault {
        Fault::KillBefore | Fault::KillWithin | Fault::KillAfter => io::Error::other("the process was killed"),
        Fault::FailedFlush => io::Error::other("the flush failed"),
        Fault::Full => io::Error::from(io::ErrorKind::StorageFull),
    })
}

// ---- frames ----

const FRAME_HEAD_BYTES: usize = 16;

/// Checksum of all that follows, length of the payload, sequence number, payload.
fn framed(payload: &[u8], sequence: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(payload);
    let checksum = checksum(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The frame at the front: how many bytes it has, and its payload. `None` when it is none, or another one's.
fn frame(bytes: &[u8], sequence: u64) -> Option<(usize, &[u8])> {
    let head = bytes.get(..FRAME_HEAD_BYTES)?;
    let number = |from: usize| head[from..from + 4].try_into().map(u32::from_le_bytes).ok();
    let end = FRAME_HEAD_BYTES + number(4)? as usize;
    let rest = bytes.get(4..end)?;
    let good = number(0)? == checksum(rest);
    let in_order = head[8..16] == sequence.to_le_bytes();
    (good && in_order && end > FRAME_HEAD_BYTES).then(|| (end, &bytes[FRAME_HEAD_BYTES..end]))
}

/// FNV-1a over words of eight bytes: it need only tell what tears leave, quickly.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum: u64 = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    for word in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded[..word.len()].copy_from_slice(word);
        sum = (sum ^ u64::from_le_bytes(padded)).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
    }
    (sum ^ sum >> 32) as u32
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(bytes)
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

/// A commit as bytes: partition, number of blocks, blocks, rows.
fn payload(blocks: &Blocks, rows: &Rows) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&blocks.partition().0.to_le_bytes());
    out.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
    blocks.iter().for_each(|(_, bytes)| put(&mut out, bytes));
    for change in rows.iter() {
        match change {
            Change::Put { table, key, position, bytes } => {
                out.extend_from_slice(&[table as u8, 1]);
                put(&mut out, key);
                out.extend_from_slice(&position.to_bytes());
                put(&mut out, bytes);
            }
            Change::Delete { table, key } => {
                out.extend_from_slice(&[table as u8, 0]);
                put(&mut out, key);
            }
        }
    }
    out
}

/// How many bytes of a payload say that there are no blocks.
const NO_BLOCKS_BYTES: usize = 6;

/// The front of a payload, which has its blocks.
fn blocks_of(payload: &[u8]) -> &[u8] {
    let count = payload.get(2..NO_BLOCKS_BYTES).and_then(|count| count.try_into().ok()).map_or(0, u32::from_le_bytes);
    let mut rest = &payload[NO_BLOCKS_BYTES.min(payload.len())..];
    for _ in 0..count {
        if take(&mut rest).is_none() {
            break;
        }
    }
    &payload[..payload.len() - rest.len()]
}

/// Does to `memory` what [`payload`] wrote; `None` if that cannot be.
fn apply(memory: &MemoryStore, payload: &[u8]) -> Option<()> {
    let (partition, mut rest) = payload.split_first_chunk::<2>()?;
    let partition = Partition(u16::from_le_bytes(*partition));
    let (count, after) = rest.split_first_chunk::<4>()?;
    rest = after;
    let expected = memory.end(partition).ok()?;
    let mut blocks = Blocks::new(partition, expected);
    for _ in 0..u32::from_le_bytes(*count) {
        blocks.push(&BlockBytes::new(Arc::from(take(&mut rest)?)).ok()?).ok()?;
    }
    let mut rows = Rows::new();
    while !rest.is_empty() {
        let table = *Table::ALL.get(usize::from(take_byte(&mut rest)?))?;
        let is_put = take_byte(&mut rest)? == 1;
        let key = Key::from_bytes(take(&mut rest)?);
        if is_put {
            let (position, after) = rest.split_first_chunk::<10>()?;
            rest = after;
            rows.put(table, &key, Position::from_bytes(*position), take(&mut rest)?);
        } else {
            rows.delete(table, &key);
        }
    }
    memory.commit(expected, Batch { blocks: &blocks, rows: &rows }).ok().map(drop)
}

// ---- the store ----

/// A store on a [`Disk`], as one process sees it.
pub struct SimulatedStore {
    disk: Arc<Disk>,
    memory: MemoryStore,
    /// The watermark of each partition.
    flushed: Mutex<Vec<Position>>,
    /// Held by who writes: what several threads write lies on the disk in the order in which memory took it.
    writing: Mutex<()>,
}

impl SimulatedStore {
    fn partitions(&self) -> impl Iterator<Item = Partition> {
        (0..self.disk.settings.partitions).map(Partition)
    }

    /// A process that was killed reads nothing any more.
    fn alive(&self) -> Result<(), StoreError> {
        match self.disk.state().struck {
            Some(fault @ (Fault::KillBefore | Fault::KillWithin | Fault::KillAfter)) => Err(refusal(fault)),
            Some(Fault::FailedFlush | Fault::Full) | None => Ok(()),
        }
    }

    fn move_watermarks(&self) {
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        for partition in self.partitions() {
            flushed[usize::from(partition.0)] = end_of(&self.memory, partition);
        }
    }

    /// The rows as a store with a planted defect writes them.
    fn sabotaged(&self, rows: &Rows) -> Rows {
        let mut left = Rows::new();
        let mut dice = Dice::new(rows.len() as u64 ^ self.disk.events());
        for change in rows.iter() {
            let loses = |table: Table, dice: &mut Dice| match self.disk.sabotage {
                Sabotage::ForgetsTaken => table == Table::Taken,
                Sabotage::LosesRows => matches!(table, Table::State | Table::Timers) && dice.one_in(10),
                Sabotage::Nothing | Sabotage::IdleFlush | Sabotage::TwoFrames => false,
            };
            match change {
                Change::Put { table, .. } | Change::Delete { table, .. } if loses(table, &mut dice) => {}
                Change::Put { table, key, position, bytes } => left.put(table, &Key::from_bytes(key), position, bytes),
                Change::Delete { table, key } => left.delete(table, &Key::from_bytes(key)),
            }
        }
        left
    }
}

impl Log for SimulatedStore {
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        assert_eq!(partition, blocks.partition(), "blocks are appended to the partition they were built for");
        self.commit(expected, Batch { blocks, rows: &Rows::new() })
    }

    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError> {
        self.alive()?;
        self.memory.read(partition, from)
    }

    fn block(&self, partition: Partition, number: u64) -> Result<Option<BlockBytes>, StoreError> {
        self.alive()?;
        self.memory.block(partition, number)
    }

    fn trim(&self, _partition: Partition, _to: Position) -> Result<(), StoreError> {
        Err(StoreError::Io(io::Error::new(io::ErrorKind::Unsupported, "the runtime does not trim")))
    }

    fn first(&self, partition: Partition) -> Result<Position, StoreError> {
        self.memory.first(partition)
    }

    fn end(&self, partition: Partition) -> Result<Position, StoreError> {
        self.memory.end(partition)
    }

    fn flushed(&self, partition: Partition) -> Result<Position, StoreError> {
        match self.disk.settings.durability {
            Durability::Memory | Durability::Async => self.memory.end(partition),
            Durability::Sync => {
                self.memory.end(partition)?;
                let flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(flushed[usize::from(partition.0)])
            }
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        match self.disk.settings.durability {
            Durability::Memory | Durability::Async => self.disk.state().refuse(),
            Durability::Sync => {
                if self.disk.sabotage != Sabotage::IdleFlush {
                    self.disk.state().flush()?;
                }
                self.move_watermarks();
                Ok(())
            }
        }
    }
}

impl Tables for SimulatedStore {
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError> {
        self.alive()?;
        self.memory.get_into(table, key, bytes)
    }

    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.alive()?;
        self.memory.multi_get(table, keys)
    }

    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError> {
        self.alive()?;
        self.memory.scan(table, range)
    }

    fn write(&self, rows: &Rows) -> Result<(), StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = Blocks::new(Partition(0), self.memory.end(Partition(0))?);
        self.commit_alone(nothing.start(), Batch { blocks: &nothing, rows }).map(drop)
    }
}

impl SimulatedStore {
    /// Writes a batch while nobody else writes.
    fn commit_alone(&self, expected: Position, Batch { blocks, rows }: Batch<'_>) -> Result<Position, StoreError> {
        let found = self.memory.end(blocks.partition())?;
        if expected != found {
            return Err(StoreError::Conflict { partition: blocks.partition(), expected, found });
        }
        let rows = &self.sabotaged(rows);
        if self.disk.sabotage == Sabotage::TwoFrames {
            self.disk.state().write(&payload(blocks, &Rows::new()))?;
            let nothing = Blocks::new(blocks.partition(), blocks.next());
            self.disk.state().write(&payload(&nothing, rows))?;
        } else {
            self.disk.state().write(&payload(blocks, rows))?;
        }
        let end = self.memory.commit(expected, Batch { blocks, rows });
        Ok(end.unwrap_or_else(|error| panic!("a batch breaks the rules of a store: {error}")))
    }
}

impl Store for SimulatedStore {
    fn commit(&self, expected: Position, batch: Batch<'_>) -> Result<Position, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.commit_alone(expected, batch)
    }

    fn settings(&self) -> &Settings {
        &self.disk.settings
    }

    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError> {
        self.alive()?;
        self.memory.checkpoint(partition)
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        self.alive()?;
        self.memory.check()
    }

    fn settle(&self) -> Result<(), StoreError> {
        // What has to be recovered may be written, and then lies on the disk; it need not.
        let mut state = self.disk.state();
        state.refuse()?;
        if self.disk.sabotage == Sabotage::IdleFlush || state.dice.one_in(2) {
            return Ok(());
        }
        state.flush()?;
        drop(state);
        self.move_watermarks();
        Ok(())
    }
}
