//! What happens in one run, all of it chosen by the seed: the store, the messages, and what goes wrong when.

use std::sync::LazyLock;

use twintalk_compiler::diagnostic::Severity;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{Datum, Discipline, Durability, Program, kernel};

use crate::dice::Dice;
use crate::disk::Fault;

const TWINS: &str = include_str!("twins.twin");
/// The versions of the program that there are.
pub const VERSIONS: usize = 3;
/// The outside senders.
pub const SENDERS: &[&str] = &["north", "south", "east"];
/// Copies of hubs at most.
pub const COPIES: usize = 2;
/// How many twins fail at first.
pub const FRAILS: usize = 2;
/// How many twins break.
pub const GLASSES: usize = 2;
/// Hubs at most; a plan has two or more of them.
const HUBS_MAX: usize = 5;
const SECOND_NS: i64 = 1_000_000_000;

/// The program in each version, its statements making the hubs `hub-0` and so on.
pub fn program(version: usize, hubs: usize) -> &'static Program {
    static PROGRAMS: LazyLock<Vec<Program>> = LazyLock::new(|| {
        (1..=VERSIONS).flat_map(|version| (0..=HUBS_MAX).map(move |hubs| compiled(version, hubs))).collect()
    });
    &PROGRAMS[(version - 1) * (HUBS_MAX + 1) + hubs]
}

fn compiled(version: usize, hubs: usize) -> Program {
    let limit = |line: &str, word: &str| {
        let at = line.find(&format!("\"{word} "))? + word.len() + 2;
        line[at..].split('"').next()?.parse::<usize>().ok()
    };
    let is_there = |line: &&str| {
        limit(line, "from").unwrap_or(0) <= version && version <= limit(line, "until").unwrap_or(VERSIONS)
    };
    let (head, rest) = TWINS.split_once("\n\n").expect("a head comment");
    let mut text: Vec<String> = head.lines().map(str::to_owned).collect();
    text.push(String::new());
    text.extend(rest.lines().filter(is_there).map(str::to_owned));
    text.extend((0..hubs).map(|hub| format!("Hub ensure: '{}'.", hub_path(hub))));
    text.extend((0..FRAILS).map(|frail| format!("Frail ensure: '{}'.", frail_path(frail))));
    text.extend((0..GLASSES).map(|glass| format!("Glass ensure: '{}'.", glass_path(glass))));
    let source = SourceText { name: "twins.twin".to_owned(), text: text.join("\n") };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    let errors: Vec<_> = compilation.diagnostics.iter().filter(|one| one.code.severity() == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    Program::new(compilation.image.expect("there is no error"))
}

/// What a message from outside asks of a hub. Hubs are numbers here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Take,
    Pass {
        to: usize,
    },
    Hop {
        via: Vec<usize>,
    },
    Pay {
        amount: u64,
        to: usize,
    },
    Ask {
        of: usize,
    },
    Pile {
        times: u64,
    },
    Shuffle,
    Toggle {
        leaf: usize,
    },
    Invite {
        guest: usize,
    },
    New {
        guest: usize,
    },
    Dismiss {
        guest: usize,
    },
    Clone {
        copy: usize,
    },
    /// The answer is waited for by a block.
    Request {
        of: usize,
    },
    /// The answer is a failure.
    Beg {
        of: usize,
    },
    /// An answer leads to another message.
    Relay {
        of: usize,
        and: usize,
    },
    Greet {
        guest: usize,
    },
    /// The promise is kept in a slot.
    Keep {
        of: usize,
    },
    /// What was kept gets blocks.
    Open,
    /// For a twin whose turns fail until their time has come.
    Labour {
        frail: usize,
        for_ms: u64,
    },
    /// For a twin that may be in quarantine.
    Fill {
        glass: usize,
    },
    /// Its part fails, and it is told.
    Chip {
        glass: usize,
    },
    /// It goes into quarantine.
    Crack {
        glass: usize,
    },
    /// Its turn changes much, then fails.
    Fail {
        to: usize,
    },
    /// Its turn breaks an invariant at commit.
    Overdraw {
        to: usize,
    },
    /// The turn that it causes elsewhere fails.
    Spoil {
        to: usize,
    },
    /// To a twin that the feed makes.
    Pot {
        pot: usize,
    },
}

