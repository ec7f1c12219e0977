//! Records to test with: one of a sensor, and random ones.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use twintalk_store::record::*;
use twintalk_store::{BlockBuilder, Blocks, Partition, Position};

pub const PROGRAM: ProgramHash = [7; 32];
/// The time of the first record.
pub const START_NS: i64 = 1_700_000_000_000_000_000;

/// What a reading of one sensor leaves: row `turn` of a feed, one slot of one twin changed.
pub fn sensor_turn(path: &str, turn: u64, previous: Option<Position>) -> Record<'_> {
    let time_ns = START_NS + turn as i64 * 40_000;
    Record {
        envelope: Envelope {
            life: 1,
            turn,
            time_ns,
            began_ns: None,
            device_time_ns: Some(time_ns - 1_500_000_000),
            program: &PROGRAM,
            flags: Flags::default(),
        },
        cause: Cause::of(Sender::Outside("readings.csv"), turn),
        input: Input {
            selector: "rpm:",
            arguments: b"\x01\x06\0\0\0\0\0\x40\x8f\x40",
            answers: List::default(),
            seed: None,
        },
        twins: vec![TwinEffect {
            path,
            life: 1,
            previous,
            kind: TwinChange::Changed,
            prototype: None,
            bytes: b"\x01\0\x06\0\0\0\0\0\x40\x8f\x40",
        }]
        .into(),
        outcome: Outcome::Committed(Effects::default()),
    }
}

/// Blocks of `counts[n]` sensor turns each, from `next` on.
pub fn sensor_blocks(partition: Partition, next: Position, counts: &[usize]) -> Blocks {
    let mut all = Blocks::new(partition, next);
    for &count in counts {
        let mut builder = BlockBuilder::new(partition, all.next());
        for index in 0..count {
            let turn = all.next().block * 1_000 + index as u64;
            builder.push(&sensor_turn(&format!("pump-{}", turn % 17), turn, None)).unwrap();
        }
        for (_, bytes) in builder.finish().iter() {
            all.push(&twintalk_store::BlockBytes::new(bytes.into()).unwrap()).unwrap();
        }
    }
    all
}

/// Path, life, previous position, kind, prototype, bytes.
type RandomTwin = (String, u64, Option<(u64, u32)>, u8, Option<String>, Vec<u8>);
/// Number, receiver, selector, arguments, promise.
type RandomSend = (u64, String, String, Vec<u8>, (Option<u64>, Option<String>));

/// A record that owns what [`Record`] borrows.
#[derive(Clone, Debug)]
pub struct Random {
    life: u64,
    turn: u64,
    elapsed_ns: u64,
    began_before_ns: Option<u64>,
    device_time_ns: Option<i64>,
    program: ProgramHash,
    flags: u8,
    sender: (u8, String),
    number: u64,
    origin: Option<(u16, u64, u32)>,
    correlation: Option<Vec<u8>>,
    principal: Option<String>,
    trace: Option<([u8; 16], [u8; 8], u8)>,
    selector: String,
    arguments: Vec<u8>,
    answers: Vec<(String, u64, Vec<u8>)>,
    seed: Option<u64>,
    composite: String,
    twins: Vec<RandomTwin>,
    failure: Option<(String, String, String)>,
    reply: Option<Vec<u8>>,
    sends: Vec<RandomSend>,
    events: Vec<(String, Vec<u8>)>,
    output: String,
    timers: Vec<(String, Option<i64>, Vec<u8>)>,
    paths: Vec<String>,
}

fn name() -> impl Strategy<Value = String> + Clone {
    prop_oneof!["[a-d]{1,2}:?", "\\PC{1,12}", Just("x".repeat(300))]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> + Clone {
    prop_oneof![4 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 0..5_000)]
}

fn number() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![0..3u64, any::<u64>()]
}

