//! The verifier: what every image must satisfy before anything of it is linked or run.
//!
//! It trusts nothing. Names and tables are checked first, then each method by itself: its shape
//! (every word decodes, operands point into their tables, jumps land on instructions), then what
//! its registers hold, by one pass over each code in the order of its words.
//!
//! **The pass.** All jumps but `jump_back` go forward, so when the pass reaches an instruction,
//! every state that can arrive there from before is known: they are intersected. At the head of a
//! loop, registers that something within the loop leaves unassigned or of another kind are
//! forgotten beforehand; at each `jump_back` the state must have all that the head was taken to
//! have. So one pass is enough, the cost is linear, and the result is sound whatever the guess at
//! the head was. Code that nothing reaches is checked for its shape alone.
//!
//! **Kinds.** A register is unassigned or holds a value or a cell. A cell is no object: it must
//! never be seen by the program, and nothing else may be taken for one. A value may further be
//! known to be `self`, which is what `send_super` and sends to private methods need.
//!
//! `tables.rs` looks at the tables, `code.rs` at shapes, `states.rs` makes the pass. The rules are listed once, in [`Rule`]; `spec/bytecode.md` repeats them.

mod code;
mod effect;
mod operands;
mod registers;
mod states;
mod tables;

use std::fmt;

use crate::image::*;
use code::CodeVerifier;
pub use effect::uses_self;
use tables::{Owners, check_prototypes, check_tables};

/// How many registers a window has at most.
pub const REGISTERS_MAX: usize = 256;
/// How many words a code has at most: what a jump of 24 bits spans.
pub const CODE_WORDS_MAX: usize = 1 << 23;
/// How many rows a table has at most that operands of 16 bits point into.
pub const TABLE_ROWS_MAX: usize = 1 << 16;
/// How many digits behind the point a literal has at most.
pub const SCALE_MAX: u32 = 1000;
/// How often a message is tried again at most.
pub const RETRIES_MAX: u32 = 1000;

macro_rules! rules {
    ($($(#[doc = $doc:literal])* $name:ident = $title:literal;)*) => {
        /// The rules, each with the meaning that `spec/bytecode.md` gives it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[doc = $doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            /// The stable name of the rule.
            pub const fn name(self) -> &'static str {
                match self { $(Rule::$name => $title,)* }
            }

            /// What the rule asks for.
            pub const fn meaning(self) -> &'static str {
                match self { $(Rule::$name => concat!($($doc, "\n"),*),)* }
            }
        }
    };
}

rules! {
    /// No table has more rows than its operands can point at (65,536), no code more than 2^23 words.
    Size = "size";
    /// Every name number is below the number of names.
    NameRange = "name-range";
    /// No name stands twice in the table of names, no name twice among globals or variables.
    NameTwice = "name-twice";
    /// Line starts begin with 0 and ascend; positions name a file of the image, if it has any.
    Position = "position";
    /// Definitions have different names.
    PrototypeTwice = "prototype-twice";
    /// A parent or trait that the image defines stands before the definition that names it.
    PrototypeOrder = "prototype-order";
    /// No slot has the name of another of the same prototype, or of an ancestor in the image.
    SlotTwice = "slot-twice";
    /// Every method number is below the number of methods.
    MethodRange = "method-range";
    /// A method is used in one place only.
    MethodTwice = "method-twice";
    /// In a list of methods, selectors are unique; so are the names of timers and of invariants.
    SelectorTwice = "selector-twice";
    /// Selectors are well formed: a word, operator characters, or words each followed by a colon.
    Selector = "selector";
    /// Methods, sites and `self` sends of arithmetic take as many arguments as their selector says,
    /// instructions that are sends have sites of their own selector, and what the system runs
    /// (initialisers, timers, durations, invariants, migrations, the main method) takes none.
    ArgumentCount = "argument-count";
    /// What the system runs is marked hidden and has codes; methods found by lookup are not hidden.
    Hidden = "hidden";
    /// Migrations ascend by version.
    MigrationOrder = "migration-order";
    /// Only twins and traits say how they are supervised: 1 to 1,000 retries, durations of 1 ns or more, the
    /// longest wait not below the first.
    Supervision = "supervision";
    /// Literal arrays nest at most 16 deep.
    LiteralDepth = "literal-depth";
    /// A large integer does not fit 64 bits and has no leading zero; the digits of a scaled decimal
    /// are decimal, with no leading zero, and at most 1,000 stand behind the point.
    LiteralForm = "literal-form";
    /// A method has a code; its first takes what the method takes and captures nothing.
    Codes = "codes";
    /// A window has at most 256 registers and room for `self`, arguments and captures.
    Window = "window";
    /// Every word belongs to an instruction, and bytes behind operands are zero.
    Decode = "decode";
    /// No code has an instruction that only linking makes.
    Linked = "linked";
    /// Every register operand, and every argument of a send or array, is inside the window.
    RegisterRange = "register-range";
    /// Literals, sites, slots, globals, variables and codes are rows of their tables.
    TableRange = "table-range";
    /// Jumps and fallbacks go forward to the first word of an instruction of the code.
    JumpTarget = "jump-target";
    /// `jump_back` goes back, or to itself, to the first word of an instruction.
    JumpBackTarget = "jump-back-target";
    /// Of two loops one is inside the other, or they are apart.
    LoopNesting = "loop-nesting";
    /// The last instruction is `answer`, `answer_self`, `answer_home` or `jump_back`.
    End = "end";
    /// A fused comparison is followed by the `jump_unless` of its `dst`, which nothing jumps to.
    Fused = "fused";
    /// `answer_home` stands in blocks only.
    AnswerHome = "answer-home";
    /// `make_block` makes codes of higher numbers, and each block code is made by one code.
    BlockNesting = "block-nesting";
    /// Captures are registers of the code that makes the block, assigned, and of the same kinds
    /// wherever it is made.
    Captures = "captures";
    /// `r0` is never written.
    SelfWritten = "self-written";
    /// A register that is read holds a value.
    Value = "value";
    /// A register that is used as a cell holds a cell.
    Cell = "cell";
    /// The receiver of `send_super`, and of a send to `self`, is known to be `self`.
    SelfReceiver = "self-receiver";
    /// At a `jump_back`, registers hold what they were taken to hold at the head of the loop, and
    /// something before the loop reaches its head.
    LoopState = "loop-state";
    /// Source maps ascend and point at first words of instructions.
    SourceMap = "source-map";
}

