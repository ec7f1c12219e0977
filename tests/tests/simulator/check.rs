//! What must hold, whatever went wrong: of the log as it stands, and of the evidence that the twins keep.
//!
//! [`LogRead`] reads every record and knows nothing of the runtime: exactly once, order per pair of composites,
//! turns without gaps. [`Expected`] is what the twins must say once all is settled, and follows from the plan and
//! the messages taken alone: so two runs of a plan that took the same messages must end alike, faults or none.

use std::collections::BTreeMap;

use twintalk_runtime::Datum;
use twintalk_store::record::{Flags, Outcome, Record, Sender, composite_of};
use twintalk_store::{Log, Partition, Position, Store};

use crate::plan::{Act, Feed, Plan, SENDERS, hub_path};

/// What a hub says, by name.
pub type Figures = BTreeMap<String, Datum>;
/// A place in the log of any partition.
pub type Place = (u16, Position);

/// What one reading of the whole log says.
#[derive(Default)]
pub struct LogRead {
    /// The messages taken from outside: sender, number; and whether the turn failed.
    pub outside: BTreeMap<(String, u64), bool>,
    /// Far sends by record and number: index in the record, sender, receiver, selector.
    sends: BTreeMap<(Place, u64), (usize, String, String, String)>,
    /// Which far sends were taken, and whether the last attempt at them is still to come.
    taken: BTreeMap<(Place, u64), bool>,
    /// The records that left a dead letter.
    pub dead_letters: Vec<Place>,
    /// What must not be.
    pub wrong: Vec<String>,
    pub records: u64,
}

impl LogRead {
    /// Reads all partitions of a store.
    pub fn of(store: &dyn Store) -> LogRead {
        let mut read = LogRead::default();
        let mut arrivals = Vec::new();
        for partition in (0..store.settings().partitions).map(Partition) {
            read.partition(store, partition, &mut arrivals);
        }
        read.arrivals(&arrivals);
        read
    }

    fn partition(&mut self, store: &dyn Log, partition: Partition, arrivals: &mut Vec<Arrival>) {
        let mut turns: BTreeMap<String, u64> = BTreeMap::new();
        let mut numbers: BTreeMap<(String, String), u64> = BTreeMap::new();
        let mut time_ns = i64::MIN;
        let blocks = store.read(partition, Position::FIRST).expect("a log is readable");
        for block in blocks {
            let bytes = block.expect("a block is readable");
            let block = bytes.open().expect("a block is whole");
            for record in block.records(0) {
                let (position, record) = record.expect("a record is whole");
                self.records += 1;
                let place = (partition.0, position);
                let turn = turns.entry(record.composite().to_owned()).or_default();
                if record.envelope.turn != *turn + 1 {
                    let found = record.envelope.turn;
                    self.wrong.push(format!("{place:?}: turn {found} of {} after {turn}", record.composite()));
                }
                *turn = record.envelope.turn;
                if record.envelope.time_ns < time_ns {
                    self.wrong.push(format!("{place:?}: time goes back"));
                }
                time_ns = record.envelope.time_ns;
                if let Sender::Outside(name) = record.cause.sender
                    && record.cause.number > 0
                {
                    let last = numbers.entry((name.to_owned(), record.composite().to_owned())).or_default();
                    if *last >= record.cause.number {
                        self.wrong.push(format!("{place:?}: {name} {} after {last}", record.cause.number));
                    }
                    *last = record.cause.number;
                }
                self.record(place, &record, arrivals);
            }
        }
    }

    fn record(&mut self, place: Place, record: &Record<'_>, arrivals: &mut Vec<Arrival>) {
        if record.envelope.flags.contains(Flags::DEAD) {
            self.dead_letters.push(place);
        }
        let failed = match &record.outcome {
            Outcome::Failed(_) => true,
            Outcome::Committed(effects) => {
                for (index, send) in effects.sends.iter().enumerate() {
                    let names = [send.sender, send.receiver, send.selector].map(str::to_owned);
                    let [sender, receiver, selector] = names;
                    if self.sends.insert((place, send.number), (index, sender, receiver, selector)).is_some() {
                        self.wrong.push(format!("{place:?}: two far sends have number {}", send.number));
                    }
                }
                false
            }
        };
        match record.cause.sender {
            Sender::Outside(name) if record.cause.number > 0 => {
                let key = (name.to_owned(), record.cause.number);
                if self.outside.insert(key, failed).is_some() {
                    self.wrong.push(format!("{place:?}: {name} {} is taken twice", record.cause.number));
                }
            }
            Sender::Twin(sender) => match record.cause.origin {
                Some(origin) => arrivals.push(Arrival {
                    place,
                    from: (origin.partition.0, origin.position),
                    number: record.cause.number,
                    sender: sender.to_owned(),
                    receiver: record.receiver().path.to_owned(),
                    selector: record.input.selector.to_owned(),
                    was_passed: record.envelope.flags.contains(Flags::PASSED),
                    is_again: record.envelope.flags.contains(Flags::RETRIED),
                    comes_again: failed && record.envelope.flags.contains(Flags::RETRIES),
                }),
                None => self.wrong.push(format!("{place:?}: a far send without its record")),
            },
            Sender::Outside(_) | Sender::Program | Sender::Reply(_) | Sender::Timer(_) | Sender::System => {}
        }
    }

