//! `at:` and `at:put:` as instructions, quick methods, and operands in place: what they do where nothing is in place.

use twintalk_vm::Fault;

use crate::program::{outcome_on, whole_kernel};

fn outcome(text: &str) -> Result<String, Fault> {
    outcome_on(whole_kernel(), text)
}

fn answer(text: &str) -> String {
    outcome(text).unwrap_or_else(|fault| panic!("{text}\n{fault}"))
}

fn fault(text: &str) -> String {
    let fault = outcome(text).expect_err(text);
    format!("{}: {}", fault.kind, fault.text)
}

/// Sends twice from one site, so that the second finds the cache filled.
fn twice(definitions: &str, body: &str) -> String {
    answer(&format!("{definitions}\nobject Twice = ( once = ( {body} ) )\nTwice new once. Twice new once"))
}

#[test]
fn elements_are_read_and_written() {
    assert_eq!(twice("", "| a | a := Array new: 3. a at: 2 put: #x. ^{a at: 1. a at: 2. a at: 3}"), "(nil #x nil)");
    assert_eq!(twice("", "| a | a := List withAll: #(1 2 3). a at: 2 put: 7. ^(a at: 1) + (a at: 2)"), "8");
    assert_eq!(twice("", "^'abc' at: 2"), "$b");
    assert_eq!(twice("", "^'äöü' at: 2"), "$ö");
    assert_eq!(twice("", "^#abc at: 3"), "$c");
    assert_eq!(twice("", "| a | a := ByteArray new: 2. a at: 2 put: 200. ^(a at: 1) + (a at: 2)"), "200");
    assert_eq!(twice("", "| a | a := Dictionary new. a at: #x put: 3. ^(a at: #x)"), "3");
    assert_eq!(twice("", "| a | a := Array new: 2. ^a at: 1 put: 5"), "5");
}

#[test]
fn an_index_outside_is_the_same_fault_whatever_was_sent_before() {
    for (make, kind) in [("#(1 2)", "Array"), ("(List withAll: #(1 2))", "List"), ("'ab'", "String")] {
        for index in ["0", "3", "-1", "4611686018427387903", "-4611686018427387904"] {
            let text = format!("| a | a := {make}. a at: 1. ^a at: {index}");
            let text = format!("object Once = ( once = ( {text} ) )\nOnce new once");
            assert_eq!(fault(&text), format!("IndexError: the index {index} is not within 1 to 2"), "{kind}");
        }
        for index in ["1.0", "nil", "100000000000000000000", "'1'"] {
            let text =
                format!("object Once = ( once = ( | a | a := {make}. a at: 1. ^a at: {index} ) )\nOnce new once");
            assert!(fault(&text).starts_with("ArgumentError: an integer as index is wanted"), "{text}");
        }
    }
    let write = "object Once = ( once = ( | a | a := Array new: 2. a at: 3 put: 1 ) )\nOnce new once";
    assert_eq!(fault(write), "IndexError: the index 3 is not within 1 to 2");
    let literal = "object Once = ( once = ( | a | a := #(1 2). a at: 1 put: 1 ) )\nOnce new once";
    assert!(fault(literal).starts_with("Immutable: "), "{}", fault(literal));
}

#[test]
fn what_is_resumed_with_is_the_answer_of_the_instruction() {
    let own = "object W = ( at: i = ( ^Warning signal: 'read' ) at: i put: x = ( ^Warning signal: 'write' ) )";
    let read = "^[ (W new at: 3) + 1 ] on: Warning do: [ :w | w resume: 41 ]";
    assert_eq!(twice(own, read), "42");
    let write = "^[ W new at: 3 put: 4. #on ] on: Warning do: [ :w | w resume: 41 ]";
    assert_eq!(twice(own, write), "#on");
}

