//! What a kill leaves: every acknowledged block, and whole commits only.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{Batch, Durability, Key, Log, Partition, Position, Rows, Store, Table, Tables};

use crate::sample::sensor_blocks;

const P: Partition = Partition(0);
const FOLDER: &str = "TWINTALK_CRASH_FOLDER";
const DURABILITY: &str = "TWINTALK_CRASH_DURABILITY";

fn open(folder: &Path, durability: Durability) -> RocksStore {
    RocksStore::open(folder, &RocksOptions { durability: Some(durability), ..RocksOptions::default() }).unwrap()
}

/// The process that is killed: started by the test below, and nothing by itself.
#[test]
#[ignore = "runs as a child of `a_kill_takes_nothing_that_was_acknowledged`"]
fn child() {
    let (Some(folder), Ok(durability)) = (env::var_os(FOLDER), env::var(DURABILITY)) else { return };
    let store = open(Path::new(&folder), Durability::from_name(&durability).unwrap());
    let mut out = std::io::stdout();
    let mut end = store.end(P).unwrap();
    // More than the parent will wait for, so that an orphan ends too.
    for _ in 0..20_000 {
        let blocks = sensor_blocks(P, end, &[1 + end.block as usize % 40, 2]);
        let mut rows = Rows::new();
        rows.put(Table::State, Key::new().state(P, "pump-1"), end, &end.to_bytes());
        end = store.commit(end, Batch { blocks: &blocks, rows: &rows }).unwrap();
        store.flush().unwrap();
        writeln!(out, "ack {}", store.flushed(P).unwrap().block).unwrap();
    }
}

fn crash(durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Position::FIRST;
    for round in 1..=4 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(DURABILITY, durability.name())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acks = 0;
        for line in lines {
            let Ok(line) = line else { break };
            // The test harness prints its own lines, and does not end them where we do.
            let Some((_, number)) = line.split_once("ack ") else { continue };
            acknowledged = Position::block(number.parse().unwrap());
            acks += 1;
            if acks == 60 * round {
                // Goes on reading: what it acknowledges before it dies counts as well.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acks >= 60 * round, "the child ended by itself");

        let store = open(folder.path(), durability);
        let end = store.end(P).unwrap();
        assert!(end >= acknowledged, "{acknowledged} was acknowledged, {end} is left");
        assert_eq!(end.block % 2, 1, "two blocks a commit, all or none");
        let row = store.get(Table::State, Key::new().state(P, "pump-1")).unwrap().unwrap();
        assert_eq!(row.position, Position::block(end.block - 2), "the row of the last commit");
        let report = store.check().unwrap();
        assert_eq!(report.damage, []);
        assert_eq!(report.blocks, end.block - 1);
    }
}

// delivery: D7.5, D7.6
#[test]
fn a_kill_takes_nothing_that_was_acknowledged() {
    crash(Durability::Sync);
    crash(Durability::Async);
}
