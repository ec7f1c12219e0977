//! What objects cost within a turn: making one, and the pauses in which the turn's memory is collected.

use crate::measure::{Figure, Scale, Target, busy_seconds};
use crate::turns::{in_memory, integer, send};

const HEAP: &str = "object Cell = ( | left right | )
    twin Heap = (
      nothing: n = ( | cell | 1 to: n do: [ :i | cell := self ] )
      cells: n = ( | cell | 1 to: n do: [ :i | cell := Cell new ] )
      keep: n make: m = ( | kept cell |
        kept := Array new: n. 1 to: n do: [ :i | kept at: i put: Cell new ].
        1 to: m do: [ :i | cell := Cell new ].
        ^kept size ) )
    Heap ensure: 'heap'.";

/// Objects of two slots.
pub fn heap(scale: Scale) -> Vec<Figure> {
    let mut system = in_memory(HEAP);
    let (made, kept) = (scale.of(2_000_000), scale.of(100_000));
    let (mut each, mut pauses, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=scale.rounds() {
        let mut take = |selector: &str, arguments: &[u64]| {
            let arguments: Vec<_> = arguments.iter().copied().map(integer).collect();
            let before = system.vm().collections();
            let seconds = busy_seconds(&mut || drop(send(&mut system, "heap", selector, &arguments)));
            (seconds, system.vm().collections() - before)
        };
        let (nothing, _) = take("nothing:", &[made]);
        let (cells, _) = take("cells:", &[made]);
        let (little, _) = take("keep:make:", &[1, made + kept]);
        let (much, count) = take("keep:make:", &[kept, made]);
        // The first round warms caches up.
        if round > 0 {
            each.push((cells - nothing) * 1e9 / made as f64);
            pauses.push((much - little).max(0.0) * 1e3 / count.max(1) as f64);
            counts.push(count as f64);
        }
    }
    vec![
        Figure::new("an object of two slots made, what is no longer used collected", "ns", Target::AtMost(10.0), each),
        Figure::new("a pause with 100,000 such objects in use", "ms", Target::None, pauses),
        Figure::new("pauses while two million more are made", "", Target::None, counts),
    ]
}