/// A message from outside: the `number`th of its sender, known by its `token` in all of the run.
#[derive(Clone, Debug)]
pub struct Feed {
    pub token: u64,
    pub number: u64,
    pub hub: usize,
    pub act: Act,
    /// When it was, by the clock of a device: nanoseconds after the plan's start.
    pub device_ns: Option<i64>,
}

/// The path of a hub.
pub fn hub_path(hub: usize) -> String {
    format!("hub-{hub}")
}

/// The path of a copy of a hub.
pub fn copy_path(copy: usize) -> String {
    format!("copy-{copy}")
}

/// The path of a twin that fails at first.
pub fn frail_path(frail: usize) -> String {
    format!("frail-{frail}")
}

/// The path of a twin that breaks.
pub fn glass_path(glass: usize) -> String {
    format!("glass-{glass}")
}

impl Feed {
    /// The twin that it is for.
    pub fn path(&self) -> String {
        match self.act {
            Act::Pot { pot } => format!("pot-{pot}"),
            _ => hub_path(self.hub),
        }
    }

    /// The definition that the twin is made from if it is missing.
    pub fn make(&self) -> Option<&'static str> {
        matches!(self.act, Act::Pot { .. }).then_some("Pot")
    }

    /// Whether its own turn fails.
    pub fn fails(&self) -> bool {
        matches!(self.act, Act::Fail { .. } | Act::Overdraw { .. })
    }

    /// Selector and arguments.
    pub fn message(&self) -> (&'static str, Vec<Datum>) {
        let path = |hub: &usize| Datum::from(hub_path(*hub).as_str());
        let guest = |guest: &usize| Datum::from(format!("guest-{guest}").as_str());
        let number = |number: u64| Datum::Int(number.into());
        let (selector, rest) = match &self.act {
            Act::Take | Act::Pot { .. } => ("take:", vec![]),
            Act::Pass { to } => ("pass:to:", vec![path(to)]),
            Act::Hop { via } => ("hop:via:", vec![Datum::Array(via.iter().map(path).collect())]),
            Act::Pay { amount, to } => ("pay:amount:to:", vec![number(*amount), path(to)]),
            Act::Ask { of } => ("ask:of:", vec![path(of)]),
            Act::Pile { times } => ("pile:times:", vec![number(*times)]),
            Act::Shuffle => ("shuffle:", vec![]),
            Act::Toggle { leaf } => ("toggle:leaf:", vec![Datum::from(format!("leaf-{leaf}").as_str())]),
            Act::Invite { guest: one } => ("invite:guest:", vec![guest(one)]),
            Act::New { guest: one } => ("new:guest:", vec![guest(one)]),
            Act::Dismiss { guest: one } => ("dismiss:guest:", vec![guest(one)]),
            Act::Clone { copy } => ("replicate:as:", vec![Datum::from(copy_path(*copy).as_str())]),
            Act::Request { of } => ("request:of:", vec![path(of)]),
            Act::Beg { of } => ("beg:of:", vec![path(of)]),
            Act::Relay { of, and } => ("relay:of:and:", vec![path(of), path(and)]),
            Act::Greet { guest: one } => ("greet:guest:", vec![guest(one)]),
            Act::Keep { of } => ("keep:of:", vec![path(of)]),
            Act::Open => ("open:", vec![]),
            Act::Labour { frail, for_ms } => {
                ("labour:at:for:", vec![Datum::from(frail_path(*frail).as_str()), number(*for_ms)])
            }
            Act::Fill { glass } => ("fill:glass:", vec![Datum::from(glass_path(*glass).as_str())]),
            Act::Chip { glass } => ("chip:glass:", vec![Datum::from(glass_path(*glass).as_str())]),
            Act::Crack { glass } => ("crack:glass:", vec![Datum::from(glass_path(*glass).as_str())]),
            Act::Fail { to } => ("fail:to:", vec![path(to)]),
            Act::Overdraw { to } => ("overdraw:to:", vec![path(to)]),
            Act::Spoil { to } => ("spoil:to:", vec![path(to)]),
        };
        (selector, [vec![number(self.token)], rest].concat())
    }
}

