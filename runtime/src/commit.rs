//! Records and rows onto the disk, and what then may leave.
//!
//! Records are written with every row that follows from them as one batch. One flush makes durable what all partitions have
//! written; what was held back until then goes out.
//!
//! Either turns wait for that ([`commit`]), or they run ahead ([`commit_ahead`]): the flush is done by another thread
//! ([`flush`](crate::flush)), and what it lets out leaves when somebody looks. A partition has one flush under way and gathers for
//! the next; so what a power loss can take, and nobody was told of, is two batches.

use twintalk_store::{Batch, Durability, Key, Partition, Position, StoreError, Table};

use crate::partition::{Core, Leaving};
use crate::post::Parcel;
use crate::resident::{View, write_row};

/// What leaves when a flush is done.
pub(crate) struct InFlight {
    /// The flush.
    pub number: u64,
    leaving: Vec<(u64, Leaving)>,
    pub outbox: Vec<(Partition, Parcel)>,
}

/// Writes what partitions have to write, waits for one flush for all, and lets out what waited for that.
pub(crate) fn commit(cores: &mut [Core]) -> Result<(), StoreError> {
    let mut flush = false;
    for core in cores.iter_mut() {
        flush |= core.write_records()? || core.in_flight.is_some();
    }
    if let Some(core) = cores.first().filter(|_| flush) {
        core.store.flush()?;
    }
    cores.iter_mut().for_each(Core::release);
    Ok(())
}

/// Writes what partitions have to write, and has it flushed while they go on. Waits for the flush before: so turns are never
/// further ahead of the disk than one batch. Answers the number of the flush, 0 if none is needed.
pub(crate) fn commit_ahead(cores: &mut [Core]) -> Result<u64, StoreError> {
    await_flush(cores)?;
    let mut flush = false;
    for core in cores.iter_mut() {
        flush |= core.write_records()?;
    }
    let Some(flusher) = cores.first().filter(|_| flush).map(|core| core.flusher.clone()) else {
        cores.iter_mut().for_each(Core::release);
        return Ok(0);
    };
    let number = flusher.ask()?;
    cores.iter_mut().for_each(|core| core.leave_with(number));
    Ok(number)
}

/// Waits for the flushes that are under way, and lets out what waited for them.
pub(crate) fn await_flush(cores: &mut [Core]) -> Result<(), StoreError> {
    for core in cores {
        if let Some(InFlight { number, .. }) = core.in_flight {
            core.flusher.wait(number)?;
            core.release_in_flight();
        }
    }
    Ok(())
}

impl Core {
    /// Whether what is executed is as durable as it gets.
    pub(crate) fn is_durable_at_once(&self) -> bool {
        self.store.settings().durability == Durability::Memory
    }

    /// Writes all records since the last commit, with what follows from them, and waits until they are
    /// durable. Answers what may leave now.
    pub fn commit(&mut self) -> Result<Vec<(u64, Leaving)>, StoreError> {
        commit(std::slice::from_mut(self))?;
        Ok(std::mem::take(&mut self.released))
    }

    /// Writes what waits to be written; answers whether a flush has to follow before anything may leave.
    fn write_records(&mut self) -> Result<bool, StoreError> {
        if self.uncommitted > 0 || !self.rows.is_empty() || !self.taken_changed.is_empty() {
            self.write(false)?;
        }
        Ok(self.unflushed && self.store.settings().durability == Durability::Sync)
    }

    /// What is held back leaves with flush `number`, which covers all that is written.
    fn leave_with(&mut self, number: u64) {
        debug_assert!(self.in_flight.is_none(), "one flush at a time");
        self.unflushed = false;
        let (leaving, outbox) = (std::mem::take(&mut self.leaving), std::mem::take(&mut self.outbox));
        self.in_flight = Some(InFlight { number, leaving, outbox });
    }

    /// What waits for a flush leaves if that is done; answers whether nothing waits any more.
    pub(crate) fn release_flushed(&mut self) -> Result<bool, StoreError> {
        match &self.in_flight {
            Some(InFlight { number, .. }) if !self.flusher.is_done(*number)? => return Ok(false),
            Some(_) => self.release_in_flight(),
            None => {}
        }
        Ok(true)
    }

    fn release_in_flight(&mut self) {
        if let Some(InFlight { leaving, outbox, .. }) = self.in_flight.take() {
            outbox.into_iter().for_each(|(to, parcel)| self.post.deliver(to, parcel));
            self.released.extend(leaving);
        }
    }

    /// All that was written is durable: parcels go to their partitions, and what is for the outside may leave.
    fn release(&mut self) {
        self.unflushed = false;
        self.release_in_flight();
        for (to, parcel) in std::mem::take(&mut self.outbox) {
            self.post.deliver(to, parcel);
        }
        self.released.append(&mut self.leaving);
    }

