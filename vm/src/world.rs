//! The one trait through which a run sees the rest.
//!
//! A turn is a function of its message, its state and what it asked the world. It asks for three things: the
//! twins of its own composite, what parts there are, and what twins of other composites
//! answer to queries. Each is `Here`, or `NotYet`: then the turn ends as
//! [`Outcome::Needs`](crate::turn::Outcome), leaves nothing, and runs again from its start once the
//! answer is known.
//!
//! A program stands outside all composites and may wait: what only programs ask for is answered at
//! once ([`ProgramWorld`]).

use crate::fault::Fault;
use crate::link::earlier::Program;
use crate::vm::Vm;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Known now.
    Here(T),
    /// Not known yet: the turn is to run again later.
    NotYet,
}

/// A query to a twin of another composite.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FarQuery {
    /// Whom it asks.
    pub path: String,
    /// The prototype that the reference says the twin has.
    pub kind: Option<String>,
    /// What it asks.
    pub selector: String,
    /// With which arguments, as [`Vm`] writes them.
    pub arguments: Vec<u8>,
}

/// What a far query was answered: kept in the record, so that the turn can run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarAnswer {
    /// The composite that answered.
    pub composite: String,
    /// How many turns it had committed when it answered.
    pub turn: u64,
    /// The value, or why there is none.
    pub reply: Result<Vec<u8>, Fault>,
}

/// What a turn or query sees of the rest.
pub trait World {
    /// The twin at `path`, of the composite of this turn, at rest as it was last committed; `None` if there is none.
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>>;

    /// A piece of that twin, which is kept on its own: object `number`, a part of a long collection; or a promise that waits, its
    /// number and [`PROMISE_PIECE`](crate::PROMISE_PIECE). `None` if there is none. What a twin is made of is asked for when
    /// the turn touches it.
    fn piece(&mut self, path: &str, number: u64) -> Answer<Option<&[u8]>>;

    /// Whether the twin at `path`, of the composite of this turn, takes nothing but queries until it is released.
    fn is_quarantined(&mut self, _path: &str) -> bool {
        false
    }

    /// The paths of all committed twins below `path`, of the composite of this turn, sorted.
    fn parts(&mut self, path: &str) -> Answer<Vec<String>>;

    /// The program that records call `hash`, which the store ran before: its kernel and its definitions, verified. `None`
    /// if the store does not have it.
    fn program(&mut self, _hash: &[u8; 32]) -> Answer<Option<Program>> {
        Answer::Here(None)
    }

    /// What a twin of another composite answers, as of its last committed turn. `vm` rests meanwhile and
    /// may be used to run the query.
    fn far_query(&mut self, vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer>;
}

/// What a program asks of the machine that it runs on. Texts are UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The next line of standard input, without its end: [`Given::Text`], or at the end of the input [`Given::Nothing`].
    ReadLine,
    /// What is left of standard input: [`Given::Text`].
    ReadRest,
    /// Shows this on standard error.
    ShowError(String),
    /// The whole file at this path: [`Given::Text`].
    ReadFile(String),
    /// Puts the text in the place of what the file held; makes the file.
    WriteFile {
        /// The file.
        path: String,
        /// All that it is to hold.
        text: String,
    },
    /// Writes the text behind what the file holds; makes the file.
    AppendFile {
        /// The file.
        path: String,
        /// What follows.
        text: String,
    },
    /// What is at this path: [`Given::Text`] of `file`, `folder` or `other`, or [`Given::Nothing`].
    FileKind(String),
    /// Removes the file, or the folder with nothing in it.
    DeleteFile(String),
    /// The names in the folder at this path, sorted: [`Given::Names`].
    ListFolder(String),
    /// How the process is to end if nothing goes wrong.
    SetExitCode(u8),
}

impl Request {
    /// Why a program has nothing of the machine where nobody provides it.
    pub const REFUSED: &'static str = "this program was given no files and no standard input by what runs it";
}

/// What the machine answers to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// There is none, or it is done: nil.
    Nothing,
    /// A string.
    Text(String),
    /// An array of strings.
    Names(Vec<String>),
}

/// What a program sees of the rest. `vm` rests during each call and may be used to run turns.
///
/// All but printing is refused unless it is provided: a program that is only computed has no twins.
pub trait ProgramWorld {
    /// Shows what the program prints, as it stands.
    fn print(&mut self, text: &str);

    /// One turn of the twin at `path`, said to be of the prototype `kind`: the reply, once everything due before it
    /// is done too.
    ///
    /// # Errors
    /// The fault that undid the turn.
    fn turn(
        &mut self,
        _vm: &mut Vm,
        path: &str,
        _kind: Option<&str>,
        _selector: &str,
        _arguments: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        Err(no_twins(path))
    }

    /// A far send to the twin at `path`, said to be of the prototype `kind`: answers the number of its promise.
    ///
    /// # Errors
    /// When the message cannot be taken.
    fn far_send(
        &mut self,
        _vm: &mut Vm,
        path: &str,
        _kind: Option<&str>,
        _selector: &str,
        _arguments: &[u8],
    ) -> Result<u64, Fault> {
        Err(no_twins(path))
    }

    /// Waits for the reply to a far send of this program.
    ///
    /// # Errors
    /// The fault that undid the turn.
    fn wait(&mut self, _vm: &mut Vm, _promise: u64) -> Result<Vec<u8>, Fault> {
        Err(no_twins("a promise"))
    }

    /// Handles every message that is due: the program has ended, and blocks of it wait for replies.
    ///
    /// # Errors
    /// What keeps the messages from being handled.
    fn settle(&mut self, _vm: &mut Vm) -> Result<(), Fault> {
        Ok(())
    }

    /// Whether the reply to a far send of this program is there.
    fn is_resolved(&mut self, _promise: u64) -> bool {
        false
    }

    /// Lets the clock move on by `duration_ns`, with every timer due on the way.
    ///
    /// # Errors
    /// Where the clock is not the program's to move.
    fn advance_clock(&mut self, _vm: &mut Vm, _duration_ns: i64) -> Result<(), Fault> {
        Err(no_twins("a clock"))
    }

    /// The time, in nanoseconds since 1970 UTC.
    fn now_ns(&mut self) -> i64 {
        0
    }

    /// What the program was started with.
    fn arguments(&self) -> &[String] {
        &[]
    }

    /// What the machine answers. Whoever embeds the VM decides what a program may do.
    ///
    /// # Errors
    /// Why not, in a sentence: the text of a `FileError`.
    fn machine(&mut self, _request: &Request) -> Result<Given, String> {
        Err(Request::REFUSED.to_owned())
    }

    /// What the records say that come after the first `from`, with all that was due done before: arguments, as the codec writes
    /// them, of which there is one, an array. It has the number of all records first, and then an array for each of those: the message; the fault or nil; the events; the far
    /// sends; the twins that it changed. All are strings or arrays of them.
    ///
    /// # Errors
    /// The store refuses.
    fn records(&mut self, _vm: &mut Vm, _from: u64) -> Result<Vec<u8>, Fault> {
        Err(no_twins("a log"))
    }
}

fn no_twins(what: &str) -> Fault {
    let text = format!("there are no twins here, so there is no {what}");
    Fault { kind: "NoSuchTwin".to_owned(), text, trace: Vec::new() }
}

/// A world for tests and for values that are only computed: it keeps what was printed.
impl ProgramWorld for String {
    fn print(&mut self, text: &str) {
        self.push_str(text);
    }
}
