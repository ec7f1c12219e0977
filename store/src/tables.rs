//! What follows from the log, as named tables of rows.
//!
//! A row is a key and bytes, and most rows say at which position of their partition's log they
//! stand: every effect of a record at or before it is in the row, and none behind it. Losing all
//! tables costs a replay of the log, and nothing else.
//!
//! A key starts with its partition, so that the rows of one partition lie side by side, and then is
//! made so that the order of its bytes is the order wanted. In a key the `/` of a path is the byte
//! 0, which no path has: so a composite and its parts lie side by side, `plant-1` and
//! `plant-1/pump` before `plant-1-old`. Byte 1 ends a path or a name.
//!
//! Invariants: two different things have different keys; a row never stands at or behind the end
//! of its partition's log.

use std::fmt;

use crate::{Partition, Position};

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $title:literal, positioned: $positioned:literal;)*) => {
        /// A table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $($(#[$doc])* $name,)*
        }

        impl Table {
            /// Every table.
            pub const ALL: &[Table] = &[$(Table::$name),*];

            /// Its name in the store and in messages.
            pub const fn title(self) -> &'static str {
                match self { $(Table::$name => $title,)* }
            }

            /// Whether its rows say at which position they stand. A row of another table has
            /// [`Position::START`].
            pub const fn is_positioned(self) -> bool {
                match self { $(Table::$name => $positioned,)* }
            }
        }
    };
}

tables! {
    /// The state of each twin: key [`Key::state`]. A cold twin is loaded by one get.
    State = "state", positioned: true;
    /// Snapshots along long histories: key [`Key::history`].
    History = "history", positioned: true;
    /// Parts of collections beyond 4 KiB, and promises that wait: key [`Key::chunk`].
    Chunks = "chunks", positioned: true;
    /// Timers by the time they are due: key [`Key::timer`].
    Timers = "timers", positioned: true;
    /// Messages that were taken and wait: key [`Key::waiting`].
    Waiting = "waiting", positioned: true;
    /// What is remembered of failures: which twins are in quarantine, and when twins failed: key [`Key::state`].
    Supervision = "supervision", positioned: true;
    /// Messages that were laid aside, by the record of their failure: key [`Key::dead_letter`].
    DeadLetters = "deadletters", positioned: true;
    /// How far the messages of others have been taken: keys [`Key::taken_from`] and
    /// [`Key::taken_outside`].
    Taken = "taken", positioned: true;
    /// Which twins a prototype has: key [`Key::prototype`].
    Prototypes = "prototypes", positioned: false;
    /// Which twins have which values in indexed slots: key [`Key::indexed`].
    Indices = "indices", positioned: false;
    /// Programs by content hash: key [`Key::program`].
    Programs = "programs", positioned: false;
    /// Format, settings, and how far each partition has come: key [`Key::named`]. Names that
    /// start with a dot are the store's own.
    Meta = "meta", positioned: false;
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// Ends a path or a name inside a key; it is in neither.
const END: u8 = 1;
/// Tells counters of partitions from those of outside senders in [`Table::Taken`].
const OF_PARTITION: u8 = 0;

/// The key of a row. Reuse one: each method writes the whole key anew and gives it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: Vec<u8>,
}

impl Key {
    /// A key with no bytes yet.
    pub const fn new() -> Key {
        Key { bytes: Vec::new() }
    }

    /// A key that was read: partition first, as [`bytes`](Key::bytes) gave it.
    pub fn from_bytes(bytes: &[u8]) -> Key {
        Key { bytes: bytes.to_vec() }
    }

    /// The whole key, partition included: two bytes, the higher one first.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The partition. [`Partition::SHARED`] when there is none yet.
    pub fn partition(&self) -> Partition {
        self.bytes.first_chunk().map_or(Partition::SHARED, |bytes| Partition(u16::from_be_bytes(*bytes)))
    }

