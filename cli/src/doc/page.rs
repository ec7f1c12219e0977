//! Pages as HTML. All that comes from a source goes through [`escaped`], and into the script through [`script_text`].

use std::fmt::Write as _;

use super::model::{Entry, EntryKind, Library, Place, Prototype, Slot};

/// The one style sheet.
pub const STYLE: &str = include_str!("style.css");

/// What shows that a page is one of ours.
pub const MARK: &str = "<meta name=\"generator\" content=\"twintalk doc\">";

const SCRIPT: &str = include_str!("search.js");

/// The file of the page of `prototype`.
pub fn file_name(library: &Library, prototype: usize) -> String {
    format!("{}.html", library.prototypes[prototype].stem)
}

/// Text as HTML shows it, also inside an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No page has them; a source may.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A string of the script.
fn script_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || " .,:;_-+*/=()[]#!?".contains(c) => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

/// What a link ends with: letters and digits as they are, all else by its number, so that no two names have one anchor; and
/// whose copy it is, if a page has several of that name.
fn anchor(entry: &Entry) -> String {
    let mut anchor = match entry.kind {
        EntryKind::Message => "m-",
        EntryKind::SideMessage => "c-",
        EntryKind::Event => "e-",
        EntryKind::Timer => "t-",
        EntryKind::Invariant => "i-",
        EntryKind::Rule => "r-",
    }
    .to_owned();
    for c in entry.name.chars() {
        if c.is_ascii_alphanumeric() {
            anchor.push(c);
        } else {
            let _ = write!(anchor, "_{:x}_", u32::from(c));
        }
    }
    if entry.copy > 1 {
        let _ = write!(anchor, "-{}", entry.copy);
    }
    anchor
}

/// A prototype as a link.
fn link(library: &Library, number: usize) -> String {
    format!("<a href=\"{}\">{}</a>", file_name(library, number), escaped(&library.prototypes[number].name))
}

/// A prototype's name as `file` uses it, as a link if it has a page.
fn link_named(library: &Library, file: &str, name: &str) -> String {
    library.find(name, file).map_or_else(|| escaped(name), |number| link(library, number))
}

/// A comment in `file`: paragraphs by empty lines, indented lines as they stand, what is between backquotes as code, prototypes linked.
fn prose(library: &Library, file: &str, comment: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    let mut paragraph = String::new();
    let close = |paragraph: &mut String, code: bool, out: &mut String| {
        if paragraph.trim().is_empty() {
            paragraph.clear();
            return;
        }
        let _ = if code {
            writeln!(out, "<pre>{}</pre>", escaped(paragraph.trim_end()))
        } else {
            writeln!(out, "<p>{}</p>", inline(library, file, paragraph.trim()))
        };
        paragraph.clear();
    };
    for line in comment.lines() {
        let is_code = line.starts_with("    ");
        if line.trim().is_empty() || is_code != code {
            close(&mut paragraph, code, &mut out);
            code = is_code;
        }
        paragraph.push_str(if code { line.get(4..).unwrap_or(line) } else { line });
        paragraph.push('\n');
    }
    close(&mut paragraph, code, &mut out);
    out
}

fn inline(library: &Library, file: &str, text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let mut out = String::new();
    for (number, part) in parts.iter().enumerate() {
        let closed = number + 1 < parts.len();
        match number % 2 {
            1 if closed => {
                let _ = write!(out, "<code>{}</code>", link_named(library, file, part));
            }
            // A backquote alone is one.
            1 => {
                let _ = write!(out, "`{}", escaped(part));
            }
            _ => out.push_str(&escaped(part)),
        }
    }
    out
}

/// The first sentence of a comment, as plain text.
fn summary(comment: &str) -> String {
    let first = comment.split("\n\n").next().unwrap_or_default();
    let words = first.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.find(". ") {
        Some(end) => words[..=end].to_owned(),
        None => words,
    }
}

fn place(place: &Place) -> String {
    format!("<span class=\"place\">{}:{}</span>", escaped(&place.file), place.line)
}