pub fn random() -> impl Strategy<Value = Random> {
    let elapsed = (0..1_000_000u64, option::of(1..1_000_000_000u64));
    let envelope = (number(), number(), elapsed, option::of(any::<i64>()), any::<[u8; 32]>(), 0..128u8);
    let cause = (
        (0..6u8, name()),
        number(),
        option::of((0..4u16, 1..Position::BLOCK_MAX, any::<u32>())),
        option::of(vec(any::<u8>(), 1..40)),
        option::of(name()),
        option::of((any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())),
    );
    let input = (name(), bytes(), vec((name(), number(), bytes()), 0..3), option::of(any::<u64>()));
    let twin = (name(), 1..4u64, option::of((1..1u64 << 47, any::<u32>())), 0..4u8, option::of(name()), bytes());
    let twins = ("[a-z]{1,9}", vec(twin, 1..5), vec(name(), 4));
    let outcome = (
        option::weighted(0.2, (name(), "\\PC{0,40}", "\\PC{0,40}")),
        option::of(bytes()),
        vec((number(), name(), name(), bytes(), (option::of(number()), option::of(name()))), 0..3),
        vec((name(), bytes()), 0..3),
        "\\PC{0,30}",
        vec((name(), option::of(any::<i64>()), bytes()), 0..3),
    );
    (envelope, cause, input, twins, outcome).prop_map(|(envelope, cause, input, twins, outcome)| {
        let (life, turn, (elapsed_ns, began_before_ns), device_time_ns, program, flags) = envelope;
        let (sender, number, origin, correlation, principal, trace) = cause;
        let (selector, arguments, answers, seed) = input;
        let (composite, twins, paths) = twins;
        let (failure, reply, sends, events, output, timers) = outcome;
        Random {
            life: life.max(1),
            turn,
            elapsed_ns,
            began_before_ns,
            device_time_ns,
            program,
            flags,
            sender,
            number,
            origin,
            correlation,
            principal,
            trace,
            selector,
            arguments,
            answers,
            seed,
            paths: twins.iter().map(|twin| format!("{composite}/{}", twin.0)).chain(paths).collect(),
            composite,
            twins,
            failure,
            reply,
            sends,
            events,
            output,
            timers,
        }
    })
}

impl Random {
    /// The record, at `time_ns`, to stand in partition 0 at `at`, which is block 2 or later, or behind it.
    pub fn record(&self, time_ns: i64, at: Position) -> Record<'_> {
        let before = |block: u64, index: u32| Position { block: 1 + block % (at.block - 1).max(1), index };
        let sender = match self.sender.0 {
            0 => Sender::Program,
            1 => Sender::Outside(&self.sender.1),
            2 => Sender::Twin(&self.sender.1),
            3 => Sender::Reply(&self.sender.1),
            4 => Sender::Timer(&self.sender.1),
            _ => Sender::System,
        };
        let origin = self.origin.map(|(partition, block, index)| Origin {
            partition: Partition(partition),
            position: if partition == 0 { before(block, index) } else { Position { block, index } },
        });
        let mut twins: Vec<_> = self
            .twins
            .iter()
            .zip(&self.paths)
            .map(|((_, life, previous, kind, prototype, bytes), path)| TwinEffect {
                path,
                life: *life,
                previous: previous.map(|(block, index)| before(block, index)),
                kind: match kind {
                    0 => TwinChange::Touched,
                    1 => TwinChange::Changed,
                    2 => TwinChange::Created,
                    _ => TwinChange::Removed,
                },
                prototype: prototype.as_deref(),
                bytes,
            })
            .collect();
        let outcome = match &self.failure {
            Some((kind, text, trace)) => {
                twins.truncate(1);
                twins[0].kind = TwinChange::Touched;
                twins[0].bytes = &[];
                Outcome::Failed(Failure { kind, text, trace })
            }
            None => Outcome::Committed(Effects {
                reply: self.reply.as_deref(),
                sends: self
                    .sends
                    .iter()
                    .map(|(number, receiver, selector, arguments, (promise, kind))| FarSend {
                        number: *number,
                        sender: &self.paths[0],
                        receiver,
                        selector,
                        arguments,
                        promise: *promise,
                        kind: kind.as_deref(),
                    })
                    .collect::<Vec<_>>()
                    .into(),
                events: self
                    .events
                    .iter()
                    .map(|(selector, arguments)| Event { twin: &self.composite, selector, arguments })
                    .collect::<Vec<_>>()
                    .into(),
                output: &self.output,
                timers: self
                    .timers
                    .iter()
                    .map(|(name, due_ns, errand)| Timer {
                        twin: &self.paths[0],
                        name,
                        due_ns: *due_ns,
                        errand: if due_ns.is_some() { errand } else { &[] },
                    })
                    .collect::<Vec<_>>()
                    .into(),
            }),
        };
        let answers: Vec<_> =
            self.answers.iter().map(|(composite, turn, bytes)| Answer { composite, turn: *turn, bytes }).collect();
        Record {
            envelope: Envelope {
                life: self.life,
                turn: self.turn,
                time_ns,
                began_ns: self.began_before_ns.map(|before| time_ns - before as i64),
                device_time_ns: self.device_time_ns,
                program: &self.program,
                flags: Flags(self.flags),
            },
            cause: Cause {
                sender,
                number: self.number,
                origin,
                correlation: self.correlation.as_deref(),
                principal: self.principal.as_deref(),
                trace_parent: self.trace.map(|(trace, span, flags)| TraceParent { trace, span, flags }),
            },
            input: Input {
                selector: &self.selector,
                arguments: &self.arguments,
                answers: answers.into(),
                seed: self.seed,
            },
            twins: twins.into(),
            outcome,
        }
    }

    /// How much time passes before it.
    pub fn elapsed_ns(&self) -> i64 {
        self.elapsed_ns as i64
    }
}
