//! Records as bytes, and back.
//!
//! A mask of three bytes says which fields are there; then the head, then the body, each field in
//! the order of `spec/record.md`, section 3. Writer and reader stand side by side here.
//!
//! Invariants: `decode(encode(x)) == x` for every record that keeps the rules, and `encode(x)` gives
//! the same bytes whenever `decode(bytes) == x`; decoding is total, and memory grows with the bytes
//! read, not with the counts they claim.

use crate::block::{NameKind, Names, Written};
use crate::record::{
    Answer, CORRELATION_BYTES_MAX, Cause, Effects, EncodeError, Envelope, Event, Failure, FarSend, Flags, Input, List,
    Origin, Outcome, Record, RecordError, Sender, Timer, TraceParent, TwinChange, TwinEffect, composite_of,
};
use crate::wire::{Reader, put_bytes, put_number, put_signed};
use crate::{Partition, Position};

/// Where a record stands, and what the block says once for all of its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(crate) partition: Partition,
    pub(crate) position: Position,
    /// The time of the first record of the block.
    pub(crate) base_time_ns: i64,
}

/// Bits of the mask at the start of a record.
mod mask {
    pub(super) const BYTES: usize = 3;
    pub(super) const FAILED: u32 = 1;
    pub(super) const SEALED: u32 = 1 << 1;
    pub(super) const SENDER_SHIFT: u32 = 2;
    pub(super) const SENDER: u32 = 7 << SENDER_SHIFT;
    pub(super) const NUMBER: u32 = 1 << 5;
    pub(super) const ORIGIN: u32 = 1 << 6;
    pub(super) const ORIGIN_HERE: u32 = 1 << 7;
    pub(super) const CORRELATION: u32 = 1 << 8;
    pub(super) const PRINCIPAL: u32 = 1 << 9;
    pub(super) const TRACE_PARENT: u32 = 1 << 10;
    pub(super) const DEVICE_TIME: u32 = 1 << 11;
    pub(super) const FLAGS: u32 = 1 << 12;
    pub(super) const LIFE: u32 = 1 << 13;
    pub(super) const MORE_TWINS: u32 = 1 << 14;
    pub(super) const ARGUMENTS: u32 = 1 << 15;
    pub(super) const ANSWERS: u32 = 1 << 16;
    pub(super) const SEED: u32 = 1 << 17;
    pub(super) const REPLY: u32 = 1 << 18;
    pub(super) const SENDS: u32 = 1 << 19;
    pub(super) const EVENTS: u32 = 1 << 20;
    pub(super) const OUTPUT: u32 = 1 << 21;
    pub(super) const TIMERS: u32 = 1 << 22;
    pub(super) const BEGAN: u32 = 1 << 23;
    /// What a failed turn has none of.
    pub(super) const OF_COMMITTED: u32 = REPLY | SENDS | EVENTS | OUTPUT | TIMERS | MORE_TWINS;
    pub(super) const KNOWN: u32 = (1 << 24) - 1;
}

/// Bits of the tag of a twin.
mod tag {
    pub(super) const KIND: u8 = 3;
    pub(super) const LIFE: u8 = 1 << 2;
    pub(super) const PREVIOUS: u8 = 1 << 3;
    pub(super) const PROTOTYPE: u8 = 1 << 4;
    pub(super) const BYTES: u8 = 1 << 5;
    pub(super) const KNOWN: u8 = (1 << 6) - 1;
}

const fn bit(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}

impl Sender<'_> {
    const fn number(self) -> u32 {
        match self {
            Sender::Program => 0,
            Sender::Outside(_) => 1,
            Sender::Twin(_) => 2,
            Sender::Reply(_) => 3,
            Sender::Timer(_) => 4,
            Sender::System => 5,
        }
    }
}

impl TwinChange {
    const fn number(self) -> u8 {
        match self {
            TwinChange::Touched => 0,
            TwinChange::Changed => 1,
            TwinChange::Created => 2,
            TwinChange::Removed => 3,
        }
    }

    const fn from_number(number: u8) -> TwinChange {
        match number & tag::KIND {
            0 => TwinChange::Touched,
            1 => TwinChange::Changed,
            2 => TwinChange::Created,
            _ => TwinChange::Removed,
        }
    }
}

