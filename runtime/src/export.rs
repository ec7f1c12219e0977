//! The logs of a store as JSON, a line for each record, and a store of such lines again.
//!
//! What a line says is read by people and tools, and it says all: made into a record again it has the same bytes. So an import
//! makes the same log, block by block, and the tables follow from that, as if they had been lost. Bytes that have no such form,
//! as those of programs, stand in hexadecimal digits. `spec/record.md`, section 9, has every member.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use twintalk_store::rocks::NewStore;
use twintalk_store::{BlockBuilder, Blocks, Durability, Partition, Position, Settings, Store, StoreError};
use twintalk_vm::Shapes;

use crate::datum::Datum;
use crate::replay::each_record;
use crate::{OpenError, OpenOptions, System, json};

mod exact;
mod members;
mod records;

use members::Members;

/// The version of the lines.
const VERSION: u64 = 1;
/// The longest line: that of a record of 16 MiB, each byte of which takes up to twelve.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Why lines do not become a store.
#[derive(Debug)]
pub enum ImportError {
    /// A line is not one that an export writes.
    Line {
        /// Which, counted from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// They cannot be read.
    Io(std::io::Error),
    /// The store refuses.
    Open(OpenError),
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportError::Line { number, reason } => write!(f, "line {number}: {reason}"),
            ImportError::Io(error) => error.fmt(f),
            ImportError::Open(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> ImportError {
        ImportError::Open(error.into())
    }
}

impl System {
    /// Calls `visit` with each line of the store's logs. Answers how many records there are.
    ///
    /// # Errors
    /// The store refuses, or its bytes are damaged.
    pub fn export(&mut self, visit: &mut dyn FnMut(&str)) -> Result<u64, StoreError> {
        let (partitions, vm) = self.parts();
        lines(&*partitions.store, vm.shapes(), visit)
    }

    /// Makes a store in `folder`, a new or an empty one, of the lines of an export. Answers how many records it has.
    ///
    /// # Errors
    /// See [`ImportError`]; where lines are wrong there is no store then.
    pub fn import(folder: &Path, lines: &mut dyn BufRead) -> Result<u64, ImportError> {
        let mut new = None;
        let records = blocks(lines, &mut |settings, blocks| {
            let new = match &mut new {
                Some(new) => new,
                None => new.insert(NewStore::begin(folder, settings)?),
            };
            new.append(blocks)
        })?;
        if let Some(new) = new {
            new.finish()?;
        }
        let options = OpenOptions { folder: Some(folder.to_owned()), ..OpenOptions::default() };
        System::open(options).map_err(ImportError::Open)?.settle_store()?;
        Ok(records)
    }
}

/// The lines of a store: its settings, the records of each partition, and the ends of the logs.
///
/// # Errors
/// The store refuses, or its bytes are damaged.
#[doc(hidden)]
pub fn lines(store: &dyn Store, shapes: &Shapes, visit: &mut dyn FnMut(&str)) -> Result<u64, StoreError> {
    let Settings { durability, partitions, placing } = store.settings();
    let head = [
        ("twintalk", Datum::from("export")),
        ("version", number(VERSION)),
        ("durability", Datum::from(durability.name())),
        ("partitions", number(u64::from(*partitions))),
        ("placing", Datum::from(placing.as_str())),
    ];
    visit(&json::text(&Datum::row(head)));
    let mut records = 0;
    let mut ends = Vec::new();
    for partition in (0..*partitions).map(Partition) {
        // The names of slots that changes are of.
        let mut kinds = HashMap::new();
        each_record(store, partition, Position::FIRST, |position, record, _| {
            records += 1;
            visit(&json::text(&records::to_datum(partition, position, record, shapes, &mut kinds)));
            Ok(())
        })?;
        ends.push(Datum::String(store.end(partition)?.to_string()));
    }
    visit(&json::text(&Datum::row([("ends", Datum::Array(ends)), ("records", number(records))])));
    Ok(records)
}

/// Calls `visit` with the settings and the blocks that lines of an export say; first with no blocks.
///
/// # Errors
/// See [`ImportError`].
#[doc(hidden)]
pub fn blocks(
    lines: &mut dyn BufRead,
    visit: &mut dyn FnMut(&Settings, &Blocks) -> Result<(), StoreError>,
) -> Result<u64, ImportError> {
    let mut lines = Lines { lines, number: 0 };
    let head =
        lines.next()?.ok_or_else(|| lines.wrong("there is nothing: an export begins with a line of settings"))?;
    let settings = settings(head).map_err(|reason| lines.wrong(reason))?;
    visit(&settings, &Blocks::new(Partition(0), Position::FIRST))?;
    let mut builders: Vec<BlockBuilder> =
        (0..settings.partitions).map(|number| BlockBuilder::new(Partition(number), Position::FIRST)).collect();
    let mut records = 0;
    loop {
        let line = lines.next()?.ok_or_else(|| lines.wrong("the last line is missing: the export was cut short"))?;
        let mut members = Members::of(line, "a line").map_err(|reason| lines.wrong(reason))?;
        if let Some(ends) = members.take("ends") {
            for builder in &mut builders {
                visit(&settings, builder.finish())?;
                builder.clear();
            }
            let found = builders.iter().map(|builder| Datum::String(builder.next().to_string())).collect();
            if ends != Datum::Array(found) || members.take("records") != Some(number(records)) {
                return Err(lines.wrong("the logs end elsewhere than this line says: there are lines missing"));
            }
            return match lines.next()? {
                None => Ok(records),
                Some(_) => Err(lines.wrong("there is something behind the last line")),
            };
        }
        let record = records::from_members(members).map_err(|reason| lines.wrong(reason))?;
        let (partition, position) = (record.partition, record.position);
        let builder = builders
            .get_mut(usize::from(partition.0))
            .ok_or_else(|| lines.wrong(format!("there is no partition {partition}")))?;
        let open = builder.next();
        if position.index == 0 && open.index > 0 && position.block == open.block + 1 {
            visit(&settings, builder.finish())?;
            builder.clear();
        }
        if builder.next() != position {
            return Err(lines.wrong(format!("here {partition}/{} has to follow, not {partition}/{position}", open)));
        }
        let at = record.with(&mut |record| builder.push(record)).map_err(|error| lines.wrong(error.to_string()))?;
        if at != position {
            return Err(lines.wrong("the records of a block are together longer than a block"));
        }
        records += 1;
    }
}

fn number(number: u64) -> Datum {
    Datum::Int(number.into())
}

fn settings(head: Datum) -> Result<Settings, String> {
    let mut members = Members::of(head, "the first line")?;
    if members.text("twintalk").ok().as_deref() != Some("export") {
        return Err("this is no export: it begins with a line of settings".to_owned());
    }
    let version = members.number("version")?;
    if version != VERSION {
        return Err(format!("the export has version {version}, and this TwinTalk reads version {VERSION}"));
    }
    let durability = match Durability::from_name(&members.text("durability")?) {
        // What was in memory only becomes a folder like any other.
        Some(Durability::Memory) => Durability::Sync,
        Some(durability) => durability,
        None => return Err("`durability` is `sync` or `async`".to_owned()),
    };
    let partitions = u16::try_from(members.number("partitions")?).ok().filter(|count| (1..u16::MAX).contains(count));
    let partitions = partitions.ok_or("a store has 1 to 65,534 partitions")?;
    let placing = members.text("placing")?;
    members.end()?;
    Ok(Settings { durability, partitions, placing })
}

/// Lines of JSON, counted.
struct Lines<'a> {
    lines: &'a mut dyn BufRead,
    number: u64,
}

impl Lines<'_> {
    /// The next line that is not empty.
    fn next(&mut self) -> Result<Option<Datum>, ImportError> {
        loop {
            let mut bytes = Vec::new();
            let mut lines = std::io::Read::take(&mut *self.lines, LINE_BYTES_MAX);
            if lines.read_until(b'\n', &mut bytes).map_err(ImportError::Io)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let text = std::str::from_utf8(&bytes).map_err(|_| self.wrong("it is no text in UTF-8"))?;
            if !text.trim().is_empty() {
                return json::parse(text).map(Some).map_err(|error| self.wrong(format!("it is no JSON: {error}")));
            }
        }
    }

    fn wrong(&self, reason: impl Into<String>) -> ImportError {
        ImportError::Line { number: self.number.max(1), reason: reason.into() }
    }
}
