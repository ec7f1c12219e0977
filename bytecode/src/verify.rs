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
//! The rules are listed once, in [`Rule`]; `spec/bytecode.md` repeats them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::codec;
use crate::file::LITERAL_DEPTH_MAX;
use crate::image::*;
use crate::op::Op;
use crate::operand::{self, CodeIndex, Fallback, Jump16, Jump24, Reg};

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
    let mut owners = Owners { image, selector_arguments: &arguments, used: vec![false; image.methods.len()] };
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

fn check_tables(image: &Image) -> Result<(), Broken> {
    let mut seen = HashSet::with_capacity(image.names.len());
    for name in &image.names {
        if !seen.insert(name.as_str()) {
            return broken(Rule::NameTwice, format!("the name `{name}` twice"));
        }
    }
    check_rows("files", image.files.len())?;
    for file in &image.files {
        let ascends = file.line_starts.is_sorted_by(|a, b| a < b);
        if file.line_starts.first() != Some(&0) || !ascends {
            return broken(Rule::Position, format!("the line starts of {}", file.name));
        }
    }
    for (what, table) in [("globals", &image.globals), ("variables", &image.variables)] {
        check_rows(what, table.len())?;
        let mut seen = HashSet::with_capacity(table.len());
        for id in table {
            let name = check_name(image, *id)?;
            if !seen.insert(*id) {
                return broken(Rule::NameTwice, format!("`{name}` twice among the {what}"));
            }
        }
    }
    Ok(())
}

/// Which methods have found their place.
struct Owners<'a> {
    image: &'a Image,
    selector_arguments: &'a [Option<usize>],
    used: Vec<bool>,
}

impl<'a> Owners<'a> {
    fn selector(&self, id: NameId) -> Result<usize, Broken> {
        let selector = check_name(self.image, id)?;
        match self.selector_arguments[id.0 as usize] {
            Some(count) => Ok(count),
            None => broken(Rule::Selector, format!("`{selector}` is no selector")),
        }
    }

    fn claim(&mut self, id: MethodId) -> Result<(&'a Method, &'a str), Broken> {
        let index = id.0 as usize;
        let Some(method) = self.image.methods.get(index) else {
            return broken(Rule::MethodRange, format!("method {index} of {}", self.image.methods.len()));
        };
        let selector = check_name(self.image, method.selector)?;
        if std::mem::replace(&mut self.used[index], true) {
            return broken(Rule::MethodTwice, format!("method {index} `{selector}` has two places"));
        }
        Ok((method, selector))
    }

    /// Methods that messages find.
    fn found_by_lookup(&mut self, methods: &[MethodId]) -> Result<(), Broken> {
        let mut seen = HashSet::with_capacity(methods.len());
        for id in methods {
            let (method, selector) = self.claim(*id)?;
            if !seen.insert(method.selector) {
                return broken(Rule::SelectorTwice, format!("two methods `{selector}`"));
            }
            let asked = self.selector(method.selector)?;
            if asked != usize::from(method.argument_count) {
                return broken(Rule::ArgumentCount, format!("`{selector}` takes {} arguments", method.argument_count));
            }
            if method.flags.hidden {
                return broken(Rule::Hidden, format!("`{selector}` is hidden"));
            }
        }
        Ok(())
    }

    /// A method that takes nothing and has codes.
    fn run_once(&mut self, id: MethodId) -> Result<&'a Method, Broken> {
        let (method, selector) = self.claim(id)?;
        if method.argument_count != 0 {
            return broken(Rule::ArgumentCount, format!("`{selector}` takes {} arguments", method.argument_count));
        }
        if method.body == Body::Primitive {
            return broken(Rule::Hidden, format!("`{selector}` is a primitive"));
        }
        Ok(method)
    }

    /// A method that only the system runs.
    fn hidden(&mut self, id: MethodId) -> Result<&'a Method, Broken> {
        let method = self.run_once(id)?;
        if !method.flags.hidden {
            let selector = check_name(self.image, method.selector)?;
            return broken(Rule::Hidden, format!("`{selector}` is not hidden"));
        }
        Ok(method)
    }

    fn behaviour(&mut self, behaviour: &Behaviour) -> Result<(), Broken> {
        for slot in &behaviour.slots {
            check_name(self.image, slot.name)?;
            if let Some(initialiser) = slot.initialiser {
                self.hidden(initialiser)?;
            }
            let annotation = &slot.annotation;
            if let Some(name) = annotation.type_name {
                check_name(self.image, name)?;
            }
            for literal in annotation.min.iter().chain(&annotation.max) {
                check_literal(self.image, literal, 0)?;
            }
        }
        self.found_by_lookup(&behaviour.methods)
    }

    fn prototype(&mut self, prototype: &Prototype) -> Result<(), Broken> {
        check_position(self.image, prototype.position)?;
        self.behaviour(&prototype.instance)?;
        self.behaviour(&prototype.side)?;
        for event in &prototype.events {
            self.selector(event.selector)?;
        }
        let mut seen = HashSet::new();
        for timer in &prototype.timers {
            let selector = self.hidden(timer.method)?.selector;
            self.hidden(timer.duration)?;
            if !seen.insert(selector) {
                let name = name_of(self.image, selector);
                return broken(Rule::SelectorTwice, format!("two timers `{name}`"));
            }
        }
        seen.clear();
        for invariant in &prototype.invariants {
            let selector = self.hidden(*invariant)?.selector;
            if !seen.insert(selector) {
                let name = name_of(self.image, selector);
                return broken(Rule::SelectorTwice, format!("two invariants `{name}`"));
            }
        }
        for migration in &prototype.migrations {
            self.hidden(migration.method)?;
        }
        if !prototype.migrations.is_sorted_by(|a, b| a.from < b.from) {
            return broken(Rule::MigrationOrder, "the migrations do not ascend");
        }
        check_supervision(prototype)
    }
}