fn mask_of(record: &Record<'_>, context: Context) -> u32 {
    let Envelope { life, turn: _, time_ns: _, began_ns, device_time_ns, program: _, flags } = record.envelope;
    let Cause { sender, number, origin, correlation, principal, trace_parent } = record.cause;
    let Input { selector: _, arguments, answers, seed } = &record.input;
    let here = origin.is_some_and(|origin| origin.partition == context.partition);
    let mut mask = (sender.number() << mask::SENDER_SHIFT)
        | bit(number != 0, mask::NUMBER)
        | bit(origin.is_some(), mask::ORIGIN)
        | bit(here, mask::ORIGIN_HERE)
        | bit(correlation.is_some(), mask::CORRELATION)
        | bit(principal.is_some(), mask::PRINCIPAL)
        | bit(trace_parent.is_some(), mask::TRACE_PARENT)
        | bit(began_ns.is_some(), mask::BEGAN)
        | bit(device_time_ns.is_some(), mask::DEVICE_TIME)
        | bit(flags != Flags::default(), mask::FLAGS)
        | bit(life != 1, mask::LIFE)
        | bit(record.twins.len() > 1, mask::MORE_TWINS)
        | bit(!arguments.is_empty(), mask::ARGUMENTS)
        | bit(!answers.is_empty(), mask::ANSWERS)
        | bit(seed.is_some(), mask::SEED);
    match &record.outcome {
        Outcome::Committed(Effects { reply, sends, events, output, timers }) => {
            mask |= bit(reply.is_some(), mask::REPLY)
                | bit(!sends.is_empty(), mask::SENDS)
                | bit(!events.is_empty(), mask::EVENTS)
                | bit(!output.is_empty(), mask::OUTPUT)
                | bit(!timers.is_empty(), mask::TIMERS);
        }
        Outcome::Failed(_) => mask |= mask::FAILED,
    }
    mask
}

