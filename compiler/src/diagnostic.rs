//! What the compiler has to say about a source text: codes, spans, help. Data, not rendered text.
//!
//! Codes are stable: tools and `spec/language.md` name them. `cli/` renders.

use crate::ast::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The program means something, but likely not what was meant.
    Warning,
    /// There is no image.
    Error,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $title:literal, $severity:ident;)*) => {
        /// Every diagnostic there is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// Each of them.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Code::$name => Severity::$severity,)* }
            }

            /// What it says of the source, as `spec/language.md` has it.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc, "\n"),*),)* }
            }
        }
    };
}

codes! {
    /// The text ends or goes on where the grammar wants something else.
    Syntax = "syntax", Error;
    /// A character that starts no token.
    UnknownCharacter = "unknown-character", Error;
    /// A string, comment or quoted symbol without its closing quote.
    Unterminated = "unterminated", Error;
    /// A bracket without its partner.
    UnbalancedBracket = "unbalanced-bracket", Error;
    /// A number that is none: a radix outside 2 to 36, a digit outside the radix, a byte past 255, a float past the largest.
    MalformedNumber = "malformed-number", Error;
    /// Brackets or literal arrays nested deeper than the limit.
    TooDeep = "too-deep", Error;
    /// An image has limits: registers of a method, arguments, literals, the length of a jump.
    TooLarge = "too-large", Error;
    /// A name that nothing in sight has.
    UnknownName = "unknown-name", Error;
    /// A capitalised name found nowhere: at run time it is the send `unknownGlobal:`.
    UnknownGlobal = "unknown-global", Warning;
    /// A parent or trait found nowhere.
    UnknownPrototype = "unknown-prototype", Error;
    /// A parent that is a trait, or a trait that is none; a twin whose parent is an object.
    WrongParent = "wrong-parent", Error;
    /// A definition that is its own ancestor.
    CyclicParent = "cyclic-parent", Error;
    /// Two definitions of one name.
    DuplicateDefinition = "duplicate-definition", Error;
    /// Two slots of one name in a definition, its ancestors and traits.
    DuplicateSlot = "duplicate-slot", Error;
    /// Two methods of one selector on one side of a definition.
    DuplicateMethod = "duplicate-method", Error;
    /// Two timers, invariants, events, versions or migrations of one name, or two `supervise`.
    DuplicateMember = "duplicate-member", Error;
    /// Two parameters or temporaries of one name in one method or block.
    DuplicateVariable = "duplicate-variable", Error;
    /// A temporary or parameter that hides another variable or a slot.
    Shadows = "shadows", Warning;
    /// An assignment to a constant, parameter, prototype, `self` or the like.
    NotAssignable = "not-assignable", Error;
    /// A constant whose value can change.
    MutableConstant = "mutable-constant", Error;
    /// A `query` that assigns a slot or a program variable, emits an event, or sends `!`.
    QueryWrites = "query-writes", Error;
    /// An annotation that is not understood: two types, `min:` without a number, a unit twice.
    WrongAnnotation = "wrong-annotation", Error;
    /// A unit that nobody knows: it is kept for tools, and no quantity is converted to it.
    UnknownUnit = "unknown-unit", Warning;
    /// A slot's first value against its own annotation.
    WrongInitialValue = "wrong-initial-value", Error;
    /// `----` in a `twin` or `trait`, slots in an `extend`, a timer outside a `twin`.
    WrongPlace = "wrong-place", Error;
    /// `version` and `migrate` that do not fit: a migration from the present version or a later one.
    WrongVersion = "wrong-version", Error;
    /// A `supervise` that is not understood: an unknown word, a number without its unit, a word twice.
    WrongSupervision = "wrong-supervision", Error;
    /// `super` other than as receiver of a message.
    SuperAlone = "super-alone", Error;
    /// `event` that is emitted with `emit:` but not declared, or with another number of values.
    UndeclaredEvent = "undeclared-event", Warning;
    /// A temporary that is never read.
    UnusedTemporary = "unused-temporary", Warning;
    /// A statement behind `^`.
    Unreachable = "unreachable", Warning;
    /// A comparison or literal whose value is not used.
    UselessStatement = "useless-statement", Warning;
    /// A file that imports itself, by way of others or not.
    ImportCycle = "import-cycle", Error;
    /// A file that cannot be read.
    ImportMissing = "import-missing", Error;
}

/// Something the compiler has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What.
    pub code: Code,
    /// In which of the files that were compiled together.
    pub file: u16,
    /// Where.
    pub span: Span,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// Other places that matter, each with what it is: "first defined here".
    pub labels: Vec<Label>,
    /// The likely cure.
    pub help: Option<String>,
}

/// Another place that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// In which file.
    pub file: u16,
    /// Where.
    pub span: Span,
    /// What it is.
    pub text: String,
}

impl Diagnostic {
    /// A diagnostic without labels and help.
    pub fn new(code: Code, file: u16, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, file, span, message: message.into(), labels: Vec::new(), help: None }
    }

    /// With another place in the same file.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { file: self.file, span, text: text.into() });
        self
    }

    /// With another place in any file.
    pub fn label_in(mut self, file: u16, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { file, span, text: text.into() });
        self
    }

    /// With the likely cure.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// Whether there can be no image.
    pub fn is_error(&self) -> bool {
        self.code.severity() == Severity::Error
    }
}
