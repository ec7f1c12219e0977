//! A moment of a store: one position per partition, closed under cause. All before it is of that moment, and nothing before it
//! came of anything behind it.
//!
//! A record needs the one that its message came from, the turns whose answers it has, and the record that brought its program.
//! In one log these lie before it anyway, so where there is one partition every position is a moment. Else the logs are walked side
//! by side, each as far as what its next record needs has been passed in the others: that gives the latest moment below the
//! positions that were asked for, and reads each log once.

use std::collections::{HashMap, HashSet, VecDeque};

use twintalk_store::record::{Origin, ProgramHash, Record, composite_of};
use twintalk_store::{BlockIter, Partition, Position, Store, StoreError};

use crate::message::{PROGRAM, SYSTEM_PATH};
use crate::place::Placing;
use crate::replay::{damaged, each_record};

/// Which moment of a store is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All there is.
    Now,
    /// Everything at or before this time, in nanoseconds since 1970 UTC.
    Time(i64),
    /// Everything before these positions, by partition; where there is none, as far as the others allow.
    Before(Vec<Option<Position>>),
}

/// The positions of a moment, by partition: the first of each log that is no longer part of it.
///
/// Cost: where there is one partition a few point reads, else the logs are read twice.
///
/// # Errors
/// The store refuses, or its bytes are damaged.
pub(crate) fn positions(store: &dyn Store, cut: &Cut) -> Result<Vec<Position>, StoreError> {
    let partitions = || (0..store.settings().partitions).map(Partition);
    let ends = partitions().map(|partition| store.end(partition)).collect::<Result<Vec<_>, _>>()?;
    let limits = match cut {
        Cut::Now => return Ok(ends),
        Cut::Time(time_ns) => partitions()
            .zip(&ends)
            .map(|(partition, end)| after(store, partition, *end, *time_ns))
            .collect::<Result<Vec<_>, _>>()?,
        Cut::Before(limits) => {
            let limit = |(nth, end): (usize, &Position)| limits.get(nth).copied().flatten().unwrap_or(*end).min(*end);
            ends.iter().enumerate().map(limit).collect()
        }
    };
    close(store, limits)
}

/// The first position of a log whose record is later than `time_ns`. Time never goes back in a log.
fn after(store: &dyn Store, partition: Partition, end: Position, time_ns: i64) -> Result<Position, StoreError> {
    let bytes = |number: u64| {
        let block = store.block(partition, number)?;
        block.ok_or_else(|| damaged(partition, Position::block(number), "a block that is not there"))
    };
    let unreadable = |number: u64| move |_| damaged(partition, Position::block(number), "a block that cannot be read");
    let first = store.first(partition)?.block;
    // Before `low` all blocks begin in time, and from `high` on none does.
    let (mut low, mut high) = (first, end.block);
    while low < high {
        let middle = low + (high - low) / 2;
        let begins_ns = bytes(middle)?.open().map_err(unreadable(middle))?.base_time_ns();
        if begins_ns <= time_ns {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if low == first {
        return Ok(Position::block(low));
    }
    // Of these only the last may have later records too.
    let last = low - 1;
    let block = bytes(last)?;
    let block = block.open().map_err(unreadable(last))?;
    for record in block.records(0) {
        let (position, record) = record.map_err(unreadable(last))?;
        if record.envelope.time_ns > time_ns {
            return Ok(position);
        }
    }
    Ok(Position::block(low))
}

/// What a record needs, and what others may need of it.
struct Fact {
    position: Position,
    program: ProgramHash,
    installs: bool,
    origin: Option<Origin>,
    /// Composites of other partitions, and their turns.
    answers: Vec<(String, u64)>,
    /// Its own composite and turn, if answers name that composite.
    turn: Option<(String, u64)>,
}

/// The log of one partition, as far as it has been walked.
struct Walk<'s> {
    partition: Partition,
    limit: Position,
    blocks: BlockIter<'s>,
    /// The records that were read, from the next one on.
    read: VecDeque<Fact>,
    /// The number of the block behind those.
    behind: u64,
}

impl Walk<'_> {
    /// The next record below the limit.
    fn peek(&mut self, asked: &HashSet<String>) -> Result<Option<&Fact>, StoreError> {
        while self.read.is_empty() && Position::block(self.behind) < self.limit {
            let Some(bytes) = self.blocks.next().transpose()? else { break };
            let at = Position::block(bytes.number());
            let unreadable = |_| damaged(self.partition, at, "a block that cannot be read");
            let block = bytes.open().map_err(unreadable)?;
            for record in block.records(0) {
                let (position, record) = record.map_err(unreadable)?;
                self.read.push_back(fact(position, &record, asked));
            }
            self.behind = bytes.number() + 1;
        }
        Ok(self.read.front().filter(|fact| fact.position < self.limit))
    }

    /// The position of the next record, or the end.
    fn next(&self) -> Position {
        self.read.front().map_or(Position::block(self.behind), |fact| fact.position)
    }
}