/// The rules that the types leave open; they hold for what is written and for what is read.
fn check_rules(record: &Record<'_>, context: Context) -> Result<(), &'static str> {
    let Some(receiver) = record.twins.first() else {
        return Err("a record has a receiver");
    };
    if record.envelope.flags.0 & !Flags::KNOWN != 0 {
        return Err("the flags of a record are known");
    }
    if record.envelope.began_ns.is_some_and(|began_ns| began_ns >= record.envelope.time_ns) {
        return Err("a turn begins before it ends");
    }
    if record.envelope.life == 0 || record.twins.iter().any(|twin| twin.life == 0) {
        return Err("lives count from 1");
    }
    let is_other = |twin: &TwinEffect<'_>| composite_of(twin.path) != composite_of(receiver.path);
    if record.twins[1..].iter().any(is_other) {
        return Err("the twins of a record are of one composite");
    }
    if record.twins.iter().any(|twin| twin.previous.is_some_and(|previous| previous >= context.position)) {
        return Err("a back chain leads back");
    }
    let is_before_log = |position: &Position| position.block == 0;
    if record.twins.iter().any(|twin| twin.previous.as_ref().is_some_and(is_before_log)) {
        return Err("blocks count from 1");
    }
    if let Some(origin) = record.cause.origin {
        if is_before_log(&origin.position) {
            return Err("blocks count from 1");
        }
        if origin.partition == context.partition && origin.position >= context.position {
            return Err("a cause comes before its effect");
        }
        if origin.position.block > Position::BLOCK_MAX {
            return Err("the number of a block has 48 bits");
        }
    }
    if record.cause.correlation.is_some_and(|id| id.is_empty() || id.len() > CORRELATION_BYTES_MAX) {
        return Err("a correlation id has 1 to 255 bytes");
    }
    if let Outcome::Failed(_) = record.outcome
        && (record.twins.len() > 1 || receiver.kind != TwinChange::Touched || !receiver.bytes.is_empty())
    {
        return Err("a failed turn has no effects");
    }
    Ok(())
}

/// Appends `record` to `out`, taking numbers for its names from `names`.
///
/// On an error `out` and `names` hold a part of the record; the caller takes it back.
pub(crate) fn encode(
    record: &Record<'_>,
    context: Context,
    names: &mut Written,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    check_rules(record, context).map_err(EncodeError::Rule)?;
    let Record { envelope, cause, input, twins, outcome } = record;
    let mask = mask_of(record, context);
    out.extend_from_slice(&mask.to_le_bytes()[..mask::BYTES]);

    if mask & mask::LIFE != 0 {
        put_number(out, envelope.life);
    }
    put_number(out, envelope.turn);
    let Ok(elapsed_ns) = u64::try_from(i128::from(envelope.time_ns) - i128::from(context.base_time_ns)) else {
        return Err(EncodeError::Rule("time never goes back within a partition"));
    };
    put_number(out, elapsed_ns);
    if let Some(began_ns) = envelope.began_ns {
        // The rule has it that this is more than 0; times lie at most 64 bits apart.
        put_number(out, envelope.time_ns.wrapping_sub(began_ns) as u64);
    }
    if let Some(device_time_ns) = envelope.device_time_ns {
        put_signed(out, device_time_ns.wrapping_sub(envelope.time_ns));
    }
    names.put(NameKind::Program, envelope.program, out)?;
    if mask & mask::FLAGS != 0 {
        out.push(envelope.flags.0);
    }

    match cause.sender {
        Sender::Program | Sender::System => {}
        Sender::Outside(name) => names.put(NameKind::Principal, name.as_bytes(), out)?,
        Sender::Twin(path) | Sender::Reply(path) => names.put(NameKind::Path, path.as_bytes(), out)?,
        Sender::Timer(name) => names.put(NameKind::Selector, name.as_bytes(), out)?,
    }
    if cause.number != 0 {
        put_number(out, cause.number);
    }
    if let Some(Origin { partition, position }) = cause.origin {
        if partition == context.partition {
            put_back(out, context.position, position);
        } else {
            put_number(out, u64::from(partition.0));
            put_number(out, position.block);
            put_number(out, u64::from(position.index));
        }
    }
    if let Some(correlation) = cause.correlation {
        put_bytes(out, correlation);
    }
    if let Some(principal) = cause.principal {
        names.put(NameKind::Principal, principal.as_bytes(), out)?;
    }
    if let Some(TraceParent { trace, span, flags }) = cause.trace_parent {
        out.extend_from_slice(&trace);
        out.extend_from_slice(&span);
        out.push(flags);
    }
    names.put(NameKind::Selector, input.selector.as_bytes(), out)?;

    if twins.len() > 1 {
        put_number(out, twins.len() as u64 - 2);
    }
    for twin in twins.iter() {
        names.put(NameKind::Path, twin.path.as_bytes(), out)?;
        let mut twin_tag = twin.kind.number();
        twin_tag |= if twin.life != envelope.life { tag::LIFE } else { 0 };
        twin_tag |= if twin.previous.is_some() { tag::PREVIOUS } else { 0 };
        twin_tag |= if twin.prototype.is_some() { tag::PROTOTYPE } else { 0 };
        twin_tag |= if !twin.bytes.is_empty() { tag::BYTES } else { 0 };
        out.push(twin_tag);
        if twin.life != envelope.life {
            put_number(out, twin.life);
        }
        if let Some(previous) = twin.previous {
            put_back(out, context.position, previous);
        }
        if let Some(prototype) = twin.prototype {
            names.put(NameKind::Prototype, prototype.as_bytes(), out)?;
        }
    }

    if !input.arguments.is_empty() {
        put_bytes(out, input.arguments);
    }
    if !input.answers.is_empty() {
        put_number(out, input.answers.len() as u64 - 1);
        for answer in input.answers.iter() {
            names.put(NameKind::Path, answer.composite.as_bytes(), out)?;
            put_number(out, answer.turn);
            put_bytes(out, answer.bytes);
        }
    }
    if let Some(seed) = input.seed {
        out.extend_from_slice(&seed.to_le_bytes());
    }
    for twin in twins.iter().filter(|twin| !twin.bytes.is_empty()) {
        put_bytes(out, twin.bytes);
    }
    match outcome {
        Outcome::Committed(effects) => encode_effects(effects, envelope.time_ns, names, out),
        Outcome::Failed(Failure { kind, text, trace }) => {
            put_bytes(out, kind.as_bytes());
            put_bytes(out, text.as_bytes());
            put_bytes(out, trace.as_bytes());
            Ok(())
        }
    }
}

fn encode_effects(
    effects: &Effects<'_>,
    time_ns: i64,
    names: &mut Written,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let Effects { reply, sends, events, output, timers } = effects;
    if let Some(reply) = reply {
        put_bytes(out, reply);
    }
    if !sends.is_empty() {
        put_number(out, sends.len() as u64 - 1);
        for send in sends.iter() {
            put_number(out, send.number);
            names.put(NameKind::Path, send.sender.as_bytes(), out)?;
            names.put(NameKind::Path, send.receiver.as_bytes(), out)?;
            names.put(NameKind::Selector, send.selector.as_bytes(), out)?;
            put_bytes(out, send.arguments);
            out.push(u8::from(send.promise.is_some()) | u8::from(send.kind.is_some()) << 1);
            if let Some(promise) = send.promise {
                put_number(out, promise);
            }
            if let Some(kind) = send.kind {
                names.put(NameKind::Prototype, kind.as_bytes(), out)?;
            }
        }
    }
    if !events.is_empty() {
        put_number(out, events.len() as u64 - 1);
        for event in events.iter() {
            names.put(NameKind::Path, event.twin.as_bytes(), out)?;
            names.put(NameKind::Selector, event.selector.as_bytes(), out)?;
            put_bytes(out, event.arguments);
        }
    }
    if !output.is_empty() {
        put_bytes(out, output.as_bytes());
    }
    if !timers.is_empty() {
        put_number(out, timers.len() as u64 - 1);
        for timer in timers.iter() {
            names.put(NameKind::Path, timer.twin.as_bytes(), out)?;
            names.put(NameKind::Selector, timer.name.as_bytes(), out)?;
            match timer.due_ns {
                Some(due_ns) => {
                    out.push(if timer.errand.is_empty() { 1 } else { 2 });
                    put_signed(out, due_ns.wrapping_sub(time_ns));
                    if !timer.errand.is_empty() {
                        put_bytes(out, timer.errand);
                    }
                }
                None => out.push(0),
            }
        }
    }
    Ok(())
}

/// A position before `from` in the same log: how many blocks back, and which index there.
fn put_back(out: &mut Vec<u8>, from: Position, to: Position) {
    put_number(out, from.block - to.block);
    put_number(out, u64::from(to.index));
}

fn index(input: &mut Reader<'_>) -> Result<u32, RecordError> {
    u32::try_from(input.number()?).map_err(|_| RecordError::Malformed("an index is beyond 32 bits"))
}

fn back(input: &mut Reader<'_>, from: Position) -> Result<Position, RecordError> {
    let distance = input.number()?;
    let block = from.block.checked_sub(distance).ok_or(RecordError::Malformed("a position is before the log"))?;
    Ok(Position { block, index: index(input)? })
}

/// What is there only if its bit is set, and then is not empty.
fn bytes_if<'a>(input: &mut Reader<'a>, set: bool) -> Result<&'a [u8], RecordError> {
    if !set {
        return Ok(&[]);
    }
    let bytes = input.bytes()?;
    if bytes.is_empty() { Err(RecordError::Malformed("bytes said to be there are empty")) } else { Ok(bytes) }
}

