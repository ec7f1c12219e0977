//! The bytes of format version 1: those of the spec, and those of a log that was written once and is kept.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use expect_test::expect_file;
use twintalk_store::record::*;
use twintalk_store::{BlockBuilder, BlockBytes, Partition, Position};

use crate::sample::{PROGRAM, START_NS, sensor_turn};

const LOG: &str = "tests/fixtures/log-v1.bin";

fn twin(path: &str, kind: TwinChange) -> TwinEffect<'_> {
    TwinEffect { path, life: 1, previous: None, kind, prototype: None, bytes: b"effects" }
}

/// A log in which each field of a record is there at least once, and absent at least once.
fn written() -> Vec<Vec<u8>> {
    let plain = sensor_turn("tank-1", 1, None);
    let at = |time_ns| Envelope { time_ns: START_NS + 40_000 + time_ns, device_time_ns: None, ..plain.envelope };

    let created = Record {
        envelope: Envelope { flags: Flags::MIGRATED, device_time_ns: Some(0), ..at(10) },
        cause: Cause {
            sender: Sender::Twin("fleet-1/depot"),
            number: 3,
            origin: Some(Origin { partition: Partition(1), position: Position { block: 300, index: 2 } }),
            correlation: Some(b"order 17"),
            principal: Some("ann"),
            trace_parent: Some(TraceParent { trace: [0xaa; 16], span: [0xbb; 8], flags: 1 }),
        },
        input: Input {
            selector: "fill:",
            arguments: b"arguments",
            answers: vec![Answer { composite: "fleet-1", turn: 400, bytes: b"answer" }].into(),
            seed: Some(0x0102_0304_0506_0708),
        },
        twins: vec![
            TwinEffect { previous: Some(Position { block: 7, index: 0 }), ..twin("tank-1", TwinChange::Changed) },
            TwinEffect { prototype: Some("Pump"), ..twin("tank-1/pump-1", TwinChange::Created) },
            TwinEffect { life: 2, bytes: b"", ..twin("tank-1/pump-2", TwinChange::Removed) },
        ]
        .into(),
        outcome: Outcome::Committed(Effects {
            reply: Some(b"reply"),
            sends: vec![
                FarSend {
                    number: 1,
                    sender: "tank-1",
                    receiver: "fleet-1",
                    selector: "warn:",
                    arguments: b"warning",
                    promise: Some(9),
                    kind: None,
                },
                FarSend {
                    number: 2,
                    sender: "tank-1/pump-1",
                    receiver: "fleet-1",
                    selector: "log",
                    arguments: b"",
                    promise: None,
                    kind: None,
                },
            ]
            .into(),
            events: vec![Event { twin: "tank-1", selector: "alarm:", arguments: b"#overflow" }].into(),
            output: "filled\n",
            timers: vec![
                Timer { twin: "tank-1", name: "check", due_ns: Some(START_NS + 10_000_000_000), errand: b"" },
                Timer { twin: "tank-1", name: "1.0", due_ns: Some(START_NS + 500_000_000), errand: b"#close" },
                Timer { twin: "tank-1/pump-2", name: "check", due_ns: None, errand: b"" },
            ]
            .into(),
        }),
    };
    let failed = Record {
        envelope: Envelope { turn: 2, flags: Flags::RETRIED, ..at(20) },
        cause: Cause {
            origin: Some(Origin { partition: Partition(0), position: Position { block: 7, index: 1 } }),
            ..Cause::of(Sender::Timer("check"), 0)
        },
        input: Input { selector: "check", arguments: b"", answers: List::default(), seed: None },
        twins: vec![TwinEffect {
            previous: Some(Position { block: 7, index: 1 }),
            bytes: b"",
            ..twin("tank-1", TwinChange::Touched)
        }]
        .into(),
        outcome: Outcome::Failed(Failure { kind: "ZeroDivide", text: "3 / 0", trace: "Integer>>/\nTank>>check" }),
    };
    let reply = Record {
        envelope: Envelope { life: 3, turn: 1, ..at(30) },
        cause: Cause::of(Sender::Reply("fleet-1"), 9),
        input: Input { selector: "value:", arguments: b"x", answers: List::default(), seed: None },
        twins: vec![TwinEffect { life: 3, ..twin("tank-2", TwinChange::Changed) }].into(),
        outcome: Outcome::Committed(Effects::default()),
    };
    let of_program = Record { cause: Cause::of(Sender::Program, 5), ..reply.clone() };
    let of_runtime = Record { cause: Cause::of(Sender::System, 0), ..reply.clone() };

    let mut builder = BlockBuilder::new(Partition(0), Position::block(7));
    let blocks: [&[&Record<'_>]; 2] = [&[&plain, &created], &[&failed, &reply, &of_program, &of_runtime]];
    for records in blocks {
        for record in records {
            builder.push(record).unwrap();
        }
        builder.finish();
    }
    builder.finish().iter().map(|(_, bytes)| bytes.to_vec()).collect()
}

/// Each block with its length in front, in four bytes, lowest first.
fn framed(blocks: &[Vec<u8>]) -> Vec<u8> {
    blocks.iter().flat_map(|block| [&(block.len() as u32).to_le_bytes(), block.as_slice()].concat()).collect()
}

fn unframed(mut bytes: &[u8]) -> Vec<BlockBytes> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (block, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        blocks.push(BlockBytes::new(block.into()).unwrap());
        bytes = rest;
    }
    blocks
}

#[test]
fn a_log_of_version_1_is_read_and_written_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LOG);
    let blocks = written();
    if env::var_os("UPDATE_EXPECT").is_some() && !path.exists() {
        fs::write(&path, framed(&blocks)).unwrap();
    }
    let kept = fs::read(&path).unwrap();
    let mut text = String::new();
    for block in &unframed(&kept) {
        let view = block.open().unwrap();
        view.check().unwrap();
        for record in view.records(0) {
            let (position, record) = record.unwrap();
            let _ = writeln!(text, "{position} {record:?}\n");
        }
    }
    expect_file!["../fixtures/log-v1.txt"].assert_eq(&text);
    // Whoever changes the format raises its version, and keeps this file.
    assert_eq!(framed(&blocks), kept);
}

