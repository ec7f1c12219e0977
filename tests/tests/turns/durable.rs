//! Nothing leaves a partition before the record that caused it is durable: seen by a store that watches what is
//! written and flushed, and what each record says of others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use twintalk_runtime::{Datum, FaultReport, FeedMessage, OpenOptions, Output, SendError, Simulated, System};
use twintalk_store::memory::MemoryStore;
use twintalk_store::record::{Outcome, Record};
use twintalk_store::{
    Batch, BlockIter, Blocks, CheckReport, Durability, Key, KeyRange, Log, Partition, Position, Row, RowIter, Rows,
    Settings, Store, StoreError, Table, Tables,
};

use crate::log::{Shown, program};

/// A store in memory that counts as `sync`: what is committed is durable when a flush has followed.
struct Watched {
    inner: MemoryStore,
    settings: Settings,
    seen: Mutex<Seen>,
    /// Whether it takes no more.
    refuses: AtomicBool,
}

#[derive(Default)]
struct Seen {
    /// Up to where each partition is flushed.
    flushed: BTreeMap<Partition, Position>,
    /// Where each turn of each composite stands.
    turns: BTreeMap<(String, u64), (Partition, Position)>,
    /// What each record printed, and where it stands.
    printed: Vec<(String, Partition, Position)>,
    /// What was used before it was durable.
    too_early: Vec<String>,
    /// How many things from other partitions were found durable.
    in_time: usize,
}

impl Seen {
    fn is_durable(&self, partition: Partition, position: Position) -> bool {
        self.flushed.get(&partition).is_some_and(|flushed| position < *flushed)
    }

    /// What another partition has used of `partition`, in the record at `position`.
    fn used(&mut self, what: &str, partition: Partition, position: Position) {
        if self.is_durable(partition, position) {
            self.in_time += 1;
        } else {
            self.too_early.push(format!("{what} at {partition}/{position}"));
        }
    }

    fn look_at(&mut self, partition: Partition, position: Position, record: &Record<'_>) {
        if let Some(origin) = record.cause.origin.filter(|origin| origin.partition != partition) {
            self.used("a message or reply", origin.partition, origin.position);
        }
        for answer in record.input.answers.iter() {
            let place = self.turns.get(&(answer.composite.to_owned(), answer.turn)).copied();
            if let Some((other, at)) = place.filter(|(other, _)| *other != partition) {
                self.used("an answer", other, at);
            }
        }
        self.turns.insert((record.composite().to_owned(), record.envelope.turn), (partition, position));
        if let Outcome::Committed(effects) = &record.outcome
            && !effects.output.is_empty()
        {
            self.printed.push((effects.output.to_owned(), partition, position));
        }
    }
}

impl Watched {
    fn new(partitions: u16) -> Watched {
        let inner = MemoryStore::new(partitions, "watched");
        let settings = Settings { durability: Durability::Sync, ..inner.settings().clone() };
        Watched { inner, settings, seen: Mutex::default(), refuses: AtomicBool::new(false) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no thread panics here")
    }
}

impl Log for Watched {
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        self.inner.append(partition, expected, blocks)
    }
    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError> {
        self.inner.read(partition, from)
    }
    fn trim(&self, partition: Partition, to: Position) -> Result<(), StoreError> {
        self.inner.trim(partition, to)
    }
    fn first(&self, partition: Partition) -> Result<Position, StoreError> {
        self.inner.first(partition)
    }
    fn end(&self, partition: Partition) -> Result<Position, StoreError> {
        self.inner.end(partition)
    }
    fn flushed(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.seen().flushed.get(&partition).copied().unwrap_or(Position::FIRST))
    }
    fn flush(&self) -> Result<(), StoreError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(StoreError::Io(std::io::Error::other("the disk fails")));
        }
        let mut seen = self.seen();
        for partition in (0..self.settings.partitions).map(Partition) {
            let end = self.inner.end(partition)?;
            seen.flushed.insert(partition, end);
        }
        Ok(())
    }
}

impl Tables for Watched {
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError> {
        self.inner.get_into(table, key, bytes)
    }
    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.inner.multi_get(table, keys)
    }
    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError> {
        self.inner.scan(table, range)
    }
    fn write(&self, rows: &Rows) -> Result<(), StoreError> {
        self.inner.write(rows)
    }
}

