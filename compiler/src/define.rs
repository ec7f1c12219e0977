//! From definitions, extensions and statements to an image.
//!
//! Definitions and extensions are emitted before the statements, and all tables are in the order of
//! first use. So what only the statements use stands at the ends of the tables, and
//! `bytecode::definitions` can cut it off: the same definitions have the same hash, whatever the
//! statements beside them say.
//!
//! Every body is resolved, which finds its mistakes, and emitted if it has none. An image comes out
//! even where there are mistakes; `compile` throws it away then.

use hashbrown::HashMap;

use bumpalo::Bump;
use twintalk_bytecode::Image;
use twintalk_bytecode::image::{self, *};
use twintalk_bytecode::verify::TABLE_ROWS_MAX;

use crate::annotation::AnnotationReader;
use crate::ast::{self, Definition, Extend, Item, Member, Name, Pattern, SlotInitial, Span};
use crate::diagnostic::{Code, Diagnostic};
use crate::emit;
use crate::loader::Files;
use crate::names::Tables;
use crate::program::{Defined, Program, Prototype};
use crate::resolve::{Home, Purpose, Resolver};
use crate::supervision;
use crate::tree::Routine;

/// Makes the image of a program.
pub(crate) fn define<'a>(
    arena: &'a Bump,
    files: &Files<'a>,
    program: &Program<'a, '_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Image {
    let mut definer =
        Definer { arena, files, program, diagnostics, tables: Tables::default(), methods: Vec::new(), file: 0 };
    let prototypes = program.parents_first().into_iter().map(|row| definer.prototype(row)).collect();
    let mut extensions = Vec::new();
    for (file, loaded) in files.loaded.iter().enumerate() {
        definer.file = file as u16;
        for item in loaded.tree.items {
            match item {
                Item::Extend(extend) => extensions.push(definer.extension(extend)),
                Item::Definition(_) | Item::Import(_) | Item::Variables(_) | Item::Statement(_) => {}
            }
        }
    }
    let main = definer.main();
    for (name, _) in &program.variables {
        let name = definer.tables.names.id(name);
        definer.tables.variables.row(name);
    }
    definer.check_limits();
    let Definer { tables, methods, .. } = definer;
    Image {
        files: files.sources.iter().map(|source| source_file(&source.name, &source.text)).collect(),
        prototypes,
        extensions,
        globals: tables.globals.into_rows(),
        variables: tables.variables.into_rows(),
        methods,
        main,
        names: tables.names.into_texts(),
    }
}

fn source_file(name: &str, text: &str) -> SourceFile {
    let after_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at as u32 + 1);
    SourceFile { name: name.to_owned(), line_starts: std::iter::once(0).chain(after_ends).collect() }
}

struct Definer<'r, 'a, 'o> {
    arena: &'a Bump,
    files: &'r Files<'a>,
    program: &'r Program<'a, 'o>,
    diagnostics: &'r mut Vec<Diagnostic>,
    tables: Tables,
    methods: Vec<image::Method>,
    file: u16,
}

/// What a method is, apart from its body.
struct Head<'a> {
    selector: &'a str,
    argument_count: usize,
    flags: MethodFlags,
    span: Span,
    comment: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// Of what only the system runs.
    fn hidden(name: &'a str, span: Span, comment: Option<&'a str>) -> Head<'a> {
        let flags = MethodFlags { private: false, query: false, hidden: true };
        Head { selector: name, argument_count: 0, flags, span, comment }
    }
}

/// What stands once in a definition, by kind and name.
type Members<'a> = HashMap<(&'static str, String), Span>;