    /// Writes the row of every twin that memory is ahead of, and notes that replay starts here.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.residents.dirty() == 0 && self.uncommitted == 0 && self.rows.is_empty() {
            return Ok(());
        }
        self.write(true)?;
        self.residents.all_clean();
        if self.store.settings().durability == Durability::Sync {
            self.store.flush()?;
        }
        self.release();
        Ok(())
    }

    /// Notes that nothing that the log of `from` sends to this partition up to `end` is still to be taken.
    pub fn taken_all_of(&mut self, from: Partition, end: Position) {
        let source = &mut self.sources[usize::from(from.0)];
        if source.outstanding == 0 && source.taken < (end, 0) {
            source.taken = (end, 0);
            source.changed = true;
        }
    }

    pub(crate) fn write(&mut self, every_dirty: bool) -> Result<(), StoreError> {
        self.index(every_dirty)?;
        let mut key = Key::new();
        let mut row = Vec::new();
        let partition = self.partition;
        // The rows of pieces stand where that of their twin does.
        let mut pieces = std::mem::take(&mut self.residents.pieces);
        let (rows, store) = (&mut self.rows, &*self.store);
        let mut written = Ok(());
        let mut write = |view: View<'_>| {
            write_row(&view, &mut row);
            rows.put(Table::State, key.state(partition, view.path), view.last, &row);
            if written.is_ok() {
                written = pieces.write(store, partition, view.path, view.last, rows);
            }
        };
        if every_dirty {
            self.residents.for_each_dirty(write);
        } else {
            self.moved.iter().filter_map(|path| self.residents.get(path)).for_each(&mut write);
        }
        self.residents.pieces = pieces;
        written?;
        self.moved.clear();
        for name in std::mem::take(&mut self.taken_changed) {
            let number = self.taken.get(&name).copied().unwrap_or(0);
            self.rows.put(
                Table::Taken,
                key.taken_outside(self.partition, &name),
                self.last_record,
                &number.to_be_bytes(),
            );
        }
        for (from, source) in self.sources.iter_mut().enumerate() {
            if std::mem::take(&mut source.changed) {
                let mut bytes = source.taken.0.to_bytes().to_vec();
                bytes.extend_from_slice(&source.taken.1.to_be_bytes());
                let key = key.taken_from(self.partition, Partition(from as u16));
                self.rows.put(Table::Taken, key, self.last_record, &bytes);
            }
        }
        if self.uncommitted > 0 {
            let blocks = self.builder.finish();
            let start = blocks.start();
            if every_dirty {
                self.rows.checkpoint(self.partition, blocks.next());
            }
            self.store.commit(start, Batch { blocks, rows: &self.rows })?;
            self.builder.clear();
        } else {
            if every_dirty {
                self.rows.checkpoint(self.partition, self.store.end(self.partition)?);
            }
            self.store.write(&self.rows)?;
        }
        self.let_go_of_waiting();
        self.unflushed |= self.uncommitted > 0 || !self.rows.is_empty();
        self.rows.clear();
        self.uncommitted = 0;
        Ok(())
    }

    // ---- senders ----

    /// Up to which number the messages of an outside sender were taken.
    pub fn taken_of(&mut self, name: &str) -> Result<u64, StoreError> {
        if let Some(&number) = self.taken.get(name) {
            return Ok(number);
        }
        let mut key = Key::new();
        let row = self.store.get(Table::Taken, key.taken_outside(self.partition, name))?;
        let number = row.and_then(|row| row.bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        self.taken.insert(name.to_owned(), number);
        Ok(number)
    }

    /// All messages of an outside sender up to `number` that are for this partition have been taken.
    pub fn taken_up_to(&mut self, name: &str, number: u64) -> Result<(), StoreError> {
        if self.taken_of(name)? < number {
            self.taken.insert(name.to_owned(), number);
            self.taken_changed.insert(name.to_owned());
        }
        Ok(())
    }

    /// Reads how far the logs of all partitions have been taken.
    pub fn load_sources(&mut self) -> Result<(), StoreError> {
        let mut key = Key::new();
        for (from, source) in self.sources.iter_mut().enumerate() {
            let row = self.store.get(Table::Taken, key.taken_from(self.partition, Partition(from as u16)))?;
            if let Some((position, nth)) = row.as_ref().and_then(|row| row.bytes.split_first_chunk::<10>()) {
                let nth = nth.try_into().map_or(0, u32::from_be_bytes);
                source.taken = (Position::from_bytes(*position), nth);
            }
        }
        Ok(())
    }

    /// Goes on after the last record of the log, which stands at `last` and is of `time_ns`.
    pub fn continue_after(&mut self, last: Position, time_ns: i64) {
        self.last_record = last;
        self.last_time_ns = time_ns;
        self.clock.drive_to(time_ns);
    }
}