    /// What stands behind the partition.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(2..).unwrap_or_default()
    }

    /// The path in a key that starts with one: [`Key::state`], [`Key::history`], [`Key::chunk`],
    /// [`Key::waiting`]. `None` when it is none.
    pub fn path(&self) -> Option<String> {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == END).unwrap_or(rest.len());
        let path = rest[..end].iter().map(|&byte| if byte == 0 { b'/' } else { byte }).collect();
        String::from_utf8(path).ok()
    }

    /// The state of the twin `path`.
    pub fn state(&mut self, partition: Partition, path: &str) -> &Key {
        self.start(partition).put_path(path)
    }

    /// The snapshot of the twin `path` at `at`; those of one twin ascend by position.
    pub fn history(&mut self, partition: Partition, path: &str, at: Position) -> &Key {
        self.start(partition).put_path(path).put(&[END]).put(&at.to_bytes())
    }

    /// Chunk `chunk` of object `object` of the twin `path`.
    pub fn chunk(&mut self, partition: Partition, path: &str, object: u64, chunk: u32) -> &Key {
        self.start(partition).put_path(path).put(&[END]).put(&object.to_be_bytes()).put(&chunk.to_be_bytes())
    }

    /// The object in a key of [`Key::chunk`].
    pub fn object(&self) -> Option<u64> {
        self.rest().last_chunk::<12>().and_then(|end| end.first_chunk()).map(|object| u64::from_be_bytes(*object))
    }

    /// The timer `name` of the twin `path`, due at `due_ns`; a partition's timers ascend by time.
    pub fn timer(&mut self, partition: Partition, due_ns: i64, path: &str, name: &str) -> &Key {
        // Flipping the sign bit puts negative times first.
        let due = (due_ns as u64) ^ (1 << 63);
        self.start(partition).put(&due.to_be_bytes()).put_path(path).put(&[END]).put(name.as_bytes())
    }

    /// The time in a key of [`Key::timer`].
    pub fn due_ns(&self) -> Option<i64> {
        self.rest().first_chunk().map(|due| (u64::from_be_bytes(*due) ^ (1 << 63)) as i64)
    }

    /// The path and the name in a key of [`Key::timer`].
    pub fn timer_names(&self) -> Option<(String, String)> {
        let rest = self.rest().get(8..)?;
        let end = rest.iter().position(|&byte| byte == END)?;
        let path = rest[..end].iter().map(|&byte| if byte == 0 { b'/' } else { byte }).collect();
        Some((String::from_utf8(path).ok()?, String::from_utf8(rest[end + 1..].to_vec()).ok()?))
    }

    /// The `number`th message that waits for `composite`.
    pub fn waiting(&mut self, partition: Partition, composite: &str, number: u64) -> &Key {
        self.start(partition).put_path(composite).put(&[END]).put(&number.to_be_bytes())
    }

    /// The message whose turn failed in the record at `at`; those of a partition ascend by position.
    pub fn dead_letter(&mut self, partition: Partition, at: Position) -> &Key {
        self.start(partition).put(&at.to_bytes())
    }

    /// The position in a key of [`Key::dead_letter`].
    pub fn position(&self) -> Option<Position> {
        self.rest().try_into().ok().map(Position::from_bytes)
    }

    /// How far `partition` has taken the log of `from`.
    pub fn taken_from(&mut self, partition: Partition, from: Partition) -> &Key {
        self.start(partition).put(&[OF_PARTITION]).put(&from.0.to_be_bytes())
    }

    /// How far `partition` has taken the messages of the outside sender `name`.
    pub fn taken_outside(&mut self, partition: Partition, name: &str) -> &Key {
        self.start(partition).put(&[END]).put(name.as_bytes())
    }

    /// The twin `path` as one of the prototype `name`.
    pub fn prototype(&mut self, partition: Partition, name: &str, path: &str) -> &Key {
        self.start(partition).put(name.as_bytes()).put(&[END]).put_path(path)
    }

    /// The twin `path` of the prototype `name`, whose slot `slot` has a value that `value` stands for, as many bytes for each.
    pub fn indexed(&mut self, partition: Partition, name: &str, slot: &str, value: &[u8], path: &str) -> &Key {
        let key = self.start(partition).put(name.as_bytes()).put(&[END]).put(slot.as_bytes()).put(&[END]);
        key.put(value).put_path(path)
    }

    /// The name and the path in a key of [`Key::prototype`].
    pub fn prototype_names(&self) -> Option<(String, String)> {
        let rest = self.rest();
        let end = rest.iter().position(|&byte| byte == END)?;
        let path = rest[end + 1..].iter().map(|&byte| if byte == 0 { b'/' } else { byte }).collect();
        Some((String::from_utf8(rest[..end].to_vec()).ok()?, String::from_utf8(path).ok()?))
    }

    /// The program with this content hash.
    pub fn program(&mut self, hash: &crate::record::ProgramHash) -> &Key {
        self.start(Partition::SHARED).put(hash)
    }

    /// Whatever is called `name`.
    pub fn named(&mut self, partition: Partition, name: &str) -> &Key {
        self.start(partition).put(name.as_bytes())
    }

    fn start(&mut self, partition: Partition) -> &mut Key {
        self.bytes.clear();
        self.put(&partition.0.to_be_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Key {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn put_path(&mut self, path: &str) -> &mut Key {
        self.bytes.extend(path.bytes().map(|byte| if byte == b'/' { 0 } else { byte }));
        self
    }
}

/// Keys from `from` on, up to but not including `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first.
    pub from: Key,
    /// The first that is no longer meant.
    pub to: Key,
}

impl KeyRange {
    /// From one key up to another.
    pub fn new(from: &Key, to: &Key) -> KeyRange {
        KeyRange { from: from.clone(), to: to.clone() }
    }

    /// All rows of `partition`.
    pub fn partition(partition: Partition) -> KeyRange {
        KeyRange::prefix(Key::new().start(partition))
    }

    /// All keys that start with `prefix`, such as a [`Key::state`] of the start of a path.
    pub fn prefix(prefix: &Key) -> KeyRange {
        let mut to = prefix.clone();
        while to.bytes.last() == Some(&u8::MAX) {
            to.bytes.pop();
        }
        match to.bytes.last_mut() {
            Some(last) => *last += 1,
            // Nothing is behind a prefix of 0xff only: no key is as long as this one.
            None => to.bytes = vec![u8::MAX; KEY_BYTES_MAX + 1],
        }
        KeyRange { from: prefix.clone(), to }
    }

    /// The twin `path` and all twins below it, as keys of [`Table::State`].
    pub fn twin_and_parts(partition: Partition, path: &str) -> KeyRange {
        let from = Key::new().state(partition, path).clone();
        let mut to = from.clone();
        to.put(&[END]);
        KeyRange { from, to }
    }

    /// Everything that belongs to the twin `path` alone, as keys of [`Table::History`],
    /// [`Table::Chunks`] or [`Table::Waiting`].
    pub fn of_twin(partition: Partition, path: &str) -> KeyRange {
        let mut prefix = Key::new();
        prefix.start(partition).put_path(path).put(&[END]);
        KeyRange::prefix(&prefix)
    }

    /// The twins of the prototype `name` whose slot `slot` has a value from `from` to `to`, both included, as keys of [`Table::Indices`].
    pub fn of_values(partition: Partition, name: &str, slot: &str, from: &[u8], to: &[u8]) -> KeyRange {
        let first = Key::new().indexed(partition, name, slot, from, "").clone();
        let last = KeyRange::prefix(Key::new().indexed(partition, name, slot, to, ""));
        KeyRange { from: first, to: last.to }
    }

    /// The twins of the prototype `name`, as keys of [`Table::Prototypes`].
    pub fn of_prototype(partition: Partition, name: &str) -> KeyRange {
        KeyRange::prefix(Key::new().prototype(partition, name, ""))
    }

    /// The timers of `partition` due at `due_ns` or before, as keys of [`Table::Timers`].
    pub fn due(partition: Partition, due_ns: i64) -> KeyRange {
        let from = Key::new().start(partition).clone();
        let to = match due_ns.checked_add(1) {
            Some(next_ns) => Key::new().timer(partition, next_ns, "", "").clone(),
            None => KeyRange::partition(partition).to,
        };
        KeyRange { from, to }
    }
}

/// The longest key that a table takes, with its partition.
pub const KEY_BYTES_MAX: usize = 66_100;

/// A row as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where in its partition's log it stands.
    pub position: Position,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// One change of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The row is there, with this position and bytes.
    Put {
        /// Whose table.
        table: Table,
        /// The whole key.
        key: &'a [u8],
        /// Where the row stands.
        position: Position,
        /// What it holds.
        bytes: &'a [u8],
    },
    /// The row is not there.
    Delete {
        /// Whose table.
        table: Table,
        /// The whole key.
        key: &'a [u8],
    },
}

