//! What `<...>` says about a slot, and whether its first value agrees.

use twintalk_bytecode::image::{self, Annotation};
use twintalk_bytecode::units::{self, Unit};

use crate::ast::{self, AnnotationPart, ExpressionKind, Literal, Slot, SlotInitial, Span};
use crate::diagnostic::{Code, Diagnostic};
use crate::literals;
use crate::loader::is_capitalised;
use crate::names::{Names, nearest};
use crate::program::Program;

/// Reads annotations of one file.
pub(crate) struct AnnotationReader<'r, 'a, 'o> {
    pub program: &'r Program<'a, 'o>,
    pub names: &'r mut Names,
    pub diagnostics: &'r mut Vec<Diagnostic>,
    pub file: u16,
    pub text: &'a str,
}

impl<'a> AnnotationReader<'_, 'a, '_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(Code::WrongAnnotation, self.file, span, message));
    }

    /// The annotation of `slot`, and whether its first value agrees with it.
    pub(crate) fn read(&mut self, slot: &Slot<'a>) -> Annotation {
        let mut annotation = Annotation::default();
        let Some(written) = slot.annotation else {
            return annotation;
        };
        let mut type_name = None;
        let (mut min, mut max) = (None, None);
        let mut unit_span = None;
        for part in written.parts {
            match part {
                AnnotationPart::Name(name) if is_capitalised(name.text) => match type_name {
                    Some(first) => self.wrong(name.span, format!("a slot has one type, and `{first}` is it already")),
                    None => {
                        type_name = Some(name.text);
                        annotation.type_name = Some(self.names.id(name.text));
                        self.check_type(name);
                    }
                },
                AnnotationPart::Name(name) => {
                    if !self.word(&mut annotation, name) {
                        self.unit(&mut annotation, name);
                        unit_span.get_or_insert(name.span);
                    }
                }
                AnnotationPart::String(name) => {
                    self.unit(&mut annotation, name);
                    unit_span.get_or_insert(name.span);
                }
                AnnotationPart::Number(_, span) => annotation.other.push(self.as_written(*span)),
                AnnotationPart::Keyword { name, value, unary, span } => {
                    // By the grammar `max: 3 personal` sends `personal` to 3, which nobody means.
                    let (unary, span) = match unary {
                        Some(word) if self.word(&mut annotation, word) => {
                            (&None, &Span::new(span.start, word.span.start))
                        }
                        Some(_) | None => (unary, span),
                    };
                    match name.text {
                        "min:" | "max:" => {
                            let limit = if name.text == "min:" { &mut min } else { &mut max };
                            if limit.is_some() {
                                self.wrong(name.span, format!("`{}` twice", name.text));
                                continue;
                            }
                            *limit = Some((*value, unary.map(|unary| unary.text), *span));
                        }
                        "keep:" if annotation.keep_ns.is_some() => self.wrong(name.span, "`keep:` twice"),
                        "keep:" => match duration_ns(*value, unary.map(|unary| unary.text)) {
                            Some(keep_ns) => annotation.keep_ns = Some(keep_ns),
                            None => {
                                let message = "`keep:` takes a duration";
                                self.diagnostics.push(
                                    Diagnostic::new(Code::WrongAnnotation, self.file, *span, message)
                                        .help("write a number and a unit of time: `keep: 30 days`"),
                                );
                            }
                        },
                        _ => annotation.other.push(self.as_written(name.span.to(*span))),
                    }
                }
            }
        }
        let unit = annotation.unit.as_deref().and_then(Unit::parse);
        if let (Some(span), None, Some(text)) = (unit_span, &unit, &annotation.unit) {
            let diagnostic = Diagnostic::new(Code::UnknownUnit, self.file, span, format!("there is no unit `{text}`"));
            self.diagnostics.push(diagnostic.help("it is kept for tools; units are written like m3, 'rev/min', degC"));
        }
        // Bounds count in the unit of the slot, wherever that stands.
        let min = min.and_then(|bound| self.bound("min:", bound, unit.as_ref(), &mut annotation.min));
        let max = max.and_then(|bound| self.bound("max:", bound, unit.as_ref(), &mut annotation.max));
        if let (Some((min, _)), Some((max, span))) = (min, max)
            && min > max
        {
            self.wrong(span, "no number is both at least `min:` and at most `max:`");
        }
        self.check_initial(slot, type_name, min.map(|(min, _)| min), max.map(|(max, _)| max));
        annotation
    }

    /// Puts a bound into its `place`, in the unit of the slot; answers about how much it is.
    fn bound(
        &mut self,
        name: &str,
        (value, word, span): (Literal<'a>, Option<&'a str>, Span),
        unit: Option<&Unit>,
        place: &mut Option<image::Literal>,
    ) -> Option<(f64, Span)> {
        let Some(number) = literals::approximate(value) else {
            self.wrong(span, format!("`{name}` takes a number, or a quantity in a slot with a unit"));
            return None;
        };
        let Some(word) = word else {
            match literals::literal(value, self.names) {
                Ok(literal) => *place = Some(literal),
                Err(reason) => {
                    let message = format!("this literal has {reason}");
                    self.diagnostics.push(Diagnostic::new(Code::TooLarge, self.file, span, message));
                }
            }
            return Some((number, span));
        };
        let (Some(from), Some(unit)) = (unit_of_word(word), unit) else {
            let what = if unit.is_some() { format!("`{word}` is no unit") } else { "the slot has no unit".to_owned() };
            self.wrong(span, format!("`{name}` takes a number, or a quantity in a slot with a unit; {what}"));
            return None;
        };
        let Some((factor, term)) = from.conversion(unit) else {
            let (is, wanted) = (units::dimension_name(from.dimension), units::dimension_name(unit.dimension));
            self.wrong(span, format!("the slot is for {wanted}, but `{word}` is for {is}"));
            return None;
        };
        let exact = literals::small_integer(value).and_then(|number| {
            let product = factor.times(units::Exact { numerator: number.into(), denominator: 1 })?;
            let sum = product.plus(term)?;
            i64::try_from(sum.numerator).ok().filter(|_| sum.denominator == 1)
        });
        let converted = number * factor.as_float() + term.as_float();
        *place = Some(match exact {
            Some(exact) => image::Literal::Integer(exact),
            None => image::Literal::Float(converted.to_bits()),
        });
        Some((converted, span))
    }

    fn as_written(&self, span: Span) -> String {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default().trim_end().to_owned()
    }

    /// Takes a word that means something by itself; answers whether it is one.
    fn word(&mut self, annotation: &mut Annotation, name: &ast::Name<'a>) -> bool {
        let flag = match name.text {
            "personal" => &mut annotation.personal,
            "indexed" => &mut annotation.indexed,
            "transient" => &mut annotation.transient,
            _ => return false,
        };
        if std::mem::replace(flag, true) {
            self.wrong(name.span, format!("`{}` twice", name.text));
        }
        true
    }

    fn unit(&mut self, annotation: &mut Annotation, name: &ast::Name<'a>) {
        match &annotation.unit {
            Some(first) => {
                let message = format!("a slot has one unit, and `{first}` is it already");
                self.wrong(name.span, message);
            }
            None => annotation.unit = Some(name.text.to_owned()),
        }
    }

    fn check_type(&mut self, name: &ast::Name<'a>) {
        // While the kernel itself is compiled in pieces, not all of it need be there.
        if self.program.outer.is_empty() || self.program.find(name.text).is_some() {
            return;
        }
        let message = format!("there is no prototype `{}` to be the slot's type", name.text);
        let diagnostic = Diagnostic::new(Code::WrongAnnotation, self.file, name.span, message);
        self.diagnostics.push(match nearest(name.text, self.program.prototype_names()) {
            Some(known) => diagnostic.help(format!("did you mean `{known}`?")),
            None => diagnostic,
        });
    }

    /// Compares a first value that is written out with the annotation.
    fn check_initial(&mut self, slot: &Slot<'a>, type_name: Option<&str>, min: Option<f64>, max: Option<f64>) {
        let (SlotInitial::Slot(value) | SlotInitial::Constant(value)) = slot.initial else {
            return;
        };
        let literal = match value.kind {
            ExpressionKind::Literal(literal) => literal,
            ExpressionKind::Name("true") => Literal::True,
            ExpressionKind::Name("false") => Literal::False,
            ExpressionKind::Name(_)
            | ExpressionKind::Brace(_)
            | ExpressionKind::Block { .. }
            | ExpressionKind::Assign { .. }
            | ExpressionKind::Send { .. }
            | ExpressionKind::Cascade { .. }
            | ExpressionKind::Error => return,
        };
        let mut wrong = |message: String| {
            let diagnostic = Diagnostic::new(Code::WrongInitialValue, self.file, value.span, message);
            let annotation = slot.annotation.map_or(slot.name.span, |annotation| annotation.span);
            self.diagnostics.push(diagnostic.label(annotation, "what is said of the slot"));
        };
        if let Some(type_name) = type_name
            && is_of_type(literal, type_name) == Some(false)
        {
            return wrong(format!("`{}` is to hold a value of {type_name}", slot.name.text));
        }
        let Some(number) = literals::approximate(literal) else {
            if min.is_some() || max.is_some() {
                wrong(format!("`{}` is to hold a number", slot.name.text));
            }
            return;
        };
        if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
            wrong(format!("the first value of `{}` is outside its own range", slot.name.text));
        }
    }
}

