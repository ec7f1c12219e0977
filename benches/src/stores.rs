//! What keeping costs: updates with their records, cold twins, idle twins, replay.

use std::path::Path;

use rocksdb::{Cache, ColumnFamilyDescriptor, DB, Env, Options, ReadOptions, WriteBatch};
use twintalk_runtime::{Durability, FeedMessage, OpenOptions, System};
use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{Key, Log, Partition, Position, Store};

use crate::measure::{Figure, Scale, Target, busy_seconds, ns_each, resident_set_bytes, wall_seconds};
use crate::turns::{Silent, in_memory, integer, program};

const SENSOR: &str = "twin Sensor = ( | level <- 0. low <- 0. high <- 0. | level: n = ( level := n ) )";
/// How many producers there are at most, each of which waits for the acknowledgement of its message before it sends the next.
const PRODUCERS: u64 = 256;

/// A path of ten characters.
fn path(number: u64) -> String {
    format!("s{number:09}")
}

/// Numbers in no order: a permutation of 0..`count` that visits all.
fn scattered(nth: u64, count: u64) -> u64 {
    // A prime beyond any count in this file, so that it divides none.
    (nth % count).wrapping_mul(2_147_483_647) % count
}

/// Feeds messages with running numbers.
struct Feed {
    system: System,
    number: u64,
}

impl Feed {
    fn open(folder: &Path, durability: Durability) -> Feed {
        let options = OpenOptions {
            folder: Some(folder.to_owned()),
            durability: Some(durability),
            program: Some(program(SENSOR)),
            ..OpenOptions::default()
        };
        Feed { system: System::open(options).unwrap_or_else(|error| panic!("{error}")), number: 0 }
    }

