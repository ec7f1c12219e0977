//! Which twins a prototype has, and which of them have which values in indexed slots: rows of the tables `prototypes` and `indices`, kept with
//! those of twins.
//!
//! A twin that is made or removed gets its row, and so its prototype's, in the batch of that record; so these rows say what the log
//! says, and memory is ahead of them by the twins that are moved and not written yet. Rows of values say what the rows of
//! twins say, and are written with these; so memory is ahead of them by the twins whose rows are behind.
//!
//! A row of `meta` says that they are whole, and what is indexed. Where it is missing, or says something else than the definitions,
//! opening the store to run makes all of them anew from the rows of twins.

use std::collections::BTreeSet;

use twintalk_store::{Change, Corruption, Key, KeyRange, Partition, Place, Position, Rows, Store, StoreError, Table};
use twintalk_vm::indexed::{KEY_BYTES, OTHER, Range, TEXTS};

use crate::catalog::Catalog;
use crate::partition::Core;
use crate::resident::{Residents, View, read_row};

/// The row of a partition that says that its rows of `prototypes` and `indices` are whole.
const WHOLE: &str = "prototypes";
/// How many rows are written at once.
const ROWS_AT_ONCE: usize = 10_000;

/// Whether a partition's rows are whole, and as the definitions have it.
pub(crate) fn is_whole(store: &dyn Store, partition: Partition, catalog: &Catalog) -> Result<bool, StoreError> {
    let row = store.get(Table::Meta, Key::new().named(partition, WHOLE))?;
    Ok(row.is_some_and(|row| row.bytes == catalog.text().as_bytes()))
}

/// Notes that a partition's rows are whole.
pub(crate) fn note_whole(rows: &mut Rows, partition: Partition, catalog: &Catalog) {
    rows.put(Table::Meta, Key::new().named(partition, WHOLE), Position::START, catalog.text().as_bytes());
}

/// Makes the rows of a partition from those of its twins.
pub(crate) fn build(store: &dyn Store, partition: Partition, catalog: &Catalog) -> Result<(), StoreError> {
    let mut rows = Rows::new();
    let write_some = |rows: &mut Rows, at_least: usize| {
        if rows.len() >= at_least {
            store.write(rows)?;
            rows.clear();
        }
        Ok::<_, StoreError>(())
    };
    rows.delete(Table::Meta, Key::new().named(partition, WHOLE));
    for table in [Table::Prototypes, Table::Indices] {
        for row in store.scan(table, &KeyRange::partition(partition))? {
            rows.delete(table, &row?.0);
            write_some(&mut rows, ROWS_AT_ONCE)?;
        }
    }
    each_twin(store, partition, |view| {
        put(&mut rows, partition, catalog, view);
        write_some(&mut rows, ROWS_AT_ONCE)
    })?;
    note_whole(&mut rows, partition, catalog);
    write_some(&mut rows, 0)
}