/// Whether a literal is of a type of the kernel; none if that cannot be said here.
fn is_of_type(literal: Literal<'_>, type_name: &str) -> Option<bool> {
    let types: &[&str] = match literal {
        // A slot of floats takes an integer and makes it one.
        Literal::Integer { .. } => &["Integer", "Number", "Float", "ScaledDecimal"],
        Literal::Float(_) => &["Float", "Number"],
        Literal::Scaled { .. } => &["ScaledDecimal", "Number"],
        Literal::Character(_) => &["Character"],
        Literal::String(_) => &["String"],
        Literal::Symbol(_) => &["Symbol", "String"],
        Literal::Array(_) => &["Array"],
        Literal::Bytes(_) => &["ByteArray", "Array"],
        Literal::True | Literal::False => &["Boolean"],
        Literal::Nil => return None,
    };
    let known = [
        "Integer",
        "Number",
        "Float",
        "ScaledDecimal",
        "Character",
        "String",
        "Symbol",
        "Array",
        "ByteArray",
        "Boolean",
        "Block",
        "Duration",
        "List",
        "Dictionary",
        "Set",
        "Series",
    ];
    known.contains(&type_name).then(|| types.contains(&type_name))
}

/// The unit that a message to a number means; seconds where that is a duration.
fn unit_of_word(word: &str) -> Option<Unit> {
    match units::duration_of_word(word) {
        Some(nanoseconds) => Unit::parse("s")?.scaled(units::Exact::new(nanoseconds.into(), 1_000_000_000)?),
        None => Unit::parse(units::of_word(word)?),
    }
}

/// `30 days` in nanoseconds.
pub(crate) fn duration_ns(value: Literal<'_>, unit: Option<&str>) -> Option<i64> {
    let unit = unit?;
    let unit_ns = units::duration_of_word(unit)?;
    let ns = match literals::small_integer(value) {
        Some(count) => count.checked_mul(unit_ns)?,
        None => {
            let ns = literals::approximate(value)? * unit_ns as f64;
            // Within what an i64 holds, with room to spare.
            (ns.abs() < 9e18).then_some(ns.round() as i64)?
        }
    };
    (ns > 0).then_some(ns)
}
