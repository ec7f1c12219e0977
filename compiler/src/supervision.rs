//! What `supervise` says: from its words to the policy of an image.
//!
//! A word alone is what becomes of a message at once; `retry:` first tries it again, with words behind it for
//! how long, how often, and what then. Each word stands once, in any order behind `retry:`.

use twintalk_bytecode::image::{GivingUp, Retry, Supervision};
use twintalk_bytecode::verify::RETRIES_MAX;

use crate::annotation::duration_ns;
use crate::ast::{Name, Span, SuperviseValue, SuperviseWord};
use crate::diagnostic::{Code, Diagnostic};
use crate::literals;
use crate::names::nearest;

/// How long is waited before the first retry where nothing is said.
const AFTER_NS: i64 = 100_000_000;
/// How long is waited at most where nothing is said.
const UP_TO_NS: i64 = 10_000_000_000;

/// The words that give up.
const GIVING_UP: &[(&str, GivingUp)] =
    &[("deadLetter", GivingUp::DeadLetter), ("quarantine", GivingUp::Quarantine), ("escalate", GivingUp::Escalate)];
/// The words that take a value.
const WORDS: &[&str] = &["retry:", "after:", "upTo:", "within:", "then:"];

/// The policy that `words` are, or none after a diagnostic.
pub(crate) fn read(words: &[SuperviseWord<'_>], file: u16, diagnostics: &mut Vec<Diagnostic>) -> Option<Supervision> {
    let before = diagnostics.len();
    let read = Reader { file, diagnostics }.read(words);
    read.filter(|_| diagnostics.len() == before)
}

struct Reader<'r> {
    file: u16,
    diagnostics: &'r mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let diagnostic = Diagnostic::new(Code::WrongSupervision, self.file, span, message);
        self.diagnostics.push(diagnostic.help(help));
    }

    fn read(&mut self, words: &[SuperviseWord<'_>]) -> Option<Supervision> {
        let first = words.first()?;
        if first.value.is_none() {
            return Some(Supervision { retry: None, then: self.giving_up(&first.word)? });
        }
        if first.word.text != "retry:" {
            self.unknown_first(&first.word);
            return None;
        }
        let (mut count, mut after, mut up_to, mut within, mut then) = (None, None, None, None, None);
        let mut seen: Vec<&str> = Vec::new();
        for SuperviseWord { word, value } in words {
            if seen.contains(&word.text) {
                self.wrong(word.span, format!("`{}` twice", word.text), "leave one of them out");
                continue;
            }
            seen.push(word.text);
            let Some(value) = value else { continue };
            match word.text {
                "retry:" => count = self.count(value),
                "after:" => after = self.duration(word, value),
                "upTo:" => up_to = self.duration(word, value),
                "within:" => within = self.duration(word, value),
                "then:" => then = self.then(value),
                _ => self.unknown(word),
            }
        }
        if let (after, Some((up_to, span))) = (after.map_or(AFTER_NS, |(ns, _)| ns), up_to)
            && up_to < after
        {
            self.wrong(
                span,
                "no wait is at least `after:` and at most `upTo:`",
                "let `upTo:` be the longer of the two",
            );
        }
        let after_ns = after.map_or(AFTER_NS, |(ns, _)| ns);
        let retry = Retry {
            count: count?,
            after_ns,
            up_to_ns: up_to.map_or(UP_TO_NS.max(after_ns), |(ns, _)| ns),
            within_ns: within.map(|(ns, _)| ns),
        };
        Some(Supervision { retry: Some(retry), then: then.unwrap_or(GivingUp::DeadLetter) })
    }

    fn giving_up(&mut self, word: &Name<'_>) -> Option<GivingUp> {
        let known = GIVING_UP.iter().find(|(name, _)| *name == word.text);
        if known.is_none() {
            let help = match nearest(word.text, GIVING_UP.iter().map(|(name, _)| *name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if word.text == "retry" => "say how often: `supervise retry: 5.`".to_owned(),
                None => "write `deadLetter`, `quarantine` or `escalate`".to_owned(),
            };
            self.wrong(word.span, format!("`{}` is no way to supervise", word.text), help);
        }
        known.map(|(_, giving_up)| *giving_up)
    }

    fn unknown_first(&mut self, word: &Name<'_>) {
        let bare = word.text.trim_end_matches(':');
        let help = if GIVING_UP.iter().any(|(name, _)| *name == bare) {
            format!("`{bare}` stands alone: `supervise {bare}.`")
        } else if WORDS.contains(&word.text) {
            "it stands behind `retry:`, as in `supervise retry: 5 after: 100 milliseconds.`".to_owned()
        } else if nearest(word.text, ["retry:"]).is_some() {
            "did you mean `retry:`?".to_owned()
        } else {
            "write `retry:` and a number, or `deadLetter`, `quarantine` or `escalate`".to_owned()
        };
        self.wrong(word.span, format!("`supervise` does not start with `{}`", word.text), help);
    }

    fn unknown(&mut self, word: &Name<'_>) {
        let help = match nearest(word.text, WORDS.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "behind `retry:` stand `after:`, `upTo:`, `within:` and `then:`".to_owned(),
        };
        self.wrong(word.span, format!("`supervise` has no word `{}`", word.text), help);
    }

    fn count(&mut self, value: &SuperviseValue<'_>) -> Option<u32> {
        let (number, span) = match value {
            SuperviseValue::Name(name) => (None, name.span),
            SuperviseValue::Number { value, unit: None, span } => (literals::small_integer(*value), *span),
            SuperviseValue::Number { value: _, unit: Some(_), span } => (None, *span),
        };
        let count = number.and_then(|number| u32::try_from(number).ok()).filter(|n| (1..=RETRIES_MAX).contains(n));
        if count.is_none() {
            let message = format!("`retry:` takes a whole number from 1 to {RETRIES_MAX}");
            self.wrong(span, message, "write how often a message is tried again: `retry: 5`");
        }
        count
    }

    fn duration(&mut self, word: &Name<'_>, value: &SuperviseValue<'_>) -> Option<(i64, Span)> {
        let (ns, span) = match value {
            SuperviseValue::Name(name) => (None, name.span),
            SuperviseValue::Number { value, unit, span } => (duration_ns(*value, unit.map(|unit| unit.text)), *span),
        };
        if ns.is_none() {
            let help = format!("write a number and a unit of time: `{} 10 seconds`", word.text);
            self.wrong(span, format!("`{}` takes a duration", word.text), help);
        }
        ns.map(|ns| (ns, span))
    }

    fn then(&mut self, value: &SuperviseValue<'_>) -> Option<GivingUp> {
        match value {
            SuperviseValue::Name(name) => self.giving_up(name),
            SuperviseValue::Number { value: _, unit: _, span } => {
                self.wrong(*span, "`then:` takes a word", "write `deadLetter`, `quarantine` or `escalate`");
                None
            }
        }
    }
}