/// What is done from outside, one thing after another.
#[derive(Clone, Debug)]
pub enum Step {
    /// The sender sends its next messages.
    Feed {
        sender: usize,
        count: usize,
    },
    /// All that was sent is made durable, and acknowledged.
    Commit,
    /// One message whose answer is waited for.
    Mark {
        hub: usize,
        token: u64,
    },
    Checkpoint,
    Passivate,
    /// The store is closed well and opened again.
    Close,
    /// The process ends without closing.
    Leave,
    /// The machine loses its power.
    Blackout,
    /// All tables are lost; the logs are not.
    LoseTables,
    /// Time passes, and timers come due.
    Pass {
        ns: i64,
    },
    /// The clock on the wall is set to another time, and so may jump back.
    SetClock {
        ns: i64,
    },
    /// The store is opened with another version of the program.
    Upgrade {
        version: usize,
    },
    /// Twins in quarantine are released.
    Release,
    /// What the log says is run again.
    Verify,
    /// Something goes wrong, after so many writes and flushes.
    Arm {
        fault: Fault,
        events: usize,
    },
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub durability: Durability,
    pub partitions: u16,
    /// How many threads drive them. With one of them a seed says all that happens.
    pub threads: usize,
    pub discipline: Discipline,
    /// Whether there is a clock on the wall; else only what is done drives it.
    pub wall: bool,
    pub batch_records_max: usize,
    /// How many records are written at once while the disk is idle.
    pub ahead_records: usize,
    /// How many bytes of twins stay in memory.
    pub resident_bytes: Option<usize>,
    /// How often one looks for a flush until it is done.
    pub flush_looks: u64,
    pub page_bytes: usize,
    pub hubs: usize,
    /// The messages of each sender, in their order.
    pub senders: Vec<Vec<Feed>>,
    pub steps: Vec<Step>,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(dice: &mut Dice) -> Plan {
        let hubs = dice.between(2, HUBS_MAX);
        let senders: Vec<Vec<Feed>> = (0..dice.between(1, SENDERS.len()))
            .map(|sender| {
                (1..=dice.between(3, 24) as u64)
                    .map(|number| {
                        let token = number * 16 + sender as u64;
                        let device_ns = dice.one_in(6).then(|| number as i64 * some_time(dice) / 8);
                        Feed { token, number, hub: dice.below(hubs), act: act(dice, hubs), device_ns }
                    })
                    .collect()
            })
            .collect();
        let discipline = match dice.below(6) {
            0 => Discipline::Replay,
            1 => Discipline::Reload,
            _ => Discipline::Normal,
        };
        let mut plan = Plan {
            durability: if dice.one_in(3) { Durability::Async } else { Durability::Sync },
            partitions: dice.pick(&PARTITIONS),
            threads: 1,
            discipline,
            wall: dice.one_in(2),
            batch_records_max: dice.pick(&[1, 1, 2, 3, 8, 100]),
            resident_bytes: dice.pick(&[None, None, Some(4000), Some(500)]),
            ahead_records: dice.pick(&[1, 1, 2, 5, 64]),
            flush_looks: dice.pick(&[1, 4, 40, 1000]),
            page_bytes: dice.pick(&[64, 256, 512, 4096]),
            hubs,
            senders,
            steps: Vec::new(),
        };
        plan.steps = steps(dice, &plan);
        plan
    }
}

/// How many partitions a store may have.
const PARTITIONS: [u16; 5] = [1, 1, 2, 3, 8];