#[test]
fn methods_of_programs_take_the_place_of_the_instructions() {
    let array = "extend Array = ( at: index = ( ^index * 10 ) at: index put: value = ( ^self first: index put: value )
        first: index put: value = ( Log := value ) )\n| Log |";
    assert_eq!(answer(&format!("{array}\nobject T = ( t = ( | a | a := {{1. 2}}. ^a at: 7 ) )\nT new t")), "70");
    let text =
        "extend Array = ( at: index put: value = ( ^self replaceFrom: 1 to: 1 with: {value + 1} startingAt: 1 ) )
        object T = ( t = ( | a | a := {1. 2}. a at: 2 put: 5. ^a at: 1 ) )\nT new t. T new t";
    assert_eq!(answer(text), "6");
    let list = "extend List = ( at: index = ( ^#mine ) )\nobject T = ( t = ( ^(List withAll: #(1)) at: 1 ) )\nT new t. T new t";
    assert_eq!(answer(list), "#mine");
    let own =
        "object Pairs = ( | sum <- 0. | at: index = ( ^index + sum ) at: index put: value = ( sum := sum + value ) )";
    assert_eq!(twice(own, "| p | p := Pairs new. p at: 1 put: 5. p at: 2 put: 6. ^p at: 100"), "111");
}

#[test]
fn descendants_of_arrays_and_lists_are_done_in_place_or_by_their_own_methods() {
    let plain = "object Row = Array ()";
    assert_eq!(twice(plain, "| r | r := Row new: 2. r at: 2 put: 9. ^(r at: 2) + r size"), "11");
    let own = "object Row = Array ( at: index = ( ^(super at: index) + 1 ) )";
    assert_eq!(twice(own, "| r | r := Row new: 2. r at: 2 put: 9. ^r at: 2"), "10");
    let more = "object Stack = List ( | extra <- 4. | at: index = ( ^(super at: index) + extra ) )";
    assert_eq!(twice(more, "| s | s := Stack new. s add: 1; add: 2. s at: 1 put: 10. ^(s at: 1) + (s at: 2)"), "20");
}

#[test]
fn what_does_not_understand_at_says_so() {
    let text = "object T = ( t = ( ^3 at: 1 ) )\nT new t";
    assert!(fault(text).starts_with("MessageNotUnderstood: "), "{}", fault(text));
    let own = "object Any = ( doesNotUnderstand: aMessage = ( ^aMessage selector ) )";
    assert_eq!(twice(own, "| a | a := Any new. a at: 1 put: 2. ^a at: 1"), "#at:");
    let private = "object Shy = ( private at: index = ( ^1 ) )";
    assert!(fault(&format!("{private}\nobject T = ( t = ( ^Shy new at: 1 ) )\nT new t")).starts_with("PrivateMethod"));
}

#[test]
fn long_lists_are_indexed_too() {
    assert_eq!(
        twice(
            "",
            "| l | l := List new. 1 to: 1000 do: [ :i | l add: i ]. l at: 700 put: 1. ^(l at: 700) + (l at: 999)"
        ),
        "1000"
    );
}

#[test]
fn operands_in_place_are_those_of_the_send() {
    assert_eq!(
        twice("", "^{7 // 2. -7 // 2. 7 \\\\ -2. -7 \\\\ 2. 7 * -3. 2.5 * 2. 7.5 // 2. 7.5 \\\\ 2}"),
        "(3 -4 -1 1 -21 5.0 3 1.5)"
    );
    assert_eq!(twice("", "^4611686018427387903 * 2"), "9223372036854775806");
    assert!(fault("object T = ( t = ( ^7 // 0 ) )\nT new t").starts_with("ZeroDivide"));
    assert!(fault("object T = ( t = ( ^7 \\\\ 0 ) )\nT new t").starts_with("ZeroDivide"));
    let own = "object N = ( * n = ( ^{#times. n} ) // n = ( ^{#by. n} ) < n = ( ^n > 3 ) = n = ( ^n = 3 ) )";
    assert_eq!(twice(own, "^{N new * 4. N new // 5}"), "((#times 4) (#by 5))");
    assert_eq!(twice(own, "^N new < 4 ifTrue: [ N new = 3 ifTrue: [ 1 ] ifFalse: [ 2 ] ] ifFalse: [ 3 ]"), "1");
}

