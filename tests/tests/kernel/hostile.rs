//! Any program may name any primitive in a method of its own. Each is run here on objects that it was not
//! made for, with arguments of every kind: it may answer or fault, but the machine stands.

use std::collections::BTreeMap;

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_vm::primitives;

use super::{answer, kernel, machine};

/// What slots and arguments are taken from.
const POOL: &str = "{nil. 0. 3. -1. 7000000000. 4611686018427387903. 1180591620717411303424. 1.5. 'xyz'. 'äöü' copy. #name. \
                    #(1 2 3). {1. 2. nil}. #[1 2 3]. #[7 8] copy. $c. true. [ :x | x ]. [ 3 ]. self class. pool}";

/// `at: a put: b` for `at:put:`, and how many arguments that are.
fn pattern(selector: &str) -> (String, usize) {
    let names = ["a1", "a2", "a3", "a4", "a5", "a6"];
    if selector.contains(':') {
        let parts: Vec<&str> = selector.split_inclusive(':').collect();
        let text = parts.iter().zip(names).map(|(part, name)| format!("{part} {name} ")).collect();
        return (text, parts.len());
    }
    match selector.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => (selector.to_owned(), 0),
        false => (format!("{selector} a1"), 1),
    }
}

/// A program that defines a prototype of its own with these primitives, and sends each selector with arguments
/// drawn from the pool.
fn program(prototype: &str, selectors: &[String], side: bool) -> String {
    let methods: String = selectors.iter().map(|selector| format!("  {} = primitive\n", pattern(selector).0)).collect();
    let slots = "| s1 s2 s3 s4 | s1: a s2: b s3: c s4: d = ( s1 := a. s2 := b. s3 := c. s4 := d )\n";
    let parent = if prototype == "Object" { "Stream" } else { "Object" };
    let definition = match side {
        false => format!("{prototype} = {parent} (\n{slots}{methods})\n"),
        true => format!("{prototype} = {parent} ( {slots}----\n{methods})\n"),
    };
    let receiver = match side {
        false => {
            format!("({prototype} new s1: (pick value) s2: (pick value) s3: (pick value) s4: (pick value); yourself)")
        }
        true => prototype.to_owned(),
    };
    let sends: String = selectors
        .iter()
        .map(|selector| {
            let arguments = vec!["pick value"; pattern(selector).1].join(". ");
            // Twice handled: what an `ensure:` block raises while the inner handler unwinds is for the outer.
            format!(
                "    [ [ {receiver} perform: #{selector} withArguments: {{{arguments}}} ] on: Error do: [ :e | nil ] ]\n\
                       on: Error do: [ :e | nil ].\n"
            )
        })
        .collect();
    format!(
        "{definition}| pool seed pick |\npool := List new.\npool := {POOL}.\nseed := 12345.\n\
         pick := [ seed := seed * 1103515245 + 12345 \\\\ 2147483648. pool at: seed // 65536 \\\\ pool size + 1 ].\n\
         1 to: 150 do: [ :round |\n{sends}].\n#done\n"
    )
}

#[test]
fn no_primitive_can_be_made_to_panic() {
    let mut prototypes: BTreeMap<(String, bool), Vec<String>> = BTreeMap::new();
    for (name, _) in primitives::TABLES.iter().flat_map(|table| table.iter()) {
        let (prototype, selector) = name.split_once('.').expect("a row names prototype and selector");
        let side = prototype.ends_with(" class");
        let prototype = prototype.trim_end_matches(" class").to_owned();
        prototypes.entry((prototype, side)).or_default().push(selector.to_owned());
    }
    // These leave the loop for good, or are the loop's own tools.
    let left_out = ["perform:withArguments:", "unhandled"];
    for ((prototype, side), selectors) in prototypes {
        let selectors: Vec<String> =
            selectors.into_iter().filter(|selector| !left_out.contains(&selector.as_str())).collect();
        let text = program(&prototype, &selectors, side);
        let root = SourceText { name: prototype.clone(), text: text.clone() };
        let compilation = compile(vec![root], &mut NoSources, &[kernel()]);
        let image = compilation.image.unwrap_or_else(|| panic!("{text}\n{:?}", compilation.diagnostics));
        let mut vm = machine(&[kernel()]);
        vm.add_image(&image).unwrap_or_else(|error| panic!("{prototype}: {error}"));
        for stress in [false, true] {
            vm.set_stress(stress);
            let found = answer(&mut vm);
            let is_fine =
                found.starts_with("#done") || found.starts_with("!OutOfMemory") || found.starts_with("!OutOfFuel");
            assert!(is_fine, "{prototype}: {found}");
        }
    }
}
