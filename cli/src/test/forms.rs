//! The forms of a report of tests: for people, for the Test Anything Protocol, for JUnit's readers.

use super::{End, Result, Trouble};

/// What a person is told of a test: nothing of one that passed.
pub(super) fn readable(result: &Result, colour: bool) -> String {
    let paint = |code: &str, word: &str| if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
    let (word, trouble) = match &result.end {
        End::Passed => return String::new(),
        End::Skipped(reason) => return format!("{} {}: {reason}\n", paint("33", "skipped"), result.name),
        End::Failed(trouble) => (paint("31", "failed"), trouble),
        End::Broke(trouble) => (paint("31", "broke"), trouble),
    };
    let mut text = format!("{word} {}", result.name);
    if let Some(place) = &trouble.place {
        text.push_str(&format!(" ({place})"));
    }
    text.push_str(&format!("\n  {}\n", told(&result.end, trouble)));
    if matches!(result.end, End::Broke(_)) {
        trouble.trace.iter().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    for line in result.output.lines() {
        text.push_str(&format!("  | {line}\n"));
    }
    text
}

/// What is wrong, in a line or a few: an assertion speaks for itself, all else has its kind.
fn told(end: &End, trouble: &Trouble) -> String {
    match end {
        End::Broke(_) => format!("{}: {}", trouble.kind, trouble.text),
        End::Passed | End::Failed(_) | End::Skipped(_) => trouble.text.clone(),
    }
}

/// The head of a report of so many tests: <https://testanything.org/tap-version-14-specification.html>.
pub(super) fn tap_head(total: usize) -> String {
    format!("TAP version 14\n1..{total}\n")
}

/// One test of such a report, counted from 1.
pub(super) fn tap(number: usize, result: &Result) -> String {
    let name = result.name.to_string().replace('\\', "\\\\").replace('#', "\\#");
    let (trouble, severity) = match &result.end {
        End::Passed => return format!("ok {number} - {name}\n"),
        End::Skipped(reason) => return format!("ok {number} - {name} # SKIP {}\n", one_line(reason)),
        End::Failed(trouble) => (trouble, "fail"),
        End::Broke(trouble) => (trouble, "error"),
    };
    let mut text = format!("not ok {number} - {name}\n  ---\n");
    let mut put = |key: &str, value: &str| text.push_str(&format!("  {key}: {}\n", yaml(value)));
    put("message", &trouble.text);
    put("severity", severity);
    put("kind", &trouble.kind);
    if let Some(place) = &trouble.place {
        put("at", place);
    }
    if !result.output.is_empty() {
        put("output", &result.output);
    }
    text.push_str("  ...\n");
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A YAML scalar in double quotes, which may hold anything.
fn yaml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The report in the form that JUnit's readers know: a suite for each prototype.
pub(super) fn junit(results: &[Result]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let mut rest = results;
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|result| result.name.prototype != first.name.prototype).unwrap_or(rest.len());
        let (suite, others) = rest.split_at(end);
        rest = others;
        let number = |is: fn(&End) -> bool| suite.iter().filter(|result| is(&result.end)).count();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
            xml(&first.name.prototype),
            suite.len(),
            number(|end| matches!(end, End::Failed(_))),
            number(|end| matches!(end, End::Broke(_))),
            number(|end| matches!(end, End::Skipped(_))),
            suite.iter().map(|result| result.took.as_secs_f64()).sum::<f64>(),
        ));
        suite.iter().for_each(|result| text.push_str(&junit_case(result)));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn junit_case(result: &Result) -> String {
    let (class, name) = (xml(&result.name.prototype), xml(&result.name.selector));
    let mut text =
        format!("    <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\"", result.took.as_secs_f64());
    let mut inside = String::new();
    let mut trouble = |element: &str, trouble: &Trouble| {
        let place = trouble.place.iter().map(|place| format!("{place}\n"));
        let body: String = place.chain(trouble.trace.iter().map(|line| format!("{line}\n"))).collect();
        let (message, kind) = (xml(&trouble.text), xml(&trouble.kind));
        inside
            .push_str(&format!("      <{element} message=\"{message}\" type=\"{kind}\">{}</{element}>\n", xml(&body)));
    };
    match &result.end {
        End::Passed => {}
        End::Failed(failure) => trouble("failure", failure),
        End::Broke(error) => trouble("error", error),
        End::Skipped(reason) => inside.push_str(&format!("      <skipped message=\"{}\"/>\n", xml(reason))),
    }
    if !result.output.is_empty() {
        inside.push_str(&format!("      <system-out>{}</system-out>\n", xml(&result.output)));
    }
    if inside.is_empty() {
        text.push_str("/>\n");
    } else {
        text.push_str(&format!(">\n{inside}    </testcase>\n"));
    }
    text
}

/// Text as XML has it; characters that no XML can hold are told by their numbers.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            control if control.is_control() => escaped.push_str(&format!("\\u{{{:x}}}", u32::from(control))),
            other => escaped.push(other),
        }
    }
    escaped
}