#[test]
fn comparisons_with_operands_in_place_are_those_of_the_send() {
    let body = "| r | r := List new.
        {2. 3. 4. 2.5. 3.0. 3.5. 100000000000000000000. (7/2)} do: [ :x |
            r add: (x < 3 ifTrue: [ 1 ] ifFalse: [ 0 ]) + (x <= 3 ifTrue: [ 2 ] ifFalse: [ 0 ]) + (x > 3 ifTrue: [ 4 ] ifFalse: [ 0 ])
                + (x >= 3 ifTrue: [ 8 ] ifFalse: [ 0 ]) + (x = 3 ifTrue: [ 16 ] ifFalse: [ 0 ]) + (x ~= 3 ifTrue: [ 32 ] ifFalse: [ 0 ]) ].
        ^r asArray";
    assert_eq!(twice("", body), "(35 26 44 35 26 44 44 44)");
    assert_eq!(
        twice(
            "",
            "| nan | nan := 0.0 * Float infinity. ^nan < 3 ifTrue: [ 1 ] ifFalse: [ nan >= 3 ifTrue: [ 2 ] ifFalse: [ 3 ] ]"
        ),
        "3"
    );
    assert_eq!(twice("", "^nil = 3 ifTrue: [ 1 ] ifFalse: [ #a ~= 3 ifTrue: [ 2 ] ifFalse: [ 3 ] ]"), "2");
    assert!(
        fault("object T = ( t = ( ^nil < 3 ifTrue: [ 1 ] ifFalse: [ 2 ] ) )\nT new t")
            .starts_with("MessageNotUnderstood")
    );
}

#[test]
fn quick_methods_do_what_they_say() {
    let own = "object Q = ( | a <- 1. b | a = ( ^a ) a: x = ( a := x ) b: x = ( ^b := x ) me = ( ^self ) four = ( ^4 ) word = ( ^'w' ) none = ( ^nil )
        yes = ( ^true ) )";
    assert_eq!(
        twice(own, "| q | q := Q new. q a: 5. ^{q a. q b: 6. (q a: 7) a. q me a. q four. q word. q none. q yes}"),
        "(5 6 7 7 4 'w' nil true)"
    );
    let inherited = "object P = ( name = ( ^#p ) )\nobject C = P ( name = ( ^super name ) )";
    assert_eq!(twice(inherited, "^C new name"), "#p");
    let immutable = "object Q = ( | a | a: x = ( a := x ) )\nobject R = ( | q = Q new. | t = ( q a: 3 ) )\nR new t";
    assert!(fault(immutable).starts_with("Immutable"), "{}", fault(immutable));
}

#[test]
fn a_site_that_sees_many_classes_goes_where_each_leads() {
    let shapes = "object A = ( v = ( ^1 ) )\nobject B = ( | x <- 10. | v = ( ^x ) )\nobject C = ( v = ( ^self w ) w = ( ^100 ) )";
    let body = "| sum | sum := 0. {A new. B new. C new. A new. C new. B new} do: [ :each | sum := sum + each v ]. ^sum";
    assert_eq!(twice(shapes, body), "222");
}

#[test]
fn new_objects_have_their_first_values() {
    let own = "object O = ( | a <- 1. b <- a + 1. c <- 3. d | all = ( ^{a. b. c. d} ) )
        object I = O ( | e <- 'e'. | initialize = ( d := e ) )";
    assert_eq!(
        twice(own, "^{O new all. I new all. O clone all. O basicNew all}"),
        "((1 2 3 nil) (1 2 3 'e') (1 2 3 nil) (nil nil nil nil))"
    );
    // What comes later is nil while what comes before is worked out.
    let early = "object O = ( | a <- self c. c <- 3. | c = ( ^c ) a = ( ^a ) )";
    assert_eq!(twice(early, "^O new a"), "nil");
}

