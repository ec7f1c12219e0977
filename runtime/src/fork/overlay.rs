//! A store that begins as another was at a moment of its past, and shares what that has.
//!
//! Blocks before the cut are the base's; the block in which the cut lies is made again with the records before it; what comes
//! later lies in memory. Of tables only those of twins, pieces and programs are seen through: a row that stands before
//! the cut is what it was then; of a twin whose row is later, what it was is folded from its records when it is first asked
//! for. Whatever is written stays here, so the base is the same afterwards, and memory holds what the fork has
//! changed or had to fold.
//!
//! Invariant: nobody writes the base meanwhile, or only behind the end that it had.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use twintalk_store::record::TwinChange;
use twintalk_store::{
    Batch, BlockBuilder, BlockBytes, BlockIter, Blocks, Change, CheckReport, Durability, Key, KeyRange, Log, Partition,
    Place, Position, Row, RowIter, Rows, Settings, Store, StoreError, Table, Tables,
};
use twintalk_vm::Shapes;

use crate::replay::{Moment, chain, damaged, fold};
use crate::resident::{View, read_row, write_row};

/// The fork of a store, as the runtime sees it.
pub(crate) struct Overlay {
    base: Arc<dyn Store>,
    settings: Settings,
    /// Of the base, which has every shape that its records name.
    shapes: Shapes,
    /// The first position of each log that is not the fork's past.
    cuts: Vec<Position>,
    own: RwLock<Own>,
}

/// Where a row stands, and what it holds.
type OwnRow = (Position, Vec<u8>);

/// What lies in memory.
struct Own {
    /// By partition: the blocks from that of the cut on.
    logs: Vec<Vec<BlockBytes>>,
    /// By table: rows, and what is not there any more.
    tables: Vec<BTreeMap<Vec<u8>, Option<OwnRow>>>,
    /// Twins of which no row of the base counts.
    folded: HashSet<(Partition, String)>,
}

/// Whether rows of the base are seen in this table.
fn is_shared(table: Table) -> bool {
    match table {
        Table::State | Table::Chunks | Table::Programs => true,
        Table::History
        | Table::Timers
        | Table::Waiting
        | Table::Supervision
        | Table::DeadLetters
        | Table::Taken
        | Table::Prototypes
        | Table::Indices
        | Table::Meta => false,
    }
}

impl Overlay {
    /// Of `base` at the moment `cuts`, which is closed under cause.
    ///
    /// # Errors
    /// The base refuses, or the block in which a cut lies is damaged.
    pub fn new(base: Arc<dyn Store>, shapes: Shapes, cuts: Vec<Position>) -> Result<Overlay, StoreError> {
        let settings = Settings { durability: Durability::Memory, ..base.settings().clone() };
        let mut logs = Vec::new();
        for (partition, cut) in (0..).map(Partition).zip(&cuts) {
            logs.push(match cut.index {
                0 => Vec::new(),
                _ => vec![cut_block(&*base, partition, *cut)?],
            });
        }
        let tables = Table::ALL.iter().map(|_| BTreeMap::new()).collect();
        Ok(Overlay { base, settings, shapes, cuts, own: RwLock::new(Own { logs, tables, folded: HashSet::new() }) })
    }

