//! Messages on their way to a turn: who sent them, what they ask, and how records keep both.

use twintalk_store::record::{self, Cause, Origin, Sender};
use twintalk_store::{Partition, Position};
use twintalk_vm::codec::{
    TimerArguments, read_number_argument, read_rearm_arguments, read_symbol_argument, read_timer_arguments,
    symbol_argument,
};
use twintalk_vm::turn::{Action, CLONE, ENSURE, MAKE, THEN};
use twintalk_vm::{FarAnswer, Fault, Name};

use crate::resident::{get_number, put_number};

/// The selector under which a due timer is recorded; its argument is the timer's name.
pub(crate) const TIMER: &str = "<timer:>";
/// The selector under which a timer whose turn failed is set again; its argument is the timer's name.
pub(crate) const REARM: &str = "<rearm:>";
/// The path under which the runtime itself keeps records; no twin can have it.
pub(crate) const SYSTEM_PATH: &str = "-";
/// The selector of the record of a program that was installed; its arguments are the program and its shapes.
pub(crate) const PROGRAM: &str = "<program>";
/// The selector of the record of a message that was let in and waits, while nothing else in a log has it; its arguments are
/// its row in the waiting list.
pub(crate) const WAITS: &str = "<waits>";
/// The selector under which the reply to a far send is recorded; its arguments are those of [`reply_arguments`].
pub(crate) const REPLY: &str = "<reply:>";

/// The selector of the message that tells a twin of a failure below it; its arguments are those of
/// [`failed_arguments`](twintalk_vm::codec::failed_arguments).
pub(crate) const FAILED: &str = "<failed:>";
/// The selector of the record that puts a twin in quarantine.
pub(crate) const QUARANTINE: &str = "<quarantine>";
/// The selector of the record that a dead letter was dropped.
pub(crate) const DROP: &str = "<drop>";

/// Whether a selector is of the runtime's own messages, which no program can send.
pub(crate) fn is_own(selector: &str) -> bool {
    selector.starts_with('<') && selector.contains(char::is_alphabetic)
}

/// A message that waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub path: Name,
    pub selector: Name,
    pub arguments: Vec<u8>,
    pub from: From,
    /// When it was queued, counted over all partitions: of what is due, the first queued comes first.
    pub order: u64,
    /// The time of the turn that sent it: no turn is before its cause, on whatever partition.
    pub sent_ns: i64,
    /// The number of its row in the waiting list, if it was put aside.
    pub waiting: Option<u64>,
    /// How many turns of it have failed.
    pub attempts: u32,
    /// When it is tried again, in nanoseconds since 1970.
    pub due_ns: Option<i64>,
    /// It waited for its twin to be released, and later ones of its sender may have passed it.
    pub passed: bool,
    /// What the device says about when it was.
    pub device_time_ns: Option<i64>,
    /// Who waits for the reply.
    pub ticket: Option<u64>,
    /// The prototype that the sender takes the twin to have.
    pub kind: Option<Name>,
    /// A program's far send: a turn in any case, and a failure nobody waits for is reported.
    pub far: bool,
}

impl Message {
    /// A message that nobody waits for.
    pub fn new(path: &str, selector: &str, arguments: Vec<u8>, from: From) -> Message {
        Message::named(path.into(), selector.into(), arguments, from)
    }

    /// The same with names that are there already.
    pub fn named(path: Name, selector: Name, arguments: Vec<u8>, from: From) -> Message {
        Message {
            path,
            selector,
            arguments,
            from,
            order: 0,
            sent_ns: i64::MIN,
            waiting: None,
            attempts: 0,
            due_ns: None,
            passed: false,
            device_time_ns: None,
            ticket: None,
            kind: None,
            far: false,
        }
    }

    /// The message that makes a missing twin for an outside sender.
    pub fn make(path: &str, prototype: &str) -> Message {
        Message::new(path, ENSURE, symbol_argument(prototype), From::System)
    }

    /// The far send that is the `nth` thing to leave the record at `origin`.
    pub fn far_send(send: &record::FarSend<'_>, origin: Origin, nth: u32, sent_ns: i64) -> Message {
        let from =
            From::Twin { path: send.sender.into(), number: send.number, wanted: send.promise.is_some(), origin, nth };
        let kind = send.kind.map(Name::from);
        Message { sent_ns, kind, ..Message::new(send.receiver, send.selector, send.arguments.to_vec(), from) }
    }

