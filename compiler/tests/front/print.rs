//! The tree as nested lists, and what the other tests have in common.
//!
//! `(send foo: self 1)`; a far send is `(far foo: tank 1)`, a cascade `(cascade r (foo: 1) (bar))`.

use bumpalo::Bump;
use twintalk_compiler::ast::*;
use twintalk_compiler::diagnostic::Diagnostic;
use twintalk_compiler::parser::parse;

/// The tree of `text`, an item a line, members and slots indented; then its diagnostics.
pub fn tree(text: &str) -> String {
    let arena = Bump::new();
    let parsed = parse(&arena, 0, text);
    let mut out = file(&parsed.file);
    for diagnostic in &parsed.diagnostics {
        out += &rendered(text, diagnostic);
    }
    out
}

/// The diagnostics of `text`.
pub fn diagnostics(text: &str) -> String {
    let arena = Bump::new();
    parse(&arena, 0, text).diagnostics.iter().map(|diagnostic| rendered(text, diagnostic)).collect()
}

/// `line:column code: message`, then labels and help, indented.
fn rendered(text: &str, diagnostic: &Diagnostic) -> String {
    let place = |span: Span| {
        let before = &text[..span.start as usize];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let length = text[span.start as usize..span.end as usize].chars().count();
        format!("{line}:{column}+{length}")
    };
    let mut out = format!("{} {}: {}\n", place(diagnostic.span), diagnostic.code.name(), diagnostic.message);
    for label in &diagnostic.labels {
        out += &format!("  {} {}\n", place(label.span), label.text);
    }
    if let Some(help) = &diagnostic.help {
        out += &format!("  help: {help}\n");
    }
    out
}

/// The tree of a file.
pub fn file(file: &File) -> String {
    file.items.iter().map(|item| self::item(item) + "\n").collect()
}

fn item(item: &Item) -> String {
    match item {
        Item::Import(import) => format!("(import {:?})", import.path),
        Item::Variables(names) => format!("(variables{})", words(names)),
        Item::Statement(statement) => self::statement(statement),
        Item::Definition(definition) => {
            let kind = match definition.kind {
                DefinitionKind::Twin => "twin",
                DefinitionKind::Object => "object",
                DefinitionKind::Trait => "trait",
                DefinitionKind::Plain => "plain",
            };
            let mut out = format!("({kind} {}", definition.name.text);
            if let Some(parent) = &definition.parent {
                out += &format!(" {}", parent.text);
            }
            for name in definition.traits {
                out += &format!(" +{}", name.text);
            }
            out + &comment(definition.comment) + &sides(&definition.instance, definition.side.as_ref()) + ")"
        }
        Item::Extend(extend) => {
            format!("(extend {}", extend.name.text) + &sides(&extend.instance, extend.side.as_ref()) + ")"
        }
    }
}

fn sides(instance: &Side, behind: Option<&Side>) -> String {
    let mut out = side(instance);
    if let Some(behind) = behind {
        out += "\n  ----";
        out += &side(behind);
    }
    out
}

fn side(side: &Side) -> String {
    let slots = side.slots.iter().map(slot);
    let members = side.members.iter().map(member);
    slots.chain(members).map(|line| format!("\n  {line}")).collect()
}

fn comment(comment: Option<&str>) -> String {
    comment.map(|text| format!(" {text:?}")).unwrap_or_default()
}

fn slot(slot: &Slot) -> String {
    let mut out = format!("(slot {}", slot.name.text);
    if let Some(annotation) = slot.annotation {
        let parts: Vec<_> = annotation.parts.iter().map(annotation_part).collect();
        out += &format!(" <{}>", parts.join(" "));
    }
    match slot.initial {
        SlotInitial::None => {}
        SlotInitial::Slot(value) => out += &format!(" <- {}", expression(&value)),
        SlotInitial::Constant(value) => out += &format!(" = {}", expression(&value)),
    }
    out + &comment(slot.comment) + ")"
}

fn annotation_part(part: &AnnotationPart) -> String {
    match part {
        AnnotationPart::Name(name) => name.text.to_owned(),
        AnnotationPart::String(text) => format!("{:?}", text.text),
        AnnotationPart::Number(number, _) => literal(number),
        AnnotationPart::Keyword { name, value, unary, .. } => {
            let unary = unary.map(|unary| format!(" {}", unary.text)).unwrap_or_default();
            format!("({} {}{unary})", name.text, literal(value))
        }
    }
}

