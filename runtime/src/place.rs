//! Which partition a composite lives on.
//!
//! A store records the hash by name, so that another one can come later without moving what is there. This one is
//! FNV-1a of 64 bits (Fowler, Noll & Vo) over the first segment, finished with SplitMix64 since the high bits of FNV are
//! poor for short names, and scaled down to the number of partitions (Lemire 2019).

use twintalk_store::Partition;
use twintalk_vm::turn::{first_segment, split_mix};

/// The name of the hash.
pub(crate) const PLACING: &str = "fnv1a64-first-segment";

/// How the composites of a store are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placing {
    /// How many partitions there are.
    pub partitions: u16,
}

impl Placing {
    /// The partition of the twin at `path`, which is that of its composite.
    pub fn of(self, path: &str) -> Partition {
        if self.partitions == 1 {
            return Partition(0);
        }
        let hash = hash(first_segment(path));
        Partition(((u128::from(hash) * u128::from(self.partitions)) >> 64) as u16)
    }
}

/// The hash of a composite's name.
pub(crate) fn hash(composite: &str) -> u64 {
    let mut hash = composite
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    split_mix(&mut hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_and_its_parts_lie_together() {
        let placing = Placing { partitions: 8 };
        for composite in ["plant-1", "plant-2", "ä"] {
            assert_eq!(placing.of(composite), placing.of(&format!("{composite}/line-3/pump-7")));
        }
    }

    #[test]
    fn where_a_composite_lies_never_changes() {
        // Stores rely on these.
        let placing = Placing { partitions: 8 };
        let places = ["", "tank-1", "tank-2", "plant-1", "größe"].map(|path| placing.of(path).0);
        assert_eq!(places, [6, 3, 4, 3, 5]);
    }

    #[test]
    fn composites_are_spread_evenly() {
        let placing = Placing { partitions: 8 };
        let mut counts = [0; 8];
        (0..8000).for_each(|number| counts[usize::from(placing.of(&format!("tank-{number}")).0)] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
