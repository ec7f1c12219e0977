//! The class library: it compiles without a word, names exactly the primitives that there are, and answers
//! what the lines of `*.txt` say.
//!
//! A line is `expression => what its printString is`, or `=> !` and the fault. Lines that start with blanks go on
//! with the one before; `--` starts a comment. What stands before a line of `====` is a program that the
//! lines can name. Each line runs twice, the second time with a collection before every allocation.

mod hostile;
mod numbers;
mod pieces;
mod promises;
mod python;
mod twins;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use twintalk_bytecode::Image;
use twintalk_bytecode::image::Body;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_vm::{Limits, Shapes, Vm, primitives};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel")
}

/// The text of every file of the kernel.
fn kernel_sources() -> Vec<SourceText> {
    let folder = std::fs::read_dir(root()).expect("the kernel is there");
    let mut sources: Vec<SourceText> = folder
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "twin"))
        .map(|path| SourceText {
            name: path.file_name().expect("a file has a name").to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&path).expect("a file of the kernel can be read"),
        })
        .collect();
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    sources
}

/// Compiles texts, which must be free of diagnostics.
fn image(roots: Vec<SourceText>, outer: &[&Image]) -> Image {
    let compilation = compile(roots, &mut NoSources, outer);
    let mut said = String::new();
    for diagnostic in &compilation.diagnostics {
        let file = &compilation.files[usize::from(diagnostic.file)];
        let line = file.text[..diagnostic.span.start as usize].matches('\n').count() + 1;
        said += &format!("{}:{line}: {}: {}\n", file.name, diagnostic.code.name(), diagnostic.message);
    }
    assert!(said.is_empty(), "{said}");
    compilation.image.expect("without diagnostics there is an image")
}

fn program(text: &str, outer: &[&Image]) -> Image {
    image(vec![SourceText { name: "line".to_owned(), text: text.to_owned() }], outer)
}

/// The kernel as an image, compiled once.
fn kernel() -> &'static Image {
    static KERNEL: std::sync::OnceLock<Image> = std::sync::OnceLock::new();
    KERNEL.get_or_init(|| image(kernel_sources(), &[]))
}

/// A machine that has run nothing yet.
fn machine(images: &[&Image]) -> Vm {
    let mut vm = Vm::link(images).unwrap_or_else(|error| panic!("{error}"));
    vm.set_limits(Limits { fuel: 20_000_000, memory_bytes: 64 << 20 });
    vm.adopt_shapes(Shapes::default());
    vm
}

/// What the last image of the machine answers, printed; or its fault after a `!`.
fn answer(vm: &mut Vm) -> String {
    let mut world = twins::Twins::default();
    let answer = vm.run_main(&mut world).and_then(|value| vm.print_string(value, &mut world));
    let shown = world.shown;
    match answer {
        Ok(text) if shown.is_empty() => text,
        Ok(text) => format!("{text} shows {shown:?}"),
        Err(fault) => format!("!{}: {}", fault.kind, fault.text),
    }
}

struct Line {
    number: usize,
    expression: String,
    expected: String,
}

/// The program and the lines of a file.
fn lines(text: &str) -> (String, Vec<Line>) {
    let (prelude, text, skipped) = match text.split_once("\n====\n") {
        Some((prelude, text)) => (prelude.to_owned(), text, prelude.matches('\n').count() + 2),
        None => (String::new(), text, 0),
    };
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with("--") {
            continue;
        }
        match lines.last_mut() {
            Some((_, last)) if line.starts_with(' ') => *last += &format!("\n{line}"),
            _ => lines.push((skipped + index + 1, line.to_owned())),
        }
    }
    let lines = lines.into_iter().map(|(number, line)| {
        let (expression, expected) = line.rsplit_once(" => ").unwrap_or_else(|| panic!("line {number} has no =>"));
        Line { number, expression: expression.to_owned(), expected: expected.trim().to_owned() }
    });
    (prelude, lines.collect())
}

