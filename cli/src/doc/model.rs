//! What sources define, as pages want it: owned, and with each prototype's relatives found by name.

use std::collections::{HashMap, HashSet};

use twintalk_compiler::ast::{
    Annotation, Definition, DefinitionKind, File, Item, Member, Name, Pattern, Side, SlotInitial, Span,
};

/// All that was read.
#[derive(Default)]
pub struct Library {
    /// In the order of their names.
    pub prototypes: Vec<Prototype>,
    by_name: HashMap<String, usize>,
    /// What `extend` adds: to whom, and what.
    extensions: Vec<(String, Vec<Entry>)>,
}

/// A definition with what extends it.
pub struct Prototype {
    pub name: String,
    /// `twin`, `object` or `trait`.
    pub kind: &'static str,
    /// As the source names it; `Object` or `Twin` where it names none.
    pub parent: Option<String>,
    pub traits: Vec<String>,
    pub comment: String,
    pub place: Place,
    pub slots: Vec<Slot>,
    pub entries: Vec<Entry>,
    /// The stem of its page, which no other has, whatever the case of letters.
    pub stem: String,
    /// Who names it as parent or trait.
    pub children: Vec<usize>,
}

/// Where something stands.
#[derive(Clone)]
pub struct Place {
    pub file: String,
    pub line: usize,
}

/// A slot.
pub struct Slot {
    pub name: String,
    /// What stands between the angle brackets: type, unit, range.
    pub annotation: String,
    /// `<- 0`, `= 3600`, or nothing.
    pub initial: String,
    pub comment: String,
    /// Whether it stands behind the dashes.
    pub side: bool,
}

/// What kind of member an entry is, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Message,
    SideMessage,
    Event,
    Timer,
    Invariant,
    Rule,
}

/// A member that is no slot.
#[derive(Clone)]
pub struct Entry {
    pub kind: EntryKind,
    /// What it is known by: a selector, or the name of a timer or invariant.
    pub name: String,
    /// How it is written: `at: index put: value`.
    pub head: String,
    pub query: bool,
    pub private: bool,
    pub comment: String,
    pub source: String,
    pub place: Place,
}

impl Library {
    /// Adds what a file defines.
    pub fn add(&mut self, name: &str, text: &str, file: &File<'_>) {
        let reader = Reader { name, text };
        for item in file.items {
            match item {
                Item::Definition(definition) => self.prototypes.push(reader.definition(definition)),
                Item::Extend(extend) => {
                    let mut entries = reader.entries(&extend.instance, false);
                    entries.extend(extend.side.iter().flat_map(|side| reader.entries(side, true)));
                    self.extensions.push((extend.name.text.to_owned(), entries));
                }
                Item::Import(_) | Item::Variables(_) | Item::Statement(_) => {}
            }
        }
    }

    /// Finds relatives and names pages, once all is added.
    pub fn link(&mut self) {
        self.prototypes.sort_by(|left, right| left.name.cmp(&right.name).then(left.place.file.cmp(&right.place.file)));
        let mut stems: HashSet<String> = HashSet::from(["index".to_owned()]);
        for (number, prototype) in self.prototypes.iter_mut().enumerate() {
            self.by_name.entry(prototype.name.clone()).or_insert(number);
            let plain: String =
                prototype.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let mut stem = plain.clone();
            let mut copy = 1;
            while !stems.insert(stem.to_ascii_lowercase()) {
                copy += 1;
                stem = format!("{plain}-{copy}");
            }
            prototype.stem = stem;
        }
        for (name, entries) in std::mem::take(&mut self.extensions) {
            if let Some(&number) = self.by_name.get(&name) {
                self.prototypes[number].entries.extend(entries);
            }
        }
        for number in 0..self.prototypes.len() {
            let prototype = &self.prototypes[number];
            let mut above: Vec<usize> =
                prototype.parent.iter().chain(&prototype.traits).filter_map(|name| self.find(name)).collect();
            above.dedup();
            for above in above {
                if above != number {
                    self.prototypes[above].children.push(number);
                }
            }
        }
    }

    /// The prototype of that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Whom `prototype` inherits from, nearest first: each one's traits, then its parent. A circle, which the compiler refuses, ends.
    pub fn ancestors(&self, prototype: usize) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let mut seen = HashSet::from([prototype]);
        let mut at = Some(prototype);
        while let Some(number) = at {
            let own = &self.prototypes[number];
            // Traits of traits too.
            let mut traits: Vec<&String> = own.traits.iter().rev().collect();
            while let Some(name) = traits.pop() {
                if let Some(number) = self.find(name).filter(|number| seen.insert(*number)) {
                    found.push(number);
                    traits.extend(self.prototypes[number].traits.iter().rev());
                }
            }
            at = own.parent.as_ref().and_then(|name| self.find(name)).filter(|number| seen.insert(*number));
            found.extend(at);
        }
        found
    }
}

