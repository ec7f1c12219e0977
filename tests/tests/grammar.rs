//! The TextMate grammar for editors: its patterns run over every program of the project.
//!
//! [`Grammar`] does what editors do: line by line, of the patterns that may stand there the one that matches first, and of those
//! the first in the file; a `begin` holds until its `end`, over lines too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect;
use regex::Regex;
use serde_json::Value;

enum Rule {
    /// The pattern, the scope of all of it, the scopes of its groups.
    Match(Regex, Option<String>, Vec<(usize, String)>),
    /// From here to there.
    Span(Regex, Regex, String),
}

struct Grammar(Vec<Rule>);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Grammar {
    fn read() -> Grammar {
        let text = fs::read_to_string(root().join("editors/textmate/twintalk.tmLanguage.json")).expect("the grammar");
        let json: Value = serde_json::from_str(&text).expect("the grammar is JSON");
        let mut rules = Vec::new();
        collect(&json["patterns"], &json["repository"], &mut rules);
        Grammar(rules)
    }

    /// The scope of each byte of `text`; nothing where none applies.
    fn scopes(&self, text: &str) -> Vec<Option<&str>> {
        let mut scopes = vec![None; text.len()];
        let mut open: Option<(&Regex, &str)> = None;
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            let mut at = 0;
            while at < bare.len() {
                if let Some((end, scope)) = open {
                    let found = end.find_at(bare, at);
                    let to = found.map_or(bare.len(), |found| found.end());
                    scopes[start + at..start + to].fill(Some(scope));
                    (at, open) = (to, found.map_or(open, |_| None));
                    continue;
                }
                let first = |rule: &Rule| match rule {
                    Rule::Match(pattern, ..) | Rule::Span(pattern, ..) => pattern.find_at(bare, at),
                };
                let found = self.0.iter().filter_map(|rule| Some((first(rule)?, rule)));
                // `min_by_key` takes the first of equals.
                let Some((found, rule)) = found.min_by_key(|(found, _)| found.start()) else { break };
                assert!(!found.is_empty(), "a pattern that matches nothing would match for ever: {bare}");
                let range = start + found.start()..start + found.end();
                match rule {
                    Rule::Match(pattern, scope, groups) => {
                        scopes[range].fill(scope.as_deref());
                        let captures = pattern.captures_at(bare, at).expect("it has matched");
                        for (group, scope) in groups {
                            if let Some(group) = captures.get(*group) {
                                scopes[start + group.start()..start + group.end()].fill(Some(scope));
                            }
                        }
                    }
                    Rule::Span(_, end, scope) => {
                        scopes[range].fill(Some(scope));
                        open = Some((end, scope));
                    }
                }
                at = found.end();
            }
            start += line.len();
        }
        scopes
    }
}

fn collect(patterns: &Value, repository: &Value, rules: &mut Vec<Rule>) {
    let regex = |value: &Value| {
        let text = value.as_str().expect("a pattern is a text");
        Regex::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    for pattern in patterns.as_array().expect("patterns are a list") {
        let rule = match pattern["include"].as_str() {
            Some(name) => {
                let name = name.strip_prefix('#').expect("all is of this grammar");
                repository.get(name).unwrap_or_else(|| panic!("there is no {name}"))
            }
            None => pattern,
        };
        if rule.get("match").is_some() {
            let groups = rule["captures"].as_object().into_iter().flatten();
            let groups = groups.map(|(number, group)| {
                (number.parse().expect("the number of a group"), text(&group["name"]).expect("a scope"))
            });
            rules.push(Rule::Match(regex(&rule["match"]), text(&rule["name"]), groups.collect()));
        } else if rule.get("begin").is_some() {
            let scope = text(&rule["name"]).expect("a scope");
            rules.push(Rule::Span(regex(&rule["begin"]), regex(&rule["end"]), scope));
        } else {
            collect(&rule["patterns"], repository, rules);
        }
    }
}

/// What each byte of a program is by the tokens of the language, as far as that goes without a grammar: `"` in a comment, `'` in a string
/// or quoted symbol, `$` in a character, else a space.
fn quoted(text: &str) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let mut push = |kind: u8, character: char| kinds.extend(std::iter::repeat_n(kind, character.len_utf8()));
        match character {
            '"' | '\'' => {
                push(character as u8, character);
                for inside in characters.by_ref() {
                    push(character as u8, inside);
                    if inside == character {
                        break;
                    }
                }
            }
            '$' => {
                push(b'$', '$');
                if let Some(next) = characters.next() {
                    push(b'$', next);
                }
            }
            '#' if characters.peek() == Some(&'\'') => push(b'\'', '#'),
            other => push(b' ', other),
        }
    }
    kinds
}

fn programs() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["kernel", "spec/cases", "benches", "examples"].map(|name| root().join(name)).into();
    let mut programs = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of programs").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "twin") {
                programs.push(path);
            }
        }
    }
    programs
}