fn check_supervision(prototype: &Prototype) -> Result<(), Broken> {
    let Some(supervision) = &prototype.supervision else { return Ok(()) };
    match prototype.kind {
        PrototypeKind::Twin | PrototypeKind::Trait => {}
        PrototypeKind::Object => return broken(Rule::Supervision, "an object is supervised"),
    }
    if let Some(Retry { count, after_ns, up_to_ns, within_ns }) = supervision.retry {
        if !(1..=RETRIES_MAX).contains(&count) {
            return broken(Rule::Supervision, format!("{count} retries"));
        }
        if after_ns < 1 || up_to_ns < after_ns || within_ns.is_some_and(|within_ns| within_ns < 1) {
            return broken(Rule::Supervision, "durations that no retry can have");
        }
    }
    Ok(())
}

fn check_prototypes(owners: &mut Owners<'_>) -> Result<(), VerifyError> {
    let image = owners.image;
    let fail = |prototype: &Prototype, (rule, reason): Broken| VerifyError {
        rule,
        place: Place::Prototype(name_of(image, prototype.name)),
        reason,
    };
    let mut defined = HashMap::with_capacity(image.prototypes.len());
    for (index, prototype) in image.prototypes.iter().enumerate() {
        (|| {
            let name = check_name(image, prototype.name)?;
            match defined.insert(prototype.name, index) {
                Some(_) => broken(Rule::PrototypeTwice, format!("`{name}` is defined twice")),
                None => Ok(()),
            }
        })()
        .map_err(|error| fail(prototype, error))?;
    }
    let mut children = vec![Vec::new(); image.prototypes.len()];
    let mut roots = Vec::new();
    for (index, prototype) in image.prototypes.iter().enumerate() {
        (|| {
            for ancestor in prototype.parent.iter().chain(&prototype.traits) {
                let name = check_name(image, *ancestor)?;
                if defined.get(ancestor).is_some_and(|at| *at >= index) {
                    return broken(Rule::PrototypeOrder, format!("`{name}` stands no earlier than what it is part of"));
                }
            }
            owners.prototype(prototype)
        })()
        .map_err(|error| fail(prototype, error))?;
        match prototype.parent.and_then(|parent| defined.get(&parent)) {
            Some(parent) => children[*parent].push(index),
            None => roots.push(index),
        }
    }

    // Slots along each chain, by a walk over the tree of definitions that takes the slots of a
    // prototype in on the way down and out on the way up: linear, however deep the chain.
    enum Step {
        Down(usize),
        Up(usize),
    }
    let mut taken: HashSet<(bool, NameId)> = HashSet::new();
    let mut steps: Vec<Step> = roots.into_iter().map(Step::Down).collect();
    while let Some(step) = steps.pop() {
        let (Step::Down(index) | Step::Up(index)) = step;
        let prototype = &image.prototypes[index];
        let sides = [(false, &prototype.instance), (true, &prototype.side)];
        let slots = sides.into_iter().flat_map(|(side, behaviour)| behaviour.slots.iter().map(move |s| (side, s.name)));
        if let Step::Up(_) = step {
            slots.for_each(|slot| {
                taken.remove(&slot);
            });
            continue;
        }
        for slot in slots {
            if !taken.insert(slot) {
                let name = name_of(image, slot.1);
                return Err(fail(prototype, (Rule::SlotTwice, format!("a second slot `{name}`"))));
            }
        }
        steps.push(Step::Up(index));
        steps.extend(children[index].iter().map(|child| Step::Down(*child)));
    }
    Ok(())
}

fn check_literal(image: &Image, literal: &Literal, depth: usize) -> Result<(), Broken> {
    match literal {
        Literal::Nil
        | Literal::True
        | Literal::False
        | Literal::Integer(_)
        | Literal::Float(_)
        | Literal::Character(_)
        | Literal::String(_)
        | Literal::Bytes(_) => Ok(()),
        Literal::LargeInteger { negative, magnitude } => {
            let leading_zero = magnitude.last() == Some(&0);
            if leading_zero || fits_64_bits(*negative, magnitude) {
                return broken(Rule::LiteralForm, "a large integer that is none");
            }
            Ok(())
        }
        Literal::ScaledDecimal { digits, scale } => {
            let unsigned = digits.strip_prefix('-').unwrap_or(digits);
            let decimal = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
            let shortest = !unsigned.starts_with('0') || digits == "0";
            if !decimal || !shortest || *scale > SCALE_MAX {
                return broken(Rule::LiteralForm, "a scaled decimal that is none");
            }
            Ok(())
        }
        Literal::Symbol(name) => check_name(image, *name).map(|_| ()),
        Literal::Array(items) => {
            if depth == LITERAL_DEPTH_MAX {
                return broken(Rule::LiteralDepth, format!("literal arrays deeper than {LITERAL_DEPTH_MAX}"));
            }
            items.iter().try_for_each(|item| check_literal(image, item, depth + 1))
        }
    }
}

/// Whether an integer is one that [`Literal::Integer`] holds.
fn fits_64_bits(negative: bool, magnitude: &[u8]) -> bool {
    if magnitude.len() > 8 {
        return false;
    }
    let mut bytes = [0; 8];
    bytes[..magnitude.len()].copy_from_slice(magnitude);
    let magnitude = u64::from_le_bytes(bytes);
    let limit = if negative { 1 << 63 } else { i64::MAX as u64 };
    magnitude <= limit
}

/// A set of registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Registers([u64; REGISTERS_MAX / 64]);

impl Registers {
    fn has(&self, register: u8) -> bool {
        self.0[usize::from(register >> 6)] >> (register & 63) & 1 != 0
    }

    fn add(&mut self, register: u8) {
        self.0[usize::from(register >> 6)] |= 1 << (register & 63);
    }

    fn remove(&mut self, register: u8) {
        self.0[usize::from(register >> 6)] &= !(1 << (register & 63));
    }

    /// The registers from `first` on.
    fn from(first: u8) -> Registers {
        let mut set = Registers([u64::MAX; REGISTERS_MAX / 64]);
        let word = usize::from(first >> 6);
        set.0[..word].fill(0);
        set.0[word] = u64::MAX << (first & 63);
        set
    }