fn member(member: &Member) -> String {
    match member {
        Member::Method(method) => {
            let private = if method.modifiers.private { "private " } else { "" };
            let query = if method.modifiers.query { "query " } else { "" };
            let body = method.body.map_or(" primitive".to_owned(), |body| self::body(&body));
            format!("({private}{query}method {}{}{body})", pattern(&method.pattern), comment(method.comment))
        }
        Member::Event { pattern: event, comment: text, .. } => format!("(event {}{})", pattern(event), comment(*text)),
        Member::Timer { name, repeats, duration, body, comment: text, .. } => {
            let word = if *repeats { "every" } else { "after" };
            format!("(timer {} {word} {}{}{})", name.text, expression(duration), comment(*text), self::body(body))
        }
        Member::Invariant { name, body, comment: text, .. } => {
            format!("(invariant {}{}{})", name.text, comment(*text), self::body(body))
        }
        Member::Version { number, comment: text, .. } => format!("(version {number}{})", comment(*text)),
        Member::Supervise { words, comment: text, .. } => {
            let words: Vec<_> = words.iter().map(supervise_word).collect();
            format!("(supervise {}{})", words.join(" "), comment(*text))
        }
        Member::Migrate { from, body, comment: text, .. } => {
            format!("(migrate {from}{}{})", comment(*text), self::body(body))
        }
    }
}

fn supervise_word(word: &SuperviseWord) -> String {
    match &word.value {
        None => word.word.text.to_owned(),
        Some(SuperviseValue::Name(name)) => format!("{} {}", word.word.text, name.text),
        Some(SuperviseValue::Number { value, unit, .. }) => {
            let unit = unit.map(|unit| format!(" {}", unit.text)).unwrap_or_default();
            format!("{} {}{unit}", word.word.text, literal(value))
        }
    }
}

fn pattern(pattern: &Pattern) -> String {
    format!("{}{}", pattern.selector.text, words(pattern.parameters))
}

fn words(names: &[Name]) -> String {
    names.iter().map(|name| format!(" {}", name.text)).collect()
}

fn body(body: &Body) -> String {
    let temporaries = match body.temporaries {
        [] => String::new(),
        names => format!(" |{}|", words(names).trim_start()),
    };
    temporaries + &body.statements.iter().map(|each| format!(" {}", statement(each))).collect::<String>()
}

fn statement(statement: &Statement) -> String {
    match statement {
        Statement::Expression(value) => expression(value),
        Statement::Answer { value, .. } => format!("(^ {})", expression(value)),
    }
}

/// An expression.
pub fn expression(value: &Expression) -> String {
    match value.kind {
        ExpressionKind::Name(name) => name.to_owned(),
        ExpressionKind::Literal(value) => literal(&value),
        ExpressionKind::Brace(items) => format!("{{{}}}", items.iter().map(expression).collect::<Vec<_>>().join(". ")),
        ExpressionKind::Block { parameters, body } => {
            let parameters = parameters.iter().map(|name| format!(" :{}", name.text)).collect::<String>();
            format!("[{}]", (parameters + &self::body(&body)).trim_start())
        }
        ExpressionKind::Assign { name, value } => format!("(:= {} {})", name.text, expression(value)),
        ExpressionKind::Send { receiver, message, far } => {
            let verb = if far { "far" } else { "send" };
            format!("({verb} {} {}{})", message.selector.text, expression(receiver), arguments(&message))
        }
        ExpressionKind::Cascade { receiver, messages, far } => {
            let verb = if far { "far-cascade" } else { "cascade" };
            let messages: String =
                messages.iter().map(|each| format!(" ({}{})", each.selector.text, arguments(each))).collect();
            format!("({verb} {}{messages})", expression(receiver))
        }
        ExpressionKind::Error => "ERROR".to_owned(),
    }
}

fn arguments(message: &Message) -> String {
    message.arguments.iter().map(|each| format!(" {}", expression(each))).collect()
}

fn literal(value: &Literal) -> String {
    let sign = |negative: bool| if negative { "-" } else { "" };
    match *value {
        Literal::Integer { negative, radix: 10, digits } => format!("{}{digits}", sign(negative)),
        Literal::Integer { negative, radix, digits } => format!("{}{radix}r{digits}", sign(negative)),
        Literal::Float(value) => format!("{value:?}"),
        Literal::Scaled { negative, digits, scale } => format!("{}{digits}s{scale}", sign(negative)),
        Literal::Character(value) => format!("${value}"),
        Literal::String(text) => format!("{text:?}"),
        Literal::Symbol(text) if text.chars().all(|c| c.is_alphanumeric() || c == ':') && !text.is_empty() => {
            format!("#{text}")
        }
        Literal::Symbol(text) => format!("#{text:?}"),
        Literal::Array(items) => format!("#({})", items.iter().map(literal).collect::<Vec<_>>().join(" ")),
        Literal::Bytes(bytes) => format!("#{bytes:?}"),
        Literal::Nil => "nil".to_owned(),
        Literal::True => "true".to_owned(),
        Literal::False => "false".to_owned(),
    }
}
