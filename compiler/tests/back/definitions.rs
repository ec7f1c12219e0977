//! Programs that define the same have the same definitions, whatever their statements say.

use twintalk_bytecode::definitions::definitions;
use twintalk_bytecode::{Image, file, verify};
use twintalk_compiler::{NoSources, SourceText, compile};

const TANK: &str = "
    object Other = ( | a <- 0. | )
    | shared |
    object Tank = (
      | level <- 0. |
      fill: amount = ( shared := #(#full 1). level := level + amount. ^Other new: [ level ] )
    )
    extend Object = ( isTank = ( ^false ) )
";

fn image(text: &str) -> Image {
    let kernel = compile(
        vec![SourceText { name: "kernel".to_owned(), text: "Object = nil ( new: x = ( ^x ) )".to_owned() }],
        &mut NoSources,
        &[],
    );
    let kernel = kernel.image.expect("a kernel");
    let root = SourceText { name: "a.twin".to_owned(), text: text.to_owned() };
    let compilation = compile(vec![root], &mut NoSources, &[&kernel]);
    compilation.image.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics))
}

#[test]
fn statements_leave_no_trace_in_the_definitions() {
    let alone = image(TANK);
    assert_eq!(definitions(&alone).main, None);
    let statements =
        "| mine | mine := Tank new. mine fill: #more; emptyOut. [ :x | shared := x. Nowhere y ] value: mine.";
    for program in [format!("{TANK}{statements}"), format!("{statements}{TANK}")] {
        let whole = image(&program);
        assert_ne!(file::content_hash(&whole), file::content_hash(&alone));
        let made = definitions(&whole);
        assert_eq!(verify::verify(&made), Ok(()));
        assert_eq!(file::content_hash(&made), file::content_hash(&definitions(&alone)));
    }
}

#[test]
fn another_method_is_another_program() {
    let other = TANK.replace("level + amount", "level - amount");
    assert_ne!(file::content_hash(&definitions(&image(TANK))), file::content_hash(&definitions(&image(&other))));
}
