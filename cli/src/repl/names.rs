//! What a dialogue knows by name: for completion, and for `:doc`.

use std::collections::BTreeSet;

use twintalk_bytecode::Image;
use twintalk_bytecode::image::{Behaviour, Prototype};

/// The commands of a dialogue.
pub const COMMANDS: [&str; 4] = [":doc", ":help", ":quit", ":type"];

/// Words that can be completed.
#[derive(Default)]
pub struct Names {
    words: BTreeSet<String>,
}

impl Names {
    /// Adds what an image defines.
    pub fn add(&mut self, image: &Image) {
        let names = image.prototypes.iter().map(|prototype| prototype.name).chain(image.variables.iter().copied());
        let methods = image.methods.iter().filter(|method| !method.flags.hidden && !method.flags.private);
        let names = names.chain(methods.map(|method| method.selector));
        // Operators are as long as what one would type to find them.
        let words = names.map(|name| image.name(name)).filter(|name| name.starts_with(|c: char| c.is_alphabetic()));
        self.words.extend(words.map(str::to_owned));
    }

    /// What the word that ends at `at` in `line` may become, and where it starts. Nothing for a word without a letter yet.
    pub fn complete(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        let before = line.get(..at).unwrap_or(line);
        if before.starts_with(':') && !before.contains(' ') {
            let fit = COMMANDS.iter().filter(|command| command.starts_with(before));
            return (0, fit.map(|command| (*command).to_owned()).collect());
        }
        let word = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next().unwrap_or_default();
        if word.is_empty() {
            return (at, Vec::new());
        }
        let fit = self.words.range(word.to_owned()..).take_while(|name| name.starts_with(word));
        (before.len() - word.len(), fit.cloned().collect())
    }
}

/// What is said of `what`, in `images`, of which later ones hide earlier: `Tank`, `Tank fill:` or `Tank>>fill:`, or a selector alone, of
/// whoever has it. None if it is nowhere.
pub fn doc(images: &[&Image], what: &str) -> Option<String> {
    let (name, selector) = match what.split_once(">>").or_else(|| what.split_once(' ')) {
        Some((name, selector)) => (name.trim(), Some(selector.trim())),
        None => (what, None),
    };
    if let Some((image, prototype)) = find(images, name) {
        return match selector {
            None => Some(doc_of_prototype(image, prototype)),
            Some(selector) => doc_of_message(images, name, selector),
        };
    }
    if selector.is_some() {
        return None;
    }
    let mut lines = Vec::new();
    for image in images.iter().rev() {
        for prototype in &image.prototypes {
            lines.extend(of_both_sides(image, prototype, name).map(|(head, comment)| format!("{head}{comment}")));
        }
    }
    lines.dedup();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn find<'i>(images: &[&'i Image], name: &str) -> Option<(&'i Image, &'i Prototype)> {
    images.iter().rev().find_map(|image| {
        let found = image.prototypes.iter().find(|prototype| image.name(prototype.name) == name);
        found.map(|prototype| (*image, prototype))
    })
}

fn doc_of_prototype(image: &Image, prototype: &Prototype) -> String {
    let mut text = image.name(prototype.name).to_owned();
    if let Some(parent) = prototype.parent {
        text.push_str(&format!(" = {}", image.name(parent)));
    }
    for one in &prototype.traits {
        text.push_str(&format!(" + {}", image.name(*one)));
    }
    if let Some(comment) = &prototype.comment {
        text.push_str(&format!("\n  {comment}"));
    }
    for (label, side) in [("to it", &prototype.side), ("to its objects", &prototype.instance)] {
        let selectors = selectors(image, side);
        if !selectors.is_empty() {
            text.push_str(&format!("\n{label}: {}", selectors.join(" ")));
        }
    }
    text
}