fn fact(position: Position, record: &Record<'_>, asked: &HashSet<String>) -> Fact {
    let composite = record.composite();
    let own = asked.contains(composite).then(|| (composite.to_owned(), record.envelope.turn));
    Fact {
        position,
        program: *record.envelope.program,
        installs: record.input.selector == PROGRAM && composite == SYSTEM_PATH,
        origin: record.cause.origin,
        answers: record
            .input
            .answers
            .iter()
            .map(|answer| (composite_of(answer.composite).to_owned(), answer.turn))
            .collect(),
        turn: own,
    }
}

/// The latest moment at or below `limits`.
fn close(store: &dyn Store, limits: Vec<Position>) -> Result<Vec<Position>, StoreError> {
    let partitions = (0..store.settings().partitions).map(Partition);
    if limits.len() == 1 {
        return Ok(limits);
    }
    let placing = Placing { partitions: store.settings().partitions };
    // Of the turns only those of composites that answered somebody elsewhere are of account.
    let mut asked = HashSet::new();
    let mut walks = Vec::new();
    for (partition, limit) in partitions.zip(limits) {
        each_record(store, partition, Position::FIRST, |_, record, _| {
            let elsewhere = record.input.answers.iter().map(|answer| composite_of(answer.composite));
            let elsewhere = elsewhere.filter(|composite| placing.of(composite) != partition);
            asked.extend(
                elsewhere.filter(|composite| !asked.contains(*composite)).map(str::to_owned).collect::<Vec<_>>(),
            );
            Ok(())
        })?;
        let blocks = store.read(partition, Position::FIRST)?;
        walks.push(Walk { partition, limit, blocks, read: VecDeque::new(), behind: Position::FIRST.block });
    }
    let mut turns: HashMap<String, u64> = HashMap::new();
    let mut programs: HashSet<ProgramHash> = HashSet::new();
    let mut passed = vec![Position::FIRST; walks.len()];
    let mut goes_on = true;
    while goes_on {
        goes_on = false;
        for nth in 0..walks.len() {
            let partition = walks[nth].partition;
            while let Some(fact) = walks[nth].peek(&asked)? {
                let has_origin = fact.origin.is_none_or(|Origin { partition: other, position }| {
                    other == partition || passed.get(usize::from(other.0)).is_some_and(|passed| position < *passed)
                });
                let has_answers = fact.answers.iter().all(|(composite, turn)| {
                    placing.of(composite) == partition
                        || *turn == 0
                        || turns.get(composite).is_some_and(|last| last >= turn)
                });
                // Programs are brought in the first partition.
                let has_program = nth == 0 || programs.contains(&fact.program);
                if !(has_origin && has_answers && has_program) {
                    break;
                }
                let Some(fact) = walks[nth].read.pop_front() else { break };
                if fact.installs {
                    programs.insert(fact.program);
                }
                if let Some((composite, turn)) = fact.turn {
                    turns.insert(composite, turn);
                }
                passed[nth] = Position { index: fact.position.index + 1, ..fact.position };
                goes_on = true;
            }
        }
    }
    Ok(walks.iter().map(Walk::next).collect())
}