    /// The reply that is the `nth` thing to leave the record at `origin`: from the twin at `from` to the one at `path`.
    pub fn reply(
        path: &str,
        from: &str,
        number: u64,
        reply: Result<&[u8], &Fault>,
        origin: Origin,
        nth: u32,
        sent_ns: i64,
    ) -> Message {
        let from = From::Reply { path: from.into(), number, origin, nth };
        Message { sent_ns, ..Message::new(path, REPLY, reply_arguments(number, reply), from) }
    }

    /// Where in another log (or the own) it comes from, if it does.
    pub fn source(&self) -> Option<(Origin, u32)> {
        match &self.from {
            From::Twin { origin, nth, .. } | From::Reply { origin, nth, .. } => Some((*origin, *nth)),
            From::Program | From::Outside { .. } | From::Timer { .. } | From::Supervisor { .. } | From::System => None,
        }
    }
}

/// Who sent a message.
#[derive(Clone, Debug)]
pub(crate) enum From {
    Program,
    Outside {
        name: Name,
        number: u64,
    },
    /// A far send: `wanted` says whether the sender waits for the reply.
    Twin {
        path: Name,
        number: u64,
        wanted: bool,
        origin: Origin,
        nth: u32,
    },
    /// The reply to the far send with this number.
    Reply {
        path: Name,
        number: u64,
        origin: Origin,
        nth: u32,
    },
    /// A timer; `life`: that of its twin, 0 as long as nobody has looked.
    Timer {
        name: Name,
        due_ns: i64,
        life: u64,
    },
    /// Supervision, because of what is in another record of the same log: a failure, or a dead letter.
    Supervisor {
        origin: Origin,
    },
    System,
}

/// A turn that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultReport {
    /// The twin that the message was for.
    pub path: String,
    /// The message.
    pub selector: String,
    /// Who sent it: a path, the name of an outside sender, or in angle brackets the program, a timer, the system.
    pub sender: String,
    /// The number that an outside sender gave the message.
    pub number: Option<u64>,
    /// Why.
    pub fault: Fault,
}

/// What a recorded selector and its arguments ask of the VM.
pub(crate) fn action<'a>(selector: &'a str, arguments: &'a [u8]) -> Action<'a> {
    let special = match selector {
        MAKE | ENSURE => {
            read_symbol_argument(arguments).map(|prototype| Action::Make { prototype, ensure: selector == ENSURE })
        }
        CLONE => Some(Action::Clone { arguments }),
        THEN => read_number_argument(arguments).map(|promise| Action::Then { promise }),
        TIMER => read_timer_arguments(arguments).map(|timer| {
            let TimerArguments { name, due_ns, program, errand } = timer;
            Action::Timer { name, due_ns, program, errand }
        }),
        REARM => read_rearm_arguments(arguments).map(|(name, errand)| Action::Rearm { name, errand }),
        FAILED => Some(Action::Failed { arguments }),
        REPLY => {
            let mut rest = arguments;
            let promise = get_number(&mut rest);
            promise.zip(split_answer(rest)).map(|(promise, answer)| Action::Reply { promise, answer })
        }
        _ => None,
    };
    special.unwrap_or(Action::Message { selector, arguments })
}

/// The cause that a record of the message has.
pub(crate) fn cause(from: &From) -> Cause<'_> {
    match from {
        From::Program => Cause::of(Sender::Program, 0),
        From::Outside { name, number } => Cause::of(Sender::Outside(name), *number),
        From::Twin { path, number, origin, .. } => {
            Cause { origin: Some(*origin), ..Cause::of(Sender::Twin(path), *number) }
        }
        From::Reply { path, number, origin, .. } => {
            Cause { origin: Some(*origin), ..Cause::of(Sender::Reply(path), *number) }
        }
        From::Timer { name, .. } => Cause::of(Sender::Timer(name), 0),
        From::Supervisor { origin } => Cause { origin: Some(*origin), ..Cause::of(Sender::System, 0) },
        From::System => Cause::of(Sender::System, 0),
    }
}