fn check(topic: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kernel/{topic}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (prelude, lines) = lines(&text);
    let prelude = program(&prelude, &[kernel()]);
    let mut wrong = String::new();
    let mut vm = machine(&[kernel(), &prelude]);
    for Line { number, expression, expected } in &lines {
        let compilation = compile(
            vec![SourceText { name: "line".to_owned(), text: expression.clone() }],
            &mut NoSources,
            &[kernel(), &prelude],
        );
        let Some(image) = compilation.image else {
            wrong += &format!("{topic}.txt:{number}: {expression}\n  {:?}\n", compilation.diagnostics);
            continue;
        };
        vm.add_image(&image).unwrap_or_else(|error| panic!("{topic}.txt:{number}: {error}"));
        for stress in [false, true] {
            vm.set_stress(stress);
            let found = answer(&mut vm);
            if found != *expected {
                let how = if stress { " (collecting at each allocation)" } else { "" };
                wrong += &format!("{topic}.txt:{number}{how}: {expression}\n  wanted {expected}\n  found  {found}\n");
                break;
            }
        }
        vm.set_stress(false);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

macro_rules! topics {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn each_file_of_lines_is_a_topic() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel");
            let files: BTreeSet<String> = std::fs::read_dir(folder)
                .expect("the folder of this test")
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".txt").map(str::to_owned))
                .collect();
            assert_eq!(files, BTreeSet::from([$(stringify!($name).to_owned()),*]));
        }
    };
}

topics![
    blocks,
    collections,
    dictionaries,
    exceptions,
    floats,
    fractions,
    integers,
    json,
    lists,
    objects,
    promises,
    series,
    streams,
    strings,
    time,
    twins,
];

#[test]
fn the_kernel_compiles_without_a_diagnostic_and_links() {
    machine(&[kernel()]);
}

#[test]
fn each_primitive_of_the_kernel_has_a_function_and_each_function_a_method() {
    let image = kernel();
    let mut methods = BTreeSet::new();
    for prototype in &image.prototypes {
        let name = image.name(prototype.name);
        for (side, behaviour) in [("", &prototype.instance), (" class", &prototype.side)] {
            for &id in &behaviour.methods {
                let method = image.method(id);
                if matches!(method.body, Body::Primitive) {
                    methods.insert(format!("{name}{side}.{}", image.name(method.selector)));
                }
            }
        }
    }
    let rows: BTreeSet<String> =
        primitives::TABLES.iter().flat_map(|table| table.iter()).map(|(name, _)| (*name).to_owned()).collect();
    let without_function: Vec<&String> = methods.difference(&rows).collect();
    let without_method: Vec<&String> = rows.difference(&methods).collect();
    assert!(
        without_function.is_empty() && without_method.is_empty(),
        "methods without function: {without_function:?}\nfunctions without method: {without_method:?}"
    );
    let count: usize = primitives::TABLES.iter().map(|table| table.len()).sum();
    assert_eq!(count, rows.len(), "no row is there twice");
}

#[test]
fn each_method_and_prototype_of_the_kernel_has_a_doc_comment() {
    let image = kernel();
    let mut bare = Vec::new();
    for prototype in &image.prototypes {
        let name = image.name(prototype.name);
        if prototype.comment.is_none() {
            bare.push(name.to_owned());
        }
        for &id in prototype.instance.methods.iter().chain(&prototype.side.methods) {
            let method = image.method(id);
            if method.comment.is_none() {
                bare.push(format!("{name}>>{}", image.name(method.selector)));
            }
        }
    }
    assert!(bare.is_empty(), "without a comment: {bare:?}");
}

#[test]
fn the_words_for_units_are_the_methods_of_measured() {
    use twintalk_bytecode::image::{Body, Literal};
    use twintalk_bytecode::units::WORDS;
    let image = kernel();
    let measured = image.prototypes.iter().find(|one| image.name(one.name) == "Measured").expect("it is there");
    let mut found = Vec::new();
    for id in &measured.instance.methods {
        let method = image.method(*id);
        let Body::Code(codes) = &method.body else { panic!("no primitive") };
        let unit = codes[0].literals.iter().find_map(|literal| match literal {
            Literal::String(unit) => Some(unit.clone()),
            _ => None,
        });
        found.extend(unit.map(|unit| (image.name(method.selector).to_owned(), unit)));
    }
    let words =
        WORDS.iter().flat_map(|(words, unit)| words.iter().map(|word| ((*word).to_owned(), (*unit).to_owned())));
    assert_eq!(found, words.collect::<Vec<_>>());
}