    /// Every far send that was taken is one that was sent, is taken once, and in the order of its pair.
    fn arrivals(&mut self, arrivals: &[Arrival]) {
        let mut last: BTreeMap<(&str, &str, bool), (Place, usize)> = BTreeMap::new();
        for arrival in arrivals {
            let Arrival { place, from, number, sender, receiver, selector, was_passed, is_again, comes_again } =
                arrival;
            let Some((index, sent_by, sent_to, sent)) = self.sends.get(&(*from, *number)) else {
                self.wrong.push(format!("{place:?}: `{selector}` comes from {from:?}, which sent no such message"));
                continue;
            };
            if (sent_by, sent_to, sent) != (sender, receiver, selector) {
                self.wrong.push(format!("{place:?}: `{selector}` to {receiver} was `{sent}` to {sent_to}"));
            }
            // Each attempt but the last says that there will be another, each but the first that there was one.
            if self.taken.insert((*from, *number), *comes_again).unwrap_or(false) != *is_again {
                self.wrong.push(format!("{place:?}: `{selector}` of {sender}, from {from:?}, is taken twice"));
            }
            // Of two composites, and in any case of one and a twin of the other.
            let sender = composite_of(sender);
            let of_composite = (!was_passed).then_some((sender, composite_of(receiver), true));
            for pair in of_composite.into_iter().chain([(sender, receiver.as_str(), false)]) {
                let this = (*from, *index);
                let before = last.insert(pair, this);
                if before.is_some_and(|before| before > this || before == this && !is_again) {
                    self.wrong.push(format!("{place:?}: {sender} sent {} this before that", pair.1));
                }
            }
        }
    }

    /// Once all is settled, every far send has been taken.
    pub fn check_settled(&self) -> Vec<String> {
        let missing = self.sends.iter().filter(|(key, _)| self.taken.get(key) != Some(&false));
        missing
            .map(|((place, number), (_, sender, receiver, selector))| {
                format!("{place:?}: {sender} ! {selector} (number {number}) never came to {receiver}")
            })
            .collect()
    }

    /// The messages of a sender that were taken are the first ones, each with the outcome that the plan says.
    pub fn check_outside(&self, plan: &Plan) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((name, number), failed) in &self.outside {
            let feed = SENDERS
                .iter()
                .position(|sender| sender == name)
                .and_then(|sender| plan.senders.get(sender)?.get(*number as usize - 1));
            match feed {
                None => wrong.push(format!("{name} never sent a message {number}")),
                Some(feed) if feed.fails() != *failed => {
                    wrong.push(format!("{name} {number} {}", if *failed { "failed" } else { "did not fail" }));
                }
                Some(_) => {}
            }
        }
        wrong
    }

    /// The plan's messages that were taken.
    pub fn feeds<'p>(&self, plan: &'p Plan) -> Vec<&'p Feed> {
        let of = |(sender, feeds): (usize, &'p Vec<Feed>)| {
            feeds.iter().filter(move |feed| self.outside.contains_key(&(SENDERS[sender].to_owned(), feed.number)))
        };
        plan.senders.iter().enumerate().flat_map(of).collect()
    }
}

/// Every record of a store, a line each, to look at.
pub fn listing(store: &dyn Store) -> Vec<String> {
    let mut lines = Vec::new();
    for partition in (0..store.settings().partitions).map(Partition) {
        for block in store.read(partition, Position::FIRST).expect("a log is readable") {
            let bytes = block.expect("a block is readable");
            for record in bytes.open().expect("a block is whole").records(0) {
                let (position, record) = record.expect("a record is whole");
                let receiver = record.receiver().path;
                let flags = record.envelope.flags.0;
                let mut line = format!("{partition}/{position} {receiver} {} flags {flags}", record.input.selector);
                line += &format!(" turn {} by {:?} {}", record.envelope.turn, record.cause.sender, record.cause.number);
                if let Some(origin) = record.cause.origin {
                    line += &format!(" from {}/{}", origin.partition, origin.position);
                }
                line += &match &record.outcome {
                    Outcome::Failed(failure) => format!(" failed {}", failure.kind),
                    Outcome::Committed(effects) => {
                        effects.sends.iter().map(|send| format!(" ! {} {}", send.receiver, send.selector)).collect()
                    }
                };
                lines.push(line);
            }
        }
    }
    lines
}

