//! Stored values as data for the outside, and back.
//!
//! Collections of the kernel are shown as what they are to a user (an array, a dictionary), not by the slots
//! they happen to be made of; all other objects by their slots.

use twintalk_bytecode::units::Unit;
use twintalk_vm::codec::DecodeError;
use twintalk_vm::{Pieces, Shapes, Tree};

use crate::datum::Datum;

/// A message's one value.
///
/// # Errors
/// When the bytes are damaged.
pub(crate) fn datum_of_message(bytes: &[u8], shapes: &Shapes) -> Result<Datum, DecodeError> {
    Ok(datum(Tree::from_message(bytes, shapes)?))
}

/// A message's arguments.
///
/// # Errors
/// When the bytes are damaged.
pub(crate) fn data_of_arguments(bytes: &[u8], shapes: &Shapes) -> Result<Vec<Datum>, DecodeError> {
    Ok(Tree::from_arguments(bytes, shapes)?.into_iter().map(datum).collect())
}

/// A twin at rest, with its pieces: its prototype, and its slots.
///
/// # Errors
/// When the bytes are damaged.
pub(crate) fn slots_of_image(
    bytes: &[u8],
    pieces: Pieces<'_>,
    shapes: &Shapes,
) -> Result<(String, Vec<(String, Datum)>), DecodeError> {
    match Tree::from_image(bytes, pieces, shapes)? {
        Tree::Object { prototype, slots } => {
            Ok((prototype, slots.into_iter().map(|(name, value)| (name, datum(value))).collect()))
        }
        _ => Err(DecodeError::Damaged("a twin that is no object")),
    }
}

/// Arguments as the VM reads them.
///
/// # Errors
/// For objects: only plain values can be handed in.
pub(crate) fn arguments(data: &[Datum], shapes: &Shapes) -> Result<Vec<u8>, String> {
    let trees: Vec<Tree> = data.iter().map(tree).collect::<Result<_, _>>()?;
    Tree::write_arguments(&trees, shapes)
}

fn tree(datum: &Datum) -> Result<Tree, String> {
    if let Some(refusal) = datum.refusal() {
        return Err(refusal);
    }
    Ok(match datum {
        Datum::Nil => Tree::Nil,
        Datum::Bool(boolean) => Tree::Boolean(*boolean),
        Datum::Int(integer) => Tree::Integer(integer.clone()),
        Datum::Float(float) => Tree::Float(*float),
        Datum::Decimal { unscaled, scale } => Tree::Object {
            prototype: "ScaledDecimal".to_owned(),
            slots: vec![
                ("digits".to_owned(), Tree::Integer(unscaled.clone())),
                ("scale".to_owned(), Tree::Integer((*scale).into())),
            ],
        },
        Datum::Char(character) => Tree::Character(*character),
        Datum::String(text) => Tree::String(text.clone()),
        Datum::Symbol(name) => Tree::Symbol(name.clone()),
        Datum::Array(elements) => Tree::Array(elements.iter().map(tree).collect::<Result<_, _>>()?),
        Datum::Bytes(bytes) => Tree::Bytes(bytes.clone()),
        Datum::Reference(path) => Tree::Reference(path.clone(), String::new()),
        Datum::Dictionary(_) => return Err("a dictionary cannot be handed in".to_owned()),
        Datum::Object { prototype, slots } => {
            // The kernel writes a unit in one way.
            let unit = datum.as_quantity().and_then(|(_, unit)| Unit::parse(unit)).map(|unit| unit.to_string());
            let slots = slots.iter().map(|(name, value)| {
                let value = match (name.as_str(), &unit) {
                    ("unit", Some(unit)) => Tree::String(unit.clone()),
                    _ => tree(value)?,
                };
                Ok((name.clone(), value))
            });
            Tree::Object { prototype: prototype.clone(), slots: slots.collect::<Result<_, String>>()? }
        }
    })
}

