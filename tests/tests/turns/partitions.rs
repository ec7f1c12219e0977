//! One program, however many partitions its composites lie on and however many threads drive them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use twintalk_runtime::OpenOptions;

use crate::log::{Shown, assert_sound, histories, open_with, options, program};

/// Nothing here races but the replies to `fan`: each other composite has one sender at a time, or is asked when all is settled.
///
/// Chains of `Link`s, each its own, end in `Cup`s; two `Ring`s hand a token round and round, with parts that count; a `Hub` asks
/// its `Leaf`s one after the other by promise, and fails once, a `Fan` asks others all at once; `Watch`es ask, near and far and around a cycle, what has
/// settled; timers of several intervals send to composites of their own; twins are made, cloned, removed and made again;
/// random numbers, events, output and failures are in it.
const PROGRAM: &str = r"
twin Cup = ( | log <- List new. | pour: x = ( log add: x. x \\ 50 = 0 ifTrue: [ self error: 'spilled' ] ) query amount = ( ^log sum ) )
twin Link = (
  | passed <- 0. |
  event passed: x.
  pass: x at: n of: chain = (
    passed := passed + 1.
    self emit: #passed: with: x.
    n = 6
      ifTrue: [ (Cup at: 'cup-' , chain) ! pour: x ]
      ifFalse: [ (Link at: 'link-' , chain , '-' , (n + 1) printString) ! pass: x + 1 at: n + 1 of: chain ] )
)
twin Counter = ( | n <- 0. | up = ( n := n + 1. self parent counted: n ) )
twin Ring = (
  | next counted <- 0. drawn <- List new. |
  created = ( self part: 'counter' of: Counter )
  next: name = ( next := name )
  counted: n = ( counted := n )
  turn: n = (
    (self part: 'counter') up.
    drawn add: (Random between: 1 and: 1000000).
    n > 0 ifTrue: [ (Ring at: next) ! turn: n - 1 ] )
)
twin Leaf = ( | asked <- 0. | work: n = ( asked := asked + 1. n = 5 ifTrue: [ self error: 'five' ]. ^n * n ) )
twin Hub = (
  | sum <- 0. failures <- List new. done <- false. |
  ask: n = (
    n > 8 ifTrue: [ done := true. ^self ].
    ((Leaf at: 'leaf-' , n printString) ! work: n)
      then: [ :x | sum := sum + x. self ask: n + 1 ]
      else: [ :e | failures add: n. self ask: n + 1 ] )
)
twin Watch = (
  | seen <- List new. other |
  other: name = ( other := name )
  look = (
    seen add: (#('a' 'b' 'c' 'd') collect: [ :chain | (Cup at: 'cup-' , chain) amount ]).
    seen add: ((Watch at: other) glance: 3) )
  query glance: n = ( ^n = 0 ifTrue: [ seen size ] ifFalse: [ seen size + ((Watch at: other) glance: n - 1) ] )
)
twin Bell = ( | rung <- 0. | ring: n = ( rung := rung + n ) )
twin Clapper = (
  | beats <- 0. |
  timer quick every: 3 seconds = ( beats := beats + 1. (Bell at: 'bell-of-' , self path) ! ring: beats )
  timer slow every: 7 seconds = ( (Bell at: 'bell-of-' , self path) ! ring: 100 )
  timer once after: 5 seconds = ( beats := 1000 )
)
twin Fan = (
  | sum <- 0. failures <- 0. |
  ask: names = (
    names do: [ :name |
      ((Leaf at: name) ! work: name size) then: [ :x | sum := sum + x ] else: [ :e | failures := failures + 1 ] ] )
)
#('a' 'b' 'c' 'd') do: [ :chain |
  Cup new: 'cup-' , chain.
  1 to: 6 do: [ :i | Link new: 'link-' , chain , '-' , i printString ] ].