/// Whether somebody waits for the reply to a message that has this cause; `replies`: its sender is a twin that does.
pub(crate) fn wants_reply(cause: &Cause<'_>, replies: bool) -> bool {
    match cause.sender {
        Sender::Program => true,
        // What is fed has numbers.
        Sender::Outside(_) => cause.number == 0,
        Sender::Twin(_) => replies,
        Sender::Reply(_) | Sender::Timer(_) | Sender::System => false,
    }
}

/// The report of a message whose turn failed.
pub(crate) fn report(message: &Message, fault: &Fault) -> FaultReport {
    let (sender, number) = match &message.from {
        From::Program => ("<program>".to_owned(), None),
        From::Outside { name, number } => (name.to_string(), Some(*number)),
        From::Twin { path, .. } => (path.to_string(), None),
        From::Reply { path, .. } => (format!("<reply of {path}>"), None),
        From::Timer { name, .. } => (format!("<timer {name}>"), None),
        From::Supervisor { .. } | From::System => ("<system>".to_owned(), None),
    };
    let (path, selector) = (message.path.to_string(), message.selector.to_string());
    FaultReport { path, selector, sender, number, fault: fault.clone() }
}

/// What was answered, as it stands in a record: a byte 0 and the value, or a byte 1, the kind of the fault, a zero
/// byte and its text.
pub(crate) fn encode_answer(reply: Result<&[u8], &Fault>) -> Vec<u8> {
    match reply {
        Ok(value) => [&[0], value].concat(),
        Err(fault) => [&[1], fault.kind.as_bytes(), &[0], fault.text.as_bytes()].concat(),
    }
}

/// The value, or kind and text of the fault, that [`encode_answer`] wrote.
pub(crate) fn split_answer(bytes: &[u8]) -> Option<Result<&[u8], (&str, &str)>> {
    let (&first, rest) = bytes.split_first()?;
    if first == 0 {
        return Some(Ok(rest));
    }
    let end = rest.iter().position(|&byte| byte == 0)?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    Some(Err((text(&rest[..end])?, text(&rest[end + 1..])?)))
}

/// The answer to a far query that a record has.
pub(crate) fn decode_answer(answer: &record::Answer<'_>) -> Option<FarAnswer> {
    let reply = match split_answer(answer.bytes)? {
        Ok(value) => Ok(value.to_vec()),
        Err((kind, text)) => Err(Fault { kind: kind.to_owned(), text: text.to_owned(), trace: Vec::new() }),
    };
    Some(FarAnswer { composite: answer.composite.to_owned(), turn: answer.turn, reply })
}

/// The arguments of the message that brings a reply: the number of the promise, then what was answered.
fn reply_arguments(number: u64, reply: Result<&[u8], &Fault>) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, number);
    bytes.extend_from_slice(&encode_answer(reply));
    bytes
}

// ---- at rest ----

/// Where a message of no other log comes from, for its row.
const NOWHERE: Origin = Origin { partition: Partition::SHARED, position: Position::START };

/// A message as its row in a waiting list holds it.
pub(crate) fn message_to_row(message: &Message) -> Vec<u8> {
    let mut row = Vec::new();
    let mut put = |bytes: &[u8]| {
        put_number(&mut row, bytes.len() as u64);
        row.extend_from_slice(bytes);
    };
    put(message.path.as_bytes());
    put(message.selector.as_bytes());
    put(&message.arguments);
    put(message.kind.as_deref().unwrap_or_default().as_bytes());
    let (sort, sender, number, origin, nth) = match &message.from {
        From::Twin { path, number, wanted, origin, nth } => (u8::from(*wanted), &**path, *number, *origin, *nth),
        From::Reply { path, number, origin, nth } => (2, &**path, *number, *origin, *nth),
        From::Outside { name, number } => (3, &**name, *number, NOWHERE, 0),
        From::Timer { name, due_ns, .. } => (4, &**name, *due_ns as u64, NOWHERE, 0),
        From::Supervisor { origin } => (5, "", 0, *origin, 0),
        From::System => (6, "", 0, NOWHERE, 0),
        From::Program => (7, "", 0, NOWHERE, 0),
    };
    put(sender.as_bytes());
    row.push(sort);
    put_number(&mut row, number);
    if let From::Timer { life, .. } = message.from {
        put_number(&mut row, life);
    }
    put_number(&mut row, u64::from(origin.partition.0));
    row.extend_from_slice(&origin.position.to_bytes());
    put_number(&mut row, u64::from(nth));
    row.extend_from_slice(&message.sent_ns.to_le_bytes());
    put_number(&mut row, u64::from(message.attempts));
    row.push(u8::from(message.passed));
    row.extend(message.device_time_ns.map(i64::to_le_bytes).map_or(vec![0], |time| [&[1], &time[..]].concat()));
    row.extend(message.due_ns.map(i64::to_le_bytes).map_or(vec![0], |due| [&[1], &due[..]].concat()));
    row
}

