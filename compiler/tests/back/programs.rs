//! Programs of several files, the images around them, and what an image says beside its codes.

use std::collections::HashMap;

use twintalk_bytecode::Image;
use twintalk_bytecode::disasm::ImageListing;
use twintalk_bytecode::image::{Body, Literal, NameId};
use twintalk_bytecode::verify::verify;
use twintalk_compiler::{Compilation, NoSources, Options, SourceText, Sources, compile, compile_with};

use crate::check::{all_rendered, compile_text};
use crate::kernel::kernel_image;

/// Files in memory, with a note of the names that were sought.
#[derive(Default)]
struct Files {
    texts: HashMap<&'static str, &'static str>,
    sought: Vec<String>,
}

impl Sources for Files {
    fn import(&mut self, _from: &str, path: &str) -> Result<SourceText, String> {
        let text = self.texts.get(path).ok_or("no such file")?;
        Ok(SourceText { name: path.to_owned(), text: (*text).to_owned() })
    }

    fn find(&mut self, from: &str, name: &str) -> Option<SourceText> {
        self.sought.push(format!("{name} for {from}"));
        let path = format!("{name}.twin");
        let (path, text) = self.texts.get_key_value(path.as_str())?;
        Some(SourceText { name: (*path).to_owned(), text: (*text).to_owned() })
    }
}

fn files(texts: &[(&'static str, &'static str)]) -> Files {
    Files { texts: texts.iter().copied().collect(), sought: Vec::new() }
}

fn text(name: &str, text: &str) -> SourceText {
    SourceText { name: name.to_owned(), text: text.to_owned() }
}

fn image(compilation: &Compilation) -> &Image {
    let image = compilation.image.as_ref().unwrap_or_else(|| panic!("{}", all_rendered(compilation)));
    assert_eq!(verify(image), Ok(()));
    image
}

fn names(image: &Image, ids: &[NameId]) -> Vec<String> {
    ids.iter().map(|id| image.name(*id).to_owned()).collect()
}

/// The literals of the main method's statements, in order.
fn main_strings(image: &Image) -> Vec<String> {
    let main = image.method(image.main.expect("statements"));
    let Body::Code(codes) = &main.body else {
        panic!("statements have codes");
    };
    let strings = codes[0].literals.iter().filter_map(|literal| match literal {
        Literal::String(text) => Some(text.clone()),
        _ => None,
    });
    strings.collect()
}

#[test]
fn imported_statements_run_where_the_import_stands_and_once() {
    let mut files = files(&[
        ("a.twin", "import 'b.twin'. 'a' print."),
        ("b.twin", "'b' print."),
        ("c.twin", "import 'b.twin'. 'c' print."),
    ]);
    let root = text("main.twin", "'first' print. import 'a.twin'. import 'c.twin'. import 'a.twin'. 'last' print.");
    let compilation = compile(vec![root], &mut files, &[kernel_image()]);
    assert_eq!(main_strings(image(&compilation)), ["first", "b", "a", "c", "last"]);
    let names: Vec<&str> = compilation.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["main.twin", "a.twin", "b.twin", "c.twin"]);
}

#[test]
fn a_file_found_for_a_name_gives_its_definitions_alone() {
    let mut files = files(&[
        ("Tank.twin", "twin Tank = ( valve = ( ^Valve new ) ) 'tank' print."),
        ("Valve.twin", "object Valve = ( )"),
        ("Unused.twin", "object Unused = ( )"),
    ]);
    let root = text("main.twin", "Tank print. 'main' print.");
    let compilation = compile(vec![root], &mut files, &[kernel_image()]);
    let image = image(&compilation);
    assert_eq!(main_strings(image), ["main"]);
    let defined: Vec<NameId> = image.prototypes.iter().map(|prototype| prototype.name).collect();
    assert_eq!(names(image, &defined), ["Tank", "Valve"]);
    assert_eq!(files.sought, ["Tank for main.twin", "Valve for Tank.twin"]);
}

#[test]
fn names_of_the_kernel_and_of_variables_are_not_sought() {
    let mut files = files(&[]);
    let root = text("main.twin", "| Limit | Limit := 3. Array print. Missing print.");
    compile(vec![root], &mut files, &[kernel_image()]);
    assert_eq!(files.sought, ["Missing for main.twin"]);
}

#[test]
fn definitions_come_in_any_order_and_leave_parents_first() {
    let roots =
        vec![text("a.twin", "object C = B + T ( ) object B = A ( )"), text("b.twin", "object A = ( ) trait T = ( )")];
    let compilation = compile(roots, &mut NoSources, &[kernel_image()]);
    let image = image(&compilation);
    let defined: Vec<NameId> = image.prototypes.iter().map(|prototype| prototype.name).collect();
    assert_eq!(names(image, &defined), ["A", "B", "T", "C"]);
    assert_eq!(names(image, &image.prototypes[3].traits), ["T"]);
}

#[test]
fn a_definition_hides_the_kernels_of_its_name() {
    let compilation = compile(vec![text("a.twin", "object Point = ( ) Point new")], &mut NoSources, &[kernel_image()]);
    assert_eq!(all_rendered(&compilation), "");
}

#[test]
fn variables_of_earlier_inputs_are_in_sight() {
    let first = compile(vec![text("1", "| level | level := 3.")], &mut NoSources, &[kernel_image()]);
    let first = image(&first);
    let second = compile(vec![text("2", "level := level + 1. level")], &mut NoSources, &[kernel_image(), first]);
    let second = image(&second);
    assert_eq!(names(second, &second.variables), ["level"]);
}

