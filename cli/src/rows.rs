//! Tables of data, row by row: CSV with a header, or JSON objects, one a line.
//!
//! Rows count from 1, the header and empty lines not counted. A row that cannot be read is a row all
//! the same: it has its number and says what is wrong, and the next one follows.
//!
//! Only this file names csv.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use clap::ValueEnum;
use csv::ByteRecord;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::json;

/// The longest line of JSON, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// How a table is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values; the first line names the columns
    Csv,
    /// A JSON object a line
    Jsonl,
}

/// Why there is no table at all.
#[derive(Debug)]
pub enum TableError {
    /// The first line of a CSV file cannot be read.
    Header(String),
    /// A CSV file has no such column.
    Column {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableError::Header(reason) => write!(f, "the header cannot be read: {reason}"),
            TableError::Column { wanted, found } => {
                write!(f, "there is no column `{wanted}`; the header has {}", found.join(", "))
            }
        }
    }
}

/// A table, with the columns that somebody wants.
pub struct Table {
    columns: Vec<String>,
    rows: Rows,
    number: u64,
}

enum Rows {
    Csv {
        reader: Box<csv::Reader<Box<dyn Read + Send>>>,
        /// Where each of the wanted columns is.
        indices: Vec<usize>,
        record: ByteRecord,
    },
    Jsonl {
        reader: BufReader<Box<dyn Read + Send>>,
        line: Vec<u8>,
        bytes: u64,
    },
}

/// A row, or what is wrong with it.
pub struct Row {
    /// From 1.
    pub number: u64,
    /// A field for each of the wanted columns.
    pub fields: Result<Vec<Field>, String>,
}

/// What a row has in one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// Of a CSV file: text that may look like a number.
    Text(String),
    /// Of a JSON object.
    Datum(Datum),
}

impl Field {
    /// As an argument of a message.
    pub fn datum(&self) -> Datum {
        match self {
            Field::Text(text) => Datum::field(text),
            Field::Datum(datum) => datum.clone(),
        }
    }

    /// As it is written in the file: `007` is not 7 in a path.
    pub fn text(&self) -> String {
        match self {
            Field::Text(text) => text.clone(),
            Field::Datum(Datum::String(text)) => text.clone(),
            Field::Datum(Datum::Nil) => String::new(),
            Field::Datum(datum) => datum.to_string(),
        }
    }
}

impl Table {
    /// Opens a table and finds the wanted columns.
    ///
    /// # Errors
    /// [`TableError`]; a table of JSON objects has none, since each object may have other members.
    pub fn open(input: Box<dyn Read + Send>, format: Format, columns: &[String]) -> Result<Table, TableError> {
        let rows = match format {
            Format::Csv => {
                let mut reader = Box::new(csv::ReaderBuilder::new().flexible(true).from_reader(input));
                let header = reader.headers().map_err(|error| TableError::Header(error.to_string()))?;
                let found: BTreeMap<&str, usize> =
                    header.iter().enumerate().map(|(index, name)| (name.trim(), index)).collect();
                let index_of = |wanted: &String| {
                    found.get(wanted.as_str()).copied().ok_or_else(|| TableError::Column {
                        wanted: wanted.clone(),
                        found: header.iter().map(|name| name.trim().to_owned()).collect(),
                    })
                };
                let indices = columns.iter().map(index_of).collect::<Result<_, _>>()?;
                Rows::Csv { reader, indices, record: ByteRecord::new() }
            }
            Format::Jsonl => Rows::Jsonl { reader: BufReader::new(input), line: Vec::new(), bytes: 0 },
        };
        Ok(Table { columns: columns.to_vec(), rows, number: 0 })
    }

    /// How much of the input has been read.
    pub fn bytes(&self) -> u64 {
        match &self.rows {
            Rows::Csv { reader, .. } => reader.position().byte(),
            Rows::Jsonl { bytes, .. } => *bytes,
        }
    }

