//! A record: what one turn leaves in the log.
//!
//! A record says what came in and why, which twins it changed, and what went out. Names (programs,
//! prototypes, selectors, paths, principals) stand in tables of the block and are numbers here;
//! fields that are absent cost one bit of a mask. The head (envelope, cause, selector, twins with
//! their back chain) comes first and the body (arguments, answers, effects, outcome) after it, so
//! that a body can be sealed under a key while the chains through the log stay readable.
//!
//! Values are bytes here: `store` gives them no meaning. `spec/record.md` has every byte.
//!
//! Invariants, in both directions:
//! - there is one way to write a record, and decoding is total: any bytes give a record or an
//!   error, and memory grows with the bytes read, not with the counts they claim;
//! - the first twin is the receiver; all twins are of its composite; a back chain leads back;
//! - a failed turn has no effects.

use std::fmt;
use std::ops::Deref;

use crate::{Partition, Position};

/// The longest record, with the names it brings into its block.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// The longest path of a twin.
pub const PATH_BYTES_MAX: usize = 512;
/// The longest name of a prototype, selector, timer, principal or sender.
pub const NAME_BYTES_MAX: usize = 65_535;
/// The longest correlation id.
pub const CORRELATION_BYTES_MAX: usize = 255;

/// The content hash of a program.
pub type ProgramHash = [u8; 32];

/// Items that are borrowed when a record is written, and owned when it was read.
#[derive(Clone)]
pub enum List<'a, T> {
    /// Somebody else's.
    Borrowed(&'a [T]),
    /// Its own.
    Owned(Vec<T>),
}

impl<T> Deref for List<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            List::Borrowed(items) => items,
            List::Owned(items) => items,
        }
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        List::Borrowed(&[])
    }
}

impl<T> From<Vec<T>> for List<'_, T> {
    fn from(items: Vec<T>) -> Self {
        List::Owned(items)
    }
}

impl<'a, T> From<&'a [T]> for List<'a, T> {
    fn from(items: &'a [T]) -> Self {
        List::Borrowed(items)
    }
}

impl<T: PartialEq> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for List<'_, T> {}

impl<T: fmt::Debug> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What one turn leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which turn it was, and when.
    pub envelope: Envelope<'a>,
    /// Why it ran.
    pub cause: Cause<'a>,
    /// What came in.
    pub input: Input<'a>,
    /// The receiver first, then every other twin that changed, each once.
    pub twins: List<'a, TwinEffect<'a>>,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

impl<'a> Record<'a> {
    /// The twin that the message was sent to.
    ///
    /// # Panics
    /// When `twins` is empty, which no record that was read is.
    pub fn receiver(&self) -> &TwinEffect<'a> {
        &self.twins[0]
    }

    /// The composite whose turn it was: the first segment of the receiver's path.
    pub fn composite(&self) -> &'a str {
        composite_of(self.receiver().path)
    }
}

/// The first segment of a path.
pub fn composite_of(path: &str) -> &str {
    // Paths are short: a search in strides takes longer to begin than this to end.
    path.bytes().position(|byte| byte == b'/').map_or(path, |end| &path[..end])
}

/// Which turn a record tells of. The composite is that of the first twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The life of the composite, from 1.
    pub life: u64,
    /// The number of the turn in its composite; without gaps.
    pub turn: u64,
    /// The time of the turn, in nanoseconds since 1970; never goes back within a partition.
    pub time_ns: i64,
    /// The time that the turn saw, if that is before `time_ns`: it waited for answers while others went on.
    pub began_ns: Option<i64>,
    /// The device's own time, if it gave one.
    pub device_time_ns: Option<i64>,
    /// The program that ran.
    pub program: &'a ProgramHash,
    /// What else is to be said of the turn.
    pub flags: Flags,
}

/// Bits of an envelope; unknown ones are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// An earlier attempt at the same message failed.
    pub const RETRIED: Flags = Flags(1);
    /// A twin was brought to the version of the program in this turn.
    pub const MIGRATED: Flags = Flags(2);
    /// The sender waits for the reply, or for the fault in its place.
    pub const REPLIES: Flags = Flags(4);
    /// It failed, and the message is tried again.
    pub const RETRIES: Flags = Flags(8);
    /// It failed, and the message is a dead letter.
    pub const DEAD: Flags = Flags(16);
    /// It failed, and the twin above is told.
    pub const ESCALATES: Flags = Flags(32);
    /// The message waited for its twin to be released; later ones of its sender may have passed it.
    pub const PASSED: Flags = Flags(64);
    pub(crate) const KNOWN: u8 = 127;

    /// These and those of `other`.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Why a turn ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause<'a> {
    /// Who sent the message.
    pub sender: Sender<'a>,
    /// The sender's number of this message: with the sender, the identity of the message. For a
    /// far send the number of [`FarSend`], for a reply the number of the promise; 0: none.
    pub number: u64,
    /// The record that the message came from.
    pub origin: Option<Origin>,
    /// What ties the messages of one affair together, given from outside.
    pub correlation: Option<&'a [u8]>,
    /// On whose behalf.
    pub principal: Option<&'a str>,
    /// The span of a distributed trace.
    pub trace_parent: Option<TraceParent>,
}

