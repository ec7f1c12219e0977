//! Dead letters and twins in quarantine, for whoever runs a store: looking, sending again, dropping, releasing.

use std::fmt;
use std::str::FromStr;

use twintalk_store::record::Origin;
use twintalk_store::{Partition, Position, StoreError};
use twintalk_vm::Fault;
use twintalk_vm::turn::RELEASE;

use crate::datum::Datum;
use crate::message::{DROP, From, Message, REPLY};
use crate::partition::Core;
use crate::supervision::Letter;
use crate::system::{Output, SendError, System};
use crate::values;

/// What a dead letter is called: the record of the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId {
    /// In which log.
    pub partition: u16,
    /// Where in it.
    pub position: Position,
}

/// A message that failed, that nobody waits for, and that is not tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// What it is called.
    pub id: LetterId,
    /// When it failed, in nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// The twin that it was for.
    pub path: String,
    /// The message.
    pub selector: String,
    /// Its arguments.
    pub arguments: Vec<Datum>,
    /// Who sent it.
    pub sender: String,
    /// Why it failed.
    pub fault: Fault,
}

/// A twin that takes nothing but queries until it is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedTwin {
    /// Its path.
    pub path: String,
    /// The record that says so.
    pub position: Position,
    /// Since when, in nanoseconds since 1970 UTC.
    pub since_ns: i64,
    /// How many messages wait for it.
    pub waiting: usize,
}

/// `0/12.3`: partition, block and index.
impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.position)
    }
}

/// Without a partition it is in that of number 0.
impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<LetterId, String> {
        let read = || {
            let (partition, position) = text.split_once('/').unwrap_or(("0", text));
            let (block, index) = position.split_once('.')?;
            let position = Position { block: block.parse().ok()?, index: index.parse().ok()? };
            Some(LetterId { partition: partition.parse().ok()?, position })
        };
        read().ok_or_else(|| "a dead letter is named as `twintalk deadletters` lists it, like 0/12.3".to_owned())
    }
}

impl System {
    /// The dead letters whose twin's path starts with `prefix`, as of the last commit; oldest first, partition by
    /// partition.
    ///
    /// # Errors
    /// The store refuses, or its bytes are damaged.
    pub fn dead_letters(&mut self, prefix: &str) -> Result<Vec<DeadLetter>, StoreError> {
        let (partitions, vm) = self.parts();
        let mut letters = Vec::new();
        for core in partitions.iter() {
            for (position, letter) in core.letters()? {
                let Letter { time_ns, kind, text, path, selector, arguments, sender, prototype: _ } = letter;
                if !path.starts_with(prefix) {
                    continue;
                }
                // The arguments of a reply are another thing.
                let arguments = values::data_of_arguments(&arguments, vm.shapes()).unwrap_or_default();
                let id = LetterId { partition: core.partition.0, position };
                let fault = Fault { kind, text, trace: Vec::new() };
                letters.push(DeadLetter { id, time_ns, path, selector, arguments, sender, fault });
            }
        }
        Ok(letters)
    }

    /// Sends a dead letter again, as a new message whose cause it is, and handles all that follows. If it fails again
    /// it is a dead letter again, under another name, and reported.
    ///
    /// # Errors
    /// There is no such letter; or the store refuses.
    pub fn send_again(&mut self, id: LetterId, output: &mut dyn Output) -> Result<(), SendError> {
        let letter = self.letter(id)?;
        if letter.selector == REPLY && letter.arguments == [0] {
            let text = format!("of the reply that {id} is too little is left to be sent again: drop it");
            return Err(SendError::Argument(text));
        }
        let from = From::Supervisor { origin: origin(id) };
        let (partitions, _) = self.parts();
        let message = Message::new(&letter.path, &letter.selector, letter.arguments, from);
        partitions.enqueue(Message { kind: letter.prototype.map(Into::into), ..message });
        Ok(self.settle(output)?)
    }

    /// Drops a dead letter, which is on record.
    ///
    /// # Errors
    /// There is no such letter; or the store refuses.
    pub fn drop_letter(&mut self, id: LetterId, output: &mut dyn Output) -> Result<(), SendError> {
        let letter = self.letter(id)?;
        let (partitions, _) = self.parts();
        partitions.enqueue(Message::new(&letter.path, DROP, vec![0], From::Supervisor { origin: origin(id) }));
        Ok(self.settle(output)?)
    }

    /// The twins in quarantine whose path starts with `prefix`, sorted by path.
    pub fn quarantined(&mut self, prefix: &str) -> Vec<QuarantinedTwin> {
        let (partitions, _) = self.parts();
        let of_core = |core: &Core| -> Vec<QuarantinedTwin> {
            let queued = |path: &str| core.queue.iter().filter(|message| message.path == path).count();
            let all = core.supervisor.quarantined().map(|(path, position, since_ns, waiting)| QuarantinedTwin {
                path: path.to_owned(),
                position,
                since_ns,
                // A process that only looks does not handle what waited when it began.
                waiting: waiting + queued(path),
            });
            all.filter(|twin| twin.path.starts_with(prefix)).collect()
        };
        let mut twins: Vec<QuarantinedTwin> = partitions.iter().flat_map(of_core).collect();
        twins.sort_by(|one, other| one.path.cmp(&other.path));
        twins
    }

    /// Releases a twin from its quarantine, and handles what waited for it.
    ///
    /// # Errors
    /// The twin is in no quarantine; or the store refuses.
    pub fn release(&mut self, path: &str, output: &mut dyn Output) -> Result<(), SendError> {
        let (partitions, _) = self.parts();
        if !partitions.of(path).supervisor.is_quarantined(path) {
            return Err(SendError::Argument(format!("there is no twin in quarantine at {path}")));
        }
        partitions.enqueue(Message::new(path, RELEASE, vec![0], From::System));
        Ok(self.settle(output)?)
    }

    fn letter(&mut self, id: LetterId) -> Result<Letter, SendError> {
        let (partitions, _) = self.parts();
        let core = partitions.iter().find(|core| core.partition.0 == id.partition);
        let letters = core.map(Core::letters).transpose()?.unwrap_or_default();
        let found = letters.into_iter().find(|(position, _)| *position == id.position);
        found.map(|(_, letter)| letter).ok_or_else(|| SendError::Argument(format!("there is no dead letter {id}")))
    }
}

fn origin(id: LetterId) -> Origin {
    Origin { partition: Partition(id.partition), position: id.position }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_named_by_partition_and_position() {
        let id = LetterId { partition: 3, position: Position { block: 12, index: 4 } };
        assert_eq!(id.to_string(), "3/12.4");
        assert_eq!("3/12.4".parse(), Ok(id));
        assert_eq!("12.4".parse(), Ok(LetterId { partition: 0, ..id }));
        for wrong in ["", "12", "/1.2", "1/2", "a/1.2", "1/1.2.3"] {
            assert!(wrong.parse::<LetterId>().is_err(), "{wrong}");
        }
    }
}