    /// The next row; none at the end. An error ends the table: the input itself failed.
    ///
    /// # Errors
    /// What the input said.
    pub fn next_row(&mut self) -> Result<Option<Row>, String> {
        let fields = match &mut self.rows {
            Rows::Csv { reader, indices, record } => {
                match reader.read_byte_record(record) {
                    Ok(false) => return Ok(None),
                    Ok(true) => {}
                    Err(error) => return Err(error.to_string()),
                }
                let width = reader.byte_headers().map(ByteRecord::len).unwrap_or_default();
                if record.len() == width {
                    indices.iter().map(|index| text_field(&record[*index])).collect()
                } else {
                    Err(format!("the row has {} fields and the header {width}", record.len()))
                }
            }
            Rows::Jsonl { reader, line, bytes } => {
                let trimmed = loop {
                    line.clear();
                    let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line);
                    let read = read.map_err(|error| error.to_string())? as u64;
                    if read == 0 {
                        return Ok(None);
                    }
                    if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
                        return Err(format!("a line is longer than {LINE_BYTES_MAX} bytes"));
                    }
                    let mark = if *bytes == 0 { &b"\xef\xbb\xbf"[..] } else { b"" };
                    *bytes += read;
                    let text = line.strip_prefix(mark).unwrap_or(line).trim_ascii();
                    if !text.is_empty() {
                        break text;
                    }
                };
                object_fields(trimmed, &self.columns)
            }
        };
        self.number += 1;
        Ok(Some(Row { number: self.number, fields }))
    }
}

fn text_field(bytes: &[u8]) -> Result<Field, String> {
    let text = str::from_utf8(bytes).map_err(|_| "the row is not UTF-8 text".to_owned())?;
    Ok(Field::Text(text.to_owned()))
}

/// The wanted members of a JSON object; nil where it has none of that name.
fn object_fields(line: &[u8], columns: &[String]) -> Result<Vec<Field>, String> {
    let text = str::from_utf8(line).map_err(|_| "the row is not UTF-8 text".to_owned())?;
    let Datum::Dictionary(members) = json::parse(text).map_err(|error| error.to_string())? else {
        return Err("the row is no JSON object".to_owned());
    };
    let member = |name: &String| {
        let found = members.iter().find(|(key, _)| matches!(key, Datum::String(key) if key == name));
        Field::Datum(found.map_or(Datum::Nil, |(_, value)| value.clone()))
    };
    Ok(columns.iter().map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, text: &'static [u8], columns: &[&str], shown: &str) {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let mut table = match Table::open(Box::new(text), format, &columns) {
            Ok(table) => table,
            Err(error) => return assert_eq!(error.to_string(), shown),
        };
        let mut lines = Vec::new();
        loop {
            match table.next_row() {
                Ok(None) => break,
                Ok(Some(Row { number, fields: Ok(fields) })) => {
                    let fields: Vec<String> =
                        fields.iter().map(|field| format!("{} {}", field.text(), field.datum())).collect();
                    lines.push(format!("{number}: {}", fields.join(" | ")));
                }
                Ok(Some(Row { number, fields: Err(reason) })) => lines.push(format!("{number}! {reason}")),
                Err(reason) => {
                    lines.push(format!("end: {reason}"));
                    break;
                }
            }
        }
        assert_eq!(lines.join("\n"), shown);
    }

    #[test]
    fn csv_fields_are_numbers_strings_or_nil() {
        check(
            Format::Csv,
            b"time, id,value\n2014-01-01,007,3.5\n\n2014-01-02,\"a, b\",\n",
            &["value", "id"],
            "1: 3.5 3.5 | 007 7\n2:  nil | a, b 'a, b'",
        );
    }

    #[test]
    fn a_row_that_cannot_be_read_keeps_its_number() {
        check(
            Format::Csv,
            b"a,b\n1\n2,3\n\xff,4\n5,6",
            &["a"],
            "1! the row has 1 fields and the header 2\n2: 2 2\n3! the row is not UTF-8 text\n4: 5 5",
        );
        check(
            Format::Jsonl,
            b"\xef\xbb\xbf{\"a\": 1}\n\n[2]\n{\"b\": 3}\n{\"a\": \"x\"}",
            &["a"],
            "1: 1 1\n2! the row is no JSON object\n3:  nil\n4: x 'x'",
        );
    }

    #[test]
    fn a_column_that_is_not_there_is_named_with_those_that_are() {
        check(Format::Csv, b"a,b\n1,2\n", &["c"], "there is no column `c`; the header has a, b");
        check(Format::Csv, b"", &["c"], "there is no column `c`; the header has ");
    }
}
