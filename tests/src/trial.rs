//! What must hold for any program without twins, however it is made: it compiles, its image is written one way, the
//! formatter leaves what it says, and it runs the same from the file, with a collection before every allocation, and with exactly
//! the fuel that it needs; with less, or with little memory, it does the same up to the limit that ends it.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use twintalk_bytecode::Image;
use twintalk_bytecode::disasm::ImageListing;
use twintalk_bytecode::file::{decode, encode};
use twintalk_bytecode::verify::verify;
use twintalk_compiler::diagnostic::Severity;
use twintalk_compiler::format::format;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_vm::{Limits, Vm};

/// What a program may spend here.
pub const LIMITS: Limits = Limits { fuel: 100_000, memory_bytes: 8 << 20 };

/// Runs longer than this, with a collection before every allocation, would take the time of many others.
const FUEL_STRESSED: i64 = 3_000;

/// No run may take longer: fuel bounds what a primitive does, too. Slow and busy machines included.
const SECONDS_MAX: u64 = 60;

/// The class library, compiled.
pub static KERNEL: LazyLock<Image> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel");
    let files = fs::read_dir(folder).expect("the class library is in kernel/");
    let mut paths: Vec<_> = files.map(|entry| entry.expect("an entry of kernel/").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "twin"));
    paths.sort();
    let roots = paths.iter().map(|path| SourceText {
        name: path.file_name().expect("a file has a name").to_string_lossy().into_owned(),
        text: fs::read_to_string(path).expect("the class library can be read"),
    });
    let compilation = compile(roots.collect(), &mut NoSources, &[]);
    let image = compilation.image.unwrap_or_else(|| panic!("{:#?}", compilation.diagnostics));
    verify(&image).unwrap_or_else(|error| panic!("{error}"));
    image
});

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// All that was printed.
    pub output: String,
    /// `ok`, or the kind of the fault and its text.
    pub end: String,
    /// How much fuel it took.
    pub fuel: i64,
}

impl Ran {
    /// Whether a limit ended it.
    pub fn passed_limit(&self) -> bool {
        ["OutOfFuel", "OutOfMemory", "StackDepth"].iter().any(|kind| self.end.starts_with(kind))
    }

    /// A number for all of it: the same on every machine and in every build (Fowler, Noll and Vo's hash).
    pub fn digest(&self) -> u64 {
        let parts = [self.output.as_bytes(), self.end.as_bytes(), &self.fuel.to_le_bytes()];
        parts
            .concat()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }
}

/// The image of a program that has no errors.
///
/// # Errors
/// Its errors, or what the verifier says.
pub fn compiled(text: &str) -> Result<Image, String> {
    let root = SourceText { name: "program.twin".to_owned(), text: text.to_owned() };
    let compilation = compile(vec![root], &mut NoSources, &[&KERNEL]);
    let image = compilation.image.ok_or_else(|| {
        let errors = compilation.diagnostics.iter().filter(|found| found.code.severity() == Severity::Error);
        let shown = errors.map(|found| format!("{} at {:?}: {}", found.code.name(), found.span, found.message));
        format!("it has errors: {}", shown.collect::<Vec<_>>().join("; "))
    })?;
    verify(&image).map_err(|error| format!("the verifier refuses it: {error}"))?;
    Ok(image)
}

/// Runs the statements of an image on a machine of its own, which links of the class library what they use.
///
/// # Errors
/// That it does not link, or took too long, or that the machine is of no use afterwards.
pub fn run(image: &Image, limits: Limits, stress: bool) -> Result<Ran, String> {
    let vm = Vm::link_on(&KERNEL, &[image]).map_err(|error| format!("it does not link: {error}"))?;
    run_on(vm, image, limits, stress)
}

fn run_on(mut vm: Vm, image: &Image, limits: Limits, stress: bool) -> Result<Ran, String> {
    vm.set_limits(limits);
    vm.set_stress(stress);
    let (start, mut output) = (Instant::now(), String::new());
    let ended = vm.run_main(&mut output);
    let end = match ended {
        Ok(_) => "ok".to_owned(),
        Err(fault) => fault.to_string(),
    };
    let seconds = start.elapsed().as_secs();
    if seconds > SECONDS_MAX {
        return Err(format!("it took {seconds} s"));
    }
    // Without statements nothing was run, and nothing spent.
    let fuel = if image.main.is_some() { limits.fuel - vm.fuel_left() } else { 0 };
    let ran = Ran { output, end, fuel };
    if ran.fuel > limits.fuel {
        return Err(format!("it took {} of {} units of fuel", ran.fuel, limits.fuel));
    }
    let object = vm.find_prototype("Object").expect("the kernel has Object");
    vm.set_stress(false);
    vm.set_limits(LIMITS);
    vm.send(object, "new", &[], &mut String::new()).map_err(|fault| format!("afterwards `Object new` is {fault}"))?;
    Ok(ran)
}

