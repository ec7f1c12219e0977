//! What sources define, as pages want it: owned, and with each prototype's relatives found by name.

use std::collections::{HashMap, HashSet};

use twintalk_compiler::ast::{
    Annotation, AnnotationPart, Definition, DefinitionKind, Extend, File, Item, Member, Pattern, Side, SlotInitial,
    Span,
};

use crate::sources;

/// All that was read.
#[derive(Default)]
pub struct Library {
    /// In the order of their names.
    pub prototypes: Vec<Prototype>,
    /// Whom a name may mean: files that are no one program may use it again.
    by_name: HashMap<String, Vec<usize>>,
    extensions: Vec<Extension>,
    /// What each file imports, as the files are named.
    imports: HashMap<String, Vec<String>>,
}

/// An `extend`, until it is known whom it extends.
struct Extension {
    name: String,
    comment: String,
    place: Place,
    entries: Vec<Entry>,
}

/// A definition with what extends it, or what extends a definition that is elsewhere.
pub struct Prototype {
    pub name: String,
    /// `twin`, `object`, `trait`, or `extend` of what is elsewhere.
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
    /// What its annotation says, sorted by what it is about.
    pub annotation: Said,
    /// `<- 0`, `= 3600`, or nothing.
    pub initial: String,
    pub comment: String,
    /// Whether it stands behind the dashes.
    pub side: bool,
}

/// What stands between the angle brackets.
#[derive(Default)]
pub struct Said {
    /// `Float`.
    pub type_name: String,
    /// `rev/min`.
    pub unit: String,
    /// `min: 0 max: 100`.
    pub range: String,
    /// `personal`, `keep: 30 days` and the like.
    pub other: String,
}

/// What kind of member an entry is, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// What its anchor ends with if others on the page have its kind and name: two `supervise`.
    pub copy: usize,
}

impl Library {
    /// Adds what a file defines.
    pub fn add(&mut self, name: &str, text: &str, file: &File<'_>) {
        let reader = Reader { name, text };
        for item in file.items {
            match item {
                Item::Definition(definition) => self.prototypes.push(reader.definition(definition)),
                Item::Extend(extend) => self.extensions.push(reader.extension(extend)),
                Item::Import(import) => {
                    let imported = sources::beside(name, import.path);
                    self.imports.entry(name.to_owned()).or_default().push(imported);
                }
                Item::Variables(_) | Item::Statement(_) => {}
            }
        }
    }

    /// Finds relatives and names pages, once all is added.
    pub fn link(&mut self) {
        self.name();
        for extension in std::mem::take(&mut self.extensions) {
            match self.find(&extension.name, &extension.place.file) {
                Some(number) => self.prototypes[number].extend(extension.entries),
                None => {
                    self.prototypes.push(extension.into_page());
                    // A second `extend` of it finds the page of the first.
                    let number = self.prototypes.len() - 1;
                    self.by_name.entry(self.prototypes[number].name.clone()).or_default().push(number);
                }
            }
        }
        self.name();
        for number in 0..self.prototypes.len() {
            let prototype = &self.prototypes[number];
            let named = prototype.parent.iter().chain(&prototype.traits);
            let mut above: Vec<usize> = named.filter_map(|name| self.find(name, &prototype.place.file)).collect();
            above.dedup();
            for above in above {
                if above != number {
                    self.prototypes[above].children.push(number);
                }
            }
        }
    }

    /// Sorts the prototypes, and gives each a page and each entry an anchor of its own.
    fn name(&mut self) {
        self.prototypes.sort_by(|left, right| left.name.cmp(&right.name).then(left.place.file.cmp(&right.place.file)));
        self.by_name.clear();
        let mut stems: HashSet<String> = HashSet::from(["index".to_owned()]);
        for (number, prototype) in self.prototypes.iter_mut().enumerate() {
            self.by_name.entry(prototype.name.clone()).or_default().push(number);
            let plain: String =
                prototype.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
            let mut stem = plain.clone();
            let mut copy = 1;
            while !stems.insert(stem.to_ascii_lowercase()) {
                copy += 1;
                stem = format!("{plain}-{copy}");
            }
            prototype.stem = stem;
            let mut copies: HashMap<(EntryKind, String), usize> = HashMap::new();
            for entry in &mut prototype.entries {
                let copy = copies.entry((entry.kind, entry.name.clone())).or_default();
                *copy += 1;
                entry.copy = *copy;
            }
        }
    }

