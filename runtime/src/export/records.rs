//! Records as JSON, and back.

use std::collections::HashMap;

use twintalk_store::record::{
    Answer, Cause, Effects, Envelope, Event, Failure, FarSend, Flags, Input, Origin, Outcome, Record, Sender, Timer,
    TraceParent, TwinChange, TwinEffect,
};
use twintalk_store::{Partition, Position};
use twintalk_vm::Shapes;

use super::exact;
use super::members::{Members, hex, moment};
use super::number;
use crate::datum::Datum;

/// The bits of an envelope, by name.
const FLAGS: [(&str, Flags); 7] = [
    ("retried", Flags::RETRIED),
    ("migrated", Flags::MIGRATED),
    ("replies", Flags::REPLIES),
    ("retries", Flags::RETRIES),
    ("dead", Flags::DEAD),
    ("escalates", Flags::ESCALATES),
    ("passed", Flags::PASSED),
];

/// What becomes of a twin, by name.
const CHANGES: [(&str, TwinChange); 4] = [
    ("touched", TwinChange::Touched),
    ("changed", TwinChange::Changed),
    ("made", TwinChange::Created),
    ("removed", TwinChange::Removed),
];

/// Members of a line, those that are absent left out.
#[derive(Default)]
struct Line(Vec<(&'static str, Datum)>);

impl Line {
    fn put(&mut self, name: &'static str, datum: Datum) {
        self.0.push((name, datum));
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.put(name, Datum::from(text));
    }

    fn put_some(&mut self, name: &'static str, datum: Option<Datum>) {
        self.0.extend(datum.map(|datum| (name, datum)));
    }

    fn list<T>(&mut self, name: &'static str, items: &[T], datum: impl FnMut(&T) -> Datum) {
        if !items.is_empty() {
            self.put(name, Datum::Array(items.iter().map(datum).collect()));
        }
    }

    fn datum(self) -> Datum {
        Datum::row(self.0)
    }
}

/// A record as a line. `kinds` has the shape of each twin that was met, and gets those that are met here.
pub(super) fn to_datum(
    partition: Partition,
    position: Position,
    record: &Record<'_>,
    shapes: &Shapes,
    kinds: &mut HashMap<String, u32>,
) -> Datum {
    let Record { envelope, cause, input, twins, outcome } = record;
    let mut line = Line::default();
    line.put("position", place(partition, position));
    line.put("time", moment(envelope.time_ns));
    line.put_some("began", envelope.began_ns.map(moment));
    line.put_some("device_time", envelope.device_time_ns.map(moment));
    line.put("turn", number(envelope.turn));
    line.put_some("life", (envelope.life != 1).then(|| number(envelope.life)));
    line.put("program", hex(envelope.program));
    let flags = FLAGS.iter().filter(|(_, flag)| envelope.flags.contains(*flag)).map(|(name, _)| Datum::from(*name));
    let flags: Vec<Datum> = flags.collect();
    line.put_some("flags", (!flags.is_empty()).then_some(Datum::Array(flags)));
    let sender = match cause.sender {
        Sender::Program => Datum::from("program"),
        Sender::System => Datum::from("system"),
        Sender::Outside(name) => Datum::row([("outside", Datum::from(name))]),
        Sender::Twin(path) => Datum::row([("twin", Datum::from(path))]),
        Sender::Reply(path) => Datum::row([("reply", Datum::from(path))]),
        Sender::Timer(name) => Datum::row([("timer", Datum::from(name))]),
    };
    line.put("sender", sender);
    line.put_some("number", (cause.number != 0).then(|| number(cause.number)));
    line.put_some("origin", cause.origin.map(|origin| place(origin.partition, origin.position)));
    line.put_some("correlation", cause.correlation.map(hex));
    line.put_some("principal", cause.principal.map(Datum::from));
    line.put_some(
        "trace_parent",
        cause.trace_parent.as_ref().map(|TraceParent { trace, span, flags }| {
            Datum::row([("trace", hex(trace)), ("span", hex(span)), ("flags", number(u64::from(*flags)))])
        }),
    );
    line.text("selector", input.selector);
    line.put_some("arguments", (!input.arguments.is_empty()).then(|| exact::arguments(input.arguments, shapes)));
    line.list("answers", &input.answers, |answer| {
        let mut row = Line::default();
        row.text("composite", answer.composite);
        row.put("turn", number(answer.turn));
        row.put("answer", answer_datum(answer.bytes, shapes));
        row.datum()
    });
    line.put_some("seed", input.seed.map(number));
    line.list("twins", twins, |twin| twin_datum(twin, envelope.life, shapes, kinds));
    match outcome {
        Outcome::Failed(Failure { kind, text, trace }) => {
            let failure = [("kind", *kind), ("text", *text), ("trace", *trace)];
            line.put("failed", Datum::row(failure.map(|(name, text)| (name, Datum::from(text)))));
        }
        Outcome::Committed(Effects { reply, sends, events, output, timers }) => {
            line.put_some("reply", reply.map(|reply| exact::value(reply, shapes)));
            line.list("sends", sends, |send| {
                let mut row = Line::default();
                row.put("number", number(send.number));
                row.text("from", send.sender);
                row.text("to", send.receiver);
                row.put_some("prototype", send.kind.map(Datum::from));
                row.text("selector", send.selector);
                row.put_some(
                    "arguments",
                    (!send.arguments.is_empty()).then(|| exact::arguments(send.arguments, shapes)),
                );
                row.put_some("promise", send.promise.map(number));
                row.datum()
            });
            line.list("events", events, |event| {
                let mut row = Line::default();
                row.text("from", event.twin);
                row.text("selector", event.selector);
                row.put_some(
                    "arguments",
                    (!event.arguments.is_empty()).then(|| exact::arguments(event.arguments, shapes)),
                );
                row.datum()
            });
            line.put_some("output", (!output.is_empty()).then(|| Datum::from(*output)));
            line.list("timers", timers, |timer| {
                let mut row = Line::default();
                row.text("of", timer.twin);
                row.text("name", timer.name);
                row.put_some("due", timer.due_ns.map(moment));
                row.put_some("errand", (!timer.errand.is_empty()).then(|| exact::arguments(timer.errand, shapes)));
                row.datum()
            });
        }
    }
    line.datum()
}

fn twin_datum(twin: &TwinEffect<'_>, life: u64, shapes: &Shapes, kinds: &mut HashMap<String, u32>) -> Datum {
    let mut row = Line::default();
    row.text("path", twin.path);
    row.put_some("life", (twin.life != life).then(|| number(twin.life)));
    row.put_some("previous", twin.previous.map(|previous| Datum::String(previous.to_string())));
    let name = CHANGES.iter().find(|(_, kind)| *kind == twin.kind).map_or("", |(name, _)| name);
    row.text("change", name);
    row.put_some("prototype", twin.prototype.map(Datum::from));
    if !twin.bytes.is_empty() {
        if twin.kind == TwinChange::Created || twin.prototype.is_some() {
            let (image, shape) = exact::image(twin.bytes, shapes);
            kinds.extend(shape.map(|shape| (twin.path.to_owned(), shape)));
            row.put("state", image);
        } else {
            row.put("changes", exact::delta(twin.bytes, kinds.get(twin.path).copied(), shapes));
        }
    }
    row.datum()
}

/// What a far query answered: a byte 0 and the value, or a byte 1, the kind of the fault, a zero byte, and its text.
fn answer_datum(bytes: &[u8], shapes: &Shapes) -> Datum {
    if let Some((0, value)) = bytes.split_first().map(|(kind, rest)| (*kind, rest)) {
        return Datum::row([("value", exact::value(value, shapes))]);
    }
    let fault = bytes.split_first().filter(|(kind, _)| **kind == 1).and_then(|(_, rest)| {
        let (kind, text) = std::str::from_utf8(rest).ok()?.split_once('\0')?;
        Some(Datum::row([("fault", Datum::from(kind)), ("text", Datum::from(text))]))
    });
    fault.unwrap_or_else(|| Datum::row([("hex", hex(bytes))]))
}

fn answer_of(datum: Datum) -> Result<Vec<u8>, String> {
    let mut members = Members::of(datum, "an answer")?;
    let bytes = if let Some(value) = members.take("value") {
        [vec![0], exact::value_of(value)?].concat()
    } else if let Some(kind) = members.text_or_none("fault")? {
        [b"\x01", kind.as_bytes(), b"\0", members.text("text")?.as_bytes()].concat()
    } else {
        members.bytes_or_none("hex")?.ok_or("an answer has a `value` or a `fault`")?
    };
    members.end()?;
    Ok(bytes)
}

fn place(partition: Partition, position: Position) -> Datum {
    Datum::String(format!("{partition}/{position}"))
}

fn place_of(text: &str) -> Option<(Partition, Position)> {
    let (partition, position) = text.split_once('/')?;
    Some((Partition(partition.parse().ok()?), position_of(position)?))
}

fn position_of(text: &str) -> Option<Position> {
    let (block, index) = text.split_once('.')?;
    let block = block.parse().ok().filter(|block| (1..=Position::BLOCK_MAX).contains(block))?;
    Some(Position { block, index: index.parse().ok()? })
}

// ---- back ----

/// A record that was read from a line.
pub(super) struct Owned {
    pub partition: Partition,
    pub position: Position,
    time_ns: i64,
    began_ns: Option<i64>,
    device_time_ns: Option<i64>,
    turn: u64,
    life: u64,
    program: [u8; 32],
    flags: Flags,
    sender: OwnedSender,
    number: u64,
    origin: Option<Origin>,
    correlation: Option<Vec<u8>>,
    principal: Option<String>,
    trace_parent: Option<TraceParent>,
    selector: String,
    arguments: Vec<u8>,
    answers: Vec<(String, u64, Vec<u8>)>,
    seed: Option<u64>,
    twins: Vec<OwnedTwin>,
    outcome: OwnedOutcome,
}

enum OwnedSender {
    Program,
    System,
    Outside(String),
    Twin(String),
    Reply(String),
    Timer(String),
}

struct OwnedTwin {
    path: String,
    life: u64,
    previous: Option<Position>,
    kind: TwinChange,
    prototype: Option<String>,
    bytes: Vec<u8>,
}

enum OwnedOutcome {
    Failed {
        kind: String,
        text: String,
        trace: String,
    },
    Committed {
        reply: Option<Vec<u8>>,
        sends: Vec<OwnedSend>,
        events: Vec<OwnedEvent>,
        output: String,
        timers: Vec<OwnedTimer>,
    },
}

struct OwnedSend {
    number: u64,
    from: String,
    to: String,
    kind: Option<String>,
    selector: String,
    arguments: Vec<u8>,
    promise: Option<u64>,
}

struct OwnedEvent {
    from: String,
    selector: String,
    arguments: Vec<u8>,
}

struct OwnedTimer {
    of: String,
    name: String,
    due_ns: Option<i64>,
    errand: Vec<u8>,
}

fn arguments_of(members: &mut Members) -> Result<Vec<u8>, String> {
    members.take("arguments").map_or(Ok(Vec::new()), exact::arguments_of)
}

/// The record that a line says.
pub(super) fn from_members(mut line: Members) -> Result<Owned, String> {
    let place =
        |name: &str, text: String| place_of(&text).ok_or_else(|| format!("`{name}` is a position, as `0/12.3`"));
    let (partition, position) = place("position", line.text("position")?)?;
    let life = line.number_or_none("life")?.unwrap_or(1);
    let mut flags = Flags::default();
    for flag in line.elements("flags")? {
        let known = FLAGS.iter().find(|(name, _)| Datum::from(*name) == flag);
        flags = flags.with(known.ok_or_else(|| format!("there is no flag {flag}"))?.1);
    }
    let owned = Owned {
        partition,
        position,
        time_ns: line.moment_or_none("time")?.ok_or("a line has no `time`")?,
        began_ns: line.moment_or_none("began")?,
        device_time_ns: line.moment_or_none("device_time")?,
        turn: line.number("turn")?,
        life,
        program: line.bytes("program")?,
        flags,
        sender: sender_of(line.take("sender").ok_or("a line has no `sender`")?)?,
        number: line.number_or_none("number")?.unwrap_or(0),
        origin: match line.text_or_none("origin")? {
            None => None,
            Some(text) => {
                let (partition, position) = place("origin", text)?;
                Some(Origin { partition, position })
            }
        },
        correlation: line.bytes_or_none("correlation")?,
        principal: line.text_or_none("principal")?,
        trace_parent: line.take("trace_parent").map(trace_parent_of).transpose()?,
        selector: line.text("selector")?,
        arguments: arguments_of(&mut line)?,
        answers: line.elements("answers")?.into_iter().map(far_answer_of).collect::<Result<_, _>>()?,
        seed: line.number_or_none("seed")?,
        twins: line.elements("twins")?.into_iter().map(|twin| twin_of(twin, life)).collect::<Result<_, _>>()?,
        outcome: match line.take("failed") {
            Some(failure) => {
                let mut failure = Members::of(failure, "`failed`")?;
                let (kind, text, trace) = (failure.text("kind")?, failure.text("text")?, failure.text("trace")?);
                failure.end()?;
                OwnedOutcome::Failed { kind, text, trace }
            }
            None => OwnedOutcome::Committed {
                reply: line.take("reply").map(exact::value_of).transpose()?,
                sends: line.elements("sends")?.into_iter().map(send_of).collect::<Result<_, _>>()?,
                events: line.elements("events")?.into_iter().map(event_of).collect::<Result<_, _>>()?,
                output: line.text_or_none("output")?.unwrap_or_default(),
                timers: line.elements("timers")?.into_iter().map(timer_of).collect::<Result<_, _>>()?,
            },
        },
    };
    line.end()?;
    if owned.twins.is_empty() {
        return Err("`twins` has the receiver at least".to_owned());
    }
    Ok(owned)
}

fn sender_of(datum: Datum) -> Result<OwnedSender, String> {
    match &datum {
        Datum::String(text) if text == "program" => return Ok(OwnedSender::Program),
        Datum::String(text) if text == "system" => return Ok(OwnedSender::System),
        _ => {}
    }
    let mut members = Members::of(datum, "`sender`")?;
    let sender = if let Some(name) = members.text_or_none("outside")? {
        OwnedSender::Outside(name)
    } else if let Some(path) = members.text_or_none("twin")? {
        OwnedSender::Twin(path)
    } else if let Some(path) = members.text_or_none("reply")? {
        OwnedSender::Reply(path)
    } else {
        OwnedSender::Timer(members.text("timer")?)
    };
    members.end()?;
    Ok(sender)
}

fn trace_parent_of(datum: Datum) -> Result<TraceParent, String> {
    let mut members = Members::of(datum, "`trace_parent`")?;
    let parent = TraceParent {
        trace: members.bytes("trace")?,
        span: members.bytes("span")?,
        flags: u8::try_from(members.number("flags")?).map_err(|_| "`flags` is a number of eight bits")?,
    };
    members.end()?;
    Ok(parent)
}

fn far_answer_of(datum: Datum) -> Result<(String, u64, Vec<u8>), String> {
    let mut members = Members::of(datum, "an answer")?;
    let (composite, turn) = (members.text("composite")?, members.number("turn")?);
    let answer = answer_of(members.take("answer").ok_or("an answer has no `answer`")?)?;
    members.end()?;
    Ok((composite, turn, answer))
}

fn twin_of(datum: Datum, life: u64) -> Result<OwnedTwin, String> {
    let mut members = Members::of(datum, "a twin")?;
    let change = members.text("change")?;
    let kind = CHANGES.iter().find(|(name, _)| *name == change).ok_or_else(|| format!("nothing is `{change}`"))?.1;
    let previous = members.text_or_none("previous")?;
    let twin = OwnedTwin {
        path: members.text("path")?,
        life: members.number_or_none("life")?.unwrap_or(life),
        previous: match previous {
            None => None,
            Some(text) => Some(position_of(&text).ok_or("`previous` is a position, as `12.3`")?),
        },
        kind,
        prototype: members.text_or_none("prototype")?,
        bytes: match (members.take("state"), members.take("changes")) {
            (Some(state), None) => exact::image_of(state)?,
            (None, Some(changes)) => exact::delta_of(changes)?,
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => return Err("a twin has a `state` or `changes`".to_owned()),
        },
    };
    members.end()?;
    Ok(twin)
}

fn send_of(datum: Datum) -> Result<OwnedSend, String> {
    let mut members = Members::of(datum, "a far send")?;
    let send = OwnedSend {
        number: members.number("number")?,
        from: members.text("from")?,
        to: members.text("to")?,
        kind: members.text_or_none("prototype")?,
        selector: members.text("selector")?,
        arguments: arguments_of(&mut members)?,
        promise: members.number_or_none("promise")?,
    };
    members.end()?;
    Ok(send)
}

fn event_of(datum: Datum) -> Result<OwnedEvent, String> {
    let mut members = Members::of(datum, "an event")?;
    let event = OwnedEvent {
        from: members.text("from")?,
        selector: members.text("selector")?,
        arguments: arguments_of(&mut members)?,
    };
    members.end()?;
    Ok(event)
}

fn timer_of(datum: Datum) -> Result<OwnedTimer, String> {
    let mut members = Members::of(datum, "a timer")?;
    let timer = OwnedTimer {
        of: members.text("of")?,
        name: members.text("name")?,
        due_ns: members.moment_or_none("due")?,
        errand: members.take("errand").map_or(Ok(Vec::new()), exact::arguments_of)?,
    };
    members.end()?;
    Ok(timer)
}

impl Owned {
    /// Calls `visit` with the record.
    pub fn with<T>(&self, visit: &mut dyn FnMut(&Record<'_>) -> T) -> T {
        let answers: Vec<Answer<'_>> =
            self.answers.iter().map(|(composite, turn, bytes)| Answer { composite, turn: *turn, bytes }).collect();
        let twins: Vec<TwinEffect<'_>> = self
            .twins
            .iter()
            .map(|twin| TwinEffect {
                path: &twin.path,
                life: twin.life,
                previous: twin.previous,
                kind: twin.kind,
                prototype: twin.prototype.as_deref(),
                bytes: &twin.bytes,
            })
            .collect();
        let outcome = match &self.outcome {
            OwnedOutcome::Failed { kind, text, trace } => Outcome::Failed(Failure { kind, text, trace }),
            OwnedOutcome::Committed { reply, sends, events, output, timers } => {
                let sends = sends.iter().map(|send| FarSend {
                    number: send.number,
                    sender: &send.from,
                    receiver: &send.to,
                    selector: &send.selector,
                    arguments: &send.arguments,
                    promise: send.promise,
                    kind: send.kind.as_deref(),
                });
                let events = events.iter().map(|event| Event {
                    twin: &event.from,
                    selector: &event.selector,
                    arguments: &event.arguments,
                });
                let timers = timers.iter().map(|timer| Timer {
                    twin: &timer.of,
                    name: &timer.name,
                    due_ns: timer.due_ns,
                    errand: &timer.errand,
                });
                Outcome::Committed(Effects {
                    reply: reply.as_deref(),
                    sends: sends.collect::<Vec<_>>().into(),
                    events: events.collect::<Vec<_>>().into(),
                    output,
                    timers: timers.collect::<Vec<_>>().into(),
                })
            }
        };
        visit(&Record {
            envelope: Envelope {
                life: self.life,
                turn: self.turn,
                time_ns: self.time_ns,
                began_ns: self.began_ns,
                device_time_ns: self.device_time_ns,
                program: &self.program,
                flags: self.flags,
            },
            cause: Cause {
                sender: match &self.sender {
                    OwnedSender::Program => Sender::Program,
                    OwnedSender::System => Sender::System,
                    OwnedSender::Outside(name) => Sender::Outside(name),
                    OwnedSender::Twin(path) => Sender::Twin(path),
                    OwnedSender::Reply(path) => Sender::Reply(path),
                    OwnedSender::Timer(name) => Sender::Timer(name),
                },
                number: self.number,
                origin: self.origin,
                correlation: self.correlation.as_deref(),
                principal: self.principal.as_deref(),
                trace_parent: self.trace_parent,
            },
            input: Input {
                selector: &self.selector,
                arguments: &self.arguments,
                answers: answers.into(),
                seed: self.seed,
            },
            twins: twins.into(),
            outcome,
        })
    }
}