#[test]
fn a_loop_by_a_step_with_a_name_is_that_of_the_send() {
    let by = |first: &str, last: &str, step: &str| {
        twice(
            "",
            &format!(
                "| r n | r := List new. n := {step}. {first} to: {last} by: n do: [ :i | r add: i. n := n + 1 ]. ^r asArray"
            ),
        )
    };
    assert_eq!(by("1", "10", "3"), "(1 4 7 10)");
    assert_eq!(by("10", "1", "-4"), "(10 6 2)");
    assert_eq!(by("1", "2", "0.5"), "(1 1.5 2.0)");
    assert_eq!(by("1", "0", "1"), "()");
    assert!(
        fault("object T = ( t = ( | n | n := 0. 1 to: 3 by: n do: [ :i | i ] ) )\nT new t")
            .starts_with("ArgumentError")
    );
    assert_eq!(twice("", "| n | n := 2. ^(1 to: 4 by: n do: [ :i | i ])"), "1");
    assert_eq!(
        twice("object S = ( | n <- 2. | t = ( | s | s := 0. 1 to: 5 by: n do: [ :i | s := s + i ]. ^s ) )", "^S new t"),
        "9"
    );
    let blocks = "| all n | all := List new. n := 2. 1 to: 5 by: n do: [ :i | all add: [ i ] ]. ^(all collect: [ :b | b value ]) asArray";
    assert_eq!(twice("", blocks), "(1 3 5)");
    let own = "object Own = ( to: a by: b do: c = ( ^{a. b. c value: 7} ) )";
    assert_eq!(twice(own, "| n | n := 3. ^Own new to: 1 by: n do: [ :i | i + 1 ]"), "(1 3 8)");
    assert_eq!(
        twice(
            "",
            "| n last | n := 4611686018427387000. last := 4611686018427387903. ^(1 to: last by: n do: [ :i | i ]) + 1"
        ),
        "2"
    );
}

#[test]
fn identity_as_equality_is_that_of_the_kernel_unless_it_is_overridden() {
    let own = "object O = ( ) object E = ( = other = ( ^#mine ) )";
    assert_eq!(
        twice(
            own,
            "| o | o := O new. ^{o = o. o = O new. nil = nil. $a = $a. $a = 97. true = false. #a = 'a'. E new = 1. nil = o. o ~= o}"
        ),
        "(true false true true false false true #mine false false)"
    );
    assert_eq!(twice("extend Nil = ( = other = ( ^7 ) )", "^nil = 3"), "7");
}

