//! Reads a program: its roots, what they import, and files found for names that nothing defines.
//!
//! Imports are followed depth first, without recursion, so that no chain of files is too long.
//! Then each file is searched for capitalised names that neither it nor any other file nor an
//! outer image defines; a file that is found for one is read in turn, for its definitions alone.

use hashbrown::{HashMap, HashSet};

use bumpalo::Bump;

use crate::ast::*;
use crate::diagnostic::{Code, Diagnostic};
use crate::outer::Outer;
use crate::parser;
use crate::{SourceText, Sources};

/// How many files one image can name.
const FILES_MAX: usize = 1 << 16;

/// A file that has been read.
pub(crate) struct Loaded<'a> {
    /// Its text.
    pub text: &'a str,
    /// What it says.
    pub tree: File<'a>,
    /// Which file each import of it names, by the number of the item; none where there is none.
    pub imports: HashMap<usize, usize>,
    /// The parser had to leave something out.
    pub has_mistakes: bool,
}

/// All files of a program.
pub(crate) struct Files<'a> {
    /// By their numbers.
    pub loaded: Vec<Loaded<'a>>,
    /// How many of them, from the first on, are roots.
    pub root_count: usize,
    /// The same files as they were given.
    pub sources: Vec<SourceText>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}

struct Loader<'a, 's> {
    arena: &'a Bump,
    from: &'s mut dyn Sources,
    files: Files<'a>,
    by_name: HashMap<String, usize>,
    states: Vec<State>,
    diagnostics: &'s mut Vec<Diagnostic>,
}

/// Reads `roots` and all that belongs to them.
pub(crate) fn load<'a>(
    arena: &'a Bump,
    roots: Vec<SourceText>,
    from: &mut dyn Sources,
    outer: &Outer<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Files<'a> {
    let files = Files { loaded: Vec::new(), root_count: 0, sources: Vec::new() };
    let mut loader = Loader { arena, from, files, by_name: HashMap::new(), states: Vec::new(), diagnostics };
    for root in roots {
        loader.add(root);
    }
    loader.files.root_count = loader.files.loaded.len();
    for root in 0..loader.files.root_count {
        loader.follow_imports(root);
    }
    loader.find_names(outer);
    loader.files
}

impl<'a> Loader<'a, '_> {
    /// Parses a file, unless it is there already; answers its number, or none when there are too many.
    fn add(&mut self, source: SourceText) -> Option<usize> {
        if let Some(number) = self.by_name.get(&source.name) {
            return Some(*number);
        }
        let number = self.files.loaded.len();
        if number == FILES_MAX {
            return None;
        }
        let text = &*self.arena.alloc_str(&source.text);
        let parsed = parser::parse(self.arena, number as u16, text);
        let has_mistakes = parsed.diagnostics.iter().any(Diagnostic::is_error);
        self.diagnostics.extend(parsed.diagnostics);
        self.files.loaded.push(Loaded { text, tree: parsed.file, imports: HashMap::new(), has_mistakes });
        self.by_name.insert(source.name.clone(), number);
        self.files.sources.push(source);
        self.states.push(State::New);
        Some(number)
    }

    fn follow_imports(&mut self, first: usize) {
        if self.states[first] != State::New {
            return;
        }
        self.states[first] = State::Open;
        // The files under way, each with the item that comes next.
        let mut open = vec![(first, 0)];
        while let Some((file, next)) = open.last_mut() {
            let (file, item) = (*file, *next);
            *next += 1;
            let Some(content) = self.files.loaded[file].tree.items.get(item) else {
                self.states[file] = State::Done;
                open.pop();
                continue;
            };
            let Item::Import(import) = content else {
                continue;
            };
            let complain = |code, message| Diagnostic::new(code, file as u16, import.span, message);
            let from = &self.files.sources[file].name;
            let imported = match self.from.import(from, import.path) {
                Ok(source) => self.add(source),
                Err(reason) => {
                    let message = format!("cannot read `{}`: {reason}", import.path);
                    self.diagnostics.push(complain(Code::ImportMissing, message));
                    continue;
                }
            };
            let Some(imported) = imported else {
                let message = format!("a program has at most {FILES_MAX} files");
                self.diagnostics.push(complain(Code::TooLarge, message));
                continue;
            };
            match self.states[imported] {
                State::New => {
                    self.files.loaded[file].imports.insert(item, imported);
                    self.states[imported] = State::Open;
                    open.push((imported, 0));
                }
                State::Done => {
                    self.files.loaded[file].imports.insert(item, imported);
                }
                State::Open if imported == file => {
                    self.diagnostics.push(complain(Code::ImportCycle, "this file imports itself".to_owned()));
                }
                State::Open => {
                    let start = open.iter().position(|(file, _)| *file == imported).unwrap_or(0);
                    let chain: Vec<&str> =
                        open[start..].iter().map(|(file, _)| self.files.sources[*file].name.as_str()).collect();
                    let message = format!("`{}` imports this file: {}", import.path, chain.join(" imports "));
                    self.diagnostics.push(complain(Code::ImportCycle, message));
                }
            }
        }
    }

    fn find_names(&mut self, outer: &Outer<'_>) {
        let mut defined: HashSet<&'a str> = HashSet::new();
        let mut sought: HashSet<(usize, &'a str)> = HashSet::new();
        let mut names_of = 0;
        loop {
            // Each file that is new first says what it defines.
            for file in &self.files.loaded[names_of..] {
                defined.extend(file.tree.items.iter().filter_map(|item| match item {
                    Item::Definition(definition) => Some(definition.name.text),
                    Item::Import(_) | Item::Extend(_) | Item::Variables(_) | Item::Statement(_) => None,
                }));
            }
            let first = names_of;
            names_of = self.files.loaded.len();
            for file in first..names_of {
                for name in mentioned(&self.files.loaded[file].tree) {
                    if defined.contains(name) || outer.find(name).is_some() || !sought.insert((file, name)) {
                        continue;
                    }
                    let from = &self.files.sources[file].name;
                    if let Some(source) = self.from.find(from, name)
                        && let Some(found) = self.add(source)
                    {
                        self.follow_imports(found);
                    }
                }
            }
            if names_of == self.files.loaded.len() {
                return;
            }
        }
    }
}

