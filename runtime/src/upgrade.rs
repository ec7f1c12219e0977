//! What an upgrade must keep to: slots do not change under one version, and no stored twin is of a later version than its
//! definition.
//!
//! So an upgrade can be undone as long as it has carried no twin over. After that the way back is a higher
//! version with a `migrate`. A definition that is gone leaves its twins as they are: they lie there until it is back, and
//! messages to them fail.

use std::collections::BTreeMap;

use twintalk_bytecode::image::{Image, Prototype, PrototypeKind};
use twintalk_store::{KeyRange, StoreError, Table};
use twintalk_vm::codec::shape_of_image;
use twintalk_vm::{Shape, Vm};

use crate::partitions::Partitions;
use crate::resident::read_row;
use crate::system::OpenError;

/// Twins of a definition that a program does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphans {
    /// The definition, as the store has it.
    pub prototype: String,
    /// How many there are.
    pub twins: u64,
}

/// Twins whose definition goes back to a version before theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// The definition.
    pub prototype: String,
    /// The version of the store's definition.
    pub from: u32,
    /// The version of the program's.
    pub to: u32,
    /// How many twins are of a later version than that.
    pub twins: u64,
}

/// How the versions of twin definitions have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions {
    /// Slots changed, and the version did not.
    missing: Vec<String>,
    lowered: Vec<Lowered>,
    gone: Vec<String>,
}

impl Versions {
    /// Of the definitions that a store has, and those that it is given.
    pub fn compare(stored: &Image, given: &Image) -> Versions {
        let mut versions = Versions::default();
        for old in stored.prototypes.iter().filter(|old| old.kind == PrototypeKind::Twin) {
            let name = stored.name(old.name);
            let new = given.prototypes.iter().find(|new| given.name(new.name) == name);
            match new.filter(|new| new.kind == PrototypeKind::Twin) {
                None => versions.gone.push(name.to_owned()),
                Some(new) if new.version < old.version => versions.lowered.push(Lowered {
                    prototype: name.to_owned(),
                    from: old.version,
                    to: new.version,
                    twins: 0,
                }),
                Some(new) if new.version == old.version && slots(stored, old) != slots(given, new) => {
                    versions.missing.push(name.to_owned());
                }
                Some(_) => {}
            }
        }
        versions
    }

    /// Looks at the twins there are, if that matters. `vm` has the given definitions, and of its shapes the first
    /// `shapes_before` were there before them.
    ///
    /// # Errors
    /// The upgrade is refused, or the store does not answer.
    pub fn check(mut self, partitions: &Partitions, vm: &Vm, shapes_before: usize) -> Result<Vec<Orphans>, OpenError> {
        // The version that a definition goes back to had its slots, too.
        let shapes = || (0..vm.shapes().len() as u32).filter_map(|number| vm.shapes().get(number));
        for lowered in &self.lowered {
            let of_version = |shape: &&Shape| {
                shape.twin && !shape.kernel && shape.prototype == lowered.prototype && shape.version == lowered.to
            };
            let is_new = shapes().skip(shapes_before).any(|shape| of_version(&shape));
            if is_new && shapes().take(shapes_before).any(|shape| of_version(&shape)) {
                self.missing.push(lowered.prototype.clone());
            }
        }
        if !self.missing.is_empty() {
            return Err(OpenError::VersionMissing { prototypes: self.missing });
        }
        if self.lowered.is_empty() && self.gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        each_twin(partitions, &mut |image| {
            if let Some(shape) = shape_of_image(image) {
                *counts.entry(shape).or_default() += 1;
            }
        })?;
        let count = |is_meant: &dyn Fn(&Shape) -> bool| {
            let shapes = counts.iter().filter_map(|(number, count)| Some((vm.shapes().get(*number)?, count)));
            shapes.filter(|(shape, _)| !shape.kernel && is_meant(shape)).map(|(_, count)| count).sum::<u64>()
        };
        for lowered in &mut self.lowered {
            lowered.twins = count(&|shape| shape.prototype == lowered.prototype && shape.version > lowered.to);
        }
        self.lowered.retain(|lowered| lowered.twins > 0);
        if !self.lowered.is_empty() {
            return Err(OpenError::VersionLower { prototypes: self.lowered });
        }
        let orphans = self.gone.into_iter().map(|prototype| {
            let twins = count(&|shape| shape.prototype == prototype);
            Orphans { prototype, twins }
        });
        Ok(orphans.filter(|orphans| orphans.twins > 0).collect())
    }
}

/// The names of the slots of a definition, constants left out.
fn slots(image: &Image, definition: &Prototype) -> Vec<String> {
    let slots = definition.instance.slots.iter().filter(|slot| !slot.constant);
    slots.map(|slot| image.name(slot.name).to_owned()).collect()
}

/// Calls `visit` with the state of every twin.
fn each_twin(partitions: &Partitions, visit: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
    for core in partitions.iter() {
        for row in core.store.scan(Table::State, &KeyRange::partition(core.partition))? {
            let (key, row) = row?;
            let Some(path) = key.path() else { continue };
            // What is in memory is newer.
            if core.residents.get(&path).is_none()
                && let Some(view) = read_row(&path, row.position, &row.bytes).filter(|view| view.exists)
            {
                visit(view.image);
            }
        }
        core.residents.iter().filter(|view| view.exists).for_each(|view| visit(view.image));
    }
    Ok(())
}
