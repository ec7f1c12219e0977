//! Messages on their way to a turn: who sent them, what they ask, and how records keep both.

use twintalk_store::record::{self, Cause, Origin, Sender};
use twintalk_vm::codec::{read_symbol_argument, read_timer_arguments, symbol_argument};
use twintalk_vm::turn::{Action, CLONE, ENSURE, MAKE};
use twintalk_vm::{FarAnswer, Fault};

/// The selector under which a due timer is recorded; its argument is the timer's name.
pub(crate) const TIMER: &str = "<timer:>";
/// The selector under which a timer whose turn failed is set again; its argument is the timer's name.
pub(crate) const REARM: &str = "<rearm:>";
/// The path under which the runtime itself keeps records; no twin can have it.
pub(crate) const SYSTEM_PATH: &str = "-";
/// The selector of the record of a program that was installed; its arguments are the program and its shapes.
pub(crate) const PROGRAM: &str = "<program>";

/// A message that waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub path: String,
    pub selector: String,
    pub arguments: Vec<u8>,
    pub from: From,
    /// What the device says about when it was.
    pub device_time_ns: Option<i64>,
    /// Who waits for the reply.
    pub ticket: Option<u64>,
    /// The prototype that the sender takes the twin to have.
    pub kind: Option<String>,
    /// A program's far send: a turn in any case, and a failure nobody waits for is reported.
    pub far: bool,
}

impl Message {
    /// The message that makes a missing twin for an outside sender.
    pub fn make(path: &str, prototype: &str) -> Message {
        Message {
            path: path.to_owned(),
            selector: ENSURE.to_owned(),
            arguments: symbol_argument(prototype),
            from: From::System,
            device_time_ns: None,
            ticket: None,
            kind: None,
            far: false,
        }
    }
}

/// Who sent a message.
#[derive(Clone, Debug)]
pub(crate) enum From {
    Program,
    Outside { name: String, number: u64 },
    Twin { path: String, number: u64, origin: Origin, nth: u32 },
    Timer { name: String, due_ns: i64 },
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
        TIMER => read_timer_arguments(arguments).map(|(name, due_ns)| Action::Timer { name, due_ns }),
        REARM => read_symbol_argument(arguments).map(|name| Action::Rearm { name }),
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
        From::Timer { name, .. } => Cause::of(Sender::Timer(name), 0),
        From::System => Cause::of(Sender::System, 0),
    }
}

/// The report of a message whose turn failed.
pub(crate) fn report(message: &Message, fault: &Fault) -> FaultReport {
    let (sender, number) = match &message.from {
        From::Program => ("<program>".to_owned(), None),
        From::Outside { name, number } => (name.clone(), Some(*number)),
        From::Twin { path, .. } => (path.clone(), None),
        From::Timer { name, .. } => (format!("<timer {name}>"), None),
        From::System => ("<system>".to_owned(), None),
    };
    FaultReport { path: message.path.clone(), selector: message.selector.clone(), sender, number, fault: fault.clone() }
}

/// What a far query answered, as it stands in a record: a byte 0 and the value, or a byte 1, the kind of the
/// fault, a zero byte and its text.
pub(crate) fn encode_answer(answer: &FarAnswer) -> Vec<u8> {
    match &answer.reply {
        Ok(value) => [&[0], &value[..]].concat(),
        Err(fault) => [&[1], fault.kind.as_bytes(), &[0], fault.text.as_bytes()].concat(),
    }
}

/// The answer that [`encode_answer`] wrote.
pub(crate) fn decode_answer(answer: &record::Answer<'_>) -> Option<FarAnswer> {
    let (&first, rest) = answer.bytes.split_first()?;
    let reply = if first == 0 {
        Ok(rest.to_vec())
    } else {
        let end = rest.iter().position(|&byte| byte == 0)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Err(Fault { kind: text(&rest[..end])?, text: text(&rest[end + 1..])?, trace: Vec::new() })
    };
    Some(FarAnswer { composite: answer.composite.to_owned(), turn: answer.turn, reply })
}