/// Whether a name is one of those that are sought in files.
pub(crate) fn is_capitalised(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_uppercase)
}

/// The capitalised names of a file that may be prototypes, each once, in the order of the source.
fn mentioned<'a>(file: &File<'a>) -> Vec<&'a str> {
    let mut mentioned = Mentioned::default();
    for item in file.items {
        match item {
            Item::Import(_) => {}
            Item::Definition(definition) => {
                for name in definition.parent.iter().chain(definition.traits) {
                    mentioned.name(name.text);
                }
                mentioned.side(&definition.instance);
                definition.side.iter().for_each(|side| mentioned.side(side));
            }
            Item::Extend(extend) => {
                mentioned.name(extend.name.text);
                mentioned.side(&extend.instance);
                extend.side.iter().for_each(|side| mentioned.side(side));
            }
            Item::Variables(names) => names.iter().for_each(|name| mentioned.declare(name)),
            Item::Statement(statement) => mentioned.statement(statement),
        }
    }
    mentioned.names.retain(|name| !mentioned.declared.contains(name));
    mentioned.names
}

#[derive(Default)]
struct Mentioned<'a> {
    names: Vec<&'a str>,
    seen: HashSet<&'a str>,
    /// Variables and slots: what they are called is not sought.
    declared: HashSet<&'a str>,
}

impl<'a> Mentioned<'a> {
    fn name(&mut self, name: &'a str) {
        if is_capitalised(name) && self.seen.insert(name) {
            self.names.push(name);
        }
    }

    fn declare(&mut self, name: &Name<'a>) {
        self.declared.insert(name.text);
    }

    fn side(&mut self, side: &Side<'a>) {
        for slot in side.slots {
            self.declare(&slot.name);
            for part in slot.annotation.iter().flat_map(|annotation| annotation.parts) {
                match part {
                    AnnotationPart::Name(name) => self.name(name.text),
                    AnnotationPart::String(_) | AnnotationPart::Number(..) | AnnotationPart::Keyword { .. } => {}
                }
            }
            match &slot.initial {
                SlotInitial::None => {}
                SlotInitial::Slot(value) | SlotInitial::Constant(value) => self.expression(value),
            }
        }
        for member in side.members {
            match member {
                Member::Method(method) => {
                    method.pattern.parameters.iter().for_each(|name| self.declare(name));
                    method.body.iter().for_each(|body| self.body(body));
                }
                Member::Timer { duration, body, .. } => {
                    self.expression(duration);
                    self.body(body);
                }
                Member::Invariant { body, .. } | Member::Migrate { body, .. } => self.body(body),
                Member::Event { .. } | Member::Version { .. } | Member::Supervise { .. } => {}
            }
        }
    }

    fn body(&mut self, body: &Body<'a>) {
        body.temporaries.iter().for_each(|name| self.declare(name));
        body.statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement<'a>) {
        match statement {
            Statement::Expression(expression) | Statement::Answer { value: expression, .. } => {
                self.expression(expression);
            }
        }
    }

    fn expression(&mut self, expression: &Expression<'a>) {
        match &expression.kind {
            ExpressionKind::Name(name) => self.name(name),
            ExpressionKind::Literal(_) | ExpressionKind::Error => {}
            ExpressionKind::Brace(elements) => elements.iter().for_each(|element| self.expression(element)),
            ExpressionKind::Block { parameters, body } => {
                parameters.iter().for_each(|name| self.declare(name));
                self.body(body);
            }
            ExpressionKind::Assign { name: _, value } => self.expression(value),
            ExpressionKind::Send { receiver, message, far: _ } => {
                self.expression(receiver);
                message.arguments.iter().for_each(|argument| self.expression(argument));
            }
            ExpressionKind::Cascade { receiver, messages, far: _ } => {
                self.expression(receiver);
                messages.iter().flat_map(|message| message.arguments).for_each(|argument| self.expression(argument));
            }
        }
    }
}