/// The message that [`message_to_row`] wrote.
pub(crate) fn message_from_row(mut row: &[u8]) -> Option<Message> {
    let message = take_message(&mut row)?;
    row.is_empty().then_some(message)
}

/// The message that bytes start with, as [`message_to_row`] wrote it.
pub(crate) fn take_message(row: &mut &[u8]) -> Option<Message> {
    let path = text(row)?;
    let selector = text(row)?;
    let arguments = sized(row)?.to_vec();
    let kind = Some(text(row)?).filter(|kind| !kind.is_empty()).map(Name::from);
    let sender = Name::from(text(row)?);
    let sort = byte(row)?;
    let number = get_number(row)?;
    let life = if sort == 4 { get_number(row)? } else { 0 };
    let partition = Partition(get_number(row)?.try_into().ok()?);
    let (position, rest) = row.split_first_chunk()?;
    *row = rest;
    let origin = Origin { partition, position: Position::from_bytes(*position) };
    let nth = get_number(row)?.try_into().ok()?;
    let sent_ns = time(row)?;
    let attempts = get_number(row)?.try_into().ok()?;
    let passed = byte(row)? != 0;
    let device_time_ns = maybe_time(row)?;
    let due_ns = maybe_time(row)?;
    let from = match sort {
        0 | 1 => From::Twin { path: sender, number, wanted: sort == 1, origin, nth },
        2 => From::Reply { path: sender, number, origin, nth },
        3 => From::Outside { name: sender, number },
        4 => From::Timer { name: sender, due_ns: number as i64, life },
        5 => From::Supervisor { origin },
        6 => From::System,
        7 => From::Program,
        _ => return None,
    };
    let message = Message::named(path.into(), selector.into(), arguments, from);
    Some(Message { sent_ns, attempts, passed, device_time_ns, due_ns, kind, ..message })
}

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(first)
}

fn time(bytes: &mut &[u8]) -> Option<i64> {
    let (time, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(i64::from_le_bytes(*time))
}

fn maybe_time(bytes: &mut &[u8]) -> Option<Option<i64>> {
    match byte(bytes)? {
        0 => Some(None),
        1 => time(bytes).map(Some),
        _ => None,
    }
}

fn sized<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(get_number(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

pub(crate) fn text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(sized(bytes)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_waits_is_read_as_it_was_written() {
        let origin = Origin { partition: Partition(3), position: Position { block: 70_000, index: 5 } };
        let messages = [
            From::Twin { path: "a/b".into(), number: 1 << 40, wanted: true, origin, nth: 2 },
            From::Twin { path: "a".into(), number: 0, wanted: false, origin, nth: 0 },
            From::Reply { path: "c".into(), number: 7, origin, nth: 300 },
            From::Outside { name: "readings.csv".into(), number: 500 },
            From::Timer { name: "tick".into(), due_ns: -7, life: 300 },
            From::Supervisor { origin },
            From::System,
            From::Program,
        ]
        .map(|from| Message { sent_ns: -5, ..Message::new("tank-1/pump", "fill:with:", vec![1, 2, 3], from) });
        let tried = messages.clone().map(|message| Message {
            attempts: 3,
            passed: true,
            device_time_ns: Some(-9),
            due_ns: Some(1 << 60),
            ..message
        });
        for message in messages.into_iter().chain(tried) {
            let row = message_to_row(&message);
            assert_eq!(format!("{:?}", message_from_row(&row)), format!("{:?}", Some(&message)));
            for length in 0..row.len() {
                assert!(message_from_row(&row[..length]).is_none());
            }
            let timed = Message { device_time_ns: Some(i64::MAX), kind: Some("Tank".into()), ..message };
            assert_eq!(format!("{:?}", message_from_row(&message_to_row(&timed))), format!("{:?}", Some(&timed)));
        }
    }
}