    fn zip(self, other: Registers, f: impl Fn(u64, u64) -> u64) -> Registers {
        Registers(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }

    fn and(self, other: Registers) -> Registers {
        self.zip(other, |a, b| a & b)
    }

    fn or(self, other: Registers) -> Registers {
        self.zip(other, |a, b| a | b)
    }

    fn without(self, other: Registers) -> Registers {
        self.zip(other, |a, b| a & !b)
    }

    fn first(&self) -> Option<u8> {
        let word = self.0.iter().position(|bits| *bits != 0)?;
        Some((64 * word) as u8 + self.0[word].trailing_zeros() as u8)
    }
}

/// What the registers hold before an instruction. No register is in both `values` and `cells`;
/// `selves` are values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    values: Registers,
    cells: Registers,
    selves: Registers,
}

impl State {
    /// What is known where this state and `other` meet.
    fn meet(self, other: State) -> State {
        State {
            values: self.values.and(other.values),
            cells: self.cells.and(other.cells),
            selves: self.selves.and(other.selves),
        }
    }

    fn set(&mut self, register: u8, kind: Kind) {
        self.values.add(register);
        self.cells.remove(register);
        self.selves.remove(register);
        match kind {
            Kind::Value => {}
            Kind::Itself => self.selves.add(register),
            Kind::Cell => {
                self.values.remove(register);
                self.cells.add(register);
            }
        }
    }

    fn forget(&mut self, registers: Registers) {
        self.values = self.values.without(registers);
        self.cells = self.cells.without(registers);
        self.selves = self.selves.without(registers);
    }
}

/// What an instruction leaves in the register it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Value,
    /// `self`.
    Itself,
    Cell,
}

/// What the instructions of a loop may do to a state that was there before the loop.
#[derive(Clone, Copy, Debug, Default)]
struct Changes {
    /// Registers no longer known to hold a value.
    values: Registers,
    /// Registers no longer known to hold a cell.
    cells: Registers,
    /// Registers no longer known to hold `self`.
    selves: Registers,
}

impl Changes {
    fn join(&mut self, other: &Changes) {
        self.values = self.values.or(other.values);
        self.cells = self.cells.or(other.cells);
        self.selves = self.selves.or(other.selves);
    }

    fn forget(&mut self, registers: Registers) {
        self.join(&Changes { values: registers, cells: registers, selves: registers });
    }

    fn write(&mut self, register: u8, kind: Kind) {
        match kind {
            Kind::Value => {
                self.cells.add(register);
                self.selves.add(register);
            }
            Kind::Itself => self.cells.add(register),
            Kind::Cell => {
                self.values.add(register);
                self.selves.add(register);
            }
        }
    }
}

/// What the register that an instruction writes holds afterwards.
#[derive(Clone, Copy, Debug)]
enum Written {
    Value,
    Cell,
    /// What this register held.
    CopyOf(u8),
}

/// A send that an instruction may make.
#[derive(Clone, Copy, Debug)]
struct Sending {
    site: operand::Site,
    receiver: u8,
    /// The selector that the site must have.
    selector: Option<&'static str>,
    /// Whether the receiver and arguments stand in a window of their own, starting at `receiver`.
    window: bool,
    /// Whether the receiver must be `self`, whatever the site says.
    to_super: bool,
}

/// What an instruction does to registers, apart from jumping.
#[derive(Clone, Copy, Debug, Default)]
struct Effect {
    /// Registers that must hold values.
    reads: [Option<u8>; 3],
    /// A run of registers that must hold values: the first, and how many.
    reads_run: Option<(u8, usize)>,
    /// A register that must hold a cell.
    cell: Option<u8>,
    block: Option<CodeIndex>,
    sends: Option<Sending>,
    writes: Option<(u8, Written)>,
    /// The registers above this one are unassigned afterwards.
    forgets_above: Option<u8>,
    /// The comparison of a fused pair.
    fused: bool,
}

impl Effect {
    /// Reads `registers`, then writes a value to `dst`.
    fn value(dst: Reg, [first, second]: [Option<u8>; 2]) -> Effect {
        Effect { reads: [first, second, None], writes: Some((dst.0, Written::Value)), ..Effect::default() }
    }

    fn reads(register: Reg) -> Effect {
        Effect { reads: [Some(register.0), None, None], ..Effect::default() }
    }

    fn sends(base: Reg, site: operand::Site, to_super: bool) -> Effect {
        Effect {
            sends: Some(Sending { site, receiver: base.0, selector: None, window: true, to_super }),
            writes: Some((base.0, Written::Value)),
            forgets_above: Some(base.0),
            ..Effect::default()
        }
    }

    fn binary(selector: &'static str, dst: Reg, left: Reg, right: Option<Reg>, site: operand::Site) -> Effect {
        Effect {
            sends: Some(Sending { site, receiver: left.0, selector: Some(selector), window: false, to_super: false }),
            ..Effect::value(dst, [Some(left.0), right.map(|right| right.0)])
        }
    }

    fn fused(self) -> Effect {
        Effect { fused: true, ..self }
    }
}