/// A far send where it was taken.
struct Arrival {
    place: Place,
    from: Place,
    number: u64,
    sender: String,
    receiver: String,
    selector: String,
    /// It waited for its twin to be released, and later ones for other twins of the composite did not.
    was_passed: bool,
    is_again: bool,
    comes_again: bool,
}

/// What the twins say when every message that was taken has done all that it causes.
#[derive(Debug, Default)]
pub struct Expected {
    hubs: BTreeMap<usize, BTreeMap<&'static str, i64>>,
    leaves: BTreeMap<(usize, usize), u64>,
    /// By path, how many messages and their sum.
    pub pots: BTreeMap<String, (i64, i64)>,
    /// The same for those that fail at first, and how many failures they were told of, and their sum.
    pub frails: BTreeMap<usize, [i64; 4]>,
    /// And for those that break.
    pub glasses: BTreeMap<usize, [i64; 4]>,
}

impl Expected {
    /// What the messages make of the plan's hubs.
    pub fn of(plan: &Plan, feeds: &[&Feed]) -> Expected {
        let mut expected = Expected::default();
        let names = [
            "seen",
            "sum",
            "probeSeen",
            "probeSum",
            "balance",
            "passed",
            "passedSum",
            "hops",
            "hopSum",
            "pileSize",
            "pileSum",
            "asked",
            "toggles",
            "leaves",
            "parts",
        ];
        for hub in 0..plan.hubs {
            expected.hubs.insert(hub, names.into_iter().map(|name| (name, 0)).collect());
            expected.add(hub, "balance", 1_000_000);
        }
        feeds.iter().for_each(|feed| expected.take(feed));
        for ((hub, _), _) in expected.leaves.clone().into_iter().filter(|(_, toggles)| toggles % 2 == 1) {
            expected.add(hub, "leaves", 1);
            expected.add(hub, "parts", 1);
        }
        expected
    }

    fn add(&mut self, hub: usize, name: &'static str, more: i64) {
        *self.hubs.get_mut(&hub).expect("a hub of the plan").entry(name).or_default() += more;
    }

    fn take(&mut self, feed: &Feed) {
        let (hub, token) = (feed.hub, feed.token as i64);
        match &feed.act {
            Act::Fail { .. } | Act::Overdraw { .. } => return,
            Act::Pot { .. } => {
                let pot = self.pots.entry(feed.path()).or_default();
                *pot = (pot.0 + 1, pot.1 + token);
                return;
            }
            Act::Take
            | Act::Shuffle
            | Act::Invite { .. }
            | Act::New { .. }
            | Act::Dismiss { .. }
            | Act::Clone { .. }
            | Act::Spoil { .. } => {}
            Act::Pass { to } => {
                self.add(*to, "passed", 2);
                self.add(*to, "passedSum", 2 * token + 1);
            }
            Act::Hop { via } => {
                for to in via {
                    self.add(*to, "hops", 1);
                    self.add(*to, "hopSum", token);
                }
            }
            Act::Pay { amount, to } => {
                self.add(hub, "balance", -(*amount as i64));
                self.add(*to, "balance", *amount as i64);
            }
            Act::Request { of: _ } => {
                self.add(hub, "answers", 1);
                self.add(hub, "answerSum", token);
            }
            Act::Beg { of: _ } => self.add(hub, "refusals", 1),
            Act::Relay { of: _, and: _ } => {
                self.add(hub, "relayed", 1);
                self.add(hub, "relayedSum", 4 * token);
            }
            Act::Greet { guest: _ } => self.add(hub, "greetings", 1),
            Act::Keep { of: _ } => {
                self.add(hub, "kept", 1);
                self.add(hub, "keptSum", token);
            }
            Act::Open | Act::Crack { .. } => {}
            Act::Fill { glass } => {
                let glass = self.glasses.entry(*glass).or_default();
                (glass[0], glass[1]) = (glass[0] + 1, glass[1] + token);
            }
            Act::Chip { glass } => {
                let glass = self.glasses.entry(*glass).or_default();
                (glass[2], glass[3]) = (glass[2] + 1, glass[3] + token);
            }
            Act::Labour { frail, for_ms: _ } => {
                let frail = self.frails.entry(*frail).or_default();
                (frail[0], frail[1]) = (frail[0] + 1, frail[1] + token);
                if token % 2 == 0 {
                    self.add(hub, "answers", 1);
                    self.add(hub, "answerSum", token);
                }
            }
            Act::Ask { of: _ } => self.add(hub, "asked", 1),
            Act::Pile { times } => {
                let times = *times as i64;
                self.add(hub, "pileSize", times);
                self.add(hub, "pileSum", times * token + times * (times + 1) / 2);
            }
            Act::Toggle { leaf } => {
                self.add(hub, "toggles", 1);
                *self.leaves.entry((hub, *leaf)).or_default() += 1;
            }
        }
        for (name, more) in [("seen", 1), ("sum", token), ("probeSeen", 1), ("probeSum", token)] {
            self.add(hub, name, more);
        }
    }