    /// A thread that panicked held the lock between two whole changes.
    fn own(&self) -> RwLockReadGuard<'_, Own> {
        self.own.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_mut(&self) -> RwLockWriteGuard<'_, Own> {
        self.own.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, partition: Partition) -> Result<Position, StoreError> {
        let none = StoreError::NoPartition { partition, partitions: self.settings.partitions };
        self.cuts.get(usize::from(partition.0)).copied().ok_or(none)
    }

    /// The newest record before the cut that lists the twin, if its row stands at `newest`.
    fn last_before(&self, partition: Partition, path: &str, newest: Position) -> Result<Option<Position>, StoreError> {
        let cut = self.cut(partition)?;
        if newest < cut {
            return Ok((newest > Position::START).then_some(newest));
        }
        let mut found = None;
        chain(&*self.base, partition, path, newest, |position, _, _| {
            found = (position < cut).then_some(position);
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// The number of the turn whose record stands at `position`.
    fn turn_at(&self, partition: Partition, position: Position) -> Result<u64, StoreError> {
        let lost = || damaged(partition, position, "a record that a row names and that is not there");
        let bytes = self.base.block(partition, position.block)?.ok_or_else(lost)?;
        let block = bytes.open().map_err(|_| lost())?;
        Ok(block.record(position.index).map_err(|_| lost())?.envelope.turn)
    }

    /// The last turn that a composite has had before the cut, as far as rows know: each record lists its receiver.
    fn composite_turn(&self, partition: Partition, composite: &str) -> Result<u64, StoreError> {
        let mut turn = 0;
        for row in self.base.scan(Table::State, &KeyRange::twin_and_parts(partition, composite))? {
            let (key, row) = row?;
            let Some(path) = key.path() else { continue };
            if let Some(last) = self.last_before(partition, &path, row.position)? {
                turn = turn.max(self.turn_at(partition, last)?);
            }
        }
        Ok(turn)
    }

    /// Sees to it that what the own tables do not have of a twin, the base has as it was at the cut.
    fn settle_twin(&self, partition: Partition, path: &str) -> Result<(), StoreError> {
        let mut key = Key::new();
        let key = key.state(partition, path);
        {
            let own = self.own();
            if own.tables[Table::State as usize].contains_key(key.bytes()) {
                return Ok(());
            }
        }
        let Some(row) = self.base.get(Table::State, key)? else { return Ok(()) };
        let damage = || StoreError::Corrupt {
            at: Place::Row { table: Table::State, key: key.bytes().to_vec() },
            reason: twintalk_store::Corruption::Row("a state row that is none"),
        };
        let view = read_row(path, row.position, &row.bytes).ok_or_else(damage)?;
        let is_root = !path.contains('/');
        if row.position < self.cut(partition)? {
            // Of a root it also says the last turn of the composite, which may be later than the last that lists the root.
            let knows_turn = !is_root
                || (row.position > Position::START && self.turn_at(partition, row.position)? == view.turn)
                || view.turn == 0;
            if !knows_turn {
                let turn = self.composite_turn(partition, path)?;
                self.put_own(key, &View { turn, ..view });
            }
            return Ok(());
        }
        let turn = if is_root { self.composite_turn(partition, path)? } else { 0 };
        let last = self.last_before(partition, path, row.position)?;
        let Some(last) = last else {
            // A root of which only parts were spoken to is known by its turn.
            let nothing = View { path, dirty: false, exists: false, life: 0, last: Position::START, turn, image: &[] };
            if turn > 0 {
                self.put_own(key, &nothing);
            } else {
                self.own_mut().tables[Table::State as usize].insert(key.bytes().to_vec(), None);
            }
            self.own_mut().folded.insert((partition, path.to_owned()));
            return Ok(());
        };
        let folded = fold(&*self.base, partition, &self.shapes, path, last, Moment::Now)?;
        let (exists, life, image, pieces) = match folded {
            Some(folded) => (true, folded.life, folded.state.image, folded.state.pieces),
            None => (false, self.life_before(partition, path, last)?, Vec::new(), BTreeMap::new()),
        };
        self.put_own(key, &View { path, dirty: false, exists, life, last, turn, image: &image });
        let mut own = self.own_mut();
        let mut key = Key::new();
        for (number, bytes) in pieces {
            let key = key.chunk(partition, path, number, 0).bytes().to_vec();
            own.tables[Table::Chunks as usize].insert(key, Some((last, bytes)));
        }
        own.folded.insert((partition, path.to_owned()));
        Ok(())
    }

    /// Which life of a path was the last that ended by the record at `last`; 0: there never was one.
    fn life_before(&self, partition: Partition, path: &str, last: Position) -> Result<u64, StoreError> {
        let mut life = 0;
        chain(&*self.base, partition, path, last, |_, _, twin| {
            // A record of a message that missed its twin has the life 1, whether or not there ever was one.
            life = if twin.kind == TwinChange::Touched { 0 } else { twin.life };
            Ok(life == 0)
        })?;
        Ok(life)
    }

    fn put_own(&self, key: &Key, view: &View<'_>) {
        let mut bytes = Vec::new();
        write_row(view, &mut bytes);
        self.own_mut().tables[Table::State as usize].insert(key.bytes().to_vec(), Some((view.last, bytes)));
    }

    /// Whether the base's row with this key counts; of one that does not, what counts is in the own tables.
    fn counts(&self, table: Table, key: &Key, position: Position) -> Result<bool, StoreError> {
        if self.own().tables[table as usize].contains_key(key.bytes()) {
            return Ok(false);
        }
        match (table, key.path()) {
            (Table::State, Some(path)) if position >= self.cut(key.partition())? => {
                self.settle_twin(key.partition(), &path)?;
                Ok(false)
            }
            (Table::Chunks, Some(path)) => {
                self.settle_twin(key.partition(), &path)?;
                Ok(!self.own().folded.contains(&(key.partition(), path)))
            }
            _ => Ok(is_shared(table)),
        }
    }
}

/// The block of a cut, without the records behind it.
fn cut_block(base: &dyn Store, partition: Partition, cut: Position) -> Result<BlockBytes, StoreError> {
    let unreadable = || damaged(partition, cut, "a block that cannot be read");
    let bytes = base.block(partition, cut.block)?.ok_or_else(unreadable)?;
    let block = bytes.open().map_err(|_| unreadable())?;
    // The names in a block are those of its records, so one with fewer is written anew.
    let mut builder = BlockBuilder::new(partition, Position::block(cut.block));
    for record in block.records(0) {
        let (position, record) = record.map_err(|_| unreadable())?;
        if position >= cut {
            break;
        }
        builder.push(&record).map_err(|_| damaged(partition, position, "a record that cannot be written"))?;
    }
    let (_, bytes) = builder.finish().iter().next().ok_or_else(unreadable)?;
    BlockBytes::new(bytes.into()).map_err(|_| unreadable())
}

impl Log for Overlay {
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        assert!(partition == blocks.partition(), "blocks are appended to the partition they were built for");
        self.commit(expected, Batch { blocks, rows: &Rows::new() })
    }

    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError> {
        let cut = self.cut(partition)?;
        let shared = match from.block < cut.block {
            true => Some(self.base.read(partition, from)?.take((cut.block - from.block) as usize)),
            false => None,
        };
        let mut next = from.block.max(cut.block);
        let own = std::iter::from_fn(move || {
            let block = self.block(partition, next).transpose();
            next += 1;
            block
        });
        Ok(Box::new(shared.into_iter().flatten().chain(own)))
    }

    fn block(&self, partition: Partition, number: u64) -> Result<Option<BlockBytes>, StoreError> {
        let cut = self.cut(partition)?;
        match number.checked_sub(cut.block) {
            None => self.base.block(partition, number),
            Some(nth) => Ok(self.own().logs[usize::from(partition.0)].get(nth as usize).cloned()),
        }
    }

    fn trim(&self, _partition: Partition, _to: Position) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn first(&self, partition: Partition) -> Result<Position, StoreError> {
        self.base.first(partition)
    }

    fn end(&self, partition: Partition) -> Result<Position, StoreError> {
        let cut = self.cut(partition)?;
        Ok(Position::block(cut.block + self.own().logs[usize::from(partition.0)].len() as u64))
    }

    fn flushed(&self, partition: Partition) -> Result<Position, StoreError> {
        self.end(partition)
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Tables for Overlay {
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError> {
        bytes.clear();
        if let (Table::State | Table::Chunks, Some(path)) = (table, key.path()) {
            self.settle_twin(key.partition(), &path)?;
        }
        {
            let own = self.own();
            if let Some(row) = own.tables[table as usize].get(key.bytes()) {
                let Some((position, row)) = row else { return Ok(None) };
                bytes.extend_from_slice(row);
                return Ok(Some(*position));
            }
        }
        if !is_shared(table) || !self.counts(table, key, Position::START)? {
            return Ok(None);
        }
        self.base.get_into(table, key, bytes)
    }

    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError> {
        let mut shared = match is_shared(table) {
            true => Some(self.base.scan(table, range)?),
            false => None,
        };
        // Rows come in the order of their keys: after the last that was given, whichever is first of the own and the base's.
        let mut from = Bound::Included(range.from.bytes().to_vec());
        let to = range.to.bytes().max(range.from.bytes()).to_vec();
        let mut waiting: Option<(Key, Row)> = None;
        Ok(Box::new(std::iter::from_fn(move || {
            loop {
                // Which twins are folded on the way is seen below, since their rows lie at this key or later.
                while waiting.is_none()
                    && let Some(next) = shared.as_mut().and_then(Iterator::next)
                {
                    let counted = next.and_then(|(key, row)| Ok((self.counts(table, &key, row.position)?, key, row)));
                    match counted {
                        Ok((true, key, row)) => waiting = Some((key, row)),
                        Ok((false, key, _)) => {
                            // What counts in its place is among the own.
                            let own = self.next_own(table, &from, &to);
                            if own.as_ref().is_some_and(|(own, _)| *own <= key.bytes().to_vec()) {
                                break;
                            }
                        }
                        Err(error) => return Some(Err(error)),
                    }
                }
                let own = self.next_own(table, &from, &to);
                let is_own = match (&own, &waiting) {
                    (Some((own, _)), Some((key, _))) => own.as_slice() < key.bytes(),
                    (Some(_), None) => true,
                    (None, Some(_)) => false,
                    (None, None) => return None,
                };
                if !is_own {
                    let (key, row) = waiting.take()?;
                    from = Bound::Excluded(key.bytes().to_vec());
                    return Some(Ok((key, row)));
                }
                let (key, row) = own?;
                from = Bound::Excluded(key.clone());
                if let Some((position, bytes)) = row {
                    return Some(Ok((Key::from_bytes(&key), Row { position, bytes })));
                }
            }
        })))
    }

    fn write(&self, rows: &Rows) -> Result<(), StoreError> {
        self.own_mut().take(rows);
        Ok(())
    }
}

impl Overlay {
    /// The first own row of a table within these bounds.
    fn next_own(&self, table: Table, from: &Bound<Vec<u8>>, to: &Vec<u8>) -> Option<(Vec<u8>, Option<OwnRow>)> {
        let own = self.own();
        let rows = &own.tables[table as usize];
        // A map refuses a range that ends before it starts.
        if matches!(from, Bound::Included(from) | Bound::Excluded(from) if from >= to) {
            return None;
        }
        let first = rows.range::<Vec<u8>, _>((from.as_ref(), Bound::Excluded(to))).next();
        first.map(|(key, row)| (key.clone(), row.clone()))
    }
}

impl Own {
    fn take(&mut self, rows: &Rows) {
        for change in rows.iter() {
            match change {
                Change::Put { table, key, position, bytes } => {
                    self.tables[table as usize].insert(key.to_vec(), Some((position, bytes.to_vec())));
                }
                Change::Delete { table, key } if is_shared(table) => {
                    self.tables[table as usize].insert(key.to_vec(), None);
                }
                Change::Delete { table, key } => {
                    self.tables[table as usize].remove(key);
                }
            }
        }
    }
}

impl Store for Overlay {
    fn commit(&self, expected: Position, Batch { blocks, rows }: Batch<'_>) -> Result<Position, StoreError> {
        let partition = blocks.partition();
        let end = self.end(partition)?;
        if end != expected || (!blocks.is_empty() && blocks.start() != end) {
            return Err(StoreError::Conflict { partition, expected, found: end });
        }
        let read = |(number, bytes): (u64, &[u8])| {
            BlockBytes::new(bytes.into())
                .map_err(|_| damaged(partition, Position::block(number), "a block that was written just now"))
        };
        let blocks = blocks.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut own = self.own_mut();
        own.logs[usize::from(partition.0)].extend(blocks);
        own.take(rows);
        drop(own);
        self.end(partition)
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Up to the base's checkpoint rows are what their twins were there; what lies between that and the cut is replayed.
    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.base.checkpoint(partition)?.min(self.cut(partition)?))
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        Ok(CheckReport::default())
    }

    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