fn effect_of(op: &Op) -> Effect {
    match *op {
        Op::Copy { dst, src } => Effect {
            reads: [Some(src.0), None, None],
            writes: Some((dst.0, Written::CopyOf(src.0))),
            ..Effect::default()
        },
        Op::LoadNil { dst }
        | Op::LoadTrue { dst }
        | Op::LoadFalse { dst }
        | Op::LoadInteger { dst, value: _ }
        | Op::LoadLiteral { dst, literal: _ }
        | Op::LoadGlobal { dst, global: _ }
        | Op::LoadVariable { dst, variable: _ }
        | Op::LoadSlot { dst, slot: _ }
        | Op::LoadConstant { dst, constant: _ }
        | Op::LoadShared { dst, slot: _ } => Effect::value(dst, [None, None]),
        Op::StoreVariable { src, variable: _ } | Op::StoreSlot { src, slot: _ } | Op::StoreShared { src, slot: _ } => {
            Effect::reads(src)
        }
        Op::MakeCell { dst, src } => {
            Effect { reads: [Some(src.0), None, None], writes: Some((dst.0, Written::Cell)), ..Effect::default() }
        }
        Op::LoadCell { dst, cell } => Effect { cell: Some(cell.0), ..Effect::value(dst, [None, None]) },
        Op::StoreCell { cell, src } => Effect { cell: Some(cell.0), ..Effect::reads(src) },
        Op::MakeBlock { dst, code } => Effect { block: Some(code), ..Effect::value(dst, [None, None]) },
        Op::MakeArray { base, count } => {
            Effect { reads_run: Some((base.0, usize::from(count.0))), ..Effect::value(base, [None, None]) }
        }
        Op::Send { base, site } | Op::SendFar { base, site } => Effect::sends(base, site, false),
        Op::SendSuper { base, site } => Effect::sends(base, site, true),
        Op::Add { dst, left, right, site } => Effect::binary("+", dst, left, Some(right), site),
        Op::Subtract { dst, left, right, site } => Effect::binary("-", dst, left, Some(right), site),
        Op::Multiply { dst, left, right, site } => Effect::binary("*", dst, left, Some(right), site),
        Op::Divide { dst, left, right, site } => Effect::binary("/", dst, left, Some(right), site),
        Op::Quotient { dst, left, right, site } => Effect::binary("//", dst, left, Some(right), site),
        Op::Modulo { dst, left, right, site } => Effect::binary("\\\\", dst, left, Some(right), site),
        Op::AddTiny { dst, left, right: _, site } => Effect::binary("+", dst, left, None, site),
        Op::SubtractTiny { dst, left, right: _, site } => Effect::binary("-", dst, left, None, site),
        Op::Less { dst, left, right, site } => Effect::binary("<", dst, left, Some(right), site),
        Op::LessEqual { dst, left, right, site } => Effect::binary("<=", dst, left, Some(right), site),
        Op::Greater { dst, left, right, site } => Effect::binary(">", dst, left, Some(right), site),
        Op::GreaterEqual { dst, left, right, site } => Effect::binary(">=", dst, left, Some(right), site),
        Op::Equal { dst, left, right, site } => Effect::binary("=", dst, left, Some(right), site),
        Op::NotEqual { dst, left, right, site } => Effect::binary("~=", dst, left, Some(right), site),
        Op::Identical { dst, left, right } => Effect::value(dst, [Some(left.0), Some(right.0)]),
        Op::LessJumpUnless { dst, left, right, site } => Effect::binary("<", dst, left, Some(right), site).fused(),
        Op::LessEqualJumpUnless { dst, left, right, site } => {
            Effect::binary("<=", dst, left, Some(right), site).fused()
        }
        Op::GreaterJumpUnless { dst, left, right, site } => Effect::binary(">", dst, left, Some(right), site).fused(),
        Op::GreaterEqualJumpUnless { dst, left, right, site } => {
            Effect::binary(">=", dst, left, Some(right), site).fused()
        }
        Op::EqualJumpUnless { dst, left, right, site } => Effect::binary("=", dst, left, Some(right), site).fused(),
        Op::NotEqualJumpUnless { dst, left, right, site } => Effect::binary("~=", dst, left, Some(right), site).fused(),
        Op::Jump { target: _ } | Op::JumpBack { target: _ } => Effect::default(),
        Op::JumpIf { condition, target: _, fallback: _ } | Op::JumpUnless { condition, target: _, fallback: _ } => {
            Effect::reads(condition)
        }
        Op::JumpIfNil { value, target: _ }
        | Op::JumpUnlessNil { value, target: _ }
        | Op::JumpUnlessNumber { value, target: _ } => Effect::reads(value),
        Op::Answer { value } | Op::AnswerHome { value } => Effect::reads(value),
        Op::AnswerSelf {} => Effect::default(),
        Op::Stub { kind: _ } => Effect::default(),
        Op::MultiplyTiny { dst, left, right: _, site } => Effect::binary("*", dst, left, None, site),
        Op::QuotientTiny { dst, left, right: _, site } => Effect::binary("//", dst, left, None, site),
        Op::ModuloTiny { dst, left, right: _, site } => Effect::binary("\\\\", dst, left, None, site),
        Op::LessTinyJumpUnless { dst, left, right: _, site } => Effect::binary("<", dst, left, None, site).fused(),
        Op::LessEqualTinyJumpUnless { dst, left, right: _, site } => {
            Effect::binary("<=", dst, left, None, site).fused()
        }
        Op::GreaterTinyJumpUnless { dst, left, right: _, site } => Effect::binary(">", dst, left, None, site).fused(),
        Op::GreaterEqualTinyJumpUnless { dst, left, right: _, site } => {
            Effect::binary(">=", dst, left, None, site).fused()
        }
        Op::EqualTinyJumpUnless { dst, left, right: _, site } => Effect::binary("=", dst, left, None, site).fused(),
        Op::NotEqualTinyJumpUnless { dst, left, right: _, site } => Effect::binary("~=", dst, left, None, site).fused(),
        Op::At { dst, receiver, index, site } => Effect::binary("at:", dst, receiver, Some(index), site),
        Op::AtPut { receiver, index, value, site } => Effect {
            reads: [Some(receiver.0), Some(index.0), Some(value.0)],
            sends: Some(Sending {
                site,
                receiver: receiver.0,
                selector: Some("at:put:"),
                window: false,
                to_super: false,
            }),
            ..Effect::default()
        },
    }
}

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug)]
enum Flow {
    Next,
    Jump(Jump24),
    Back(Jump24),
    Branch(Jump16, Fallback),
    End,
}

