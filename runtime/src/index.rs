//! Which twins a prototype has: rows of the table `prototypes`, kept with those of twins.
//!
//! A twin that is made or removed gets its row, and so its prototype's, in the batch of that record; so these rows say what the log
//! says, and memory is ahead of them by the twins that are moved and not written yet. A store that was written without
//! them, which a row of `meta` would say that has them, gets them when it is opened to run.

use std::collections::BTreeSet;

use twintalk_store::{Corruption, Key, KeyRange, Partition, Place, Position, Rows, Store, StoreError, Table};

use crate::catalog::Catalog;
use crate::partition::Core;
use crate::resident::read_row;

/// The row of a partition that says that its rows of `prototypes` are whole.
const WHOLE: &str = "prototypes";
/// How many rows are written at once.
const ROWS_AT_ONCE: usize = 10_000;

/// Whether a partition's rows of `prototypes` are whole.
pub(crate) fn is_whole(store: &dyn Store, partition: Partition) -> Result<bool, StoreError> {
    Ok(store.get(Table::Meta, Key::new().named(partition, WHOLE))?.is_some())
}

/// Notes that a partition's rows of `prototypes` are whole.
pub(crate) fn note_whole(rows: &mut Rows, partition: Partition) {
    rows.put(Table::Meta, Key::new().named(partition, WHOLE), Position::START, &[]);
}

/// Makes the rows of `prototypes` of a partition from those of its twins.
pub(crate) fn build(store: &dyn Store, partition: Partition, catalog: &Catalog) -> Result<(), StoreError> {
    let mut rows = Rows::new();
    let write_some = |rows: &mut Rows, at_least: usize| {
        if rows.len() >= at_least {
            store.write(rows)?;
            rows.clear();
        }
        Ok::<_, StoreError>(())
    };
    for row in store.scan(Table::Prototypes, &KeyRange::partition(partition))? {
        rows.delete(Table::Prototypes, &row?.0);
        write_some(&mut rows, ROWS_AT_ONCE)?;
    }
    let mut key = Key::new();
    for row in store.scan(Table::State, &KeyRange::partition(partition))? {
        let (state_key, row) = row?;
        let damaged = || StoreError::Corrupt {
            at: Place::Row { table: Table::State, key: state_key.bytes().to_vec() },
            reason: Corruption::Row("a state row that is none"),
        };
        let path = state_key.path().ok_or_else(damaged)?;
        let view = read_row(&path, row.position, &row.bytes).ok_or_else(damaged)?;
        if let Some(prototype) = catalog.prototype(view.image).filter(|_| view.exists) {
            rows.put(Table::Prototypes, key.prototype(partition, prototype, &path), Position::START, &[]);
        }
        write_some(&mut rows, ROWS_AT_ONCE)?;
    }
    note_whole(&mut rows, partition);
    write_some(&mut rows, 0)
}

/// The paths of the twins that rows say a prototype has, in the order of their keys, from the first behind `after` on.
pub(crate) fn paths<'a>(
    store: &'a dyn Store,
    partition: Partition,
    prototype: &str,
    after: &str,
) -> Result<impl Iterator<Item = Result<String, StoreError>> + 'a, StoreError> {
    let mut range = KeyRange::of_prototype(partition, prototype);
    if !after.is_empty() {
        // The least key behind that of a path is the same and a byte 0.
        let mut from = Key::new().prototype(partition, prototype, after).bytes().to_vec();
        from.push(0);
        range.from = Key::from_bytes(&from);
    }
    let rows = store.scan(Table::Prototypes, &range)?;
    Ok(rows.map(|row| {
        let (key, _) = row?;
        names(&key).map(|(_, path)| path)
    }))
}

fn names(key: &Key) -> Result<(String, String), StoreError> {
    key.prototype_names().ok_or_else(|| StoreError::Corrupt {
        at: Place::Row { table: Table::Prototypes, key: key.bytes().to_vec() },
        reason: Corruption::Row("a key without a path"),
    })
}

/// Where a partition's rows of `prototypes` say something else than `twins`, of which each has its prototype and its path: a line each.
pub(crate) fn differences(
    store: &dyn Store,
    partition: Partition,
    mut twins: BTreeSet<(String, String)>,
) -> Result<Vec<String>, StoreError> {
    let mut differences = Vec::new();
    for row in store.scan(Table::Prototypes, &KeyRange::partition(partition))? {
        let (prototype, path) = names(&row?.0)?;
        let twin = (prototype, path);
        if !twins.remove(&twin) {
            differences.push(format!("{}: a row says that it is a {}, which no record says", twin.1, twin.0));
        }
    }
    let missing = twins.iter().map(|(prototype, path)| format!("{path}: no row says that it is a {prototype}"));
    differences.extend(missing);
    Ok(differences)
}

impl Core {
    /// Adds what the rows of `prototypes` are to say of the twins that were moved since the last commit.
    pub(crate) fn index_moved(&mut self) -> Result<(), StoreError> {
        let (mut key, partition) = (Key::new(), self.partition);
        for path in &self.moved {
            let Some(view) = self.residents.get(path) else { continue };
            let now = self.catalog.prototype(view.image).filter(|_| view.exists);
            // In its first life it was nowhere before.
            if view.life > 1 || now.is_none() {
                let row = self.store.get(Table::State, key.state(partition, path))?;
                let before = row.as_ref().and_then(|row| read_row(path, row.position, &row.bytes));
                let before = before.filter(|before| before.exists).and_then(|view| self.catalog.prototype(view.image));
                if let Some(before) = before.filter(|before| now != Some(before)) {
                    self.rows.delete(Table::Prototypes, key.prototype(partition, before, path));
                }
            }
            if let Some(now) = now {
                self.rows.put(Table::Prototypes, key.prototype(partition, now, path), Position::START, &[]);
            }
        }
        Ok(())
    }
}