/// A list that is there only if its bit is set, and then has at least one item.
fn list<'a, T>(
    input: &mut Reader<'a>,
    set: bool,
    item_bytes_min: usize,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T, RecordError>,
) -> Result<List<'a, T>, RecordError> {
    if !set {
        return Ok(List::default());
    }
    let count = input.count(item_bytes_min)? + 1;
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(item(input)?);
    }
    Ok(List::Owned(items))
}

/// Stands for the effect bytes of a twin while only the head of the record has been read.
const TO_COME: &[u8] = &[0];

/// Reads the record that `bytes` are, with the names of its block.
pub(crate) fn decode<'a, N: Names<'a>>(
    bytes: &'a [u8],
    context: Context,
    names: &mut N,
) -> Result<Record<'a>, RecordError> {
    let mut reader = Reader::new(bytes);
    let input = &mut reader;
    let [low, middle, high] = *input.array::<{ mask::BYTES }>()?;
    let mask = u32::from_le_bytes([low, middle, high, 0]);
    let has = |bit: u32| mask & bit != 0;
    if mask & !mask::KNOWN != 0 {
        return Err(RecordError::Malformed("a record has unknown bits"));
    }
    if has(mask::FAILED) && has(mask::OF_COMMITTED) {
        return Err(RecordError::Malformed("a failed turn has no effects"));
    }
    if has(mask::ORIGIN_HERE) && !has(mask::ORIGIN) {
        return Err(RecordError::Malformed("a record has unknown bits"));
    }

    let life = if has(mask::LIFE) { unusual(input.number()?, 1)? } else { 1 };
    let turn = input.number()?;
    let elapsed_ns = input.number()?;
    let time_ns = context
        .base_time_ns
        .checked_add_unsigned(elapsed_ns)
        .ok_or(RecordError::Malformed("a time is beyond 64 bits"))?;
    let began_ns = if has(mask::BEGAN) {
        let before = time_ns.checked_sub_unsigned(unusual(input.number()?, 0)?);
        Some(before.ok_or(RecordError::Malformed("a time is beyond 64 bits"))?)
    } else {
        None
    };
    let device_time_ns = if has(mask::DEVICE_TIME) { Some(input.signed()?.wrapping_add(time_ns)) } else { None };
    let program = names.program(input.number()?)?;
    let flags = if has(mask::FLAGS) { Flags(unusual(input.byte()?, 0)?) } else { Flags::default() };
    let envelope = Envelope { life, turn, time_ns, began_ns, device_time_ns, program, flags };

    let sender = match (mask & mask::SENDER) >> mask::SENDER_SHIFT {
        0 => Sender::Program,
        1 => Sender::Outside(names.text(NameKind::Principal, input.number()?)?),
        2 => Sender::Twin(names.text(NameKind::Path, input.number()?)?),
        3 => Sender::Reply(names.text(NameKind::Path, input.number()?)?),
        4 => Sender::Timer(names.text(NameKind::Selector, input.number()?)?),
        5 => Sender::System,
        6.. => return Err(RecordError::Malformed("a sender is of an unknown kind")),
    };
    let number = if has(mask::NUMBER) { unusual(input.number()?, 0)? } else { 0 };
    let origin = match (has(mask::ORIGIN), has(mask::ORIGIN_HERE)) {
        (false, _) => None,
        (true, true) => Some(Origin { partition: context.partition, position: back(input, context.position)? }),
        (true, false) => Some(far_origin(input, context.partition)?),
    };
    let correlation = if has(mask::CORRELATION) { Some(input.bytes()?) } else { None };
    let principal = if has(mask::PRINCIPAL) { Some(names.text(NameKind::Principal, input.number()?)?) } else { None };
    let trace_parent = if has(mask::TRACE_PARENT) {
        Some(TraceParent { trace: *input.array()?, span: *input.array()?, flags: input.byte()? })
    } else {
        None
    };
    let cause = Cause { sender, number, origin, correlation, principal, trace_parent };
    let selector = names.text(NameKind::Selector, input.number()?)?;

    // A twin takes a number, a tag and nothing else at least. The effect bytes follow in the body.
    let count = if has(mask::MORE_TWINS) { input.count(2)? + 2 } else { 1 };
    let mut twins = Vec::with_capacity(count);
    for _ in 0..count {
        let path = names.text(NameKind::Path, input.number()?)?;
        let twin_tag = input.byte()?;
        if twin_tag & !tag::KNOWN != 0 {
            return Err(RecordError::Malformed("a twin has unknown bits"));
        }
        let life = if twin_tag & tag::LIFE != 0 { unusual(input.number()?, envelope.life)? } else { envelope.life };
        let previous = if twin_tag & tag::PREVIOUS != 0 { Some(back(input, context.position)?) } else { None };
        let prototype =
            if twin_tag & tag::PROTOTYPE != 0 { Some(names.text(NameKind::Prototype, input.number()?)?) } else { None };
        let bytes = if twin_tag & tag::BYTES != 0 { TO_COME } else { &[] };
        twins.push(TwinEffect { path, life, previous, kind: TwinChange::from_number(twin_tag), prototype, bytes });
    }

    if has(mask::SEALED) {
        let key = input.number()?;
        input.bytes()?;
        input.end()?;
        return Err(RecordError::Sealed { key });
    }
    let arguments = bytes_if(input, has(mask::ARGUMENTS))?;
    let answers = list(input, has(mask::ANSWERS), 3, |input| {
        let composite = names.text(NameKind::Path, input.number()?)?;
        Ok(Answer { composite, turn: input.number()?, bytes: input.bytes()? })
    })?;
    let seed = if has(mask::SEED) { Some(u64::from_le_bytes(*input.array()?)) } else { None };
    for twin in &mut twins {
        twin.bytes = bytes_if(input, !twin.bytes.is_empty())?;
    }
    let outcome = if has(mask::FAILED) {
        Outcome::Failed(Failure { kind: input.text()?, text: input.text()?, trace: input.text()? })
    } else {
        Outcome::Committed(decode_effects(input, mask, time_ns, names)?)
    };
    input.end()?;

    let input = Input { selector, arguments, answers, seed };
    let record = Record { envelope, cause, input, twins: List::Owned(twins), outcome };
    check_rules(&record, context).map_err(RecordError::Malformed)?;
    Ok(record)
}

