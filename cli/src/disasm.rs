//! `twintalk disasm`: what the compiler made.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use twintalk_bytecode::disasm::{CodeListing, ImageListing, MethodListing};
use twintalk_runtime::datum::Datum;
use twintalk_runtime::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::load;

/// List instructions, literals and send sites
#[derive(Args)]
pub struct Disasm {
    /// A program or an image
    file: PathBuf,
    /// Only these methods: level, fill:, or Tank>>fill:
    selector: Option<String>,
    /// One JSON object a line, a method each
    #[arg(long)]
    json: bool,
}

impl Disasm {
    /// Lists it.
    pub fn run(self) -> Outcome {
        let listing = ImageListing::of(&load::image(&self.file, &[])?);
        let methods: Vec<&MethodListing> = listing
            .methods
            .iter()
            .filter(|method| self.selector.as_deref().is_none_or(|wanted| is_meant(method, wanted)))
            .collect();
        if let (true, Some(wanted)) = (methods.is_empty(), &self.selector) {
            return Err(Failure::wrong(format!("{}: no method `{wanted}` is defined there", self.file.display())));
        }
        let mut out = BufWriter::new(io::stdout());
        if self.json {
            for method in methods {
                writeln!(out, "{}", json::text(&method_row(method)))?;
            }
        } else if self.selector.is_some() {
            for (index, method) in methods.into_iter().enumerate() {
                write!(out, "{}{method}", if index > 0 { "\n" } else { "" })?;
            }
        } else {
            write!(out, "{listing}")?;
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}

/// Whether `wanted` is the method's selector, or its owner and selector.
fn is_meant(method: &MethodListing, wanted: &str) -> bool {
    match (wanted.split_once(">>"), &method.owner) {
        // `>>` is a selector of its own too.
        (Some((owner, selector)), Some(found)) if !owner.is_empty() => owner == found && selector == method.selector,
        (Some(_) | None, Some(_) | None) => wanted == method.selector,
    }
}

fn text(text: &str) -> Datum {
    Datum::from(text)
}

fn number(number: usize) -> Datum {
    Datum::from(number as i64)
}

fn method_row(method: &MethodListing) -> Datum {
    let codes = method.codes.as_ref().map(|codes| Datum::Array(codes.iter().map(code_row).collect()));
    Datum::row([
        ("owner", method.owner.as_deref().map_or(Datum::Nil, text)),
        ("selector", text(&method.selector)),
        ("role", text(&method.role.to_string())),
        ("private", Datum::Bool(method.flags.private)),
        ("query", Datum::Bool(method.flags.query)),
        ("codes", codes.unwrap_or(Datum::Nil)),
    ])
}

fn code_row(code: &CodeListing) -> Datum {
    let lines = code.lines.iter().map(|line| {
        Datum::row([
            ("word", number(line.word)),
            ("name", text(line.name)),
            ("operands", Datum::Array(line.operands.iter().map(|operand| text(operand)).collect())),
            ("comment", line.comment.as_deref().map_or(Datum::Nil, text)),
            ("source_offset", line.source_offset.map_or(Datum::Nil, |offset| Datum::from(i64::from(offset)))),
        ])
    });
    let sites = code
        .sites
        .iter()
        .map(|site| Datum::row([("selector", text(&site.selector)), ("to_self", Datum::Bool(site.to_self))]));
    Datum::row([
        ("arguments", number(code.argument_count.into())),
        ("registers", number(code.register_count.into())),
        ("captures", Datum::Array(code.captures.iter().map(|register| number((*register).into())).collect())),
        ("lines", Datum::Array(lines.collect())),
        ("literals", Datum::Array(code.literals.iter().map(|literal| text(literal)).collect())),
        ("sites", Datum::Array(sites.collect())),
        ("slots", Datum::Array(code.slots.iter().map(|slot| text(slot)).collect())),
    ])
}
