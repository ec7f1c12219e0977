//! `spec/bytecode.md` says what the tables here say; `UPDATE_EXPECT=1` writes those parts anew.

use std::fmt::Write as _;

use expect_test::expect_file;
use twintalk_bytecode::Opcode;
use twintalk_bytecode::file::Section;
use twintalk_bytecode::verify::Rule;

/// The text of a doc comment as one line of a table.
fn one_line(doc: &str) -> String {
    let lines: Vec<&str> = doc.lines().map(str::trim).collect();
    lines.join(" ").trim().replace('|', "\\|")
}

fn instructions() -> String {
    let mut text = String::from("| number | name | words | operands | meaning |\n|---|---|---|---|---|\n");
    for opcode in Opcode::ALL {
        let operands: Vec<String> =
            opcode.operand_types().iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} | {} |",
            *opcode as u8,
            opcode.name(),
            opcode.words(),
            operands.join(", "),
            one_line(opcode.meaning())
        );
    }
    text
}

fn rules() -> String {
    let mut text = String::from("| rule | what it asks for |\n|---|---|\n");
    for rule in Rule::ALL {
        let _ = writeln!(text, "| `{}` | {} |", rule.name(), one_line(rule.meaning()));
    }
    text
}

fn sections() -> String {
    let mut text = String::from("| number | section | covered by the content hash |\n|---|---|---|\n");
    for section in Section::ALL {
        let covered = if section.is_debug() { "no" } else { "yes" };
        let _ = writeln!(text, "| {} | {} | {covered} |", section.id(), section.title());
    }
    text
}

/// `text` with what stands between the marks of `part` replaced.
fn with_part(text: &str, part: &str, content: &str) -> String {
    let (start, end) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
    let (before, rest) = text.split_once(&start).expect("the mark before a part");
    let (_, after) = rest.split_once(&end).expect("the mark after a part");
    format!("{before}{start}{content}{end}{after}")
}

#[test]
fn the_spec_lists_every_instruction_section_and_rule() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/bytecode.md");
    let text = std::fs::read_to_string(path).expect("spec/bytecode.md");
    let text = with_part(&text, "instructions", &instructions());
    let text = with_part(&text, "sections", &sections());
    let text = with_part(&text, "rules", &rules());
    expect_file!["../../../spec/bytecode.md"].assert_eq(&text);
}