fn decode_effects<'a, N: Names<'a>>(
    input: &mut Reader<'a>,
    mask: u32,
    time_ns: i64,
    names: &mut N,
) -> Result<Effects<'a>, RecordError> {
    let has = |bit: u32| mask & bit != 0;
    let reply = if has(mask::REPLY) { Some(input.bytes()?) } else { None };
    let sends = list(input, has(mask::SENDS), 6, |input| {
        let number = input.number()?;
        let sender = names.text(NameKind::Path, input.number()?)?;
        let receiver = names.text(NameKind::Path, input.number()?)?;
        let selector = names.text(NameKind::Selector, input.number()?)?;
        let arguments = input.bytes()?;
        let has = input.byte()?;
        if has > 3 {
            return Err(RecordError::Malformed("a far send has unknown bits"));
        }
        let promise = if has & 1 != 0 { Some(input.number()?) } else { None };
        let kind = if has & 2 != 0 { Some(names.text(NameKind::Prototype, input.number()?)?) } else { None };
        Ok(FarSend { number, sender, receiver, selector, arguments, promise, kind })
    })?;
    let events = list(input, has(mask::EVENTS), 3, |input| {
        Ok(Event {
            twin: names.text(NameKind::Path, input.number()?)?,
            selector: names.text(NameKind::Selector, input.number()?)?,
            arguments: input.bytes()?,
        })
    })?;
    let output = str::from_utf8(bytes_if(input, has(mask::OUTPUT))?)
        .map_err(|_| RecordError::Malformed("a text is not UTF-8"))?;
    let timers = list(input, has(mask::TIMERS), 3, |input| {
        let twin = names.text(NameKind::Path, input.number()?)?;
        let name = names.text(NameKind::Selector, input.number()?)?;
        let kind = input.byte()?;
        let due_ns = if kind > 0 { Some(input.signed()?.wrapping_add(time_ns)) } else { None };
        let errand = match kind {
            0 | 1 => &[][..],
            2 => input.bytes()?,
            _ => return Err(RecordError::Malformed("a timer of an unknown kind")),
        };
        // What is empty has one way to be written.
        if kind == 2 && errand.is_empty() {
            return Err(RecordError::Malformed("a timer with an errand that has none"));
        }
        Ok(Timer { twin, name, due_ns, errand })
    })?;
    Ok(Effects { reply, sends, events, output, timers })
}

/// A value that is written only because it is not the usual one.
fn unusual<T: PartialEq>(value: T, usual: T) -> Result<T, RecordError> {
    if value == usual { Err(RecordError::Malformed("a usual value is written out")) } else { Ok(value) }
}

fn far_origin(input: &mut Reader<'_>, own: Partition) -> Result<Origin, RecordError> {
    let partition =
        u16::try_from(input.number()?).map_err(|_| RecordError::Malformed("a partition is beyond 16 bits"))?;
    let block = input.number()?;
    let origin = Origin { partition: Partition(partition), position: Position { block, index: index(input)? } };
    if origin.partition == own {
        return Err(RecordError::Malformed("an origin in the own log is written as a foreign one"));
    }
    Ok(origin)
}