/// What each field of the example is, and how many bytes it has.
const EXAMPLE: &[(usize, &str)] = &[
    (4, "magic"),
    (2, "format version 1"),
    (2, "partition 0"),
    (4, "checksum"),
    (6, "block 7"),
    (2, "one record"),
    (8, "time of the first record"),
    (1, "tables: one program"),
    (33, "its hash"),
    (1, "no prototype"),
    (1, "one selector"),
    (5, "`rpm:`"),
    (1, "one path"),
    (7, "`pump-7`"),
    (1, "one principal"),
    (13, "`readings.csv`"),
    (1, "the record has 43 bytes"),
    (3, "mask: someone outside, number, device time, arguments"),
    (2, "turn 500"),
    (1, "at the time of the block"),
    (5, "device time: 1.5 seconds before"),
    (1, "program 0"),
    (1, "sender: principal 0"),
    (2, "number 500"),
    (1, "selector 0"),
    (1, "receiver: path 0"),
    (1, "tag: changed, previous record, effects"),
    (2, "previous record: 3 blocks back, index 1"),
    (11, "arguments: 10 bytes"),
    (12, "effects: 11 bytes"),
];

#[test]
fn the_example_of_the_spec_is_what_is_written() {
    let mut builder = BlockBuilder::new(Partition(0), Position::block(7));
    builder.push(&sensor_turn("pump-7", 500, Some(Position { block: 4, index: 1 }))).unwrap();
    let bytes = builder.finish().iter().next().unwrap().1.to_vec();
    assert_eq!(EXAMPLE.iter().map(|(length, _)| length).sum::<usize>(), bytes.len(), "every byte is explained");

    let mut table = String::from(
        "A sensor's reading: row 500 of `readings.csv` sends `rpm:` to `pump-7`, which changes one slot.\n\n",
    );
    table.push_str("| bytes | what |\n|---|---|\n");
    let mut at = 0;
    for (length, what) in EXAMPLE {
        let hex: Vec<String> = bytes[at..at + length].iter().map(|byte| format!("{byte:02x}")).collect();
        let shown =
            if *length > 16 { format!("{} … {}", hex[..3].join(" "), hex[length - 1]) } else { hex.join(" ") };
        let _ = writeln!(table, "| `{shown}` | {what} |");
        at += length;
    }
    assert_eq!(PROGRAM, [7; 32]);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/record.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- example -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of example -->").unwrap();
    expect_file![path].assert_eq(&format!("{before}<!-- example -->\n{table}<!-- end of example -->{after}"));
}