impl Store for Watched {
    fn commit(&self, expected: Position, batch: Batch<'_>) -> Result<Position, StoreError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(StoreError::Io(std::io::Error::other("the disk is full")));
        }
        // Held until it is written, so that a flush meanwhile counts what is not there yet as not durable.
        let mut seen = self.seen();
        let end = self.inner.commit(expected, batch)?;
        let partition = batch.blocks.partition();
        for block in self.inner.read(partition, expected)? {
            for record in block?.open().expect("just written").records(0) {
                let (position, record) = record.expect("just written");
                seen.look_at(partition, position, &record);
            }
        }
        Ok(end)
    }
    fn settings(&self) -> &Settings {
        &self.settings
    }
    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError> {
        self.inner.checkpoint(partition)
    }
    fn check(&self) -> Result<CheckReport, StoreError> {
        self.inner.check()
    }
    fn settle(&self) -> Result<(), StoreError> {
        self.inner.settle()
    }
}

/// Where output comes out.
struct Outside {
    store: Arc<Watched>,
    printed: usize,
    reported: usize,
}

impl Output for Outside {
    fn print(&mut self, text: &str) {
        let mut seen = self.store.seen();
        let of_turn = seen.printed.iter().find(|(printed, _, _)| printed == text).cloned();
        if let Some((_, partition, position)) = of_turn {
            seen.used("output", partition, position);
            self.printed += 1;
        }
    }
    fn fault(&mut self, report: &FaultReport) {
        assert_eq!(report.selector, "fail");
        self.reported += 1;
    }
}

/// Each turn prints something that no other prints; messages, replies and answers cross between partitions.
const PROGRAM: &str = r"
twin Node = (
  | n <- 0. sum <- 0. |
  say = ( Transcript showLine: self path , ' turn ' , n printString )
  pass: k to: next = (
    n := n + 1.
    self say.
    sum := sum + (Node at: next) n.
    k > 0 ifTrue: [ (Node at: next) ! pass: k - 1 to: self path ].
    k \\ 5 = 0 ifTrue: [ (Node at: next) ! fail ] )
  fail = ( self error: 'no' )
)
| pairs |
pairs := (1 to: 8) collect: [ :i | 'n' , i printString ].
pairs do: [ :each | Node new: each ].
1 to: 8 do: [ :i | (Node at: (pairs at: i)) ! pass: 12 to: (pairs at: i \\ 8 + 1) ].
(pairs inject: 0 into: [ :sum :each | sum + (Node at: each) n ]) printNl.
";

// delivery: D7.2
#[test]
fn nothing_leaves_before_the_record_that_caused_it_is_durable() {
    for (partitions, threads) in [(1, 1), (2, 1), (8, 1), (8, 2)] {
        let store = Arc::new(Watched::new(partitions));
        let options = OpenOptions { program: Some(program(PROGRAM)), threads: Some(threads), ..OpenOptions::default() };
        let machine = Simulated { batch_records_max: 64, ahead_records: 8, ..Simulated::new(store.clone()) };
        let mut system = System::open_simulated(machine, options).expect("it opens");
        let mut outside = Outside { store: store.clone(), printed: 0, reported: 0 };
        system.run_program(Vec::new(), None, &mut outside).expect("it runs");
        assert!(outside.printed > 100 && outside.reported > 15, "{} {}", outside.printed, outside.reported);
        for number in 0..20 {
            let path = format!("n{}", number % 8 + 1);
            let answer =
                system.send(&path, "pass:to:", &[Datum::Int(3.into()), Datum::String("n1".into())], &mut outside);
            answer.expect("no fault");
            let all: Vec<Position> = (0..partitions).map(|p| store.inner.end(Partition(p)).expect("an end")).collect();
            let flushed: Vec<Position> =
                (0..partitions).map(|p| store.flushed(Partition(p)).expect("an end")).collect();
            assert_eq!(all, flushed, "an answer is given when all is durable");
        }
        let seen = store.seen();
        assert_eq!(seen.too_early, Vec::<String>::new(), "{partitions} partitions, {threads} threads");
        assert!(partitions == 1 || seen.in_time > 200, "{}", seen.in_time);
    }
}

// delivery: D7.2, D7.12
// faults: Store
#[test]
fn a_program_whose_store_refuses_ends_with_that_whatever_it_handles() {
    let text = "twin T = ( | n <- 0. | up = ( n := n + 1. Transcript showLine: n printString ) )
        | t | t := T at: 't'.
        2 timesRepeat: [ [ t up ] on: Error do: [ :e | Transcript showLine: (e messageText includesSubstring: 'full') printString ] ].
        t up.
        Transcript showLine: 'never'.";
    let store = Arc::new(Watched::new(2));
    let open = || {
        let options = OpenOptions { program: Some(program(text)), ..OpenOptions::default() };
        let machine = Simulated { batch_records_max: 64, ahead_records: 8, ..Simulated::new(store.clone()) };
        System::open_simulated(machine, options).expect("it opens")
    };
    let mut shown = Shown::default();
    let mut system = open();
    system.send("t", "up", &[], &mut shown).expect_err("there is no such twin");
    store.refuses.store(true, Ordering::Relaxed);
    let ended = system.run_program(Vec::new(), None, &mut shown).expect_err("the store refuses");
    assert!(matches!(ended, SendError::Store(_)), "{ended}");
    assert_eq!(shown.text, "true\ntrue\n");
}

