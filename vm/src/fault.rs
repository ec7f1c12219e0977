//! Why a turn stopped, and where.

/// The kernel's exceptions that the VM itself signals.
macro_rules! exceptions {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An exception of the kernel that the VM signals.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ExceptionKind {
            $($(#[$doc])* $name,)*
        }

        impl ExceptionKind {
            /// Each of them.
            pub const ALL: &[ExceptionKind] = &[$(ExceptionKind::$name,)*];

            /// The name of the kernel's prototype.
            pub const fn name(self) -> &'static str {
                match self { $(ExceptionKind::$name => stringify!($name),)* }
            }
        }
    };
}

exceptions! {
    /// Whatever has no exception of its own.
    Error,
    /// Division by zero.
    ZeroDivide,
    /// An argument of the wrong kind.
    ArgumentError,
    /// An index outside a collection.
    IndexError,
    /// Arithmetic without an answer: the logarithm of a negative number.
    ArithmeticError,
    /// A message that the receiver does not understand.
    MessageNotUnderstood,
    /// A method that is a primitive which this VM does not have.
    PrimitiveMissing,
    /// A method that is private, sent from outside.
    PrivateMethod,
    /// A condition that is neither true nor false.
    NonBoolean,
    /// A write to something immutable.
    Immutable,
    /// A write, or a send of a method that is no query, inside a query.
    QueryWrites,
    /// A plain send to another composite of a method that is no query.
    FarSend,
    /// A value that cannot be kept in a slot or cross to another composite.
    NotStorable,
    /// A message to a twin that is not there.
    NoSuchTwin,
    /// A message that is no query, to a twin that takes none until it is released.
    Quarantined,
    /// A path that is not one, or is taken.
    PathError,
    /// A program variable, or a slot behind the dashes, touched in a turn.
    ProgramOnly,
    /// A `^` or a handler's answer to a method that has ended.
    BlockContextGone,
    /// A slot's value against its type or range.
    SlotType,
    /// An invariant that does not hold at commit.
    InvariantBroken,
}

/// Why a run ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the exception, or of the limit: `OutOfFuel`, `OutOfMemory`, `StackDepth`,
    /// `RecordTooLarge`.
    pub kind: String,
    /// What is wrong, in a sentence.
    pub text: String,
    /// Where, innermost first.
    pub trace: Vec<TraceLine>,
}

/// One frame of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// `Prototype>>at: 3 put: 'x'`, the message as it was sent, or `main` for the statements of a program; for a block with
    /// ` block` and its arguments behind the selector.
    pub method: String,
    /// The path of the twin, if the receiver is one; of another receiver a short text, unless the method says all of it.
    pub twin: Option<String>,
    /// `file:line:column`, unless the image was stripped.
    pub place: Option<String>,
}

impl Fault {
    /// The trace, a line a frame, as records keep it.
    pub fn trace_text(&self) -> String {
        let mut text = String::new();
        for line in &self.trace {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line.to_string());
        }
        text
    }

    /// What [`Fault::trace_text`] wrote; each line is kept as it stands.
    pub fn trace_from_text(text: &str) -> Vec<TraceLine> {
        text.lines().map(|line| TraceLine { method: line.to_owned(), twin: None, place: None }).collect()
    }
}

impl std::fmt::Display for TraceLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.method)?;
        if let Some(twin) = &self.twin {
            write!(f, " of {twin}")?;
        }
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)?;
        self.trace.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Fault {}