/// Changes of tables, to be written together. Reuse one: [`clear`](Rows::clear) keeps its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where a change stands in `bytes`: its key, then, if the row is put, its position and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    table: Table,
    start: usize,
    key_end: usize,
    end: usize,
}

/// How many bytes a position takes in front of a row.
pub(crate) const POSITION_BYTES: usize = 10;

impl Rows {
    /// No changes.
    pub const fn new() -> Rows {
        Rows { bytes: Vec::new(), entries: Vec::new() }
    }

    /// Puts a row. Later changes of one key win.
    ///
    /// # Panics
    /// When a row of a table without positions has one.
    pub fn put(&mut self, table: Table, key: &Key, position: Position, bytes: &[u8]) {
        assert!(table.is_positioned() || position == Position::START, "rows of `{table}` have no position");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.bytes());
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(&position.to_bytes());
        self.bytes.extend_from_slice(bytes);
        self.entries.push(Entry { table, start, key_end, end: self.bytes.len() });
    }

    /// Deletes a row; that it is not there is fine.
    pub fn delete(&mut self, table: Table, key: &Key) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.bytes());
        let end = self.bytes.len();
        self.entries.push(Entry { table, start, key_end: end, end });
    }

    /// Notes that replay of `partition` need not start before `position`: no row will need it.
    pub fn checkpoint(&mut self, partition: Partition, position: Position) {
        self.put(Table::Meta, Key::new().named(partition, CHECKPOINT), Position::START, &position.to_bytes());
    }

    /// The changes, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        self.stored().map(|(table, key, row)| match row.and_then(<[u8]>::split_first_chunk) {
            Some((position, bytes)) => Change::Put { table, key, position: Position::from_bytes(*position), bytes },
            None => Change::Delete { table, key },
        })
    }

    /// The changes as tables with positions store them: table, key, and position with bytes.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.entries.iter().map(|&Entry { table, start, key_end, end }| {
            (table, &self.bytes[start..key_end], (end > key_end).then(|| &self.bytes[key_end..end]))
        })
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

/// The row of [`Table::Meta`] that says from where a partition's log must be replayed.
pub(crate) const CHECKPOINT: &str = ".checkpoint";
/// The row of [`Table::Meta`] that says up to where a partition's log has been cut off.
pub(crate) const TRIMMED: &str = ".trimmed";
