//! Diagnostics as a person reads them: the source line, what is meant underlined, the likely cure below.
//!
//! Only this file names annotate-snippets.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Level, Renderer, Snippet};
use twintalk_compiler::SourceText;
use twintalk_compiler::ast::Span;
use twintalk_compiler::diagnostic::{Diagnostic, Severity};
use twintalk_runtime::datum::Datum;

/// Draws `diagnostic`, with a line break at its end. `files` are those of the compilation.
pub fn picture(diagnostic: &Diagnostic, files: &[SourceText], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let level = match diagnostic.code.severity() {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let mut group =
        level.primary_title(&*diagnostic.message).id(diagnostic.code.name()).elements(Vec::<Element<'_>>::new());
    for (file, snippet) in snippets(diagnostic, files) {
        let mut drawn = Snippet::source(&*file.text).path(&*file.name);
        for (kind, span, label) in snippet {
            let annotation = kind.span(in_text(span, &file.text));
            drawn = drawn.annotation(if label.is_empty() { annotation } else { annotation.label(label) });
        }
        group = group.element(drawn);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(&**help));
    }
    format!("{}\n", renderer.render(&[group]))
}

type Mark<'a> = (AnnotationKind, Span, &'a str);

/// What to mark in which file, the diagnostic's own file first.
fn snippets<'a>(diagnostic: &'a Diagnostic, files: &'a [SourceText]) -> Vec<(&'a SourceText, Vec<Mark<'a>>)> {
    let mut snippets: Vec<(u16, Vec<Mark<'a>>)> =
        vec![(diagnostic.file, vec![(AnnotationKind::Primary, diagnostic.span, "")])];
    for label in &diagnostic.labels {
        let mark = (AnnotationKind::Context, label.span, &*label.text);
        match snippets.iter_mut().find(|(file, _)| *file == label.file) {
            Some((_, marks)) => marks.push(mark),
            None => snippets.push((label.file, vec![mark])),
        }
    }
    snippets.into_iter().filter_map(|(file, marks)| Some((files.get(usize::from(file))?, marks))).collect()
}

/// `span` as the renderer wants it: within the text and between characters.
fn in_text(span: Span, text: &str) -> Range<usize> {
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.ceil_char_boundary((span.end as usize).max(start));
    start..end
}

/// `diagnostic` as a row of `--json`. Lines and columns count from 1, columns in characters.
pub fn row(diagnostic: &Diagnostic, files: &[SourceText]) -> Datum {
    let labels = diagnostic.labels.iter().map(|label| {
        let place = place(label.file, label.span, files);
        Datum::row(place.into_iter().chain([("text", Datum::from(&*label.text))]))
    });
    let severity = match diagnostic.code.severity() {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let place = place(diagnostic.file, diagnostic.span, files);
    Datum::row(place.into_iter().chain([
        ("severity", Datum::from(severity)),
        ("code", Datum::from(diagnostic.code.name())),
        ("message", Datum::from(&*diagnostic.message)),
        ("labels", Datum::Array(labels.collect())),
        ("help", diagnostic.help.as_deref().map_or(Datum::Nil, Datum::from)),
    ]))
}

fn place(file: u16, span: Span, files: &[SourceText]) -> [(&'static str, Datum); 5] {
    let (name, text) = files.get(usize::from(file)).map_or(("", ""), |file| (&*file.name, &*file.text));
    let range = in_text(span, text);
    let [(line, column), (end_line, end_column)] = [range.start, range.end].map(|offset| line_and_column(text, offset));
    [
        ("file", Datum::from(name)),
        ("line", Datum::from(line)),
        ("column", Datum::from(column)),
        ("end_line", Datum::from(end_line)),
        ("end_column", Datum::from(end_column)),
    ]
}

fn line_and_column(text: &str, offset: usize) -> (i64, i64) {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |line_end| line_end + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() as i64 + 1;
    (line, before[start..].chars().count() as i64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use twintalk_compiler::diagnostic::Code;

    fn files() -> Vec<SourceText> {
        let source = |name: &str, text: &str| SourceText { name: name.to_owned(), text: text.to_owned() };
        vec![source("a.twin", "Tank = (\n  fill = ( lvel := 3 )\n)\n"), source("b.twin", "Tank = ()\n")]
    }

    #[test]
    fn a_diagnostic_shows_place_labels_and_help() {
        let diagnostic = Diagnostic::new(Code::UnknownName, 0, Span::new(20, 24), "there is no `lvel` here")
            .label(Span::new(0, 4), "in this definition")
            .label_in(1, Span::new(0, 4), "another `Tank`")
            .help("did you mean `level`?");
        assert_eq!(
            picture(&diagnostic, &files(), false),
            "error[unknown-name]: there is no `lvel` here
 --> a.twin:2:12
  |
1 | Tank = (
  | ---- in this definition
2 |   fill = ( lvel := 3 )
  |            ^^^^
  |
 ::: b.twin:1:1
  |
1 | Tank = ()
  | ---- another `Tank`
  |
  = help: did you mean `level`?
"
        );
        assert!(picture(&diagnostic, &files(), true).contains("\u{1b}["));
    }

    #[test]
    fn a_row_counts_from_one() {
        let diagnostic = Diagnostic::new(Code::UnknownName, 0, Span::new(20, 24), "there is no `lvel` here");
        assert_eq!(
            twintalk_runtime::json::text(&row(&diagnostic, &files())),
            r#"{"file":"a.twin","line":2,"column":12,"end_line":2,"end_column":16,"severity":"error","code":"unknown-name","message":"there is no `lvel` here","labels":[],"help":null}"#
        );
    }

    #[test]
    fn a_place_outside_the_text_is_drawn_at_its_end() {
        for span in [Span::new(900, 901), Span::new(33, 33), Span::new(5, 900)] {
            let diagnostic = Diagnostic::new(Code::Syntax, 0, span, "the text ends here");
            assert!(picture(&diagnostic, &files(), false).starts_with("error[syntax]"));
        }
        let nowhere = Diagnostic::new(Code::Syntax, 7, Span::new(0, 1), "the text ends here");
        assert_eq!(picture(&nowhere, &files(), false), "error[syntax]: the text ends here\n");
    }
}
