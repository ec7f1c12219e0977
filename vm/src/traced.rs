//! Values in traces: short, and without running any code, since the run is over when a trace is taken.

use crate::class::{ClassId, LinkedCode};
use crate::value::{Kind, Value};
use crate::vm::Vm;

/// How many characters of a text are shown.
const TEXT_CHARACTERS_MAX: usize = 30;
/// How many bits an integer may have to be written out.
const INTEGER_BITS_MAX: u64 = 128;
/// How many arguments are shown.
const ARGUMENTS_MAX: usize = 8;

impl Vm {
    /// The receiver of a method of `class`, unless its prototype is all there is to say.
    pub(crate) fn traced_receiver(&self, receiver: Value, class: ClassId) -> Option<String> {
        let text = self.traced_value(receiver);
        let name = self.symbols.name(self.class(class).name);
        let says_nothing = receiver.is_nil() || text == name || text.strip_prefix(article(name)) == Some(name);
        (!says_nothing).then_some(text)
    }

    /// The name of a code with its arguments: of a method the message as it was sent, `Tank>>at: 3 put: 'x'`.
    pub(crate) fn traced_method(&self, code: &LinkedCode, arguments: &[Value]) -> String {
        let name = self.name_of(code);
        let shown: Vec<String> =
            arguments.iter().take(ARGUMENTS_MAX).map(|&argument| self.traced_value(argument)).collect();
        if shown.is_empty() {
            return name;
        }
        if code.index > 0 {
            return format!("{name} with {}", shown.join(", "));
        }
        let selector = self.symbols.name(self.method_of(code).selector);
        let parts: Vec<&str> = selector.split_inclusive(':').collect();
        match name.strip_suffix(selector) {
            Some(prototype) if parts.len() == shown.len() => {
                let sent: Vec<String> =
                    parts.iter().zip(&shown).map(|(part, value)| format!("{part} {value}")).collect();
                format!("{prototype}{}", sent.join(" "))
            }
            Some(_) | None => name,
        }
    }

    /// A value in a few words.
    fn traced_value(&self, value: Value) -> String {
        match value.kind() {
            Kind::Nil => "nil".to_owned(),
            Kind::Boolean(is) => is.to_string(),
            Kind::Integer(number) => number.to_string(),
            Kind::Float(number) => crate::primitives::float_text(number),
            Kind::Character(character) => format!("${character}"),
            Kind::Symbol(_) => format!("#{}", cut(self.as_text(value).unwrap_or_default())),
            Kind::Part(_) => self.class_name(value).to_owned(),
            Kind::Pointer => self.traced_object(value),
        }
    }

    fn traced_object(&self, value: Value) -> String {
        if self.heap.class_of_object(value) == self.known.cell {
            let held = self.heap.slot(value, 0);
            let is_cell = held.is_pointer() && self.heap.class_of_object(held) == self.known.cell;
            return if is_cell { "a variable".to_owned() } else { self.traced_value(held) };
        }
        if let Some(path) = self.path_of(value) {
            return path.to_owned();
        }
        if let Some(class) = self.class_of_prototype(value) {
            return self.symbols.name(self.class(class).name).to_owned();
        }
        if let Some(text) = self.as_text(value) {
            return format!("'{}'", cut(text).replace('\'', "''").replace(['\n', '\r'], " "));
        }
        if let Some(number) = self.as_float(value) {
            return crate::primitives::float_text(number);
        }
        if let Some(number) = self.as_big_integer(value) {
            return match number.bits() {
                0..=INTEGER_BITS_MAX => number.to_string(),
                bits => format!("an Integer of {bits} bits"),
            };
        }
        let name = self.class_name(value);
        match self.array_length(value) {
            Some(length) => format!("{}{name} of {length}", article(name)),
            None => format!("{}{name}", article(name)),
        }
    }
}

/// The article for a name, with a blank.
fn article(name: &str) -> &'static str {
    if name.starts_with(['A', 'E', 'I', 'O', 'U']) { "an " } else { "a " }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
