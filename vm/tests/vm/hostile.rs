//! Images that nobody's compiler made: whatever verifies links and runs, or is refused, and nothing crashes.

use proptest::prelude::*;
use twintalk_bytecode::Image;
use twintalk_bytecode::image::Body;
use twintalk_bytecode::verify::verify;
use twintalk_vm::{Limits, Vm};

use crate::program::{compiled, kernel};

/// Programs whose codes have something of everything.
const PROGRAMS: &[&str] = &[
    "Fib = ( fib: n = ( n < 2 ifTrue: [ ^n ]. ^(self fib: n - 1) + (self fib: n - 2) ) )  Fib new fib: 8",
    "Search = ( each: aBlock = ( 1 to: 10 do: [ :i | aBlock value: i ]. ^#none )
        find: n = ( self each: [ :i | self each: [ :j | j + i = n ifTrue: [ ^{i. j} ] ] ]. ^#none ) )
     {Search new find: 12. Search new find: 99}",
    "trait Counted = ( | count <- 0. | up = ( count := count + self step. ^count ) step = ( ^1 ) )
     object A = Object + Counted ( | x <- 1. c = 2.5. | all = ( ^{x. c. count} ) initialize = ( super initialize. x := x + 1 ) )
     | a | a := A new. a up. [ a fly: 3 ] on: MessageNotUnderstood do: [ :e | e resume: a all ]",
    "Log = ( | all |
        add: n = ( all := all * 10 + n )
        leave = ( | n | n := 0. all := 0. [ [ n := n + 1. ^self add: 1 ] ensure: [ self add: n ] ] ifCurtailed: [ self add: 3 ] )
        retry = ( | n | n := 0. ^[ n := n + 1. n < 4 ifTrue: [ 1 / 0 ]. n ] on: ZeroDivide do: [ :e | n < 2 ifTrue: [ e resume: 3 ] ifFalse: [ e retry ] ] )
        floats = ( | x | x := 1.5. [ x < 100 ] whileTrue: [ x := x * 2 - 0.25 ]. ^x )
        ---- | shared | shared: x = ( shared := x. ^shared == x ) )
     | log | log := Log new. log leave. Log shared: log. {log retry. log floats. log perform: #add: with: 3. nil isNil. log floats isNil}",
];

/// Runs the image as far as its limits let it. Nothing is asked of what comes of it.
fn run(image: &Image, stress: bool) {
    let Ok(mut vm) = Vm::link(&[kernel(), image]) else { return };
    vm.set_limits(Limits { fuel: 5_000, memory_bytes: 4 << 20 });
    vm.set_stress(stress);
    for _ in 0..2 {
        let _ = vm.run_main(&mut String::new());
    }
    // Whatever is left can still be used.
    if let Some(object) = vm.find_prototype("Object") {
        let _ = vm.send(object, "new", &[], &mut String::new());
    }
}

/// A change to one code of the image.
#[derive(Clone, Debug)]
enum Change {
    /// A word becomes another.
    Word { at: prop::sample::Index, bits: u32 },
    /// Some bits of a word flip.
    Flip { at: prop::sample::Index, bit: u32 },
    /// A word takes the value of another.
    Move { at: prop::sample::Index, from: prop::sample::Index },
    /// One byte of a word becomes small.
    Byte { at: prop::sample::Index, byte: u32, value: u8 },
    /// The window grows or shrinks.
    Registers { by: i8 },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        1 => (any::<prop::sample::Index>(), any::<u32>()).prop_map(|(at, bits)| Change::Word { at, bits }),
        4 => (any::<prop::sample::Index>(), 0u32..32).prop_map(|(at, bit)| Change::Flip { at, bit }),
        3 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(at, from)| Change::Move { at, from }),
        6 => (any::<prop::sample::Index>(), 0u32..4, 0u8..60).prop_map(|(at, byte, value)| Change::Byte { at, byte, value }),
        1 => (-3i8..4).prop_map(|by| Change::Registers { by }),
    ]
}

fn apply(image: &mut Image, method: &prop::sample::Index, code: &prop::sample::Index, change: &Change) {
    let methods: Vec<usize> =
        (0..image.methods.len()).filter(|&nth| matches!(image.methods[nth].body, Body::Code(_))).collect();
    let nth = methods[method.index(methods.len())];
    let Body::Code(codes) = &mut image.methods[nth].body else { return };
    let nth = code.index(codes.len());
    let code = &mut codes[nth];
    let words = code.words.len();
    match change {
        Change::Word { at, bits } => code.words[at.index(words)] = *bits,
        Change::Flip { at, bit } => code.words[at.index(words)] ^= 1 << bit,
        Change::Move { at, from } => code.words[at.index(words)] = code.words[from.index(words)],
        Change::Byte { at, byte, value } => {
            let word = &mut code.words[at.index(words)];
            *word = *word & !(0xff << (8 * byte)) | u32::from(*value) << (8 * byte);
        }
        Change::Registers { by } => code.register_count = code.register_count.saturating_add_signed(i16::from(*by)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // More by the variable PROPTEST_CASES.
        cases: ProptestConfig::default().cases.max(3000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_changed_image_that_verifies_runs_to_an_end(
        program in 0..PROGRAMS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), change()), 1..6),
        stress in prop::bool::weighted(0.2),
    ) {
        let mut image = images()[program].clone();
        let mut verified = false;
        // Each change is kept only if the image still verifies, so that several add up.
        for (method, code, change) in &changes {
            let mut changed = image.clone();
            apply(&mut changed, method, code, change);
            if verify(&changed).is_ok() {
                image = changed;
                verified = true;
            }
        }
        if verified {
            run(&image, stress);
        }
    }
}

#[test]
fn the_images_run_unchanged() {
    for image in images() {
        let mut vm = Vm::link(&[kernel(), image]).expect("links");
        vm.run_main(&mut String::new()).unwrap_or_else(|fault| panic!("{fault}"));
    }
}

fn images() -> &'static [Image] {
    static IMAGES: std::sync::OnceLock<Vec<Image>> = std::sync::OnceLock::new();
    IMAGES.get_or_init(|| PROGRAMS.iter().map(|text| compiled("hostile.twin", text, &[kernel()])).collect())
}