fn act(dice: &mut Dice, hubs: usize) -> Act {
    let to = dice.below(hubs);
    match dice.below(43) {
        0 | 1 => Act::Take,
        2..=5 => Act::Pass { to },
        6 | 7 => Act::Hop { via: (0..dice.between(1, 4)).map(|_| dice.below(hubs)).collect() },
        8 | 9 => Act::Pay { amount: dice.between(1, 999) as u64, to },
        10..=12 => Act::Ask { of: to },
        13 => Act::Pile { times: if dice.one_in(4) { dice.pick(&[700, 2500]) } else { dice.between(1, 30) as u64 } },
        14 => Act::Shuffle,
        15 => Act::Toggle { leaf: dice.between(0, 2) },
        16 | 17 => Act::Invite { guest: dice.below(2) },
        18 => Act::New { guest: dice.below(2) },
        19 => Act::Dismiss { guest: dice.below(2) },
        20 => Act::Fail { to },
        21 => Act::Overdraw { to },
        22 => Act::Spoil { to },
        23 => Act::Clone { copy: dice.below(COPIES) },
        24 | 25 => Act::Request { of: to },
        26 => Act::Beg { of: to },
        27 | 28 => Act::Relay { of: to, and: dice.below(hubs) },
        29 => Act::Greet { guest: dice.below(2) },
        30 | 31 => Act::Keep { of: to },
        32 => Act::Open,
        36..=38 => Act::Fill { glass: dice.below(GLASSES) },
        40 => Act::Chip { glass: dice.below(GLASSES) },
        39 => Act::Crack { glass: dice.below(GLASSES) },
        33..=35 => Act::Labour { frail: dice.below(FRAILS), for_ms: dice.below(500) as u64 },
        _ => Act::Pot { pot: dice.below(2) },
    }
}

fn steps(dice: &mut Dice, plan: &Plan) -> Vec<Step> {
    let mut left: Vec<usize> = plan.senders.iter().map(Vec::len).collect();
    let mut steps = Vec::new();
    let mut version = 1;
    // Some plans are quiet, in others everything goes wrong.
    let trouble = dice.pick(&[0, 1, 3, 6]);
    let mut marks = 0;
    while left.iter().any(|left| *left > 0) {
        match dice.below(24) {
            0 | 1 => {
                marks += 1;
                steps.push(Step::Mark { hub: dice.below(plan.hubs), token: marks * 16 + 15 });
            }
            2..=4 => steps.push(Step::Commit),
            5 => steps.push(Step::Checkpoint),
            6 => steps.push(Step::Passivate),
            7 if dice.one_in(2) => steps.push(Step::Close),
            8 | 9 => steps.push(Step::Pass { ns: some_time(dice) }),
            10 if plan.wall => {
                let back = if dice.one_in(2) { -1 } else { 1 };
                steps.push(Step::SetClock { ns: back * some_time(dice) });
            }
            11 if version < VERSIONS && dice.one_in(2) => {
                version = dice.between(version + 1, VERSIONS);
                steps.push(Step::Upgrade { version });
            }
            12 if dice.one_in(4) => steps.push(Step::Verify),
            18 if trouble > 0 && dice.one_in(4) => steps.push(Step::LoseTables),
            17 if dice.one_in(3) => steps.push(Step::Release),
            13 if trouble > 0 && dice.one_in(2) => {
                steps.push(if dice.one_in(2) { Step::Leave } else { Step::Blackout });
            }
            14..=16 if dice.below(6) < trouble => {
                let fault = dice.pick(&[
                    Fault::KillBefore,
                    Fault::KillWithin,
                    Fault::KillWithin,
                    Fault::KillAfter,
                    Fault::FailedFlush,
                    Fault::Full,
                ]);
                let most = dice.pick(&[1, 4, 12]);
                steps.push(Step::Arm { fault, events: dice.below(most) });
            }
            _ => {
                let sender = dice.below(left.len());
                let count = dice.between(1, 3).min(left[sender]);
                left[sender] -= count;
                if count > 0 {
                    steps.push(Step::Feed { sender, count });
                }
            }
        }
    }
    steps
}

fn some_time(dice: &mut Dice) -> i64 {
    let most = dice.pick(&[1, 8, 60]);
    dice.between(1, most * 1000) as i64 * (SECOND_NS / 1000)
}
