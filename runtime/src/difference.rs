//! How two programs differ, definition by definition: for whoever is to decide on an upgrade.
//!
//! Methods are compared by what they do: instructions, literals, selectors, slots. Where they stand in a file, and
//! under which numbers an image keeps them, makes no difference.

use std::collections::BTreeMap;
use std::fmt;

use twintalk_bytecode::disasm::{ImageListing, Line, MethodListing, Role, literal};
use twintalk_bytecode::file;
use twintalk_bytecode::image::{Annotation, Image, NameId, Prototype, PrototypeKind, SlotDefinition};

/// One difference between the definitions of a store and those of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The definition: `Tank`, or `Tank class` behind the dashes. None: the class library, or the text as a whole.
    pub definition: Option<String>,
    /// What of it; the definition itself where there is none.
    pub part: Option<Part>,
    /// What became of it.
    pub change: Change,
}

/// A part of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is: `slot`, `method`, `timer` and so on.
    pub kind: &'static str,
    /// Its name; empty where there is one of its kind.
    pub name: String,
}

/// What became of a definition or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
    /// It is another, and both can be said in a word.
    From {
        /// As the store has it.
        before: String,
        /// As the program has it.
        after: String,
    },
}

impl Difference {
    /// The name of the slot or constant of `definition` that is new or gone, if this says so.
    fn moved_slot(&self, definition: &str) -> Option<String> {
        let part = self.part.as_ref().filter(|part| part.kind == "slot" || part.kind == "constant")?;
        let moved = matches!(self.change, Change::Added | Change::Removed);
        (moved && self.definition.as_deref() == Some(definition)).then(|| part.name.clone())
    }

    /// One word for what became of it.
    pub fn word(&self) -> &'static str {
        match self.change {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Changed | Change::From { .. } => "changed",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(definition) = &self.definition else {
            return f.write_str(match self.part {
                None => "the class library has changed",
                Some(_) => "only the text has changed: comments, the order of definitions, places in files",
            });
        };
        let Some(Part { kind, name }) = &self.part else {
            return match &self.change {
                Change::Added => write!(f, "{definition} is new"),
                Change::Removed => write!(f, "{definition} is gone"),
                Change::Changed => write!(f, "{definition} has changed"),
                Change::From { before, after } => write!(f, "{definition} was {before} and is {after}"),
            };
        };
        let quoted = match name.as_str() {
            "" => String::new(),
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => format!(" {number}"),
            name => format!(" `{name}`"),
        };
        match &self.change {
            Change::Added => write!(f, "{definition} has the new {kind}{quoted}"),
            Change::Removed => write!(f, "{definition} no longer has the {kind}{quoted}"),
            Change::Changed => write!(f, "{definition} has another {kind}{quoted}"),
            Change::From { before, after } => write!(f, "{definition} goes from {kind}{quoted} {before} to {after}"),
        }
    }
}

/// How the definitions of a program differ from those of a store: in the order of the program, what is gone at the end.
///
/// Each as the kernel and its own definitions; of the kernel only whether it has changed.
pub(crate) fn difference(stored: (&Image, &Image), given: (&Image, &Image)) -> Vec<Difference> {
    let mut found = Found::default();
    if file::content_hash(stored.0) != file::content_hash(given.0) {
        found.differences.push(Difference { definition: None, part: None, change: Change::Changed });
    }
    let (stored, given) = (stored.1, given.1);
    let (before, after) = (Methods::of(stored), Methods::of(given));
    for new in &given.prototypes {
        let name = given.name(new.name);
        match stored.prototypes.iter().find(|old| stored.name(old.name) == name) {
            None => found.note(name, None, Change::Added),
            Some(old) => {
                definition(&mut found, name, (stored, old), (given, new));
                found.methods(name, &before, &after);
                found.methods(&format!("{name} class"), &before, &after);
            }
        }
    }
    let is_defined =
        |image: &Image, name: &str| image.prototypes.iter().any(|prototype| image.name(prototype.name) == name);
    // What is extended may be the class library's.
    for owner in before.owners().chain(after.owners()) {
        let name = owner.strip_suffix(" class").unwrap_or(owner);
        if !is_defined(stored, name) && !is_defined(given, name) {
            found.methods(owner, &before, &after);
        }
    }
    for old in &stored.prototypes {
        let name = stored.name(old.name);
        if !is_defined(given, name) {
            found.note(name, None, Change::Removed);
        }
    }
    if found.differences.is_empty() {
        // Comments, names of files, the order of definitions: records name another program all the same.
        found.differences.push(Difference { definition: None, part: Some(TEXT), change: Change::Changed });
    }
    found.differences
}