impl<'r, 'a, 'o> Definer<'r, 'a, 'o> {
    fn complain(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, self.file, span, message));
    }

    fn check_limits(&mut self) {
        let tables = [("prototypes", self.tables.globals.len()), ("program variables", self.tables.variables.len())];
        for (what, rows) in tables {
            if rows > TABLE_ROWS_MAX {
                self.file = 0;
                let message = format!("a program names at most {TABLE_ROWS_MAX} {what}, and this one {rows}");
                self.complain(Code::TooLarge, Span::default(), message);
            }
        }
    }

    // ---- methods ----

    fn resolver<'h>(&'h mut self, home: &'h Home<'h>, purpose: Purpose) -> Resolver<'h, 'a, 'o>
    where
        'r: 'h,
    {
        let is_quiet = self.files.loaded[usize::from(self.file)].has_mistakes;
        Resolver::new(self.arena, self.program, self.diagnostics, home, purpose, self.file, is_quiet)
    }

    /// Adds a method with these codes.
    fn add(&mut self, head: &Head<'_>, body: Body) -> MethodId {
        let id = MethodId(self.methods.len() as u32);
        self.methods.push(image::Method {
            selector: self.tables.names.id(head.selector),
            argument_count: head.argument_count as u8,
            flags: head.flags,
            body,
            position: SourcePosition { file: self.file, offset: head.span.start },
            comment: head.comment.map(str::to_owned),
        });
        id
    }

    /// Emits a routine and adds it as a method; none if it had mistakes.
    fn emit(&mut self, head: &Head<'_>, routine: Option<Routine<'a>>) -> Option<MethodId> {
        let routine = routine?;
        match emit::emit(&routine, &mut self.tables) {
            Ok(codes) => Some(self.add(head, Body::Code(codes.into()))),
            Err(too_large) => {
                let span = Span::new(too_large.offset, too_large.offset);
                self.complain(Code::TooLarge, span, too_large.message);
                None
            }
        }
    }

    fn body(
        &mut self,
        home: &Home<'_>,
        purpose: Purpose,
        head: &Head<'a>,
        parameters: &'a [Name<'a>],
        body: &ast::Body<'a>,
        answers_last: bool,
    ) -> Option<MethodId> {
        let routine = self.resolver(home, purpose).body(parameters, body, answers_last);
        self.emit(head, routine)
    }

    fn value(
        &mut self,
        home: &Home<'_>,
        purpose: Purpose,
        head: &Head<'a>,
        expression: &ast::Expression<'a>,
    ) -> Option<MethodId> {
        let routine = self.resolver(home, purpose).value(expression);
        self.emit(head, routine)
    }

    fn method(&mut self, home: &Home<'_>, method: &ast::Method<'a>) -> Option<MethodId> {
        let Pattern { selector, parameters } = method.pattern;
        let head = Head {
            selector: selector.text,
            argument_count: parameters.len(),
            flags: MethodFlags { private: method.modifiers.private, query: method.modifiers.query, hidden: false },
            span: method.span,
            comment: method.comment,
        };
        if parameters.len() > usize::from(u8::MAX) {
            self.complain(Code::TooLarge, selector.span, "a message has at most 255 arguments");
            return None;
        }
        let purpose = if method.modifiers.query { Purpose::Query } else { Purpose::Method };
        match &method.body {
            Some(body) => self.body(home, purpose, &head, parameters, body, false),
            None => Some(self.add(&head, Body::Primitive)),
        }
    }

    /// Notes a member, and says whether it is the first of its kind and name.
    fn is_first(
        &mut self,
        members: &mut Members<'a>,
        code: Code,
        what: &'static str,
        name: impl Into<String>,
        span: Span,
    ) -> bool {
        let name = name.into();
        match members.get(&(what, name.clone())) {
            None => {
                members.insert((what, name), span);
                true
            }
            Some(first) => {
                let message = match name.as_str() {
                    "" => format!("a second `{what}`"),
                    name => format!("a second {what} `{name}`"),
                };
                self.diagnostics.push(Diagnostic::new(code, self.file, span, message).label(*first, "the first one"));
                false
            }
        }
    }

    // ---- definitions ----

    fn prototype(&mut self, row: usize) -> image::Prototype {
        let program = self.program;
        let defined: &'r Defined<'a> = &program.definitions[row];
        let tree = defined.tree;
        self.file = defined.file;
        let home = Home::of(program, Some(Prototype::Here(row)), false);
        let mut made = image::Prototype {
            name: self.tables.names.id(tree.name.text),
            kind: defined.kind,
            parent: defined.parent_name.map(|name| self.tables.names.id(name)),
            traits: defined.trait_names.iter().map(|name| self.tables.names.id(name)).collect(),
            instance: Behaviour::default(),
            side: Behaviour::default(),
            events: Vec::new(),
            timers: Vec::new(),
            invariants: Vec::new(),
            version: 1,
            migrations: Vec::new(),
            supervision: None,
            comment: tree.comment.map(str::to_owned),
            position: SourcePosition { file: defined.file, offset: tree.span.start },
        };
        made.instance.slots = self.slots(&home, tree.instance.slots);
        self.members(&home, tree, &mut made);
        if let Some(side) = &tree.side {
            self.side(row, defined, side, &mut made);
        }
        made
    }

    fn side(&mut self, row: usize, defined: &Defined<'a>, side: &ast::Side<'a>, made: &mut image::Prototype) {
        // The kernel's own `Twin` has one, from which all twins have theirs.
        let may_have_one = defined.kind == PrototypeKind::Object || self.program.outer.is_empty();
        if !may_have_one {
            let what = if defined.kind == PrototypeKind::Twin { "twin" } else { "trait" };
            let first = side.slots.first().map(|slot| slot.span);
            let span = first.or(side.members.first().map(member_span)).unwrap_or(defined.tree.name.span);
            let message = format!("a {what} has nothing behind `----`");
            let diagnostic = Diagnostic::new(Code::WrongPlace, self.file, span, message);
            self.diagnostics.push(diagnostic.help("give an `object` of its own what all share"));
        }
        let home = Home::of(self.program, Some(Prototype::Here(row)), true);
        made.side.slots = self.slots(&home, side.slots);
        let mut members = Members::new();
        for member in side.members {
            match member {
                Member::Method(method) => {
                    made.side.methods.extend(self.unique_method(&home, method, &mut members));
                }
                Member::Event { .. }
                | Member::Timer { .. }
                | Member::Invariant { .. }
                | Member::Version { .. }
                | Member::Supervise { .. }
                | Member::Migrate { .. } => {
                    self.complain(Code::WrongPlace, member_span(member), "behind `----` stand slots and methods alone");
                }
            }
        }
    }

    fn unique_method(
        &mut self,
        home: &Home<'_>,
        method: &ast::Method<'a>,
        members: &mut Members<'a>,
    ) -> Option<MethodId> {
        let selector = method.pattern.selector;
        let is_first = self.is_first(members, Code::DuplicateMethod, "method", selector.text, selector.span);
        let id = self.method(home, method);
        id.filter(|_| is_first)
    }

    fn slots(&mut self, home: &Home<'_>, slots: &[ast::Slot<'a>]) -> Vec<SlotDefinition> {
        let mut made: Vec<SlotDefinition> = Vec::with_capacity(slots.len());
        for (index, slot) in slots.iter().enumerate() {
            if crate::inline::is_reserved(slot.name.text) {
                let message = format!("`{}` cannot be a slot", slot.name.text);
                self.complain(Code::NotAssignable, slot.name.span, message);
            }
            let head = Head::hidden(slot.name.text, slot.span, None);
            let initialiser = match &slot.initial {
                SlotInitial::None => None,
                SlotInitial::Slot(value) => self.value(home, Purpose::Initialiser(index), &head, value),
                SlotInitial::Constant(value) => {
                    self.check_constant(slot, value);
                    self.value(home, Purpose::Constant(index), &head, value)
                }
            };
            let mut reader = AnnotationReader {
                program: self.program,
                names: &mut self.tables.names,
                diagnostics: self.diagnostics,
                file: self.file,
                text: self.files.loaded[usize::from(self.file)].text,
            };
            let annotation = reader.read(slot);
            made.push(SlotDefinition {
                name: self.tables.names.id(slot.name.text),
                constant: matches!(slot.initial, SlotInitial::Constant(_)),
                initialiser,
                annotation,
                comment: slot.comment.map(str::to_owned),
            });
        }
        made
    }

    /// Whether the value of a constant can be seen to be one that changes.
    fn check_constant(&mut self, slot: &ast::Slot<'a>, value: &ast::Expression<'a>) {
        let what = match value.kind {
            ast::ExpressionKind::Brace(_) => "a brace array can change",
            ast::ExpressionKind::Block { .. } => "a block is no value that stays",
            ast::ExpressionKind::Send { receiver, message, far: false }
                if makes_mutable(receiver, message.selector.text) =>
            {
                "what this makes can change"
            }
            ast::ExpressionKind::Name(_)
            | ast::ExpressionKind::Literal(_)
            | ast::ExpressionKind::Assign { .. }
            | ast::ExpressionKind::Send { .. }
            | ast::ExpressionKind::Cascade { .. }
            | ast::ExpressionKind::Error => return,
        };
        let message = format!("`{}` is a constant, but {what}", slot.name.text);
        let help = match value.kind {
            ast::ExpressionKind::Brace(_) => "write a literal array, `#( ... )`, or make it a slot with `<-`",
            _ => "make it a slot with `<-`: each object then has one of its own",
        };
        self.diagnostics.push(Diagnostic::new(Code::MutableConstant, self.file, value.span, message).help(help));
    }

    fn members(&mut self, home: &Home<'_>, tree: &Definition<'a>, made: &mut image::Prototype) {
        let mut members = Members::new();
        let kind = made.kind;
        let mut migrations: Vec<(u32, Span, MethodId)> = Vec::new();
        for member in tree.instance.members {
            if let Some(what) = wrong_place(kind, member) {
                let what_kind = if kind == PrototypeKind::Trait { "a trait" } else { "an object" };
                let diagnostic = Diagnostic::new(
                    Code::WrongPlace,
                    self.file,
                    member_span(member),
                    format!("{what_kind} has no {what}"),
                );
                self.diagnostics.push(diagnostic.help(format!("{what}s stand in a `twin`")));
            }
            match member {
                Member::Method(method) => {
                    made.instance.methods.extend(self.unique_method(home, method, &mut members));
                }
                Member::Event { pattern: Pattern { selector, parameters: _ }, comment: _, span: _ } => {
                    if self.is_first(&mut members, Code::DuplicateMember, "event", selector.text, selector.span) {
                        made.events.push(Event { selector: self.tables.names.id(selector.text) });
                    }
                }
                Member::Timer { name, repeats, duration, body, comment, span } => {
                    let is_first = self.is_first(&mut members, Code::DuplicateMember, "timer", name.text, name.span);
                    let head = Head::hidden(name.text, *span, *comment);
                    let duration_head = Head::hidden(name.text, duration.span, None);
                    let duration = self.value(home, Purpose::Method, &duration_head, duration);
                    let method = self.body(home, Purpose::Method, &head, &[], body, false);
                    if let (true, Some(duration), Some(method)) = (is_first, duration, method) {
                        made.timers.push(Timer { method, repeats: *repeats, duration });
                    }
                }
                Member::Invariant { name, body, comment, span } => {
                    let is_first =
                        self.is_first(&mut members, Code::DuplicateMember, "invariant", name.text, name.span);
                    let head = Head::hidden(name.text, *span, *comment);
                    let method = self.body(home, Purpose::Invariant, &head, &[], body, true);
                    made.invariants.extend(method.filter(|_| is_first));
                }
                Member::Version { number, span, comment: _ } => {
                    if self.is_first(&mut members, Code::DuplicateMember, "version", "", *span) {
                        match u32::try_from(*number) {
                            Ok(number @ 1..) => made.version = number,
                            Ok(0) | Err(_) => {
                                let message = format!("a version is a number from 1 to {}", u32::MAX);
                                self.complain(Code::WrongVersion, *span, message);
                            }
                        }
                    }
                }
                Member::Supervise { words, span, comment: _ } => {
                    let is_first = self.is_first(&mut members, Code::DuplicateMember, "supervise", "", *span);
                    let read = supervision::read(words, self.file, self.diagnostics);
                    if is_first {
                        made.supervision = read;
                    }
                }
                Member::Migrate { from, from_span, body, comment, span } => {
                    let name = &*self.arena.alloc_str(&format!("migrate {from}"));
                    let is_first =
                        self.is_first(&mut members, Code::DuplicateMember, "migration", from.to_string(), *from_span);
                    let head = Head::hidden(name, *span, *comment);
                    let method = self.body(home, Purpose::Method, &head, &[], body, false);
                    match u32::try_from(*from) {
                        Ok(from @ 1..) => {
                            migrations.extend(method.filter(|_| is_first).map(|id| (from, *from_span, id)))
                        }
                        Ok(0) | Err(_) => {
                            let message = format!("a version is a number from 1 to {}", u32::MAX);
                            self.complain(Code::WrongVersion, *from_span, message);
                        }
                    }
                }
            }
        }
        migrations.sort_by_key(|(from, ..)| *from);
        for (from, span, method) in migrations {
            if from >= made.version {
                let message = format!("version {from} is not before the present one, which is {}", made.version);
                let help = format!("write `version {}.`, or migrate from a lower one", u64::from(from) + 1);
                self.diagnostics.push(Diagnostic::new(Code::WrongVersion, self.file, span, message).help(help));
            }
            made.migrations.push(Migration { from, method });
        }
    }

    // ---- extensions ----

    fn extension(&mut self, extend: &Extend<'a>) -> Extension {
        let target = self.program.find(extend.name.text);
        if target.is_none() {
            self.diagnostics.push(self.program.unknown_prototype(self.file, &extend.name));
        }
        let home = Home::of(self.program, target, false);
        let methods = self.extension_side(&home, &extend.instance);
        let side_methods = match &extend.side {
            Some(side) => {
                let home = Home::of(self.program, target, true);
                self.extension_side(&home, side)
            }
            None => Vec::new(),
        };
        Extension { name: self.tables.names.id(extend.name.text), methods, side_methods }
    }

    fn extension_side(&mut self, home: &Home<'_>, side: &ast::Side<'a>) -> Vec<MethodId> {
        if let Some(slot) = side.slots.first() {
            let diagnostic = Diagnostic::new(Code::WrongPlace, self.file, slot.span, "`extend` adds no slots");
            self.diagnostics.push(diagnostic.help("slots stand in the definition itself"));
        }
        let mut methods = Vec::new();
        let mut members = Members::new();
        for member in side.members {
            match member {
                Member::Method(method) => methods.extend(self.unique_method(home, method, &mut members)),
                Member::Event { .. }
                | Member::Timer { .. }
                | Member::Invariant { .. }
                | Member::Version { .. }
                | Member::Supervise { .. }
                | Member::Migrate { .. } => {
                    self.complain(Code::WrongPlace, member_span(member), "`extend` adds methods alone");
                }
            }
        }
        methods
    }

    // ---- statements ----

    fn main(&mut self) -> Option<MethodId> {
        let (statements, first) = self.statements();
        let (file, span) = first?;
        self.file = file;
        let home = Home::nowhere();
        let routine = self.resolver(&home, Purpose::Main).main(&statements);
        self.file = file;
        self.emit(&Head::hidden("main", span, None), routine)
    }

    /// The statements of the roots, those of an imported file where its import stands. Each has its
    /// file and, if that is not the method's own, the place that stands for it.
    #[allow(clippy::type_complexity, reason = "used once, right above")]
    fn statements(&self) -> (Vec<(u16, Option<u32>, ast::Statement<'a>)>, Option<(u16, Span)>) {
        let mut statements: Vec<(u16, Option<u32>, ast::Statement<'a>)> = Vec::new();
        let mut entered = vec![false; self.files.loaded.len()];
        let mut own: Option<(u16, Span)> = None;
        for root in 0..self.files.root_count {
            if std::mem::replace(&mut entered[root], true) {
                continue;
            }
            // The import in the root that led to where we are.
            let mut import_in_root = 0;
            let mut open = vec![(root, 0)];
            while let Some((file, next)) = open.last_mut() {
                let (file, item) = (*file, *next);
                *next += 1;
                let Some(content) = self.files.loaded[file].tree.items.get(item) else {
                    open.pop();
                    continue;
                };
                match content {
                    Item::Import(import) => {
                        if open.len() == 1 {
                            import_in_root = import.span.start;
                        }
                        if let Some(imported) = self.files.loaded[file].imports.get(&item)
                            && !std::mem::replace(&mut entered[*imported], true)
                        {
                            open.push((*imported, 0));
                        }
                    }
                    Item::Statement(statement) => {
                        let span = match statement {
                            ast::Statement::Expression(expression) => expression.span,
                            ast::Statement::Answer { value: _, span } => *span,
                        };
                        // The method is the first root's that runs anything.
                        let (own_file, _) = *own.get_or_insert((root as u16, span));
                        let offset = match (file == usize::from(own_file), root == usize::from(own_file)) {
                            (true, _) => None,
                            (false, true) => Some(import_in_root),
                            (false, false) => Some(0),
                        };
                        statements.push((file as u16, offset, *statement));
                    }
                    Item::Definition(_) | Item::Extend(_) | Item::Variables(_) => {}
                }
            }
        }
        (statements, own)
    }
}

/// The kernel's prototypes whose objects can change; those of a program's own are frozen with the
/// constant that holds them.
const MUTABLE: &[&str] = &["Array", "Bag", "ByteArray", "Dictionary", "List", "Series", "Set", "String"];

/// Whether a message makes something that can change, as far as can be seen.
fn makes_mutable(receiver: &ast::Expression<'_>, selector: &str) -> bool {
    match receiver.kind {
        ast::ExpressionKind::Name(name) => {
            MUTABLE.contains(&name) && ["new", "new:", "with:"].iter().any(|start| selector.starts_with(start))
        }
        ast::ExpressionKind::Literal(literal) => {
            selector == "copy"
                && matches!(literal, ast::Literal::Array(_) | ast::Literal::Bytes(_) | ast::Literal::String(_))
        }
        _ => false,
    }
}

/// What a member is, where a definition of this kind cannot have it.
fn wrong_place(kind: PrototypeKind, member: &Member<'_>) -> Option<&'static str> {
    let what = match member {
        Member::Method(_) => return None,
        Member::Event { .. } => "event",
        Member::Timer { .. } => "timer",
        Member::Invariant { .. } => "invariant",
        Member::Version { .. } => "version",
        Member::Migrate { .. } => "migration",
        Member::Supervise { .. } => "supervision",
    };
    match (kind, member) {
        (PrototypeKind::Twin, _) => None,
        // A trait brings these along for the twins that use it; versions are of a whole.
        (
            PrototypeKind::Trait,
            Member::Event { .. } | Member::Timer { .. } | Member::Invariant { .. } | Member::Supervise { .. },
        ) => None,
        (PrototypeKind::Trait | PrototypeKind::Object, _) => Some(what),
    }
}

fn member_span(member: &Member<'_>) -> Span {
    match member {
        Member::Method(method) => method.span,
        Member::Event { pattern, .. } => pattern.selector.span,
        Member::Timer { span, .. }
        | Member::Invariant { span, .. }
        | Member::Version { span, .. }
        | Member::Supervise { span, .. }
        | Member::Migrate { span, .. } => *span,
    }
}