    /// The prototype that `name` means in `file`: the one of that file, else of a file that it imports, directly or not, else of
    /// a file beside it, else the only one there is. Of several elsewhere none is guessed.
    pub fn find(&self, name: &str, file: &str) -> Option<usize> {
        let all = self.by_name.get(name)?;
        let file_of = |number: &usize| self.prototypes[*number].place.file.as_str();
        let within = |files: &[&str]| all.iter().copied().find(|number| files.contains(&file_of(number)));
        if let Some(own) = within(&[file]) {
            return Some(own);
        }
        let mut reached = vec![file];
        let mut next = 0;
        while let Some(&at) = reached.get(next) {
            next += 1;
            for imported in self.imports.get(at).into_iter().flatten() {
                if !reached.contains(&imported.as_str()) {
                    reached.push(imported);
                }
            }
        }
        let folder = |file: &str| file.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
        within(&reached)
            .or_else(|| all.iter().copied().find(|number| folder(file_of(number)) == folder(file)))
            .or(if let [only] = all[..] { Some(only) } else { None })
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
                let from = &own.place.file;
                if let Some(number) = self.find(name, from).filter(|number| seen.insert(*number)) {
                    found.push(number);
                    traits.extend(self.prototypes[number].traits.iter().rev());
                }
            }
            let parent = own.parent.as_ref().and_then(|name| self.find(name, &own.place.file));
            at = parent.filter(|number| seen.insert(*number));
            found.extend(at);
        }
        found
    }
}

impl Prototype {
    /// Adds what an `extend` adds; a method of the same selector is replaced, as it is when the program runs.
    fn extend(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let same = self.entries.iter_mut().find(|own| own.kind == entry.kind && own.name == entry.name);
            match same {
                Some(own) if matches!(entry.kind, EntryKind::Message | EntryKind::SideMessage) => *own = entry,
                Some(_) | None => self.entries.push(entry),
            }
        }
    }
}

impl Extension {
    /// The page of what extends a definition that is not among these.
    fn into_page(self) -> Prototype {
        Prototype {
            name: self.name,
            kind: "extend",
            parent: None,
            traits: Vec::new(),
            comment: self.comment,
            place: self.place,
            slots: Vec::new(),
            entries: self.entries,
            stem: String::new(),
            children: Vec::new(),
        }
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

    fn extension(&self, extend: &Extend<'_>) -> Extension {
        let mut entries = self.entries(&extend.instance, false);
        entries.extend(extend.side.iter().flat_map(|side| self.entries(side, true)));
        Extension {
            name: extend.name.text.to_owned(),
            comment: self.comment(extend.comment, extend.span),
            place: self.place(extend.span),
            entries,
        }
    }

    /// What an annotation says, by the rules of the compiler, which also says what of it is wrong.
    fn said(&self, annotation: Annotation<'_>) -> Said {
        let mut said = Said::default();
        let add = |to: &mut String, text: &str| {
            if !to.is_empty() {
                to.push(' ');
            }
            to.push_str(text);
        };
        for part in annotation.parts {
            match part {
                AnnotationPart::Name(name) if name.text.starts_with(char::is_uppercase) => {
                    add(&mut said.type_name, name.text);
                }
                AnnotationPart::Name(name) if matches!(name.text, "personal" | "indexed") => {
                    add(&mut said.other, name.text);
                }
                AnnotationPart::Name(name) | AnnotationPart::String(name) => add(&mut said.unit, name.text),
                AnnotationPart::Number(_, span) => add(&mut said.other, &self.source(*span)),
                AnnotationPart::Keyword { name, span, .. } => {
                    let to = if matches!(name.text, "min:" | "max:") { &mut said.range } else { &mut said.other };
                    add(to, name.text);
                    add(to, &self.source(*span));
                }
            }
        }
        said
    }

    fn slots(&self, side: &Side<'_>, is_side: bool) -> Vec<Slot> {
        let slots = side.slots.iter().map(|slot| Slot {
            name: slot.name.text.to_owned(),
            annotation: slot.annotation.map(|annotation| self.said(annotation)).unwrap_or_default(),
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
            copy: 1,
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
                Member::Event { pattern, comment, span } => {
                    Entry { head: head(pattern), ..entry(EntryKind::Event, pattern.selector.text, *comment, *span) }
                }
                Member::Timer { name, repeats, duration, comment, span, .. } => {
                    let when = if *repeats { "every" } else { "after" };
                    let head = format!("{} {when}: {}", name.text, self.source(duration.span));
                    Entry { head, ..entry(EntryKind::Timer, name.text, *comment, *span) }
                }
                Member::Invariant { name, comment, span, .. } => {
                    entry(EntryKind::Invariant, name.text, *comment, *span)
                }
                Member::Version { number, comment, span } => {
                    entry(EntryKind::Rule, &format!("version {number}"), *comment, *span)
                }
                Member::Migrate { from, comment, span, .. } => {
                    entry(EntryKind::Rule, &format!("migrate {from}"), *comment, *span)
                }
                Member::Supervise { comment, span, .. } => entry(EntryKind::Rule, "supervise", *comment, *span),
            });
        }
        entries
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