impl Cause<'_> {
    /// A message of `sender` with `number`, and nothing else known.
    pub const fn of(sender: Sender<'_>, number: u64) -> Cause<'_> {
        Cause { sender, number, origin: None, correlation: None, principal: None, trace_parent: None }
    }
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender<'a> {
    /// The program that `twintalk run` runs.
    Program,
    /// Someone outside, by name: a feed, a connection.
    Outside(&'a str),
    /// A twin, by its path, with a far send.
    Twin(&'a str),
    /// A twin, by its path, that replies to a promise of the receiver.
    Reply(&'a str),
    /// A timer of the receiver, by its name.
    Timer(&'a str),
    /// The runtime itself: supervision, an upgrade.
    System,
}

/// A position in the log of any partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Whose log.
    pub partition: Partition,
    /// Where in it.
    pub position: Position,
}

/// A W3C `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: [u8; 16],
    /// The span that the turn belongs to.
    pub span: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

/// What came in. The receiver is the first twin of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// The selector of the message.
    pub selector: &'a str,
    /// Its arguments, encoded together; empty: none.
    pub arguments: &'a [u8],
    /// What far queries of the turn answered, in the order of asking.
    pub answers: List<'a, Answer<'a>>,
    /// What random numbers of the turn start from, if it took any.
    pub seed: Option<u64>,
}

/// What a far query answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The composite that answered.
    pub composite: &'a str,
    /// The last turn it had committed.
    pub turn: u64,
    /// The encoded answer.
    pub bytes: &'a [u8],
}

/// What a turn did to one twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwinEffect<'a> {
    /// The twin.
    pub path: &'a str,
    /// Its life, from 1.
    pub life: u64,
    /// The previous record that lists this twin: the back chain.
    pub previous: Option<Position>,
    /// What became of it.
    pub kind: TwinChange,
    /// Its prototype, where that is new or has changed.
    pub prototype: Option<&'a str>,
    /// The encoded changes of its state; empty: none.
    pub bytes: &'a [u8],
}

/// What became of a twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwinChange {
    /// It was only the receiver.
    Touched,
    /// Its state changed.
    Changed,
    /// It was made.
    Created,
    /// It was removed.
    Removed,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is done.
    Committed(Effects<'a>),
    /// It is undone, and this is why.
    Failed(Failure<'a>),
}

/// What went out of a turn, beside the changes of twins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects<'a> {
    /// The encoded reply, if somebody may ask for it (again).
    pub reply: Option<&'a [u8]>,
    /// Far sends.
    pub sends: List<'a, FarSend<'a>>,
    /// Events for whoever has subscribed.
    pub events: List<'a, Event<'a>>,
    /// What the turn printed.
    pub output: &'a str,
    /// Timers set and cancelled.
    pub timers: List<'a, Timer<'a>>,
}

/// A message to another composite (or to the own, in a later turn).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarSend<'a> {
    /// The sender's number of the message.
    pub number: u64,
    /// The twin that sent it.
    pub sender: &'a str,
    /// The twin that it goes to.
    pub receiver: &'a str,
    /// The selector.
    pub selector: &'a str,
    /// The encoded arguments; empty: none.
    pub arguments: &'a [u8],
    /// The promise that waits for the reply.
    pub promise: Option<u64>,
    /// The prototype that the sender takes the receiver to have.
    pub kind: Option<&'a str>,
}

/// An event that a twin emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The twin.
    pub twin: &'a str,
    /// The event's name.
    pub selector: &'a str,
    /// The encoded arguments; empty: none.
    pub arguments: &'a [u8],
}

/// A timer set or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer<'a> {
    /// The twin whose timer it is.
    pub twin: &'a str,
    /// The timer's name.
    pub name: &'a str,
    /// When it fires next, in nanoseconds since 1970; `None`: cancelled.
    pub due_ns: Option<i64>,
    /// What it sends then, where it was set by a turn and not by a definition; of no account to the store. Empty else.
    pub errand: &'a [u8],
}

/// Why a turn failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The kind of fault: the name of an exception.
    pub kind: &'a str,
    /// What it says.
    pub text: &'a str,
    /// Where, one send a line.
    pub trace: &'a str,
}

/// Why bytes are no record, or no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They end too early.
    Truncated,
    /// They are not what any writer writes.
    Malformed(&'static str),
    /// The checksum is not that of the bytes: they changed after they were written.
    Checksum,
    /// A well-formed block of a format that this build does not read.
    Version {
        /// The format of the block.
        found: u16,
    },
    /// The body is sealed under a key, and this build cannot open it.
    Sealed {
        /// The number of the key.
        key: u64,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Truncated => f.write_str("the bytes end too early"),
            RecordError::Malformed(what) => f.write_str(what),
            RecordError::Checksum => f.write_str("the checksum does not match: bytes changed after they were written"),
            RecordError::Version { found } => write!(f, "format version {found}"),
            RecordError::Sealed { key } => {
                write!(f, "the body is sealed under key {key}, and this version of TwinTalk opens no sealed bodies")
            }
        }
    }
}

impl std::error::Error for RecordError {}

/// Why a record cannot be written. Nothing of it is in the block then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It is longer than [`RECORD_BYTES_MAX`]: the turn asked too much, and is a fault.
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// A name is empty or longer than its limit: the turn's fault as well.
    Name {
        /// How many bytes it has.
        bytes: usize,
        /// How many it may have.
        bytes_max: usize,
    },
    /// It breaks a rule of records: a defect of the runtime.
    Rule(&'static str),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::TooLong { bytes } => {
                write!(f, "a record of {bytes} bytes is longer than {RECORD_BYTES_MAX}")
            }
            EncodeError::Name { bytes: 0, .. } => f.write_str("a name is empty"),
            EncodeError::Name { bytes, bytes_max } => write!(f, "a name of {bytes} bytes is longer than {bytes_max}"),
            EncodeError::Rule(rule) => write!(f, "a record breaks the rule: {rule}"),
        }
    }
}

impl std::error::Error for EncodeError {}