/// Whether all of that holds; what came of the program as it is. `small` picks the limits that end some runs sooner.
///
/// # Errors
/// What does not hold.
pub fn check(text: &str, small: u64) -> Result<Ran, String> {
    let image = compiled(text)?;
    let bytes = encode(&image);
    let read = decode(&bytes).map_err(|error| format!("its file cannot be read: {error}"))?;
    if encode(&read) != bytes {
        return Err("its file is not the only way to write it".to_owned());
    }
    let _ = ImageListing::of(&image).to_string();
    let ran = run(&image, LIMITS, false)?;
    let whole = Vm::link(&[&KERNEL, &read]).map_err(|error| format!("from its file it does not link: {error}"))?;
    same("from its file, on all of the class library", &ran, &run_on(whole, &read, LIMITS, false)?)?;
    let formatted = format(text).map_err(|found| format!("the formatter reports {found:?}"))?;
    if format(&formatted).as_ref() != Ok(&formatted) {
        return Err("formatted again it is another text".to_owned());
    }
    let moved = run(&compiled(&formatted)?, LIMITS, false)?;
    // Only the places in a trace differ.
    let untraced = |ran: &Ran| Ran { end: ran.end.lines().next().unwrap_or("").to_owned(), ..ran.clone() };
    same("formatted", &untraced(&ran), &untraced(&moved))?;
    if !ran.end.starts_with("OutOfMemory") && ran.fuel <= FUEL_STRESSED {
        same("with a collection before every allocation", &ran, &run(&image, LIMITS, true)?)?;
    }
    if ran.passed_limit() {
        return Ok(ran);
    }
    same("with just the fuel that it needs", &ran, &run(&image, Limits { fuel: ran.fuel, ..LIMITS }, false)?)?;
    if ran.fuel > 1 {
        let less = 1 + small as i64 % (ran.fuel - 1);
        for fuel in [ran.fuel - 1, less] {
            let cut = run(&image, Limits { fuel, ..LIMITS }, false)?;
            ended_sooner("OutOfFuel", &ran, &cut)
                .map_err(|wrong| format!("with {fuel} of the {} units of fuel that it needs, {wrong}", ran.fuel))?;
        }
    }
    let memory_bytes = (64 << 10) + (small >> 20) as usize % (512 << 10);
    let cut = run(&image, Limits { memory_bytes, ..LIMITS }, false)?;
    if cut != ran {
        ended_sooner("OutOfMemory", &ran, &cut)
            .map_err(|wrong| format!("with {memory_bytes} bytes of memory, {wrong}"))?;
    }
    Ok(ran)
}

fn same(how: &str, wanted: &Ran, found: &Ran) -> Result<(), String> {
    if wanted == found {
        return Ok(());
    }
    let lines = wanted.output.lines().zip(found.output.lines());
    let nth = lines.take_while(|(wanted, found)| wanted == found).count();
    let at = |ran: &Ran| {
        let line = ran.output.lines().nth(nth).unwrap_or("(no line)").to_owned();
        format!("line {}: {line}\n  end: {}\n  fuel: {}", nth + 1, ran.end, ran.fuel)
    };
    Err(format!("{how} it does not do the same:\n- {}\n+ {}", at(wanted), at(found)))
}

fn ended_sooner(kind: &str, whole: &Ran, cut: &Ran) -> Result<(), String> {
    let by_limit = cut.end.starts_with(kind);
    if by_limit && whole.output.starts_with(&cut.output) {
        return Ok(());
    }
    let what = if by_limit { "it printed something else before" } else { "that did not end it" };
    Err(format!("{what}: {}\n{}", cut.end, cut.output))
}

/// A smaller program with which the same is wrong: the lines are left out, and the brackets emptied, that it does not take.
pub fn reduced(text: &str, is_wrong: &dyn Fn(&str) -> bool) -> String {
    let mut smallest = text.to_owned();
    loop {
        let before = smallest.len();
        let mut lines: Vec<String> = smallest.lines().map(str::to_owned).collect();
        for size in [32, 8, 4, 2, 1] {
            let mut nth = 0;
            while nth < lines.len() {
                let left: Vec<String> = [&lines[..nth], &lines[(nth + size).min(lines.len())..]].concat();
                if is_wrong(&left.join("\n")) { lines = left } else { nth += size }
            }
        }
        smallest = lines.join("\n");
        let mut from = 0;
        while let Some(open) = smallest[from..].find(['(', '[', '{']).map(|at| from + at) {
            from = open + 1;
            let Some(close) = partner(&smallest, open) else { continue };
            let inside = &smallest[open + 1..close];
            let statements: Vec<&str> = inside.split(". ").collect();
            let mut tried: Vec<String> = vec!["nil".to_owned(), String::new()];
            if statements.len() > 1 {
                let without = |nth: usize| [&statements[..nth], &statements[nth + 1..]].concat().join(". ");
                tried.extend((0..statements.len()).map(without));
            }
            let candidates =
                tried.iter().map(|other| format!("{}{other}{}", &smallest[..open + 1], &smallest[close..]));
            let bare = std::iter::once(format!("{}nil{}", &smallest[..open], &smallest[close + 1..]));
            let unwrapped = std::iter::once(format!("{}{inside}{}", &smallest[..open], &smallest[close + 1..]));
            let found =
                bare.chain(candidates).chain(unwrapped).find(|other| other.len() < smallest.len() && is_wrong(other));
            if let Some(found) = found {
                smallest = found;
                from = open;
            }
        }
        if smallest.len() == before {
            return smallest;
        }
    }
}

/// Where the bracket at `open` is closed; brackets in strings and characters count too, which is good enough here.
fn partner(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in text[open..].char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + at);
        }
    }
    None
}