#[test]
fn in_every_program_all_but_white_space_has_a_scope_and_what_is_quoted_has_the_right_one() {
    let grammar = Grammar::read();
    let mut seen = BTreeSet::new();
    let programs = programs();
    assert!(programs.len() > 500, "the programs are there");
    for path in programs {
        // Some cases are no text, or have what the language refuses.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if twintalk_compiler::format::format(&text).is_err() {
            continue;
        }
        let (scopes, kinds) = (grammar.scopes(&text), quoted(&text));
        for (at, character) in text.char_indices().filter(|(_, character)| !character.is_whitespace()) {
            let line = text[..at].matches('\n').count() + 1;
            let place = || format!("{}:{line}: `{character}`", path.display());
            let Some(scope) = scopes[at] else {
                // A byte order mark means nothing.
                assert!(character == '\u{feff}', "{} has no scope", place());
                continue;
            };
            seen.insert(scope.to_owned());
            let expected = match kinds[at] {
                b'"' => scope.starts_with("comment."),
                b'\'' => scope.starts_with("string.") || scope.starts_with("constant.other.symbol."),
                b'$' => scope.starts_with("constant.character."),
                _ => !["comment.", "string.", "constant.character."].iter().any(|kind| scope.starts_with(kind)),
            };
            assert!(expected, "{} has the scope {scope}", place());
        }
    }
    for rule in &grammar.0 {
        let scopes: Vec<&String> = match rule {
            Rule::Match(_, scope, groups) => scope.iter().chain(groups.iter().map(|(_, scope)| scope)).collect(),
            Rule::Span(_, _, scope) => vec![scope],
        };
        for scope in scopes {
            assert!(seen.contains(scope), "no program shows {scope}");
        }
    }
}

#[test]
fn a_twin_in_an_editor() {
    let text = "import 'pump.twin'.
\"A tank
of the plant\" twin Tank = Twin + Alarmed (
  | level <Float m3 min: 0> <- 0.5. |
  private query at: index put: value = ( | sum | sum := -3. ^self fill: sum + 16rFF )
  + other = primitive
  timer check every: 10 seconds = ( (Fleet at: 'fleet') ! warn: #at:put: )
  event alarm: what.
  invariant holds = ( [ :x | x ] value: $' )
  version 2.
  ----
  make = ( ^#(1 #+ nil) )
)
";
    let grammar = Grammar::read();
    let scopes = grammar.scopes(text);
    let mut shown = String::new();
    let mut at = 0;
    while at < text.len() {
        let scope = scopes[at];
        let run = scopes[at..].iter().take_while(|other| **other == scope).count();
        if let Some(scope) = scope {
            shown += &format!("{} {:?}\n", scope.trim_end_matches(".twintalk"), &text[at..at + run]);
        }
        at += run;
    }
    expect![[r##"
        keyword.control.import "import"
        string.quoted.single "'pump.twin'"
        punctuation.separator "."
        comment.block "\"A tank"
        comment.block "of the plant\""
        storage.type "twin"
        entity.name.type "Tank"
        keyword.operator.definition "="
        entity.name.type "Twin"
        keyword.operator "+"
        entity.name.type "Alarmed"
        punctuation.bracket "("
        keyword.operator "|"
        variable.other "level"
        keyword.operator "<"
        entity.name.type "Float"
        variable.other "m3"
        entity.name.function.call "min:"
        constant.numeric "0"
        keyword.operator ">"
        keyword.operator.assignment "<-"
        constant.numeric "0.5"
        punctuation.separator "."
        keyword.operator "|"
        storage.modifier "private query "
        entity.name.function "at: index put: value "
        keyword.operator.definition "="
        punctuation.bracket "("
        keyword.operator "|"
        variable.other "sum"
        keyword.operator "|"
        variable.other "sum"
        keyword.operator.assignment ":="
        keyword.operator "-"
        constant.numeric "3"
        punctuation.separator "."
        keyword.control.answer "^"
        variable.language "self"
        entity.name.function.call "fill:"
        variable.other "sum"
        keyword.operator "+"
        constant.numeric "16rFF"
        punctuation.bracket ")"
        entity.name.function "+ other"
        keyword.operator.definition "="
        storage.modifier "primitive"
        storage.type "timer"
        entity.name.function "check"
        keyword.other "every:"
        constant.numeric "10"
        variable.other "seconds"
        keyword.operator "="
        punctuation.bracket "("
        punctuation.bracket "("
        entity.name.type "Fleet"
        entity.name.function.call "at:"
        string.quoted.single "'fleet'"
        punctuation.bracket ")"
        keyword.operator.send.far "!"
        entity.name.function.call "warn:"
        constant.other.symbol "#at:put:"
        punctuation.bracket ")"
        storage.type "event"
        entity.name.function "alarm: what"
        punctuation.separator "."
        storage.type "invariant"
        entity.name.function "holds"
        keyword.operator.definition "="
        punctuation.bracket "("
        punctuation.bracket "["
        variable.parameter ":x"
        keyword.operator "|"
        variable.other "x"
        punctuation.bracket "]"
        entity.name.function.call "value:"
        constant.character "$'"
        punctuation.bracket ")"
        storage.type "version"
        constant.numeric "2"
        punctuation.separator "."
        keyword.other.separator "----"
        entity.name.function "make"
        keyword.operator.definition "="
        punctuation.bracket "("
        keyword.control.answer "^"
        punctuation.bracket "#("
        constant.numeric "1"
        constant.other.symbol "#+"
        constant.language "nil"
        punctuation.bracket ")"
        punctuation.bracket ")"
        punctuation.bracket ")"
    "##]]
    .assert_eq(&shown);
}