/// Where in an image a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a table of the image.
    Image,
    /// In the prototype with this name.
    Prototype(String),
    /// In an extension of the prototype with this name.
    Extension(String),
    /// In the method with this selector.
    Method {
        /// Its selector.
        selector: String,
        /// Its number in the image.
        method: usize,
        /// The number of the code, if the rule is one of codes.
        code: Option<usize>,
        /// The word, if the rule is one of instructions.
        word: Option<usize>,
    },
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The rule.
    pub rule: Rule,
    /// Where.
    pub place: Place,
    /// What was found.
    pub reason: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Image => write!(f, "image")?,
            Place::Prototype(name) => write!(f, "prototype {name}")?,
            Place::Extension(name) => write!(f, "extension of {name}")?,
            Place::Method { selector, method: _, code, word } => {
                write!(f, "method `{selector}`")?;
                if let Some(code) = code {
                    write!(f, ", code {code}")?;
                }
                if let Some(word) = word {
                    write!(f, ", word {word:04}")?;
                }
            }
        }
        write!(f, ": {} ({})", self.reason, self.rule.name())
    }
}

impl std::error::Error for VerifyError {}

/// A broken rule, its place not yet named.
type Broken = (Rule, String);

fn broken<T>(rule: Rule, reason: impl Into<String>) -> Result<T, Broken> {
    Err((rule, reason.into()))
}

/// How many arguments `selector` asks for; none if it is not well formed.
///
/// A word takes none, operator characters one, a keyword message one for each colon.
pub fn selector_arguments(selector: &str) -> Option<usize> {
    fn is_word(text: &str) -> bool {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_')
    }
    if let Some(words) = selector.strip_suffix(':') {
        return words.split(':').all(is_word).then(|| words.split(':').count());
    }
    if is_word(selector) {
        return Some(0);
    }
    let is_operator =
        |c: char| !(c.is_alphanumeric() || c.is_whitespace() || c.is_control() || "_:.;'\"$#()[]{}^".contains(c));
    (!selector.is_empty() && selector.chars().all(is_operator)).then_some(1)
}

/// Checks that `image` satisfies every [`Rule`]; what the VM may then rely on is in
/// `spec/bytecode.md`. Cost: linear in the image.
///
/// # Errors
/// The first broken rule that is found.
pub fn verify(image: &Image) -> Result<(), VerifyError> {
    let at_image = |(rule, reason)| VerifyError { rule, place: Place::Image, reason };
    check_tables(image).map_err(at_image)?;
    let arguments: Vec<_> = image.names.iter().map(|n| selector_arguments(n)).collect();
    let mut owners = Owners::new(image, &arguments);
    check_prototypes(&mut owners)?;
    for extension in &image.extensions {
        let place = || Place::Extension(name_of(image, extension.name));
        (|| {
            check_name(image, extension.name)?;
            owners.found_by_lookup(&extension.methods)?;
            owners.found_by_lookup(&extension.side_methods)
        })()
        .map_err(|(rule, reason)| VerifyError { rule, place: place(), reason })?;
    }
    if let Some(main) = image.main {
        owners.run_once(main).map_err(at_image)?;
    }
    let mut verifier = CodeVerifier::new(image, arguments);
    for (number, method) in image.methods.iter().enumerate() {
        verifier.check_method(method).map_err(|(rule, reason)| VerifyError {
            rule,
            place: Place::Method {
                selector: name_of(image, method.selector),
                method: number,
                code: verifier.code,
                word: verifier.word,
            },
            reason,
        })?;
    }
    Ok(())
}

fn name_of(image: &Image, id: NameId) -> String {
    match image.names.get(id.0 as usize) {
        Some(name) => name.clone(),
        None => format!("name {}", id.0),
    }
}

fn check_name(image: &Image, id: NameId) -> Result<&str, Broken> {
    match image.names.get(id.0 as usize) {
        Some(name) => Ok(name),
        None => broken(Rule::NameRange, format!("name {} of {}", id.0, image.names.len())),
    }
}

fn check_rows(what: &str, rows: usize) -> Result<(), Broken> {
    if rows > TABLE_ROWS_MAX {
        return broken(Rule::Size, format!("{rows} {what}"));
    }
    Ok(())
}

fn check_position(image: &Image, position: SourcePosition) -> Result<(), Broken> {
    if !image.files.is_empty() && usize::from(position.file) >= image.files.len() {
        return broken(Rule::Position, format!("file {} of {}", position.file, image.files.len()));
    }
    Ok(())
}