fn frame(title: &str, heading: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         {MARK}\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{heading} - {title}</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n\
         <script src=\"search.js\" defer></script>\n</head>\n<body>\n\
         <header><a href=\"index.html\">{title}</a> <span id=\"search\"></span></header>\n<main>\n{body}</main>\n\
         </body>\n</html>\n",
        title = escaped(title),
        heading = escaped(heading),
    )
}

/// The page that leads to all others.
pub fn index(library: &Library, title: &str) -> String {
    let mut body = String::new();
    for (kind, heading) in [
        ("twin", "Twins"),
        ("object", "Objects"),
        ("trait", "Traits"),
        ("extend", "Extensions of what is defined elsewhere"),
    ] {
        let of_kind: Vec<&Prototype> = library.prototypes.iter().filter(|prototype| prototype.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let _ = writeln!(body, "<h2>{heading}</h2>\n<dl class=\"index\">");
        for prototype in of_kind {
            let _ = writeln!(
                body,
                "<dt><a href=\"{}.html\">{}</a></dt>\n<dd>{}</dd>",
                prototype.stem,
                escaped(&prototype.name),
                inline(library, &prototype.place.file, &summary(&prototype.comment))
            );
        }
        body.push_str("</dl>\n");
    }
    frame(title, "All definitions", &format!("<h1>{}</h1>\n{body}", escaped(title)))
}

/// The page of a prototype.
pub fn prototype(library: &Library, number: usize, title: &str) -> String {
    let own = &library.prototypes[number];
    let mut body = format!("<h1><span class=\"kind\">{}</span> {}</h1>\n", own.kind, escaped(&own.name));
    let _ = writeln!(body, "<p>{}</p>", place(&own.place));
    let file = own.place.file.as_str();
    let named = |names: &mut dyn Iterator<Item = &String>| {
        names.map(|name| link_named(library, file, name)).collect::<Vec<_>>().join(", ")
    };
    let children: Vec<String> = own.children.iter().map(|child| link(library, *child)).collect();
    for (label, names) in [
        ("Parent", named(&mut own.parent.iter())),
        ("Traits", named(&mut own.traits.iter())),
        ("Children", children.join(", ")),
    ] {
        if !names.is_empty() {
            let _ = writeln!(body, "<p>{label}: {names}</p>");
        }
    }
    body.push_str(&prose(library, file, &own.comment));
    body.push_str(&slots(library, own));
    for (kind, heading) in [
        (EntryKind::SideMessage, "Messages to the prototype"),
        (EntryKind::Message, "Messages"),
        (EntryKind::Event, "Events"),
        (EntryKind::Timer, "Timers"),
        (EntryKind::Invariant, "Invariants"),
        (EntryKind::Rule, "Versions and supervision"),
    ] {
        let entries: Vec<&Entry> = own.entries.iter().filter(|entry| entry.kind == kind).collect();
        if !entries.is_empty() {
            let _ = writeln!(body, "<h2>{heading}</h2>");
            entries.iter().for_each(|entry| body.push_str(&member(library, entry)));
        }
    }
    body.push_str(&inherited(library, number));
    frame(title, &own.name, &body)
}

fn slots(library: &Library, own: &Prototype) -> String {
    if own.slots.is_empty() {
        return String::new();
    }
    // A column that no slot fills is left out.
    type Column = (&'static str, fn(&Slot) -> &str);
    let columns: [Column; 5] = [
        ("Type", |slot| &slot.annotation.type_name),
        ("Unit", |slot| &slot.annotation.unit),
        ("Range", |slot| &slot.annotation.range),
        ("Also", |slot| &slot.annotation.other),
        ("Starts with", |slot| &slot.initial),
    ];
    let columns: Vec<&Column> =
        columns.iter().filter(|(_, text)| own.slots.iter().any(|slot| !text(slot).is_empty())).collect();
    let mut out = String::from("<h2>Slots</h2>\n<table>\n<tr><th>Name</th>");
    for (heading, _) in &columns {
        let _ = write!(out, "<th>{heading}</th>");
    }
    out.push_str("<th></th></tr>\n");
    for slot in &own.slots {
        let side = if slot.side { " <span class=\"mark\">prototype</span>" } else { "" };
        let _ = write!(out, "<tr><td><code>{}</code>{side}</td>", escaped(&slot.name));
        for (_, text) in &columns {
            let _ = write!(out, "<td><code>{}</code></td>", escaped(text(slot)));
        }
        let _ = writeln!(out, "<td>{}</td></tr>", prose(library, &own.place.file, &slot.comment));
    }
    out.push_str("</table>\n");
    out
}

fn member(library: &Library, entry: &Entry) -> String {
    let mut marks = String::new();
    for (is, mark) in [(entry.private, "private"), (entry.query, "query")] {
        if is {
            let _ = write!(marks, " <span class=\"mark\">{mark}</span>");
        }
    }
    format!(
        "<section id=\"{}\">\n<h3><code>{}</code>{marks}</h3>\n{}<details><summary>Source, {}</summary>\n\
         <pre>{}</pre></details>\n</section>\n",
        anchor(entry),
        escaped(&entry.head),
        prose(library, &entry.place.file, &entry.comment),
        place(&entry.place),
        escaped(&entry.source)
    )
}

/// What the ancestors understand, without what is private or done anew nearer by.
fn inherited(library: &Library, number: usize) -> String {
    let mut seen: Vec<(EntryKind, &str)> = Vec::new();
    let is_heard = |entry: &&Entry| !entry.private && matches!(entry.kind, EntryKind::Message | EntryKind::SideMessage);
    seen.extend(library.prototypes[number].entries.iter().map(|entry| (entry.kind, entry.name.as_str())));
    let mut out = String::new();
    for ancestor in library.ancestors(number) {
        let mut links = Vec::new();
        for entry in library.prototypes[ancestor].entries.iter().filter(is_heard) {
            if seen.contains(&(entry.kind, entry.name.as_str())) {
                continue;
            }
            seen.push((entry.kind, &entry.name));
            let shown = escaped(&entry.name);
            links.push(format!("<a href=\"{}#{}\">{shown}</a>", file_name(library, ancestor), anchor(entry)));
        }
        if !links.is_empty() {
            let name = link(library, ancestor);
            let _ = writeln!(out, "<h3>From {name}</h3>\n<p class=\"inherited\">{}</p>", links.join(" "));
        }
    }
    if out.is_empty() { out } else { format!("<h2>Inherited messages</h2>\n{out}") }
}

/// The script, with what it finds.
pub fn search(library: &Library) -> String {
    let mut entries = String::new();
    for (number, prototype) in library.prototypes.iter().enumerate() {
        let page = file_name(library, number);
        let _ = writeln!(entries, "  [{}, {}],", script_text(&prototype.name), script_text(&page));
        for entry in prototype.entries.iter().filter(|entry| !entry.private) {
            let shown = format!("{} {}", prototype.name, entry.name);
            let _ = writeln!(
                entries,
                "  [{}, {}],",
                script_text(&shown),
                script_text(&format!("{page}#{}", anchor(entry)))
            );
        }
    }
    format!("const entries = [\n{entries}];\n{SCRIPT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_source_is_markup() {
        assert_eq!(escaped("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
        assert_eq!(script_text("</script>\"\\\n"), "\"\\u003c/script\\u003e\\u0022\\u005c\\u000a\"");
    }

    #[test]
    fn comments_are_paragraphs_code_and_examples() {
        let library = Library::default();
        assert_eq!(
            prose(&library, "a.twin", "Adds `x < 3`.\n\n    a add: 1\n\nThen ` more."),
            "<p>Adds <code>x &lt; 3</code>.</p>\n<pre>a add: 1</pre>\n<p>Then ` more.</p>\n"
        );
    }
}
