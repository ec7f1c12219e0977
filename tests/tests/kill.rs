//! SIGKILL: a store keeps what it acknowledged, and nothing by halves.
//!
//! This binary starts itself again as the *feeder*: it opens a store, feeds numbered messages as fast as it can to two
//! composites that send each other messages, and writes `ack N` to its standard error whenever message N and all before
//! it are durable. The parent kills it at a random moment, also while it opens, replays, checkpoints or
//! passivates; opens the store itself; and compares every twin with what the messages taken must have
//! made of it. The next round goes on with the same store. Half of the stores are `async`, half `sync`.
//!
//! `SEED=n` repeats the choices of a run (not the moments of the kernel's scheduler), `KILLS=n` says how many rounds: 50 for
//! the figures in the closing note of a release, few by default.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use twintalk_runtime::{Durability, Position};

use crate::counted::{Dice, Faults, SENDER, check_figures, check_verify, feed, make, number, pulses, reopen};

mod counted;

/// How many rounds without `KILLS`.
const KILLS: u64 = 6;
/// How many rounds go on with one store: its whole log is verified after each.
const ROUNDS_PER_STORE: u64 = 10;
/// The feeder never gets this far; without a kill it ends.
const MESSAGES_MAX: u64 = 10_000_000;
/// In the environment of the feeder: the folder of the store, and the seed of its choices.
const FEEDER_FOLDER: &str = "TWINTALK_KILL_FOLDER";
const FEEDER_SEED: &str = "TWINTALK_KILL_SEED";

// delivery: D3.2, D3.6, D3.10, D7.3, D7.6, D12.7
#[test]
fn what_is_acknowledged_survives_a_kill_once_and_whole() {
    if std::env::var_os(FEEDER_FOLDER).is_some() {
        return; // the feeder's process runs the other test of this file
    }
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ 0x6b69_6c6c);
    let kills = number("KILLS").unwrap_or(KILLS);
    println!("SEED={seed} KILLS={kills}");
    let mut dice = Dice(seed);
    let mut total = Total::default();
    let rounds = kills.div_ceil(2).clamp(1, ROUNDS_PER_STORE);
    for (nth, first) in (1..=kills).step_by(rounds as usize).enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let durability = if nth % 2 == 0 { Durability::Async } else { Durability::Sync };
        let mut store = Store { folder: folder.path(), durability, taken: 0, beats: 0, end: Position::START };
        make(folder.path(), durability, 1, None);
        for round in first..=kills.min(first + rounds - 1) {
            store.round(round, &mut dice, &mut total);
        }
    }
    println!(
        "SEED={seed}: {kills} kills, {} while opening; {} messages acknowledged, {} kept; {} records verified \
         again, no difference",
        total.early, total.acknowledged, total.kept, total.records
    );
    assert!(total.kept > 0, "no round got as far as its first message");
}

#[derive(Default)]
struct Total {
    acknowledged: u64,
    kept: u64,
    early: u64,
    records: u64,
}

/// A store, and what it had after the last round.
struct Store<'a> {
    folder: &'a Path,
    durability: Durability,
    taken: u64,
    beats: u64,
    end: Position,
}

