//! Pieces in memory: parts of long collections and promises that wait, each kept apart from the twin it belongs to.
//!
//! A piece is brought in when a turn touches it, and is a row of the table `chunks` (`spec/record.md`, "Rows"). Its row is
//! written whenever that of its twin is, in the same batch: so the rows of a twin and of its pieces stand at one place in
//! the log, however old the row of a piece is that has not changed since.

use rustc_hash::FxHashMap;
use twintalk_store::{Key, KeyRange, Partition, Position, Rows, Store, StoreError, Table};
use twintalk_vm::{PROMISE_PIECE, PieceChange};

/// A piece that memory knows of.
struct Piece {
    /// What it is; `None`: it is gone.
    bytes: Option<Box<[u8]>>,
    /// Whether its row is behind.
    dirty: bool,
    /// Whether it is sure that there is no row.
    new: bool,
}

/// What memory knows of the pieces of one twin.
#[derive(Default)]
struct OfTwin {
    /// Whether the rows that there are belong to an earlier life, and count for nothing.
    void: bool,
    known: FxHashMap<u64, Piece>,
}

/// The pieces in memory.
#[derive(Default)]
pub(crate) struct Pieces {
    twins: FxHashMap<Box<str>, OfTwin>,
    bytes: usize,
    /// How often a turn has asked for one.
    pub asked: u64,
}

fn length(piece: Option<&Piece>) -> usize {
    piece.and_then(|piece| piece.bytes.as_ref()).map_or(0, |bytes| bytes.len())
}

impl Pieces {
    /// What memory knows of a piece; `None`: its row has to be asked.
    pub fn get(&self, path: &str, number: u64) -> Option<Option<&[u8]>> {
        let twin = self.twins.get(path)?;
        match twin.known.get(&number) {
            Some(piece) => Some(piece.bytes.as_deref()),
            None => twin.void.then_some(None),
        }
    }

    /// The pieces of a twin that memory knows of, those that are gone too.
    pub fn of_twin(&self, path: &str) -> impl Iterator<Item = (u64, Option<&[u8]>)> {
        let known = self.twins.get(path).into_iter().flat_map(|twin| &twin.known);
        known.map(|(&number, piece)| (number, piece.bytes.as_deref()))
    }

    /// Brings a piece into memory.
    pub fn load(
        &mut self,
        store: &dyn Store,
        partition: Partition,
        path: &str,
        number: u64,
    ) -> Result<Option<&[u8]>, StoreError> {
        if self.get(path, number).is_none()
            && let Some(row) = store.get(Table::Chunks, Key::new().chunk(partition, path, number, 0))?
        {
            self.put(path, number, Some(&row.bytes), false);
        }
        Ok(self.get(path, number).flatten())
    }

    fn put(&mut self, path: &str, number: u64, bytes: Option<&[u8]>, dirty: bool) {
        if !self.twins.contains_key(path) {
            self.twins.insert(path.into(), OfTwin::default());
        }
        let twin = self.twins.get_mut(path).expect("just put there");
        let old = twin.known.remove(&number);
        self.bytes -= length(old.as_ref());
        // A promise is written once, and most are answered before they would get a row.
        let new = match &old {
            Some(old) => old.new,
            None => dirty && number & PROMISE_PIECE != 0 && bytes.is_some(),
        };
        if new && bytes.is_none() {
            return;
        }
        let piece = Piece { bytes: bytes.map(Into::into), dirty, new };
        self.bytes += length(Some(&piece));
        twin.known.insert(number, piece);
    }

    /// Takes what a turn made of the pieces of a twin.
    pub fn take(&mut self, path: &str, changes: &[PieceChange]) {
        for change in changes {
            self.put(path, change.number, change.bytes.as_deref(), true);
        }
    }

    /// The twin is gone, or another lives at its path: its rows, if it may have some, count for nothing.
    pub fn begin_anew(&mut self, path: &str, may_have_rows: bool) {
        let void = match self.twins.remove(path) {
            Some(twin) => {
                self.bytes -= twin.known.values().map(|piece| length(Some(piece))).sum::<usize>();
                true
            }
            None => may_have_rows,
        };
        if void {
            self.twins.insert(path.into(), OfTwin { void, known: FxHashMap::default() });
        }
    }

    /// Writes the rows that are behind of the pieces of a twin, whose own row is written for `position`.
    pub fn write(
        &mut self,
        store: &dyn Store,
        partition: Partition,
        path: &str,
        position: Position,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let Some(twin) = self.twins.get_mut(path) else { return Ok(()) };
        if twin.void {
            for row in store.scan(Table::Chunks, &KeyRange::of_twin(partition, path))? {
                rows.delete(Table::Chunks, &row?.0);
            }
            twin.void = false;
        }
        let mut key = Key::new();
        for (&number, piece) in twin.known.iter_mut().filter(|(_, piece)| piece.dirty) {
            let key = key.chunk(partition, path, number, 0);
            match &piece.bytes {
                Some(bytes) => rows.put(Table::Chunks, key, position, bytes),
                None => rows.delete(Table::Chunks, key),
            }
            (piece.dirty, piece.new) = (false, false);
        }
        twin.known.retain(|_, piece| piece.bytes.is_some());
        if twin.known.is_empty() {
            self.twins.remove(path);
        }
        Ok(())
    }

    /// Forgets what rows know too.
    pub fn drop_clean(&mut self) {
        for twin in self.twins.values_mut() {
            twin.known.retain(|_, piece| piece.dirty);
        }
        self.twins.retain(|_, twin| twin.void || !twin.known.is_empty());
        self.twins.shrink_to_fit();
        self.bytes = self.twins.values().flat_map(|twin| twin.known.values()).map(|piece| length(Some(piece))).sum();
    }

    /// How many bytes they take, the tables left out.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
