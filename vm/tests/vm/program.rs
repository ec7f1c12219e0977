//! Programs as text: compiled, verified, linked to the smallest kernel, run as they are and run with a
//! collection at every allocation.

use std::sync::OnceLock;

use twintalk_bytecode::Image;
use twintalk_bytecode::verify::verify;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_vm::{Fault, Kind, Limits, Value, Vm};

/// The smallest kernel, compiled.
pub fn kernel() -> &'static Image {
    static KERNEL: OnceLock<Image> = OnceLock::new();
    KERNEL.get_or_init(|| compiled("kernel.twin", include_str!("kernel.twin"), &[]))
}

/// The kernel that TwinTalk comes with, compiled.
pub fn whole_kernel() -> &'static Image {
    static KERNEL: OnceLock<Image> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel");
        let files = std::fs::read_dir(&folder).expect("the kernel's folder");
        let mut roots: Vec<SourceText> = files
            .map(|entry| entry.expect("an entry of the folder"))
            .filter(|entry| entry.path().is_file())
            .map(|entry| {
                let text = std::fs::read_to_string(entry.path()).expect("a text");
                SourceText { name: entry.file_name().to_string_lossy().into_owned(), text }
            })
            .collect();
        roots.sort_by(|left, right| left.name.cmp(&right.name));
        let compilation = compile(roots, &mut NoSources, &[]);
        let image = compilation.image.unwrap_or_else(|| panic!("{:#?}", compilation.diagnostics));
        verify(&image).unwrap_or_else(|error| panic!("{error:?}"));
        image
    })
}

/// The image of a text; what is wrong with the text fails the test.
pub fn compiled(name: &str, text: &str, outer: &[&Image]) -> Image {
    let root = SourceText { name: name.to_owned(), text: text.to_owned() };
    let compilation = compile(vec![root], &mut NoSources, outer);
    let image = compilation.image.unwrap_or_else(|| panic!("{text}\n{:#?}", compilation.diagnostics));
    verify(&image).unwrap_or_else(|error| panic!("{text}\n{error:?}"));
    image
}

/// A VM with the smallest kernel and a program.
pub fn link(text: &str) -> Vm {
    let image = compiled("test.twin", text, &[kernel()]);
    Vm::link(&[kernel(), &image]).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn run(kernel: &Image, text: &str, stress: bool) -> Result<String, Fault> {
    let image = compiled("test.twin", text, &[kernel]);
    let mut vm = Vm::link(&[kernel, &image]).unwrap_or_else(|error| panic!("{text}\n{error}"));
    vm.set_limits(Limits { fuel: 2_000_000, memory_bytes: 16 << 20 });
    vm.set_stress(stress);
    vm.run_main(&mut String::new()).map(|value| show(&vm, value))
}

/// Runs a program both ways, which must come to the same.
pub fn outcome(text: &str) -> Result<String, Fault> {
    outcome_on(kernel(), text)
}

/// The same on another kernel.
pub fn outcome_on(kernel: &Image, text: &str) -> Result<String, Fault> {
    let plain = run(kernel, text, false);
    let stressed = run(kernel, text, true);
    assert_eq!(plain, stressed, "a collection at every allocation changes nothing\n{text}");
    plain
}

/// What the last statement of a program answers.
pub fn answer(text: &str) -> String {
    outcome(text).unwrap_or_else(|fault| panic!("{text}\n{fault}"))
}

/// The fault that a program ends in.
pub fn fault(text: &str) -> Fault {
    match outcome(text) {
        Err(fault) => fault,
        Ok(answer) => panic!("{text}\nanswered {answer}"),
    }
}

/// A value as tests write it.
pub fn show(vm: &Vm, value: Value) -> String {
    match value.kind() {
        Kind::Integer(number) => number.to_string(),
        Kind::Float(number) => format!("{number:?}"),
        Kind::Nil => "nil".to_owned(),
        Kind::Boolean(is) => is.to_string(),
        Kind::Character(character) => format!("${character}"),
        Kind::Symbol(_) => format!("#{}", vm.as_text(value).unwrap_or_default()),
        Kind::Part(_) => "a part".to_owned(),
        Kind::Pointer => {
            if let Some(text) = vm.as_text(value) {
                return format!("'{text}'");
            }
            if let Some(number) = vm.as_big_integer(value) {
                return number.to_string();
            }
            if let Some(elements) = vm.array_elements(value) {
                let elements: Vec<String> = elements.iter().map(|&element| show(vm, element)).collect();
                return format!("({})", elements.join(" "));
            }
            match vm.as_float(value) {
                Some(number) => format!("{number:?}"),
                None => format!("a {}", vm.class_name(value)),
            }
        }
    }
}