#[test]
fn a_dialogue_may_assign_what_nothing_declares() {
    let input = || vec![text("1", "x := y := 3. x + y")];
    let strict = compile(input(), &mut NoSources, &[kernel_image()]);
    assert!(strict.image.is_none());
    let options = Options { declare_unknown_variables: true };
    let lenient = compile_with(input(), &mut NoSources, &[kernel_image()], options);
    let lenient = image(&lenient);
    let mut declared = names(lenient, &lenient.variables);
    declared.sort();
    assert_eq!(declared, ["x", "y"]);
    for refused in ["self := 3", "Array := 3", "x foo: y"] {
        let compilation = compile_with(vec![text("1", refused)], &mut NoSources, &[kernel_image()], options);
        assert!(compilation.image.is_none(), "{refused}");
    }
}

#[test]
fn slots_of_ancestors_and_traits_are_in_sight_also_across_images() {
    let library = "trait Marked = ( | marks <- 0. | ) object Base = ( | size | ) object Half = Base + Marked ( )";
    let library = compile(vec![text("1", library)], &mut NoSources, &[kernel_image()]);
    let user = "object Whole = Half ( sum = ( ^size + marks ) )";
    let compilation = compile(vec![text("2", user)], &mut NoSources, &[kernel_image(), image(&library)]);
    assert_eq!(all_rendered(&compilation), "");
}

#[test]
fn a_traits_methods_see_the_traits_own_slots() {
    let compilation = compile_text("trait T = ( a = ( ^size ) ) object G = Object + T ( | size | )");
    assert!(all_rendered(&compilation).contains("nothing here is called `size`"));
}

#[test]
fn annotations_are_read_and_what_is_unknown_is_kept() {
    let source = "twin T = ( \"Turns.\" | \"How fast.\" rpm <Integer 'rev/min' min: 0 max: 3.5 personal indexed priority: 3 transient> <- 0.\n    readings <keep: 30 days 7> <- List new. | )";
    let compilation = compile(vec![text("t.twin", source)], &mut NoSources, &[kernel_image()]);
    let image = image(&compilation);
    let slots = &image.prototypes[0].instance.slots;
    let rpm = &slots[0].annotation;
    assert_eq!(rpm.type_name.map(|name| image.name(name)), Some("Integer"));
    assert_eq!(rpm.unit.as_deref(), Some("rev/min"));
    assert_eq!((&rpm.min, &rpm.max), (&Some(Literal::Integer(0)), &Some(Literal::Float(3.5f64.to_bits()))));
    assert!(rpm.personal && rpm.indexed && rpm.transient);
    assert_eq!(rpm.other, ["priority: 3"]);
    assert_eq!(slots[0].comment.as_deref(), Some("How fast."));
    assert_eq!(slots[1].annotation.keep_ns, Some(30 * 86_400 * 1_000_000_000));
    assert_eq!(slots[1].annotation.other, ["7"]);
}

#[test]
fn every_send_is_on_the_source_map_at_its_selector() {
    let source = "G = ( a: x = (\n  x foo\n    bar: x + 1 ) )";
    let compilation = compile_text(source);
    let listing = ImageListing::of(image(&compilation));
    let code = &listing.methods[0].codes.as_ref().expect("a body")[0];
    let sends = code.lines.iter().filter(|line| matches!(line.name, "send" | "add_tiny"));
    let at: Vec<&str> = sends
        .map(|line| &source[line.source_offset.expect("a place") as usize..][..4])
        .map(|text| text.split([' ', '\n']).next().unwrap_or_default())
        .collect();
    assert_eq!(at, ["foo", "+", "bar:"]);
}

#[test]
fn statements_of_an_imported_file_point_at_its_import() {
    let mut files = files(&[("a.twin", "nil\n\n\n\nfoo.")]);
    let source = "1 bar. import 'a.twin'. 2 baz.";
    let compilation = compile(vec![text("main.twin", source)], &mut files, &[kernel_image()]);
    let listing = ImageListing::of(image(&compilation));
    let main = listing.methods.last().and_then(|method| method.codes.as_ref()).expect("statements");
    let sends = main[0].lines.iter().filter(|line| line.name == "send");
    let at: Vec<u32> = sends.filter_map(|line| line.source_offset).collect();
    let of = |text: &str| source.find(text).expect("in the source") as u32;
    assert_eq!(at, [of("bar"), of("'a.twin'"), of("baz")]);
}

#[test]
fn methods_know_their_comments_flags_and_places() {
    let source = "G = ( \"Reads.\" private query read = ( ^1 ) write = primitive )";
    let compilation = compile_text(source);
    let image = image(&compilation);
    let [read, write] = &image.methods[..] else {
        panic!("two methods");
    };
    assert_eq!(read.comment.as_deref(), Some("Reads."));
    assert!(read.flags.private && read.flags.query && !read.flags.hidden);
    assert_eq!(read.position.offset as usize, source.find("private").expect("in the source"));
    assert_eq!(write.body, Body::Primitive);
}

#[test]
fn a_plain_som_program_compiles() {
    let source = "Counter = Object (
        | count | count = ( ^count ) increment = ( count isNil ifTrue: [ count := 0 ]. count := count + 1 )
        ----
        | made | new = ( made isNil ifTrue: [ made := 0 ]. made := made + 1. ^super new ) made = ( ^made )
    )";
    let compilation = compile(vec![text("Counter.som", source)], &mut NoSources, &[kernel_image()]);
    assert_eq!(all_rendered(&compilation), "");
}