impl Store<'_> {
    fn round(&mut self, round: u64, dice: &mut Dice, total: &mut Total) {
        let early = dice.one_of(8) == 0;
        let (acknowledged, last) = kill_one(self.folder, dice.next(), early, dice);
        let name = format!("round {round}, {}", self.durability);

        let mut system = reopen(self.folder);
        let taken = system.taken(SENDER).expect("a counter");
        assert!(taken >= acknowledged, "{name}: message {acknowledged} was acknowledged, only {taken} are there");
        assert!(taken >= self.taken, "{name}: {} messages were there before, now {taken}", self.taken);
        system.settle(&mut Faults).expect("settled");
        let beats = check_figures(&mut system, taken, &name);
        assert!(beats >= self.beats, "{name}: {} pulses were there before, now {beats}", self.beats);
        system.let_time_pass(40_000_000, &mut Faults).expect("settled");
        self.beats = pulses(&mut system, &name);
        assert!(self.beats > beats, "{name}: the timer is gone");
        let end = system.ends().expect("an end")[0];
        assert!(end > self.end, "{name}: the log ended at {}, now at {end}", self.end);
        let records = check_verify(&mut system, &name);

        println!("{name}: acknowledged {last}, kept {taken}, {records} records, killed {}", moment(early));
        total.acknowledged += last.saturating_sub(self.taken);
        total.kept += taken - self.taken;
        total.early += u64::from(early);
        total.records += records;
        (self.taken, self.end) = (taken, end);
        // Sometimes the parent too goes without closing: what it did is in the log, not in the rows.
        if dice.one_of(2) == 0 {
            system.close(&mut Faults).expect("closed");
        }
    }
}

fn moment(early: bool) -> &'static str {
    if early { "while it opened" } else { "under load" }
}

/// Starts a feeder and kills it; answers the highest message it acknowledged.
fn kill_one(folder: &Path, seed: u64, early: bool, dice: &mut Dice) -> (u64, u64) {
    let mut feeder = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "feeder", "--nocapture"])
        .env(FEEDER_FOLDER, folder)
        .env(FEEDER_SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this binary starts");
    let lines = acks(&mut feeder);
    let mut acknowledged = 0;
    if early {
        std::thread::sleep(Duration::from_micros(dice.one_of(150_000)));
    } else {
        acknowledged = lines.recv_timeout(Duration::from_secs(60)).expect("a first ack");
        let end = Instant::now() + Duration::from_micros(dice.one_of(250_000));
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(ack) => acknowledged = ack,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("the feeder ended by itself after {acknowledged}"),
            }
        }
    }
    feeder.kill().expect("SIGKILL is sent");
    feeder.wait().expect("it is gone");
    // What it had written before it died counts as well.
    let last = lines.iter().last().unwrap_or(acknowledged);
    (acknowledged.max(last), last)
}

/// The numbers of the acknowledgements, as they come; all else that the feeder says is shown.
fn acks(feeder: &mut Child) -> Receiver<u64> {
    let stderr = feeder.stderr.take().expect("it is piped");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            match line.strip_prefix("ack ").and_then(|number| number.parse().ok()) {
                Some(number) => drop(sender.send(number)),
                None => eprintln!("feeder: {line}"),
            }
        }
    });
    receiver
}

/// The process that is killed; nothing unless it was started for that.
#[test]
fn feeder() {
    let (Some(folder), Ok(seed)) = (std::env::var_os(FEEDER_FOLDER), std::env::var(FEEDER_SEED)) else { return };
    let mut dice = Dice(seed.parse().expect("a number"));
    let mut system = reopen(Path::new(&folder));
    let first = system.taken(SENDER).expect("a counter") + 1;
    let (mut group, mut acked, mut acks) = (1, 0, std::io::stderr());
    for number in first..MESSAGES_MAX {
        feed(&mut system, number, None).unwrap_or_else(|error| panic!("{error}"));
        group -= 1;
        if group == 0 {
            system.commit(&mut Faults).expect("committed");
        }
        // Some is durable before the group is whole: turns run ahead of the disk.
        let acknowledged = system.acknowledged(SENDER);
        if acknowledged > acked {
            acked = acknowledged;
            acks.write_all(format!("ack {acked}\n").as_bytes()).expect("the parent reads");
        }
        if group == 0 {
            match dice.one_of(100) {
                0 => system.passivate().expect("passivated"),
                1 => system.checkpoint().expect("a checkpoint"),
                _ => {}
            }
            group = if dice.one_of(4) == 0 { 1 + dice.one_of(1000) } else { 1 + dice.one_of(64) };
        }
    }
}