#[derive(Default)]
struct Found {
    differences: Vec<Difference>,
}

impl Found {
    fn note(&mut self, definition: &str, part: Option<(&'static str, &str)>, change: Change) {
        let part = part.map(|(kind, name)| Part { kind, name: name.to_owned() });
        let difference = Difference { definition: Some(definition.to_owned()), part, change };
        // A class that is extended is met from both sides.
        if !self.differences.contains(&difference) {
            self.differences.push(difference);
        }
    }

    /// Compares what both have of one kind, by name.
    fn parts(&mut self, definition: &str, kind: &'static str, before: &[(String, String)], after: &[(String, String)]) {
        for (name, meaning) in after {
            match before.iter().find(|(old, _)| old == name) {
                None => self.note(definition, Some((kind, name)), Change::Added),
                Some((_, old)) if old != meaning => self.note(definition, Some((kind, name)), Change::Changed),
                Some(_) => {}
            }
        }
        for (name, _) in before {
            if !after.iter().any(|(new, _)| new == name) {
                self.note(definition, Some((kind, name)), Change::Removed);
            }
        }
    }

    fn methods(&mut self, owner: &str, before: &Methods, after: &Methods) {
        for kind in KINDS {
            self.parts(owner, kind, before.of_owner(owner, kind), after.of_owner(owner, kind));
        }
        // A slot that is new has a new first value, which need not be said.
        let definition = owner.strip_suffix(" class").unwrap_or(owner).to_owned();
        let moved: Vec<String> = self.differences.iter().filter_map(|one| one.moved_slot(&definition)).collect();
        self.differences.retain(|one| {
            !one.part.as_ref().is_some_and(|part| part.kind == FIRST_VALUE && moved.contains(&part.name))
                || one.definition.as_deref() != Some(owner)
        });
    }

    /// Notes two words that are not the same.
    fn words(&mut self, definition: &str, kind: &'static str, before: String, after: String) {
        match (before.is_empty(), after.is_empty()) {
            _ if before == after => {}
            (true, _) => self.note(definition, Some((kind, &after)), Change::Added),
            (_, true) => self.note(definition, Some((kind, &before)), Change::Removed),
            (false, false) => self.note(definition, Some((kind, "")), Change::From { before, after }),
        }
    }
}

/// What of a definition is no method.
fn definition(found: &mut Found, name: &str, before: (&Image, &Prototype), after: (&Image, &Prototype)) {
    let kind = |prototype: &Prototype| match prototype.kind {
        PrototypeKind::Object => "an object",
        PrototypeKind::Twin => "a twin",
        PrototypeKind::Trait => "a trait",
    };
    if before.1.kind != after.1.kind {
        let change = Change::From { before: kind(before.1).to_owned(), after: kind(after.1).to_owned() };
        found.note(name, None, change);
    }
    let parent =
        |(image, one): (&Image, &Prototype)| one.parent.map_or(String::new(), |parent| image.name(parent).to_owned());
    found.words(name, "parent", parent(before), parent(after));
    let names = |image: &Image, ids: &[NameId]| -> Vec<(String, String)> {
        ids.iter().map(|id| (image.name(*id).to_owned(), String::new())).collect()
    };
    found.parts(name, "trait", &names(before.0, &before.1.traits), &names(after.0, &after.1.traits));
    found.parts(name, "slot", &slots(before, false), &slots(after, false));
    found.parts(name, "constant", &slots(before, true), &slots(after, true));
    if before.1.version != after.1.version {
        let change = Change::From { before: before.1.version.to_string(), after: after.1.version.to_string() };
        found.note(name, Some(("version", "")), change);
    }
    let events = |(image, one): (&Image, &Prototype)| -> Vec<(String, String)> {
        one.events.iter().map(|event| (image.name(event.selector).to_owned(), String::new())).collect()
    };
    found.parts(name, "event", &events(before), &events(after));
    let supervision = |(_, one): (&Image, &Prototype)| {
        one.supervision.iter().map(|rule| (String::new(), format!("{rule:?}"))).collect::<Vec<_>>()
    };
    found.parts(name, "supervision", &supervision(before), &supervision(after));
}

/// Slots or constants with what is said of them; what they start with is among the methods.
fn slots((image, definition): (&Image, &Prototype), constant: bool) -> Vec<(String, String)> {
    let sides = definition.instance.slots.iter().chain(&definition.side.slots);
    sides
        .filter(|slot| slot.constant == constant)
        .map(|slot| (image.name(slot.name).to_owned(), annotation(image, slot)))
        .collect()
}

fn annotation(image: &Image, slot: &SlotDefinition) -> String {
    let Annotation { type_name, unit, min, max, keep_ns, personal, indexed, transient, other } = &slot.annotation;
    let type_name = type_name.map(|name| image.name(name));
    let (min, max) = (min.as_ref().map(|min| literal(image, min)), max.as_ref().map(|max| literal(image, max)));
    format!("{type_name:?} {unit:?} {min:?} {max:?} {keep_ns:?} {personal} {indexed} {transient} {other:?}")
}

/// What the first value of a slot is called in a difference.
const FIRST_VALUE: &str = "first value of";
/// What is left of a program when no definition differs.
const TEXT: Part = Part { kind: "text", name: String::new() };
/// What methods are called in a difference.
const KINDS: [&str; 5] = ["method", FIRST_VALUE, "timer", "invariant", "migration from version"];

/// The methods of an image by owner and kind: name and meaning.
struct Methods(BTreeMap<(String, &'static str), Vec<(String, String)>>);

impl Methods {
    fn of(image: &Image) -> Methods {
        let mut methods: BTreeMap<_, Vec<(String, String)>> = BTreeMap::new();
        for method in ImageListing::of(image).methods {
            let (kind, name) = match method.role {
                Role::Method | Role::Extension => (KINDS[0], method.selector.clone()),
                Role::Initialiser => (KINDS[1], method.selector.clone()),
                // Of a timer the duration counts too.
                Role::Timer | Role::Duration => (KINDS[2], method.selector.clone()),
                Role::Invariant => (KINDS[3], method.selector.clone()),
                Role::Migration(version) => (KINDS[4], version.to_string()),
                Role::Main | Role::Unused => continue,
            };
            let Some(owner) = method.owner.clone() else { continue };
            let of_kind = methods.entry((owner, kind)).or_default();
            match of_kind.iter_mut().find(|(other, _)| *other == name) {
                Some((_, whole)) => whole.push_str(&meaning(&method)),
                None => of_kind.push((name, meaning(&method))),
            }
        }
        Methods(methods)
    }

    fn of_owner(&self, owner: &str, kind: &'static str) -> &[(String, String)] {
        self.0.get(&(owner.to_owned(), kind)).map_or(&[], Vec::as_slice)
    }

    fn owners(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|(owner, _)| owner.as_str())
    }
}

/// What a method does, apart from where it stands.
fn meaning(method: &MethodListing) -> String {
    use fmt::Write as _;
    let mut text = format!("{:?}", method.flags);
    for code in method.codes.iter().flatten() {
        let _ = write!(text, "\n{} {} {:?}", code.argument_count, code.register_count, code.captures);
        let _ = write!(text, " {:?} {:?} {:?}", code.literals, code.sites, code.slots);
        for Line { name, operands, comment, .. } in &code.lines {
            // Prototypes and program variables have other numbers in other images: their names count.
            let named = |operand: &&String| !operand.starts_with("global") && !operand.starts_with("variable");
            let _ = write!(text, "\n{name} {:?} {comment:?}", operands.iter().filter(named).collect::<Vec<_>>());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use twintalk_compiler::{NoSources, SourceText, compile};

    use super::*;
    use crate::{Program, kernel};

    fn definitions(text: &str) -> Image {
        let root = SourceText { name: "a.twin".to_owned(), text: text.to_owned() };
        let compilation = compile(vec![root], &mut NoSources, &[kernel::image()]);
        Program::new(compilation.image.unwrap_or_else(|| panic!("{:#?}", compilation.diagnostics))).definitions
    }

    fn check(before: &str, after: &str, expected: &[&str]) {
        let (before, after) = (definitions(before), definitions(after));
        let found = difference((kernel::image(), &before), (kernel::image(), &after));
        assert_eq!(found.iter().map(Difference::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn slots_are_named_with_what_is_said_of_them() {
        check(
            "twin T = ( | a <Integer> <- 1. b <- 2. c <- 3. k = 1. | )",
            "twin T = ( | a <Integer max: 3> <- 1. b <- 5. d <- 4. k = 2. | version 2. )",
            &[
                "T has another slot `a`",
                "T has the new slot `d`",
                "T no longer has the slot `c`",
                "T goes from version 1 to 2",
                "T has another first value of `b`",
                "T has another first value of `k`",
            ],
        );
    }

    #[test]
    fn methods_timers_and_the_like_are_named() {
        check(
            "twin T = ( | n <- 1. | a = ( ^1 ) b = ( ^2 ) c = ( ^3 ) event gone. timer t every: 1 second = ( ) timer u after: 1 second = ( )
               invariant i = ( n > 0 ) )
             extend Integer = ( twice = ( ^self * 2 ) )",
            "twin T = ( | n <- 1. | a = ( ^1 ) b = ( ^n ) query d = ( ^3 ) event come: x. timer t every: 2 seconds = ( )
               timer v after: 1 second = ( ) invariant i = ( n > 1 ) supervise quarantine. )
             extend Integer = ( twice = ( ^self + self ) thrice = ( ^self * 3 ) )",
            &[
                "T has the new event `come:`",
                "T no longer has the event `gone`",
                "T has the new supervision",
                "T has another method `b`",
                "T has the new method `d`",
                "T no longer has the method `c`",
                "T has another timer `t`",
                "T has the new timer `v`",
                "T no longer has the timer `u`",
                "T has another invariant `i`",
                "Integer has another method `twice`",
                "Integer has the new method `thrice`",
            ],
        );
    }

    #[test]
    fn definitions_are_named() {
        check(
            "trait R = ( ) trait S = ( ) twin A = Twin + R ( ) twin B = ( ) object C = ( a = ( ^1 ) ) D = ( ---- | x | y = ( ^x ) )",
            "trait R = ( ) trait S = ( ) twin P = ( ) twin A = P + S ( ) twin C = ( a = ( ^2 ) ) D = ( ---- | x z | y = ( ^z ) )",
            &[
                "P is new",
                "A goes from parent Twin to P",
                "A has the new trait `S`",
                "A no longer has the trait `R`",
                "C was an object and is a twin",
                "C goes from parent Object to Twin",
                "C has another method `a`",
                "D has the new slot `z`",
                "D class has another method `y`",
                "B is gone",
            ],
        );
    }

    #[test]
    fn where_a_method_stands_makes_no_difference() {
        check(
            "object A = ( a = ( ^B new b: [ :x | x + 1 ] ) ) object B = ( b: y = ( ^y value: 1 ) )",
            "\"What A is.\" object C = ( | p | ) object B = ( b: y = ( \"says\" ^y value: 1 ) )
             object A = ( a = ( ^B new  b: [ :z |  z + 1 ] ) )",
            &["C is new"],
        );
        check(
            "object A = ( )",
            "\"Comment.\" object A = ( )",
            &["only the text has changed: comments, the order of definitions, places in files"],
        );
    }
}