/// Calls `visit` with each twin that there is by its row.
fn each_twin(
    store: &dyn Store,
    partition: Partition,
    mut visit: impl FnMut(&View<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for row in store.scan(Table::State, &KeyRange::partition(partition))? {
        let (key, row) = row?;
        let damaged = || StoreError::Corrupt {
            at: Place::Row { table: Table::State, key: key.bytes().to_vec() },
            reason: Corruption::Row("a state row that is none"),
        };
        let path = key.path().ok_or_else(damaged)?;
        let view = read_row(&path, row.position, &row.bytes).ok_or_else(damaged)?;
        if view.exists {
            visit(&view)?;
        }
    }
    Ok(())
}

/// Puts the rows of a twin.
fn put(rows: &mut Rows, partition: Partition, catalog: &Catalog, view: &View<'_>) {
    let mut key = Key::new();
    if let Some(prototype) = catalog.prototype(view.image) {
        rows.put(Table::Prototypes, key.prototype(partition, prototype, view.path), Position::START, &[]);
    }
    for (prototype, slot, value) in catalog.values(view.image) {
        let key = key.indexed(partition, prototype, slot, &value, view.path);
        rows.put(Table::Indices, key, Position::START, &[]);
    }
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

/// The paths of the twins that rows say have a value of the range in a slot of a prototype, or one that no index knows, in no order;
/// `None` if they are more than `rows_max`.
pub(crate) fn with_values(
    store: &dyn Store,
    partition: Partition,
    (prototype, slot): (&str, &str),
    range: &Range,
    rows_max: usize,
) -> Result<Option<Vec<String>>, StoreError> {
    let last = [u8::MAX; KEY_BYTES];
    // What is other comes first, and texts come last.
    let mut ranges = vec![(OTHER, OTHER)];
    if range.from <= range.to {
        ranges.push((range.from, range.to));
    }
    if range.texts {
        ranges.push((TEXTS, last));
    }
    let mut paths = Vec::new();
    let start = Key::new().indexed(partition, prototype, slot, &[], "").bytes().len() + KEY_BYTES;
    for (from, to) in ranges {
        for row in store.scan(Table::Indices, &KeyRange::of_values(partition, prototype, slot, &from, &to))? {
            let (key, _) = row?;
            if paths.len() == rows_max {
                return Ok(None);
            }
            let path =
                key.bytes().get(start..).map(|path| path.iter().map(|&byte| if byte == 0 { b'/' } else { byte }));
            let path = path.and_then(|path| String::from_utf8(path.collect()).ok());
            paths.push(path.ok_or_else(|| StoreError::Corrupt {
                at: Place::Row { table: Table::Indices, key: key.bytes().to_vec() },
                reason: Corruption::Row("a key without a path"),
            })?);
        }
    }
    Ok(Some(paths))
}

/// Where a partition's rows of `prototypes` say something else than `twins`, of which each has its prototype and its path, or those of `indices`
/// something else than those of twins: a line each.
pub(crate) fn differences(
    store: &dyn Store,
    partition: Partition,
    catalog: &Catalog,
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
    let damage = damage(store, partition, catalog, Table::Indices)?;
    differences.extend(damage.iter().map(|(place, reason)| format!("{place}: {reason}")));
    Ok(differences)
}

/// The rows of `table`, one of the two, that are there and should not be, or should be there and are not, by the rows of twins.
pub(crate) fn damage(
    store: &dyn Store,
    partition: Partition,
    catalog: &Catalog,
    table: Table,
) -> Result<Vec<(Place, Corruption)>, StoreError> {
    let mut there = BTreeSet::new();
    for row in store.scan(table, &KeyRange::partition(partition))? {
        there.insert(row?.0);
    }
    let mut found = Vec::new();
    let mut rows = Rows::new();
    each_twin(store, partition, |view| {
        put(&mut rows, partition, catalog, view);
        for change in rows.iter() {
            if let Change::Put { table: wanted, key, .. } = change
                && wanted == table
                && !there.remove(&Key::from_bytes(key))
            {
                let place = Place::Row { table, key: key.to_vec() };
                found.push((place, Corruption::Row("it is not there, but a twin is that it tells of")));
            }
        }
        rows.clear();
        Ok(())
    })?;
    found.extend(there.into_iter().map(|key| {
        let place = Place::Row { table, key: key.bytes().to_vec() };
        (place, Corruption::Row("it tells of a twin that is not there, or is another"))
    }));
    Ok(found)
}

impl Core {
    /// Adds what rows are to say of the twins whose own rows are written: those that were moved, or all whose rows are behind.
    pub(crate) fn index(&mut self, every_dirty: bool) -> Result<(), StoreError> {
        let Core { residents, store, rows, catalog, moved, partition, .. } = self;
        let mut indexed = Ok(());
        let mut index = |view: View<'_>, is_moved: bool| {
            if indexed.is_ok() && (is_moved || catalog.has_indices(view.image)) {
                indexed = index_twin(&**store, rows, *partition, catalog, &view);
            }
        };
        if every_dirty {
            residents.for_each_dirty(|view| {
                let is_moved = moved.contains(view.path);
                index(view, is_moved);
            });
        } else {
            moved.iter().filter_map(|path| residents.get(path)).for_each(|view| index(view, true));
        }
        indexed
    }
}

/// Adds what changes in the rows of a twin.
fn index_twin(
    store: &dyn Store,
    rows: &mut Rows,
    partition: Partition,
    catalog: &Catalog,
    view: &View<'_>,
) -> Result<(), StoreError> {
    let mut key = Key::new();
    // In its first life it is of one prototype, whether or not there is a row that says so.
    let was_nothing_else = view.exists && view.life <= 1 && !catalog.has_indices(view.image);
    let row = if was_nothing_else { None } else { store.get(Table::State, key.state(partition, view.path))? };
    let before = row.as_ref().and_then(|row| read_row(view.path, row.position, &row.bytes));
    if let Some(before) = before.filter(|before| before.exists) {
        if let Some(prototype) = catalog.prototype(before.image) {
            rows.delete(Table::Prototypes, key.prototype(partition, prototype, view.path));
        }
        for (prototype, slot, value) in catalog.values(before.image) {
            rows.delete(Table::Indices, key.indexed(partition, prototype, slot, &value, view.path));
        }
    }
    if view.exists {
        // Later changes of one key win.
        put(rows, partition, catalog, view);
    }
    Ok(())
}

/// The twins in memory whose rows are behind, and that are of a prototype.
pub(crate) fn behind(residents: &Residents, mut is_meant: impl FnMut(&[u8]) -> bool) -> Vec<String> {
    let mut paths = Vec::new();
    residents.for_each_dirty(|view| {
        if view.exists && is_meant(view.image) {
            paths.push(view.path.to_owned());
        }
    });
    paths
}