#('r1' 'r2' 'r3' 'q1' 'q2') do: [ :name | Ring new: name ].
#('r1' 'r2' 'r3' 'r1') inject: nil into: [ :a :b | a isNil ifFalse: [ (Ring at: a) next: b ]. b ].
#('q1' 'q2' 'q1') inject: nil into: [ :a :b | a isNil ifFalse: [ (Ring at: a) next: b ]. b ].
1 to: 8 do: [ :i | Leaf new: 'leaf-' , i printString ].
Hub new: 'hub'.
Fan new: 'fan'.
#('x' 'xx' 'xxx' 'xxxx' 'xxxxx' 'xxxxxx') do: [ :name | Leaf new: name ].
(Watch new: 'w1') other: 'w2'.
(Watch new: 'w2') other: 'w1'.
1 to: 3 do: [ :i | Bell new: 'bell-of-clapper-' , i printString. Clapper new: 'clapper-' , i printString ].
1 to: 15 do: [ :x | #('a' 'b' 'c' 'd') do: [ :chain | (Link at: 'link-' , chain , '-1') ! pass: x * 5 at: 1 of: chain ] ].
(Ring at: 'r1') ! turn: 31.
(Ring at: 'q2') ! turn: 12.
(Hub at: 'hub') ! ask: 1.
(Fan at: 'fan') ! ask: #('x' 'xx' 'xxx' 'xxxx' 'xxxxx' 'xxxxxx').
Clock advance: 1 second.
{ (Fan at: 'fan') sum. (Fan at: 'fan') failures } printNl.
(Watch at: 'w1') look.
(Watch at: 'w2') look.
Clock advance: 20 seconds.
(Watch at: 'w1') look.
(Ring at: 'r2') remove.
(Ring new: 'r2') next: 'r3'.
(Ring at: 'r2') ! turn: 3.
(Ring at: 'q1') cloneAs: 'q3'.
Clock advance: 10 seconds.
{ (Hub at: 'hub') sum. (Hub at: 'hub') failures. (Hub at: 'hub') done } printNl.
(Watch at: 'w1') seen printNl.
(Ring at: 'q3') counted printNl.
(Bell at: 'bell-of-clapper-2') rung printNl.
";

/// What a run showed, and what each composite's log has.
fn run(folder: &Path, partitions: u16, threads: usize) -> (Shown, BTreeMap<String, Vec<String>>) {
    let mut system = open_with(OpenOptions {
        program: Some(program(PROGRAM)),
        partitions: Some(partitions),
        threads: Some(threads),
        ..options(folder)
    });
    let mut shown = Shown::default();
    system.run_program(Vec::new(), None, &mut shown).unwrap_or_else(|error| panic!("{error}"));
    assert_sound(&mut system);
    system.close(&mut shown).expect("closed");
    shown.reported.sort();
    (shown, histories(folder))
}

/// Whose replies with which numbers and values came, in no order.
fn replies(history: &[String]) -> BTreeSet<&str> {
    history.iter().filter_map(|line| Some(line.split_once(" ns, ")?.1.split_once(" answers")?.0)).collect()
}

// delivery: D2.13
#[test]
fn a_program_gives_each_composite_the_same_history_on_any_number_of_partitions_and_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let (wanted, wanted_histories) = run(folder.path(), 1, 1);
    assert!(wanted.text.starts_with("#(66 1)\n{179. List(5). true}\n"), "{}", wanted.text);
    let records: usize = wanted_histories.values().map(Vec::len).sum();
    assert!(wanted_histories.len() > 50 && records > 600, "{} composites, {records} records", wanted_histories.len());
    for (partitions, threads) in [(2, 1), (8, 1), (2, 2), (8, 2), (8, 2), (8, 3)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (found, found_histories) = run(folder.path(), partitions, threads);
        let what = format!("{partitions} partitions, {threads} threads");
        assert_eq!(found.text, wanted.text, "{what}");
        assert_eq!(found.reported, wanted.reported, "{what}");
        assert_eq!(
            found_histories.keys().collect::<Vec<_>>(),
            wanted_histories.keys().collect::<Vec<_>>(),
            "{what}: the composites"
        );
        for (composite, wanted) in &wanted_histories {
            let found = &found_histories[composite];
            if composite == "fan" {
                assert_eq!(replies(found), replies(wanted), "{what}: the replies to fan");
                continue;
            }
            for (nth, line) in wanted.iter().enumerate() {
                assert_eq!(found.get(nth), Some(line), "{what}: record {nth} of {composite}");
            }
            assert_eq!(found.len(), wanted.len(), "{what}: the records of {composite}");
        }
    }
}