fn flow_of(op: &Op) -> Flow {
    match *op {
        Op::Jump { target } => Flow::Jump(target),
        Op::JumpBack { target } => Flow::Back(target),
        Op::JumpIf { condition: _, target, fallback } | Op::JumpUnless { condition: _, target, fallback } => {
            Flow::Branch(target, fallback)
        }
        Op::JumpIfNil { value: _, target }
        | Op::JumpUnlessNil { value: _, target }
        | Op::JumpUnlessNumber { value: _, target } => Flow::Branch(target, Fallback(0)),
        Op::Answer { value: _ } | Op::AnswerSelf {} | Op::AnswerHome { value: _ } => Flow::End,
        Op::Copy { .. }
        | Op::LoadNil { .. }
        | Op::LoadTrue { .. }
        | Op::LoadFalse { .. }
        | Op::LoadInteger { .. }
        | Op::LoadLiteral { .. }
        | Op::LoadGlobal { .. }
        | Op::LoadVariable { .. }
        | Op::StoreVariable { .. }
        | Op::LoadSlot { .. }
        | Op::StoreSlot { .. }
        | Op::MakeCell { .. }
        | Op::LoadCell { .. }
        | Op::StoreCell { .. }
        | Op::MakeBlock { .. }
        | Op::MakeArray { .. }
        | Op::Send { .. }
        | Op::SendSuper { .. }
        | Op::SendFar { .. }
        | Op::Add { .. }
        | Op::Subtract { .. }
        | Op::Multiply { .. }
        | Op::Divide { .. }
        | Op::Quotient { .. }
        | Op::Modulo { .. }
        | Op::AddTiny { .. }
        | Op::SubtractTiny { .. }
        | Op::Less { .. }
        | Op::LessEqual { .. }
        | Op::Greater { .. }
        | Op::GreaterEqual { .. }
        | Op::Equal { .. }
        | Op::NotEqual { .. }
        | Op::Identical { .. }
        | Op::LessJumpUnless { .. }
        | Op::LessEqualJumpUnless { .. }
        | Op::GreaterJumpUnless { .. }
        | Op::GreaterEqualJumpUnless { .. }
        | Op::EqualJumpUnless { .. }
        | Op::NotEqualJumpUnless { .. }
        | Op::LoadConstant { .. }
        | Op::LoadShared { .. }
        | Op::StoreShared { .. }
        | Op::Stub { .. }
        | Op::MultiplyTiny { .. }
        | Op::QuotientTiny { .. }
        | Op::ModuloTiny { .. }
        | Op::LessTinyJumpUnless { .. }
        | Op::LessEqualTinyJumpUnless { .. }
        | Op::GreaterTinyJumpUnless { .. }
        | Op::GreaterEqualTinyJumpUnless { .. }
        | Op::EqualTinyJumpUnless { .. }
        | Op::NotEqualTinyJumpUnless { .. }
        | Op::At { .. }
        | Op::AtPut { .. } => Flow::Next,
    }
}

/// How large the tables are that the operands of one code point into.
struct Limits {
    registers: usize,
    literals: usize,
    sites: usize,
    slots: usize,
    globals: usize,
    variables: usize,
    codes: usize,
}

/// What an operand may be, whatever instruction it belongs to.
trait InRange: fmt::Display + Copy {
    fn check(self, limits: &Limits) -> Result<(), Broken>;
}

macro_rules! in_range {
    ($($type:ident below $limit:ident else $rule:ident;)*; $($free:ident)*) => {
        $(impl InRange for operand::$type {
            fn check(self, limits: &Limits) -> Result<(), Broken> {
                if usize::from(self.0) >= limits.$limit {
                    return broken(
                        Rule::$rule,
                        format!("{self}, with {} {}", limits.$limit, stringify!($limit)),
                    );
                }
                Ok(())
            }
        })*
        // Plain numbers, and jumps, which the pass over jumps checks.
        $(impl InRange for operand::$free {
            fn check(self, _: &Limits) -> Result<(), Broken> {
                Ok(())
            }
        })*
    };
}

in_range! {
    Reg below registers else RegisterRange;
    Literal below literals else TableRange;
    Site below sites else TableRange;
    Slot below slots else TableRange;
    Global below globals else TableRange;
    Variable below variables else TableRange;
    CodeIndex below codes else TableRange;
    ; Count Small Tiny Jump16 Jump24 Fallback
}

macro_rules! define_check_operands {
    ($($(#[$doc:meta])* $name:ident = $variant:ident { $($field:ident: $type:ident),* };)*) => {
        /// Checks every operand of `op` by its type.
        fn check_operands(op: &Op, limits: &Limits) -> Result<(), Broken> {
            match *op {
                $(Op::$variant { $($field),* } => {
                    $(operand::$type::check($field, limits)?;)*
                    #[allow(clippy::needless_return, unreachable_code, reason = "rows are alike")]
                    return Ok(());
                })*
            }
        }
    };
}

crate::for_each_instruction!(define_check_operands);

/// What is known of a word before the pass over states.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// An instruction starts here.
    start: bool,
    /// The jump of a fused pair.
    paired: bool,
    /// One more than the row in `CodeVerifier::arriving`; 0 where no jump goes forward to.
    target: u32,
    /// One more than the row in `CodeVerifier::loops`; 0 where no loop starts.
    head: u32,
}

#[derive(Clone, Copy, Debug)]
struct Loop {
    changes: Changes,
    /// The state at the head; none while nothing has reached it.
    state: Option<State>,
}

/// What is known of a block code from the codes before it.
#[derive(Clone, Debug, Default)]
struct BlockCode {
    /// The code that makes it.
    maker: Option<usize>,
    /// Whether each capture is a cell; none while no reachable `make_block` was seen.
    captures: Option<Vec<bool>>,
}

/// Checks methods one after the other; the buffers serve all of them.
struct CodeVerifier<'a> {
    image: &'a Image,
    /// How many arguments each name takes as a selector: asked for once, since a long name may
    /// stand in many sites.
    selector_arguments: Vec<Option<usize>>,
    /// Where the check stands, for errors.
    code: Option<usize>,
    word: Option<usize>,
    ops: Vec<(usize, Op)>,
    marks: Vec<Mark>,
    arriving: Vec<Option<State>>,
    loops: Vec<Loop>,
    blocks: Vec<BlockCode>,
}