fn datum(tree: Tree) -> Datum {
    match tree {
        Tree::Nil => Datum::Nil,
        Tree::Boolean(boolean) => Datum::Bool(boolean),
        Tree::Integer(integer) => Datum::Int(integer),
        Tree::Float(float) => Datum::Float(float),
        Tree::Character(character) => Datum::Char(character),
        Tree::Symbol(name) => Datum::Symbol(name),
        Tree::String(text) => Datum::String(text),
        Tree::Bytes(bytes) => Datum::Bytes(bytes),
        Tree::Array(elements) | Tree::Part(elements) => Datum::Array(elements.into_iter().map(datum).collect()),
        Tree::Reference(path, _) => Datum::Reference(path),
        Tree::Prototype(name) => Datum::Symbol(name),
        Tree::Again(number) => object("Again", vec![("number", Datum::Int(number.into()))]),
        Tree::Deeper => object("Deeper", Vec::new()),
        Tree::Object { prototype, slots } => kernel_object(prototype, slots),
    }
}

fn object(prototype: &str, slots: Vec<(&str, Datum)>) -> Datum {
    Datum::Object {
        prototype: prototype.to_owned(),
        slots: slots.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// An object of the kernel's collections and numbers as what it stands for.
fn kernel_object(prototype: String, slots: Vec<(String, Tree)>) -> Datum {
    let slot = |name: &str| slots.iter().find(|(slot, _)| slot == name).map(|(_, value)| value);
    let count = |name: &str| match slot(name) {
        Some(Tree::Integer(integer)) => usize::try_from(integer).ok(),
        Some(_) | None => None,
    };
    match prototype.as_str() {
        "List" | "SortedList" => {
            // A list that never held anything has no array yet.
            if let (Some(Tree::Nil), Some(0)) = (slot("array"), count("size")) {
                return Datum::Array(Vec::new());
            }
            if let (Some(Tree::Array(array)), Some(start), Some(size)) = (slot("array"), count("start"), count("size"))
                && let Some(elements) = start.checked_add(size).and_then(|end| array.get(start..end))
            {
                return Datum::Array(elements.iter().cloned().map(datum).collect());
            }
            if let (Some(root), Some(start), Some(size)) = (slot("array"), count("start"), count("size"))
                && let Some(elements) = start.checked_add(size).and_then(|end| root.in_parts(start..end))
            {
                return Datum::Array(elements.into_iter().map(datum).collect());
            }
        }
        "Promise" => {
            // Its blocks are no values.
            let shown =
                slots.into_iter().filter(|(name, _)| name != "actions").map(|(name, value)| (name, datum(value)));
            return Datum::Object { prototype, slots: shown.collect() };
        }
        "Dictionary" | "IdentityDictionary" => {
            if let Some(entries) = entries(slot("entries"), count("used"), 2) {
                let pairs = entries.chunks_exact(2).map(|pair| (datum(pair[0].clone()), datum(pair[1].clone())));
                return Datum::Dictionary(pairs.collect());
            }
        }
        "Set" | "IdentitySet" => {
            if let Some(entries) = entries(slot("entries"), count("used"), 1) {
                return Datum::Array(entries.into_iter().map(datum).collect());
            }
        }
        "ScaledDecimal" => {
            if let (Some(Tree::Integer(digits)), Some(scale)) = (slot("digits"), count("scale"))
                && let Ok(scale) = u32::try_from(scale)
            {
                return Datum::Decimal { unscaled: digits.clone(), scale };
            }
        }
        _ => {}
    }
    Datum::Object { prototype, slots: slots.into_iter().map(|(name, value)| (name, datum(value))).collect() }
}

/// The elements of a hashed collection, `stride` values each. In an array, the array itself stands where one was removed.
fn entries(slot: Option<&Tree>, used: Option<usize>, stride: usize) -> Option<Vec<Tree>> {
    match slot? {
        Tree::Nil => Some(Vec::new()),
        Tree::Array(entries) => {
            let used = entries.get(..used?.checked_mul(stride)?)?;
            let kept = used.chunks_exact(stride).filter(|element| !matches!(element[0], Tree::Again(_)));
            Some(kept.flatten().cloned().collect())
        }
        root @ Tree::Part(_) => Some(root.rows_in_parts(stride)?.concat()),
        _ => None,
    }
}