/// The nearest method of that selector, from the prototype upwards; a circle, which the compiler refuses, ends.
fn doc_of_message(images: &[&Image], name: &str, selector: &str) -> Option<String> {
    let mut at = Some(name.to_owned());
    let mut seen = BTreeSet::new();
    while let Some(name) = at.filter(|name| seen.insert(name.clone())) {
        let (image, prototype) = find(images, &name)?;
        let mut found: Vec<String> =
            of_both_sides(image, prototype, selector).map(|(head, comment)| format!("{head}{comment}")).collect();
        for one in &prototype.traits {
            if let Some((image, one)) = find(images, image.name(*one)).filter(|_| found.is_empty()) {
                found.extend(of_both_sides(image, one, selector).map(|(head, comment)| format!("{head}{comment}")));
            }
        }
        if !found.is_empty() {
            return Some(found.join("\n"));
        }
        at = prototype.parent.map(|parent| image.name(parent).to_owned());
    }
    None
}

fn selectors<'i>(image: &'i Image, side: &Behaviour) -> Vec<&'i str> {
    let methods = side.methods.iter().map(|method| image.method(*method));
    let mut selectors: Vec<&str> =
        methods.filter(|method| !method.flags.private).map(|method| image.name(method.selector)).collect();
    selectors.sort_unstable();
    selectors
}

/// The public methods of that selector: who has it, and what its comment says.
fn of_both_sides<'i>(
    image: &'i Image,
    prototype: &'i Prototype,
    selector: &str,
) -> impl Iterator<Item = (String, String)> + use<'i> {
    let selector = selector.to_owned();
    let sides = [(" class", &prototype.side), ("", &prototype.instance)];
    sides.into_iter().flat_map(move |(side, behaviour)| {
        let found = behaviour
            .methods
            .iter()
            .map(|method| image.method(*method))
            .find(|method| !method.flags.private && image.name(method.selector) == selector);
        found.map(|method| {
            let head = format!("{}{side}>>{selector}", image.name(prototype.name));
            let comment = method.comment.as_ref().map(|comment| format!("\n  {comment}")).unwrap_or_default();
            (head, comment)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use twintalk_compiler::{NoSources, SourceText, compile};
    use twintalk_runtime::kernel;

    fn image(text: &str) -> Image {
        let source = SourceText { name: "t.twin".to_owned(), text: text.to_owned() };
        compile(vec![source], &mut NoSources, &[kernel::image()]).image.expect("a program without mistakes")
    }

    const TANK: &str = "\"A tank.\" twin Tank = ( | level <- 0. |
        \"Fills it.\"
        fill: n = ( level := level + n ) private mend = ( ^nil ) )
        twin BigTank = Tank ( )
        | total |";

    #[test]
    fn a_word_is_completed_by_what_is_defined() {
        let mut names = Names::default();
        names.add(&image(TANK));
        let complete = |line: &str| names.complete(line, line.len());
        assert_eq!(complete("x := Ta"), (5, vec!["Tank".to_owned()]));
        assert_eq!(complete("(tank fi"), (6, vec!["fill:".to_owned()]));
        assert_eq!(complete("to"), (0, vec!["total".to_owned()]));
        assert_eq!(complete("tank me"), (5, vec![]));
        assert_eq!(complete("tank "), (5, vec![]));
        assert_eq!(complete(":d"), (0, vec![":doc".to_owned()]));
        assert_eq!(complete("\u{e4} fi"), (3, vec!["fill:".to_owned()]));
    }

    #[test]
    fn what_is_said_of_prototypes_and_messages_is_found() {
        let own = image(TANK);
        let images = [kernel::image(), &own];
        assert_eq!(doc(&images, "Tank").as_deref(), Some("Tank = Twin\n  A tank.\nto its objects: fill:"));
        for asked in ["Tank fill:", "Tank>>fill:", "BigTank fill:", "fill:"] {
            let found = doc(&images, asked).unwrap_or_default();
            assert!(found.starts_with("Tank>>fill:\n  Fills it."), "{asked}: {found}");
        }
        for nowhere in ["Tonk", "Tank mend", "mend", "Tonk fill:", ""] {
            assert_eq!(doc(&images, nowhere), None, "{nowhere}");
        }
    }
}