impl<'a> CodeVerifier<'a> {
    fn new(image: &'a Image, selector_arguments: Vec<Option<usize>>) -> CodeVerifier<'a> {
        CodeVerifier {
            image,
            selector_arguments,
            code: None,
            word: None,
            ops: Vec::new(),
            marks: Vec::new(),
            arriving: Vec::new(),
            loops: Vec::new(),
            blocks: Vec::new(),
        }
    }

    fn check_method(&mut self, method: &Method) -> Result<(), Broken> {
        (self.code, self.word) = (None, None);
        check_name(self.image, method.selector)?;
        check_position(self.image, method.position)?;
        let codes = match &method.body {
            Body::Primitive => return Ok(()),
            Body::Code(codes) => codes,
        };
        let Some(first) = codes.first() else {
            return broken(Rule::Codes, "no code");
        };
        if first.argument_count != method.argument_count || !first.captures.is_empty() {
            return broken(Rule::Codes, "the first code takes other arguments than the method, or captures");
        }
        check_rows("codes", codes.len())?;
        for (number, code) in codes.iter().enumerate() {
            self.code = Some(number);
            let needed = 1 + usize::from(code.argument_count) + code.captures.len();
            let registers = usize::from(code.register_count);
            if registers > REGISTERS_MAX || registers < needed {
                return broken(Rule::Window, format!("{registers} registers, {needed} of them taken at the start"));
            }
        }
        self.blocks.clear();
        self.blocks.resize(codes.len(), BlockCode::default());
        for (number, code) in codes.iter().enumerate() {
            (self.code, self.word) = (Some(number), None);
            if number > 0 && self.blocks[number].maker.is_none() {
                return broken(Rule::BlockNesting, "no code before this one makes it");
            }
            self.check_code_tables(code)?;
            self.check_shape(codes, number)?;
            self.check_jumps(code)?;
            self.check_source_map(code)?;
            self.find_loops(code)?;
            self.check_states(codes, number)?;
        }
        Ok(())
    }

    fn check_code_tables(&self, code: &Code) -> Result<(), Broken> {
        check_rows("literals", code.literals.len())?;
        check_rows("sites", code.sites.len())?;
        check_rows("slots", code.slots.len())?;
        if code.words.len() > CODE_WORDS_MAX {
            return broken(Rule::Size, format!("{} words", code.words.len()));
        }
        for literal in &code.literals {
            check_literal(self.image, literal, 0)?;
        }
        for slot in &code.slots {
            check_name(self.image, *slot)?;
        }
        for site in &code.sites {
            let selector = check_name(self.image, site.selector)?;
            let Some(asked) = self.selector_arguments[site.selector.0 as usize] else {
                return broken(Rule::Selector, format!("`{selector}` is no selector"));
            };
            if asked != usize::from(site.argument_count) {
                return broken(
                    Rule::ArgumentCount,
                    format!("a site gives `{selector}` {} arguments", site.argument_count),
                );
            }
        }
        Ok(())
    }

    /// Decodes the words, and checks all of an instruction that stands in it alone.
    fn check_shape(&mut self, codes: &[Code], number: usize) -> Result<(), Broken> {
        let code = &codes[number];
        let limits = Limits {
            registers: usize::from(code.register_count),
            literals: code.literals.len(),
            sites: code.sites.len(),
            slots: code.slots.len(),
            globals: self.image.globals.len(),
            variables: self.image.variables.len(),
            codes: codes.len(),
        };
        self.ops.clear();
        self.marks.clear();
        self.marks.resize(code.words.len(), Mark::default());
        // The `dst` of the comparison just before, when it is fused.
        let mut fused: Option<u8> = None;
        for item in codec::instructions(&code.words) {
            let (word, op) = match item {
                Ok(item) => item,
                Err(error) => {
                    self.word = Some(error.word);
                    return broken(Rule::Decode, error.reason.to_string());
                }
            };
            self.word = Some(word);
            self.ops.push((word, op));
            self.marks[word].start = true;
            if op.opcode().made_by_linking() {
                return broken(Rule::Linked, format!("`{}` in a code", op.opcode().name()));
            }
            check_operands(&op, &limits)?;
            if let Op::AnswerHome { .. } = op
                && number == 0
            {
                return broken(Rule::AnswerHome, "`answer_home` outside of a block");
            }
            let pairs = match op {
                Op::JumpUnless { condition, .. } => Some(condition.0),
                _ => None,
            };
            if fused.is_some() && fused != pairs {
                return broken(Rule::Fused, "no `jump_unless` of the comparison before");
            }
            self.marks[word].paired = fused.is_some();

            let effect = effect_of(&op);
            if let Some((0, _)) = effect.writes {
                return broken(Rule::SelfWritten, "`r0` is written");
            }
            if let Some(sending) = effect.sends {
                self.check_sending(code, &sending)?;
            }
            if let Some((first, count)) = effect.reads_run
                && usize::from(first) + count > limits.registers
            {
                return broken(Rule::RegisterRange, format!("{count} elements from r{first} on leave the window"));
            }
            if let Some(block) = effect.block {
                self.check_block(codes, number, usize::from(block.0))?;
            }
            fused = match effect.writes {
                Some((dst, _)) if effect.fused => Some(dst),
                _ => None,
            };
        }
        let ends = self.ops.last().is_some_and(|(_, op)| match flow_of(op) {
            Flow::End | Flow::Back(_) => true,
            Flow::Next | Flow::Jump(_) | Flow::Branch(..) => false,
        });
        if !ends {
            return broken(Rule::End, "the last instruction goes on behind the code");
        }
        Ok(())
    }

    fn check_sending(&self, code: &Code, sending: &Sending) -> Result<(), Broken> {
        let site = &code.sites[usize::from(sending.site.0)];
        let selector = check_name(self.image, site.selector)?;
        if let Some(expected) = sending.selector
            && expected != selector
        {
            return broken(Rule::ArgumentCount, format!("the site of a `{expected}` has the selector `{selector}`"));
        }
        let last = usize::from(sending.receiver) + usize::from(site.argument_count);
        if sending.window && last >= usize::from(code.register_count) {
            return broken(Rule::RegisterRange, format!("the arguments of `{selector}` leave the window"));
        }
        Ok(())
    }

    fn check_block(&mut self, codes: &[Code], maker: usize, block: usize) -> Result<(), Broken> {
        if block <= maker {
            return broken(Rule::BlockNesting, format!("it makes code {block}"));
        }
        match self.blocks[block].maker.replace(maker) {
            Some(other) if other != maker => {
                return broken(Rule::BlockNesting, format!("code {other} makes code {block} too"));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let registers = codes[maker].register_count;
        for capture in &codes[block].captures {
            if u16::from(*capture) >= registers {
                return broken(Rule::Captures, format!("code {block} captures r{capture} of {registers}"));
            }
        }
        Ok(())
    }

    /// The word that a jump of `distance` in the instruction at `index` goes to.
    fn destination(&self, code: &Code, index: usize, distance: i32) -> Option<usize> {
        let (word, op) = self.ops[index];
        let next = (word + op.opcode().words()) as i64;
        let target = usize::try_from(next + i64::from(distance)).ok()?;
        (target < code.words.len() && self.marks[target].start).then_some(target)
    }

    fn forward(&self, code: &Code, index: usize, distance: i32) -> Result<usize, Broken> {
        let target = self.destination(code, index, distance);
        match target {
            Some(target) if distance >= 0 && !self.marks[target].paired => Ok(target),
            Some(_) if distance >= 0 => broken(Rule::Fused, "a jump between a comparison and its jump"),
            Some(_) | None => {
                broken(Rule::JumpTarget, format!("a jump of {distance:+} words lands on no later instruction"))
            }
        }
    }

    fn check_jumps(&mut self, code: &Code) -> Result<(), Broken> {
        self.arriving.clear();
        self.loops.clear();
        for index in 0..self.ops.len() {
            let (word, op) = self.ops[index];
            self.word = Some(word);
            match flow_of(&op) {
                Flow::Next | Flow::End => {}
                Flow::Jump(target) => self.mark_target(code, index, target.0)?,
                Flow::Branch(target, fallback) => {
                    self.mark_target(code, index, i32::from(target.0))?;
                    if fallback != Fallback(0) {
                        self.mark_target(code, index, i32::from(fallback.0))?;
                    }
                }
                Flow::Back(target) => match self.destination(code, index, target.0) {
                    Some(head) if target.0 < 0 && !self.marks[head].paired => {
                        if self.marks[head].head == 0 {
                            self.loops.push(Loop { changes: Changes::default(), state: None });
                            self.marks[head].head = self.loops.len() as u32;
                        }
                    }
                    Some(_) if target.0 < 0 => {
                        return broken(Rule::Fused, "a jump between a comparison and its jump");
                    }
                    Some(_) | None => {
                        return broken(
                            Rule::JumpBackTarget,
                            format!("a jump of {:+} words lands on no earlier instruction", target.0),
                        );
                    }
                },
            }
        }
        Ok(())
    }

    fn mark_target(&mut self, code: &Code, index: usize, distance: i32) -> Result<(), Broken> {
        let target = self.forward(code, index, distance)?;
        if self.marks[target].target == 0 {
            self.arriving.push(None);
            self.marks[target].target = self.arriving.len() as u32;
        }
        Ok(())
    }

    fn check_source_map(&mut self, code: &Code) -> Result<(), Broken> {
        self.word = None;
        let mut next = 0;
        for entry in &code.source_map {
            let starts = self.marks.get(entry.word as usize).is_some_and(|m| m.start);
            if entry.word < next || !starts {
                return broken(Rule::SourceMap, format!("the source map names word {}", entry.word));
            }
            next = entry.word + 1;
        }
        Ok(())
    }

    /// Collects for each loop what its instructions change, from the last to the first: a loop
    /// opens at its last `jump_back` and closes at its head.
    fn find_loops(&mut self, code: &Code) -> Result<(), Broken> {
        let mut open: Vec<(usize, Changes)> = Vec::new();
        if self.loops.is_empty() {
            return Ok(());
        }
        for index in (0..self.ops.len()).rev() {
            let (word, op) = self.ops[index];
            self.word = Some(word);
            if let Flow::Back(target) = flow_of(&op) {
                let head = self.destination(code, index, target.0);
                let head = head.expect("`check_jumps` found the head of each loop");
                match open.last() {
                    Some((outer, _)) if *outer == head => {}
                    Some((outer, _)) if *outer > head => {
                        return broken(Rule::LoopNesting, format!("the loops at {head:04} and {outer:04} overlap"));
                    }
                    Some(_) | None => open.push((head, Changes::default())),
                }
            }
            let Some((head, changes)) = open.last_mut() else {
                continue;
            };
            let effect = effect_of(&op);
            if let Some(base) = effect.forgets_above {
                changes.forget(above(base));
            }
            match effect.writes {
                Some((dst, _)) if effect.fused => changes.forget(only(dst)),
                Some((dst, Written::Value)) => changes.write(dst, Kind::Value),
                Some((dst, Written::Cell)) => changes.write(dst, Kind::Cell),
                Some((dst, Written::CopyOf(0))) => changes.write(dst, Kind::Itself),
                Some((dst, Written::CopyOf(_))) => changes.write(dst, Kind::Value),
                None => {}
            }
            if *head == word {
                let closed = *changes;
                open.pop();
                let row = self.marks[word].head as usize - 1;
                self.loops[row].changes = closed;
                if let Some((_, outer)) = open.last_mut() {
                    outer.join(&closed);
                }
            }
        }
        Ok(())
    }

    /// The pass over states.
    fn check_states(&mut self, codes: &[Code], number: usize) -> Result<(), Broken> {
        let code = &codes[number];
        let Some(mut state) = self.entry(code, number) else {
            // Only unreachable instructions make this block.
            return Ok(());
        };
        let mut reached = true;
        for index in 0..self.ops.len() {
            let (word, op) = self.ops[index];
            self.word = Some(word);
            let mark = self.marks[word];
            if mark.target != 0
                && let Some(arriving) = self.arriving[mark.target as usize - 1]
            {
                state = if reached { state.meet(arriving) } else { arriving };
                reached = true;
            }
            if !reached {
                continue;
            }
            if mark.head != 0 {
                let row = &mut self.loops[mark.head as usize - 1];
                state.values = state.values.without(row.changes.values);
                state.cells = state.cells.without(row.changes.cells);
                state.selves = state.selves.without(row.changes.selves);
                row.state = Some(state);
            }
            self.step(codes, number, &op, &mut state)?;
            match flow_of(&op) {
                Flow::Next => {}
                Flow::End => reached = false,
                Flow::Jump(target) => {
                    self.arrive(code, index, target.0, state)?;
                    reached = false;
                }
                Flow::Branch(target, fallback) => {
                    if fallback != Fallback(0) {
                        self.arrive(code, index, i32::from(fallback.0), state)?;
                    }
                    // Decided in place, the comparison of a pair writes nothing.
                    if mark.paired
                        && let Op::JumpUnless { condition, .. } = op
                    {
                        state.forget(only(condition.0));
                    }
                    self.arrive(code, index, i32::from(target.0), state)?;
                }
                Flow::Back(target) => {
                    self.check_loop(code, index, target, &state)?;
                    reached = false;
                }
            }
        }
        Ok(())
    }

    /// The state before the first instruction; none for a block that nothing reachable makes.
    fn entry(&self, code: &Code, number: usize) -> Option<State> {
        let mut state = State::default();
        state.set(0, Kind::Itself);
        // Windows have at most 256 registers, and these are among them.
        for argument in 1..=code.argument_count {
            state.set(argument, Kind::Value);
        }
        if number > 0 {
            let captures = self.blocks[number].captures.as_ref()?;
            for (index, is_cell) in captures.iter().enumerate() {
                let register = 1 + usize::from(code.argument_count) + index;
                let kind = if *is_cell { Kind::Cell } else { Kind::Value };
                state.set(register as u8, kind);
            }
        }
        Some(state)
    }

    fn arrive(&mut self, code: &Code, index: usize, distance: i32, state: State) -> Result<(), Broken> {
        let target = self.forward(code, index, distance)?;
        let row = self.marks[target].target as usize - 1;
        let arriving = &mut self.arriving[row];
        *arriving = Some(arriving.map_or(state, |other| other.meet(state)));
        Ok(())
    }

    fn check_loop(&self, code: &Code, index: usize, target: Jump24, state: &State) -> Result<(), Broken> {
        let head = self.destination(code, index, target.0);
        let head = head.expect("`check_jumps` found the head of each loop");
        let row = &self.loops[self.marks[head].head as usize - 1];
        let Some(at_head) = &row.state else {
            return broken(Rule::LoopState, format!("nothing before the loop at {head:04} reaches it"));
        };
        let lost = at_head
            .values
            .without(state.values)
            .or(at_head.cells.without(state.cells))
            .or(at_head.selves.without(state.selves));
        if let Some(register) = lost.first() {
            return broken(Rule::LoopState, format!("r{register} no longer holds what it held at {head:04}"));
        }
        Ok(())
    }

    fn step(&mut self, codes: &[Code], number: usize, op: &Op, state: &mut State) -> Result<(), Broken> {
        let effect = effect_of(op);
        let needs_value = |register: u8| match state.values.has(register) {
            true => Ok(()),
            false if state.cells.has(register) => {
                broken(Rule::Value, format!("r{register} holds a cell, which is no value"))
            }
            false => broken(Rule::Value, format!("r{register} is unassigned")),
        };
        effect.reads.into_iter().flatten().try_for_each(needs_value)?;
        if let Some(cell) = effect.cell
            && !state.cells.has(cell)
        {
            return broken(Rule::Cell, format!("r{cell} holds no cell"));
        }
        if let Some((first, count)) = effect.reads_run {
            // The sum is at most 256 and `check_shape` has seen to it.
            (usize::from(first)..usize::from(first) + count).try_for_each(|register| needs_value(register as u8))?;
        }
        if let Some(sending) = effect.sends {
            let site = &codes[number].sites[usize::from(sending.site.0)];
            if sending.window {
                let first = usize::from(sending.receiver);
                (first..=first + usize::from(site.argument_count))
                    .try_for_each(|register| needs_value(register as u8))?;
            }
            if (site.to_self || sending.to_super) && !state.selves.has(sending.receiver) {
                return broken(Rule::SelfReceiver, format!("r{} is not known to be `self`", sending.receiver));
            }
        }
        if let Some(block) = effect.block {
            let block = usize::from(block.0);
            let mut kinds = Vec::with_capacity(codes[block].captures.len());
            for capture in &codes[block].captures {
                let is_cell = state.cells.has(*capture);
                if !is_cell && !state.values.has(*capture) {
                    return broken(Rule::Captures, format!("r{capture} is unassigned, and code {block} captures it"));
                }
                kinds.push(is_cell);
            }
            match &self.blocks[block].captures {
                None => self.blocks[block].captures = Some(kinds),
                Some(before) if *before == kinds => {}
                Some(_) => {
                    return broken(
                        Rule::Captures,
                        format!("the captures of code {block} are of other kinds elsewhere"),
                    );
                }
            }
        }
        if let Some(base) = effect.forgets_above {
            state.forget(above(base));
        }
        match effect.writes {
            Some((dst, Written::Value)) => state.set(dst, Kind::Value),
            Some((dst, Written::Cell)) => state.set(dst, Kind::Cell),
            Some((dst, Written::CopyOf(src))) => {
                let kind = match state.selves.has(src) {
                    true => Kind::Itself,
                    false => Kind::Value,
                };
                state.set(dst, kind);
            }
            None => {}
        }
        Ok(())
    }
}

/// The registers above `base`.
fn above(base: u8) -> Registers {
    let mut registers = Registers::from(base);
    registers.remove(base);
    registers
}

fn only(register: u8) -> Registers {
    let mut registers = Registers::default();
    registers.add(register);
    registers
}