/// A file as it is read.
struct Reader<'a> {
    name: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, span: Span) -> Place {
        let before = &self.text[..span.start as usize];
        Place { file: self.name.to_owned(), line: before.matches('\n').count() + 1 }
    }

    fn source(&self, span: Span) -> String {
        let text = &self.text[span.start as usize..span.end as usize];
        let indent = self.indent(span);
        let mut lines = text.lines();
        let mut source = lines.next().unwrap_or_default().to_owned();
        for line in lines {
            source.push('\n');
            // What stands in front of the first line goes, from the others as much.
            source.push_str(outdented(line, indent));
        }
        source
    }

    /// How far in the line is that `span` starts on.
    fn indent(&self, span: Span) -> usize {
        let before = &self.text[..span.start as usize];
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        self.text[line..].chars().take_while(|c| *c == ' ').count()
    }

    /// A comment on what is at `span`; its later lines stand as far in as that.
    fn comment(&self, comment: Option<&str>, span: Span) -> String {
        let indent = self.indent(span);
        let mut lines = comment.unwrap_or_default().lines();
        let mut out = lines.next().unwrap_or_default().trim_start().to_owned();
        for line in lines {
            out.push('\n');
            out.push_str(outdented(line, indent));
        }
        out
    }

    fn definition(&self, definition: &Definition<'_>) -> Prototype {
        let (kind, default) = match definition.kind {
            DefinitionKind::Twin => ("twin", Some("Twin")),
            DefinitionKind::Object | DefinitionKind::Plain => ("object", Some("Object")),
            DefinitionKind::Trait => ("trait", None),
        };
        let name = definition.name.text;
        let parent = match definition.parent {
            Some(parent) if parent.text == "nil" => None,
            Some(parent) => Some(parent.text),
            None => default.filter(|default| *default != name),
        };
        let mut slots = self.slots(&definition.instance, false);
        slots.extend(definition.side.iter().flat_map(|side| self.slots(side, true)));
        let mut entries = self.entries(&definition.instance, false);
        entries.extend(definition.side.iter().flat_map(|side| self.entries(side, true)));
        Prototype {
            name: name.to_owned(),
            kind,
            parent: parent.map(str::to_owned),
            traits: definition.traits.iter().map(|name| name.text.to_owned()).collect(),
            comment: self.comment(definition.comment, definition.span),
            place: self.place(definition.span),
            slots,
            entries,
            stem: String::new(),
            children: Vec::new(),
        }
    }

    fn slots(&self, side: &Side<'_>, is_side: bool) -> Vec<Slot> {
        let annotation = |annotation: Annotation<'_>| {
            let text = self.source(annotation.span);
            text.trim_start_matches('<').trim_end_matches('>').trim().to_owned()
        };
        let slots = side.slots.iter().map(|slot| Slot {
            name: slot.name.text.to_owned(),
            annotation: slot.annotation.map(annotation).unwrap_or_default(),
            initial: match &slot.initial {
                SlotInitial::None => String::new(),
                SlotInitial::Slot(value) => format!("<- {}", self.source(value.span)),
                SlotInitial::Constant(value) => format!("= {}", self.source(value.span)),
            },
            comment: self.comment(slot.comment, slot.span),
            side: is_side,
        });
        slots.collect()
    }

    fn entries(&self, side: &Side<'_>, is_side: bool) -> Vec<Entry> {
        let messages = if is_side { EntryKind::SideMessage } else { EntryKind::Message };
        let entry = |kind, name: &str, comment: Option<&str>, span| Entry {
            kind,
            name: name.to_owned(),
            head: name.to_owned(),
            query: false,
            private: false,
            comment: self.comment(comment, span),
            source: self.source(span),
            place: self.place(span),
        };
        let mut entries = Vec::new();
        for member in side.members {
            entries.push(match member {
                Member::Method(method) => Entry {
                    head: head(&method.pattern),
                    query: method.modifiers.query,
                    private: method.modifiers.private,
                    ..entry(messages, method.pattern.selector.text, method.comment, method.span)
                },
                Member::Event(pattern) => {
                    let comment = self.comment_before("event", pattern.selector);
                    let end = pattern.parameters.last().map_or(pattern.selector.span, |last| last.span);
                    let span = pattern.selector.span.to(end);
                    Entry { head: head(pattern), ..entry(EntryKind::Event, pattern.selector.text, comment, span) }
                }
                Member::Timer { name, repeats, duration, comment, span, .. } => {
                    let when = if *repeats { "every" } else { "after" };
                    let head = format!("{} {when}: {}", name.text, self.source(duration.span));
                    Entry { head, ..entry(EntryKind::Timer, name.text, *comment, *span) }
                }
                Member::Invariant { name, comment, span, .. } => {
                    entry(EntryKind::Invariant, name.text, *comment, *span)
                }
                Member::Version { number, span } => entry(EntryKind::Rule, &format!("version {number}"), None, *span),
                Member::Migrate { from, comment, span, .. } => {
                    entry(EntryKind::Rule, &format!("migrate {from}"), *comment, *span)
                }
                Member::Supervise { span, .. } => entry(EntryKind::Rule, "supervise", None, *span),
            });
        }
        entries
    }

    /// The comment that ends directly before `word name`. A comment holds no quotes, so it starts at the one before.
    fn comment_before(&self, word: &str, name: Name<'_>) -> Option<&str> {
        let before = self.text[..name.span.start as usize].trim_end().strip_suffix(word)?.trim_end();
        let comment = before.strip_suffix('"')?;
        Some(&comment[comment.rfind('"')? + 1..])
    }
}

/// `line` with at most `indent` spaces less in front.
fn outdented(line: &str, indent: usize) -> &str {
    let spaces = line.chars().take_while(|c| *c == ' ').count();
    &line[spaces.min(indent)..]
}

/// A selector with its parameters: `at: index put: value`.
fn head(pattern: &Pattern<'_>) -> String {
    let selector = pattern.selector.text;
    if pattern.parameters.is_empty() {
        return selector.to_owned();
    }
    let words = selector.split_inclusive(':').zip(pattern.parameters);
    words.map(|(word, parameter)| format!("{word} {}", parameter.text)).collect::<Vec<_>>().join(" ")
}