    fn tell(&mut self, path: &str, value: u64) {
        self.number += 1;
        let message = FeedMessage {
            number: self.number,
            path,
            selector: "level:",
            arguments: &[integer(value)],
            device_time_ns: None,
            make: Some("Sensor"),
        };
        self.system.feed("bench", &message, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    }

    fn commit(&mut self) {
        self.system.commit(&mut Silent).expect("committed");
    }

    /// Tells as one of so many producers: when all of them wait for an acknowledgement, one has to come first.
    fn tell_as_one_of(&mut self, producers: u64, path: &str, value: u64) {
        while self.number - self.system.acknowledged("bench") >= producers {
            self.system.commit_some(&mut Silent).expect("committed");
        }
        self.tell(path, value);
    }
}

/// One slot of a twin is updated by a message from outside, recorded; a group of messages shares a commit.
pub fn updates(scale: Scale) -> Vec<Figure> {
    let count = scale.of(100_000);
    let twins: Vec<String> = (0..scale.of(10_000)).map(path).collect();
    let mut figures = Vec::new();
    let folder = tempfile::tempdir().expect("a folder");
    let nth_twin = |nth: u64| &*twins[scattered(nth, twins.len() as u64) as usize];
    let mut measure = |name: &str, target, mut feed: Feed| {
        twins.iter().for_each(|path| feed.tell(path, 0));
        feed.commit();
        let values = ns_each(scale, count, busy_seconds, |round| {
            for nth in 0..count {
                feed.tell(nth_twin(nth), round * count + nth);
            }
            feed.commit();
        });
        figures.push(Figure::new(name, "ns", target, values));
    };
    let memory = Feed { system: in_memory(SENSOR), number: 0 };
    measure("one-slot update, memory, 512 a commit", Target::None, memory);
    let asynchronous = Feed::open(&folder.path().join("async"), Durability::Async);
    measure("one-slot update, async, 512 a commit", Target::AtMost(500.0), asynchronous);
    let synced = folder.path().join("sync");
    let mut ours = Vec::new();
    for producers in [1, 16, PRODUCERS] {
        // Few wait for the disk often.
        let count = (count * producers / PRODUCERS).max(1);
        let mut feed = Feed::open(&synced, Durability::Sync);
        feed.number = feed.system.taken("bench").expect("a counter");
        let first = feed.number;
        twins.iter().for_each(|path| feed.tell(path, 0));
        feed.commit();
        ours = ns_each(scale, count, wall_seconds, |round| {
            for nth in 0..count {
                feed.tell_as_one_of(producers, nth_twin(nth), first + round * count + nth);
            }
            feed.commit();
        });
        let each = if producers == 1 { "one producer".to_owned() } else { format!("{producers} producers") };
        figures.push(Figure::new(format!("one-slot update, sync, {each}"), "ns", Target::None, ours.clone()));
        feed.system.close(&mut Silent).expect("closed");
    }
    let bare = bare_appends(scale, &synced, &folder.path().join("bare"));
    let ratios = ours.iter().zip(&bare).map(|(ours, bare)| bare / ours).collect();
    figures.push(Figure::new("the same blocks appended to bare RocksDB, synced", "ns", Target::None, bare));
    figures.push(Figure::new(
        "sync updates a second, of what bare RocksDB appends",
        "times",
        Target::AtLeast(0.5),
        ratios,
    ));
    figures
}

/// Appends the blocks of a store to a new database, in the same groups, each synced: nanoseconds a record.
fn bare_appends(scale: Scale, store: &Path, folder: &Path) -> Vec<f64> {
    let store = RocksStore::open_read_only(store).unwrap_or_else(|error| panic!("{error}"));
    let partition = Partition(0);
    let mut groups: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut group = (Vec::new(), 0);
    for block in store.read(partition, Position::FIRST).expect("its log") {
        let bytes = block.expect("a block");
        group.1 += u64::from(bytes.open().expect("a block").len());
        group.0.push(bytes.bytes().to_vec());
        if group.1 >= PRODUCERS {
            groups.push(std::mem::take(&mut group.0));
            group.1 = 0;
        }
    }
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_enable_pipelined_write(true);
    let db = DB::open(&options, folder).expect("a database");
    let mut number = 0u64;
    ns_each(scale, groups.len() as u64 * PRODUCERS, wall_seconds, |_| {
        for blocks in &groups {
            let mut batch = WriteBatch::default();
            for block in blocks {
                number += 1;
                batch.put(number.to_be_bytes(), block);
            }
            db.write(batch).expect("written");
            db.flush_wal(true).expect("synced");
        }
    })
}

/// A folder with `count` twins at rest, checkpointed and closed.
fn twins_at_rest(folder: &Path, count: u64) {
    let mut feed = Feed::open(folder, Durability::Async);
    for nth in 0..count {
        feed.tell(&path(nth), nth);
    }
    feed.system.close(&mut Silent).expect("closed");
}

fn reopen(folder: &Path) -> System {
    let options = OpenOptions { folder: Some(folder.to_owned()), ..OpenOptions::default() };
    System::open(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Twins are brought into memory from their rows, beside the bare reads of the same rows.
pub fn lazy_load(scale: Scale) -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("a folder");
    let all = scale.of(1_000_000);
    twins_at_rest(folder.path(), all);
    // A hot set: these are asked for again and again, so their blocks are in RocksDB's cache.
    let hot: Vec<String> = (0..scale.of(50_000)).map(|nth| path(scattered(nth * 17, all))).collect();
    let mut system = reopen(folder.path());
    let loads = timed_rounds(scale, hot.len(), &mut system, System::passivate, |system| {
        for path in &hot {
            assert!(system.exists(path).expect("its row"), "{path}");
        }
    });
    drop(system);

    let cache = Cache::new_lru_cache(64 << 20);
    let environment = Env::new().expect("an environment");
    let engine = folder.path().join("rocksdb");
    let (options, families) = Options::load_latest(&engine, environment, true, cache).expect("its options");
    let families: Vec<ColumnFamilyDescriptor> = families;
    let db = DB::open_cf_descriptors_read_only(&options, &engine, families, false).expect("a database");
    let family = db.cf_handle("state").expect("the rows of twins");
    let keys: Vec<Vec<u8>> = hot.iter().map(|path| Key::new().state(Partition(0), path).bytes().to_vec()).collect();
    let read = ReadOptions::default();
    let bare = ns_each(scale, keys.len() as u64, busy_seconds, |_| {
        for key in &keys {
            assert!(db.get_pinned_cf_opt(family, key, &read).expect("read").is_some());
        }
    });
    let ratios = loads.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    vec![
        Figure::new("lazy load of a cold twin, hot set of 50,000 among a million", "ns", Target::AtMost(2000.0), loads),
        Figure::new("bare RocksDB get of the same rows", "ns", Target::None, bare),
        Figure::new("lazy load, in bare gets", "times", Target::AtMost(1.3), ratios),
    ]
}

/// As `ns_each`, with `before` done before each round and not measured.
fn timed_rounds<E: std::fmt::Debug>(
    scale: Scale,
    count: usize,
    system: &mut System,
    mut before: impl FnMut(&mut System) -> Result<(), E>,
    mut work: impl FnMut(&mut System),
) -> Vec<f64> {
    let rounds = (0..=scale.rounds()).map(|_| {
        before(system).expect("made ready");
        busy_seconds(&mut || work(system)) * 1e9 / count as f64
    });
    rounds.skip(1).collect()
}

/// How much the resident set grows while twins come into memory.
pub fn idle_twins(scale: Scale) -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("a folder");
    let count = scale.of(1_000_000);
    twins_at_rest(folder.path(), count);
    let mut system = reopen(folder.path());
    // First each is brought in and forgotten again, so that RocksDB's caches are as full as they get.
    for nth in 0..count {
        system.exists(&path(nth)).expect("its row");
        if nth % 1000 == 999 {
            system.passivate().expect("forgotten");
        }
    }
    system.passivate().expect("forgotten");
    let before = resident_set_bytes();
    for nth in 0..count {
        system.exists(&path(nth)).expect("its row");
    }
    let grown = (resident_set_bytes() - before) / count as f64;
    let (twins, bytes) = system.residents();
    let alone = bytes as f64 / twins as f64;
    vec![
        Figure::new(
            "resident idle twin, growth of the resident set over a million",
            "bytes",
            Target::AtMost(64.0),
            vec![grown],
        ),
        Figure::new("the same without index and allocator", "bytes", Target::None, vec![alone]),
    ]
}

/// Records become state again, without running code.
pub fn replay(scale: Scale) -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("a folder");
    // Below the number of records after which a checkpoint is written; the difference of two logs leaves out
    // what opening costs besides.
    let counts = [scale.of(9_000), scale.of(99_000)];
    let folders = counts.map(|count| {
        let folder = folder.path().join(count.to_string());
        let mut feed = Feed::open(&folder, Durability::Async);
        for nth in 0..count {
            feed.tell(&path(nth % 100), nth);
        }
        feed.commit();
        drop(feed);
        // Out of the write-ahead log, which is RocksDB's to replay.
        RocksStore::open(&folder, &RocksOptions::default()).and_then(|store| store.settle()).expect("settled");
        folder
    });
    let seconds = |folder: &Path| busy_seconds(&mut || drop(reopen(folder)));
    let values = (0..scale.rounds()).map(|_| {
        let [few, many] = [seconds(&folders[0]), seconds(&folders[1])];
        (counts[1] - counts[0]) as f64 / (many - few).max(1e-9) / 1e6
    });
    vec![Figure::new("replay of one-slot records", "million/s", Target::AtLeast(3.0), values.collect())]
}

/// A store that was closed well is opened: no twin is read, so it takes no longer the more there are.
pub fn opening(scale: Scale) -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("a folder");
    let counts = [scale.of(1_000), scale.of(scale.twins)];
    let folders = [folder.path().join("few"), folder.path().join("many")];
    let mut figures = Vec::new();
    for ((count, folder), target) in counts.into_iter().zip(&folders).zip([Target::None, Target::AtMost(100.0)]) {
        twins_at_rest(folder, count);
        let rounds = (0..=scale.rounds()).map(|_| {
            let mut opened = None;
            let seconds = wall_seconds(&mut || opened = Some(reopen(folder)));
            let system = opened.expect("opened above");
            assert_eq!(system.residents().0, 0, "no twin is read");
            system.close(&mut Silent).expect("closed");
            seconds * 1e3
        });
        let values = rounds.collect::<Vec<_>>().split_off(1);
        figures.push(Figure::new(
            format!("opening a store of {count} twins that was closed well"),
            "ms",
            target,
            values,
        ));
    }
    figures
}
