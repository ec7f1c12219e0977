//! Any text: the parser answers, and what it can read says the same when it is formatted.

#![no_main]

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;
use twintalk_compiler::format::format;
use twintalk_compiler::parser::parse;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let arena = Bump::new();
    let parsed = parse(&arena, 0, &text);
    match format(&text) {
        Ok(formatted) => {
            assert!(parsed.diagnostics.is_empty(), "what has diagnostics is not formatted");
            let again = parse(&arena, 0, arena.alloc_str(&formatted));
            assert!(again.diagnostics.is_empty(), "{:?}", again.diagnostics);
            assert_eq!(without_places(&again.file), without_places(&parsed.file));
            assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "formatted once is formatted for good");
        }
        Err(diagnostics) => assert_eq!(diagnostics, parsed.diagnostics),
    }
});

/// A tree as text, without its spans.
fn without_places(tree: &impl std::fmt::Debug) -> String {
    let text = format!("{tree:?}");
    let mut parts = text.split("Span { start: ");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        out.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    out
}
