//! Stacks as lines, `outermost;…;innermost weight`, and as a flame graph.

use std::collections::BTreeMap;
use std::io;

use inferno::flamegraph::{self, Options};
use twintalk_runtime::profile::{FunctionKind, Profile};

use super::Title;

/// One line for each stack of functions, in the order of their text.
pub fn lines(profile: &Profile) -> String {
    let mut text = String::new();
    for (stack, weight) in stacks(profile) {
        text.push_str(&format!("{stack} {weight}\n"));
    }
    text
}

fn stacks(profile: &Profile) -> BTreeMap<String, u64> {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for (node, row) in profile.nodes.iter().enumerate().filter(|(_, row)| row.own > 0) {
        let names = profile.stack(node).into_iter().map(|spot| name(profile, spot));
        *stacks.entry(names.collect::<Vec<_>>().join(";")).or_default() += row.own;
    }
    stacks
}

fn name(profile: &Profile, spot: usize) -> String {
    let function = &profile.functions[profile.spots[spot].function];
    // A semicolon ends a frame; no selector has one, but a file or path may.
    let name = function.name.replace(';', ",").replace('\n', " ");
    match function.kind {
        FunctionKind::Primitive => format!("{name} (primitive)"),
        FunctionKind::Root
        | FunctionKind::Outside
        | FunctionKind::Program
        | FunctionKind::Kernel
        | FunctionKind::Gap => name,
    }
}

/// A flame graph: the same profile gives the same bytes.
///
/// # Errors
/// None that a user can do something about.
pub fn flame(profile: &Profile, title: &Title) -> io::Result<Vec<u8>> {
    let mut options = Options::default();
    options.title = title.file.clone();
    options.count_name = if profile.is_exact() { "fuel" } else { "µs" }.to_owned();
    options.hash = true;
    let mut text = lines(profile);
    if text.is_empty() {
        // The library draws no empty graph.
        text = "nothing was sampled 1\n".to_owned();
    }
    let mut graph = Vec::new();
    flamegraph::from_lines(&mut options, text.lines(), &mut graph)?;
    Ok(graph)
}