#[test]
fn superinstructions_do_what_their_parts_do() {
    // Each operation with integers, floats, both, large results, and a receiver of its own, in every order.
    let own = "object N = ( + n = ( ^{#plus. n} ) - n = ( ^{#minus. n} ) * n = ( ^{#times. n} ) )
        extend Array = ( + n = ( ^self , {#plus. n} ) - n = ( ^self , {#minus. n} ) * n = ( ^self , {#times. n} ) )";
    for first in ["+", "-", "*"] {
        for second in ["+", "-", "*"] {
            let body = "| r max | max := 4611686018427387903. r := List new.
                {{3. 4. 5}. {1.5. 2.5. 0.5}. {3. 2.5. 4}. {2.5. 3. 1.5}. {max. max. 1}. {max. 1. 2}. {1.0e38. 1.0e38. 2.0}. {1.0e300. 1.0e300. 2.0}} do: [ :t | | a b c x |
                    a := t at: 1. b := t at: 2. c := t at: 3.
                    r add: (a FIRST b SECOND c). r add: (c SECOND (a FIRST b)) ].
                ^r asArray";
            let fused = twice(own, &body.replace("FIRST", first).replace("SECOND", second));
            // The same with a statement between the two.
            let apart = body.replace(
                "r add: (a FIRST b SECOND c). r add: (c SECOND (a FIRST b))",
                "x := a FIRST b. self yourself. r add: x SECOND c. r add: (c perform: #SECOND with: x)",
            );
            let apart = twice(own, &apart.replace("FIRST", first).replace("SECOND", second));
            assert_eq!(fused, apart, "{first} {second}");
        }
    }
    assert_eq!(
        twice(own, "| n | n := N new. ^{n + 1 - 2. n * 1 * 2. 3 + (2 * 2). n - 1 + 2}"),
        "((#plus 1 #minus 2) (#times 1 #times 2) 7 (#minus 1 #plus 2))"
    );
}

#[test]
fn longer_chains_do_what_their_parts_do() {
    let body = "| r max | max := 4611686018427387903. r := List new.
        {{3. 4. 5}. {1.5. 2.5. 0.5}. {3. 2.5. 4}. {2.5. 3. 1.5}. {1.5. 2.5. 3}. {max. max. 1}. {1.0e38. 1.0e38. 2.0}. {1.0e-30. 1.0e-30. 0.0}} do: [ :t | | a b c |
            a := t at: 1. b := t at: 2. c := t at: 3.
            r add: a * b * c + a; add: 2.0 * a * b + c; add: 2 * a * b - c; add: a * b * a - b.
            r add: (a + b < 4.0 ifTrue: [ 1 ] ifFalse: [ 0 ]) + (a + b <= 4.0 ifTrue: [ 2 ] ifFalse: [ 0 ])
                + (a + b > 4.0 ifTrue: [ 4 ] ifFalse: [ 0 ]) + (a + b >= 4.0 ifTrue: [ 8 ] ifFalse: [ 0 ])
                + (a + b >= 4000000000000000000 ifTrue: [ 16 ] ifFalse: [ 0 ]) ].
        ^r asArray";
    let apart = "| r max | max := 4611686018427387903. r := List new.
        {{3. 4. 5}. {1.5. 2.5. 0.5}. {3. 2.5. 4}. {2.5. 3. 1.5}. {1.5. 2.5. 3}. {max. max. 1}. {1.0e38. 1.0e38. 2.0}. {1.0e-30. 1.0e-30. 0.0}} do: [ :t | | a b c |
            a := t at: 1. b := t at: 2. c := t at: 3.
            r add: (((a perform: #* with: b) perform: #* with: c) perform: #+ with: a);
              add: (((2.0 perform: #* with: a) perform: #* with: b) perform: #+ with: c);
              add: (((2 perform: #* with: a) perform: #* with: b) perform: #- with: c);
              add: (((a perform: #* with: b) perform: #* with: a) perform: #- with: b).
            r add: (((a perform: #+ with: b) perform: #< with: 4.0) ifTrue: [ 1 ] ifFalse: [ 0 ]) + (((a perform: #+ with: b) perform: #<= with: 4.0) ifTrue: [ 2 ] ifFalse: [ 0 ])
                + (((a perform: #+ with: b) perform: #> with: 4.0) ifTrue: [ 4 ] ifFalse: [ 0 ]) + (((a perform: #+ with: b) perform: #>= with: 4.0) ifTrue: [ 8 ] ifFalse: [ 0 ])
                + (((a perform: #+ with: b) perform: #>= with: 4000000000000000000) ifTrue: [ 16 ] ifFalse: [ 0 ]) ].
        ^r asArray";
    assert_eq!(twice("", body), twice("", apart));
}

#[test]
fn a_superinstruction_that_stores_asks_first() {
    let own = "object P = ( | a <- 1. | up: n = ( a := a + n ) down: n = ( a := a - n. ^a ) next = ( a := a + 1. ^a ) a = ( ^a ) )";
    assert_eq!(
        twice(
            own,
            "| p | p := P new. p up: 2. p down: 1. p next. p up: 0.5. ^{p a. p next. p down: 4611686018427387903}"
        ),
        "(3.5 4.5 -4.611686018427388e18)"
    );
    let frozen = "object H = ( | p = P new. | t = ( p up: 1 ) )\nH new t";
    assert!(fault(&format!("{own}\n{frozen}")).starts_with("Immutable"));
}
