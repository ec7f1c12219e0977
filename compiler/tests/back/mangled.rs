//! Real programs with words left out, doubled, exchanged or taken from elsewhere: whatever comes of
//! it, the compiler says so or makes an image that verifies. It never panics.

use proptest::prelude::*;
use twintalk_bytecode::verify::verify;
use twintalk_compiler::{NoSources, Options, SourceText, compile_with};

use crate::kernel::{kernel, kernel_image};

/// Texts to mangle: the golden files, and what of the kernel is short.
fn texts() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("the golden files").flatten().map(|e| e.path()).collect();
    paths.sort();
    let golden = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "twin"));
    let golden = golden.map(|path| std::fs::read_to_string(path).expect("a text"));
    golden.chain(kernel().into_iter().map(|source| source.text)).filter(|text| text.len() < 4_000).collect()
}

/// `text` in words, signs and the spaces between them.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if c.is_alphanumeric() && word.ends_with(char::is_alphanumeric) => word.push(c),
            Some(_) | None => words.push(c.to_string()),
        }
    }
    words
}

fn mangled(text: &str, changes: &[(u8, u16, u16)]) -> String {
    let mut words = words(text);
    for (change, at, from) in changes {
        let (at, from) = (usize::from(*at) % words.len(), usize::from(*from) % words.len());
        match change % 4 {
            0 if words.len() > 1 => {
                words.remove(at);
            }
            1 => words.insert(at, words[from].clone()),
            2 => words.swap(at, from),
            _ => words[at] = words[from].clone(),
        }
    }
    words.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mangled_program_is_an_image_that_verifies_or_a_diagnostic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec(any::<(u8, u16, u16)>(), 1..6),
        is_kernel in any::<bool>(),
    ) {
        let texts = texts();
        let text = mangled(&texts[which.index(texts.len())], &changes);
        let roots = vec![SourceText { name: "test.twin".to_owned(), text: text.clone() }];
        let kernel = [kernel_image()];
        let outer = if is_kernel { &[][..] } else { &kernel[..] };
        let options = Options { declare_unknown_variables: !is_kernel };
        let compilation = compile_with(roots, &mut NoSources, outer, options);
        match &compilation.image {
            Some(image) => prop_assert_eq!(verify(image), Ok(()), "{}", text),
            None => prop_assert!(compilation.diagnostics.iter().any(|diagnostic| diagnostic.is_error())),
        }
        for diagnostic in &compilation.diagnostics {
            prop_assert!(diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end as usize <= text.len());
        }
    }
}
