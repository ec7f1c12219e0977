//! Reading a whole store to find what is damaged.

use crate::record::RecordError;
use crate::{CheckReport, Corruption, Key, KeyRange, Partition, Place, Position, Row, Store, StoreError, Table};

/// Reads every block and every row.
///
/// Damage is noted and passed, so that the report names all of it.
pub(crate) fn check(store: &dyn Store) -> Result<CheckReport, StoreError> {
    let mut report = CheckReport::default();
    for number in 0..store.settings().partitions {
        check_log(store, Partition(number), &mut report)?;
    }
    for &table in Table::ALL {
        check_table(store, table, &mut report)?;
    }
    Ok(report)
}

fn check_log(store: &dyn Store, partition: Partition, report: &mut CheckReport) -> Result<(), StoreError> {
    let end = store.end(partition)?;
    let checkpoint = store.checkpoint(partition)?;
    if checkpoint > end {
        report.damage.push((Place::Log { partition, position: end }, Corruption::EndsBefore { checkpoint }));
    }
    let mut next = store.first(partition)?.block;
    let mut last_time_ns = i64::MIN;
    while next < end.block {
        for block in store.read(partition, Position::block(next))? {
            let number = next;
            next += 1;
            let block = match block {
                Ok(block) => block,
                Err(error) => {
                    note(report, error)?;
                    break; // and read on behind it
                }
            };
            report.blocks += 1;
            report.bytes += block.bytes().len() as u64;
            let view = match block.open() {
                Ok(view) => view,
                Err(error) => {
                    let at = Place::Log { partition, position: Position::block(number) };
                    report.damage.push((at, Corruption::Bytes(error)));
                    continue;
                }
            };
            report.records += u64::from(view.len());
            if let Err((index, error)) = view.check() {
                let at = Place::Log { partition, position: Position { block: number, index } };
                report.damage.push((at, Corruption::Bytes(error)));
                continue;
            }
            if view.base_time_ns() < last_time_ns {
                let reason = RecordError::Malformed("time never goes back within a partition");
                let at = Place::Log { partition, position: Position::block(number) };
                report.damage.push((at, Corruption::Bytes(reason)));
            }
            last_time_ns = view.record(view.len() - 1).map_or(view.base_time_ns(), |record| record.envelope.time_ns);
        }
    }
    Ok(())
}

fn check_table(store: &dyn Store, table: Table, report: &mut CheckReport) -> Result<(), StoreError> {
    let everything = KeyRange { from: Key::new(), to: KeyRange::partition(Partition::SHARED).to };
    for row in store.scan(table, &everything)? {
        let (key, Row { position, bytes }) = match row {
            Ok(row) => row,
            Err(error) => {
                note(report, error)?;
                continue;
            }
        };
        report.rows += 1;
        report.bytes += (key.bytes().len() + bytes.len()) as u64;
        let place = || Place::Row { table, key: key.bytes().to_vec() };
        if key.partition() == Partition::SHARED {
            continue;
        }
        match store.end(key.partition()) {
            Ok(end) if position >= end => {
                report.damage.push((place(), Corruption::RowBeyondLog { position, end }));
            }
            Ok(_) => {}
            Err(_) => report.damage.push((place(), Corruption::Row("there is no such partition"))),
        }
    }
    Ok(())
}

/// Damage goes into the report; what is no damage ends the reading.
fn note(report: &mut CheckReport, error: StoreError) -> Result<(), StoreError> {
    match error {
        StoreError::Corrupt { at, reason } => {
            report.damage.push((at, reason));
            Ok(())
        }
        other => Err(other),
    }
}