/// Feeds messages that print their numbers to a store whose flushes are done when they are waited for, or looked for 300 times.
struct Ahead {
    store: Arc<Watched>,
    system: System,
    shown: Shown,
    number: u64,
}

impl Ahead {
    fn new() -> Ahead {
        let text =
            "twin T = ( | n <- 0. | take: x = ( n := n + 1. Transcript showLine: x printString ) ) T ensure: 't'.";
        let store = Arc::new(Watched::new(1));
        let options = OpenOptions { program: Some(program(text)), ..OpenOptions::default() };
        let machine = Simulated { flush_looks: 300, ..Simulated::new(store.clone()) };
        let mut system = System::open_simulated(machine, options).expect("it opens");
        let mut shown = Shown::default();
        system.run_program(Vec::new(), None, &mut shown).expect("it runs");
        Ahead { store, system, shown, number: 0 }
    }

    fn feed(&mut self) -> Result<(), SendError> {
        self.number += 1;
        let message = FeedMessage {
            number: self.number,
            path: "t",
            selector: "take:",
            arguments: &[Datum::Int(self.number.into())],
            device_time_ns: None,
            make: None,
        };
        self.system.feed("device", &message, &mut self.shown)
    }

    /// What was printed: numbers from 1 on. Each was durable then.
    fn printed(&self) -> u64 {
        let numbers: Vec<u64> = self.shown.text.lines().map(|line| line.parse().expect("a number")).collect();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "in order: {numbers:?}");
        numbers.len() as u64
    }

    fn acknowledged(&self) -> u64 {
        self.system.acknowledged("device")
    }
}

// delivery: D7.2, D7.20
#[test]
fn turns_run_while_the_disk_is_busy_and_nothing_leaves_before_it_is_done() {
    let mut ahead = Ahead::new();
    let mut written_ahead = 0;
    for _ in 0..2000 {
        ahead.feed().expect("taken");
        let (printed, acknowledged) = (ahead.printed(), ahead.acknowledged());
        assert_eq!(printed, acknowledged, "what it printed leaves with a message's acknowledgement");
        let seen = ahead.store.seen();
        for (text, partition, position) in &seen.printed {
            let number: u64 = text.trim().parse().expect("a number");
            assert!(number > printed || seen.is_durable(*partition, *position), "{number} was printed and may be lost");
        }
        written_ahead = written_ahead.max(seen.printed.len() as u64 - printed);
        drop(seen);
        assert!(ahead.number - acknowledged < 64 + 512, "one group is flushed and one gathers");
    }
    assert!(ahead.acknowledged() > 1000 && written_ahead >= 64, "{} {written_ahead}", ahead.acknowledged());
    ahead.system.commit(&mut ahead.shown).expect("durable");
    assert_eq!((ahead.printed(), ahead.acknowledged()), (2000, 2000));
}

// delivery: D7.12, D7.20
#[test]
fn a_flush_beside_the_turns_that_fails_ends_them_and_lets_nothing_out() {
    let mut ahead = Ahead::new();
    while ahead.acknowledged() == 0 {
        ahead.feed().expect("taken");
    }
    let before = ahead.acknowledged();
    ahead.store.refuses.store(true, Ordering::Relaxed);
    let failed = (0..2000).find_map(|_| ahead.feed().err()).expect("the store refuses");
    assert!(matches!(failed, SendError::Store(_)), "{failed}");
    assert_eq!((ahead.printed(), ahead.acknowledged()), (before, before));
}

// delivery: D7.20
#[test]
fn who_has_nothing_more_to_feed_waits_for_some_or_all() {
    let mut ahead = Ahead::new();
    (0..100).for_each(|_| ahead.feed().expect("taken"));
    assert_eq!(ahead.acknowledged(), 0);
    ahead.system.commit_some(&mut ahead.shown).expect("durable");
    assert_eq!((ahead.printed(), ahead.acknowledged()), (64, 64), "what was being flushed");
    ahead.system.commit_some(&mut ahead.shown).expect("durable");
    assert_eq!((ahead.printed(), ahead.acknowledged()), (100, 100), "the rest");
    ahead.system.commit_some(&mut ahead.shown).expect("nothing to do");
    assert_eq!(ahead.printed(), 100);
}