    /// Compares what the hubs say, and what they say of each other.
    /// `rested`: what they have sent themselves for later has come.
    pub fn check(&self, figures: &[Figures], rested: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for (hub, expected) in &self.hubs {
            let found = &figures[*hub];
            for (name, number) in expected {
                if integer(found.get(*name)) != Some(*number) {
                    wrong.push(format!("{}: {name} is {:?}, not {number}", hub_path(*hub), found.get(*name)));
                }
            }
            wrong.extend(check_hub(&hub_path(*hub), found));
            // What came of promises. A copy has none.
            for (asked, came) in [("greetings", "greeted"), ("kept", "opened"), ("keptSum", "openedSum")] {
                if integer(found.get(asked)) != integer(found.get(came)) {
                    let (asked_for, came_of) = (found.get(asked), found.get(came));
                    wrong.push(format!("{}: {asked} is {asked_for:?}, {came} {came_of:?}", hub_path(*hub)));
                }
            }
            // What is still to come is no more than what was ordered.
            let reminders = |name: &str| integer(found.get(name)).unwrap_or(0);
            let to_come = reminders("reminders") - reminders("reminded");
            let sum_to_come = reminders("reminderSum") - reminders("remindedSum");
            if to_come < 0 || rested && (to_come, sum_to_come) != (0, 0) {
                wrong.push(format!("{}: {to_come} reminders of {sum_to_come} are to come", hub_path(*hub)));
            }
            if integer(found.get("onces")).is_none_or(|onces| onces > 1) {
                wrong.push(format!("{}: a timer fired again: {:?}", hub_path(*hub), found.get("onces")));
            }
            for (other, others) in figures.iter().enumerate() {
                wrong.extend(check_pair(&hub_path(*hub), found, &hub_path(other), others));
            }
        }
        wrong
    }
}

/// What a hub, or a copy of one, says of itself fits together.
pub fn check_hub(path: &str, found: &Figures) -> Vec<String> {
    let mut wrong = Vec::new();
    if found.get("wrong") != Some(&Datum::from("List()")) {
        wrong.push(format!("{path} found out: {:?}", found.get("wrong")));
    }
    for (of_root, of_part) in [("seen", "probeSeen"), ("sum", "probeSum"), ("ticks", "probeTicks"), ("leaves", "parts")]
    {
        if integer(found.get(of_root)) != integer(found.get(of_part)) {
            let (one, other) = (found.get(of_root), found.get(of_part));
            wrong.push(format!("{path}: half a turn: {of_root} is {one:?}, {of_part} is {other:?}"));
        }
    }
    wrong
}

/// What `path` has sent `to`, as it says, is what that has got, as it says.
pub fn check_pair(path: &str, of_path: &Figures, to: &str, of_to: &Figures) -> Option<String> {
    let (sent, got) = (pair(of_path.get("sent"), to), pair(of_to.get("got"), path));
    (sent != got).then(|| format!("{path} sent {to} {sent:?}, it got {got:?}"))
}

/// A number that fits.
pub fn integer(datum: Option<&Datum>) -> Option<i64> {
    match datum {
        Some(Datum::Int(number)) => i64::try_from(number).ok(),
        _ => None,
    }
}

/// What a dictionary says of a path; 0 if it does not.
fn pair(dictionary: Option<&Datum>, path: &str) -> Option<i64> {
    match dictionary {
        Some(Datum::Dictionary(entries)) => {
            let entry = entries.iter().find(|(key, _)| *key == Datum::from(path));
            entry.map_or(Some(0), |(_, number)| integer(Some(number)))
        }
        _ => None,
    }
}
