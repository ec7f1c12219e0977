//! Prototypes at work: slots, constants, traits, the side behind the dashes, lookup, arithmetic and memory.

use twintalk_vm::{Limits, Vm};

use crate::program::{answer, compiled, fault, kernel, link, outcome_on, show, whole_kernel};

#[test]
fn slots_start_with_their_initialisers_in_order_for_each_object() {
    let text = "
        Tank = ( | level <- 3. double <- level + level. other | all = ( ^{level. double. other} ) set = ( level := 9 ) )
        | a b | a := Tank new. a set. b := Tank new. {a all. b all. b level}";
    assert_eq!(answer(text), "((9 6 nil) (3 6 nil) 3)");
}

#[test]
fn initialize_is_sent_last_and_cannot_change_the_answer() {
    let text = "Tank = ( | level <- 3. | initialize = ( level := level + 1. ^77 ) )  Tank new level";
    assert_eq!(answer(text), "4");
}

#[test]
fn a_child_has_the_slots_of_its_parent_first() {
    let text = "
        A = ( | x <- 1. | x = ( ^x ) initialize = ( super initialize. x := x + 10 ) )
        B = A ( | y <- 2. | sum = ( ^x + y ) initialize = ( super initialize. y := y + 100 ) )
        B new sum";
    assert_eq!(answer(text), "113");
}

#[test]
fn constants_are_found_once_and_shared() {
    let text = "
        Limits = ( | low = 3. high = low + 4. pair = #(1 2). | all = ( ^{low. high} ) )
        {Limits new all. Limits new pair == Limits new pair. Limits new high}";
    assert_eq!(answer(text), "((3 7) true 7)");
}

#[test]
fn traits_are_linked_for_each_user() {
    let text = "
        trait Counted = ( | count <- 0. | up = ( count := count + self step. ^count ) step = ( ^1 ) )
        object A = Object + Counted ( | before <- 5. | )
        object B = Object + Counted ( | x <- 1. y <- 2. | step = ( ^10 ) )
        | a b | a := A new. b := B new. a up. b up. {a up. b up. a count}";
    assert_eq!(answer(text), "(2 20 2)");
}

#[test]
fn the_side_behind_the_dashes_belongs_to_the_prototype() {
    let text = "
        Registry = ( ---- | made | new = ( self count: 1. ^super new ) count: n = ( made := (made isNil ifTrue: [ 0 ] ifFalse: [ made ]) + n ) made = ( ^made ) )
        Registry new. Registry new. Registry made";
    assert_eq!(answer(text), "2");
}

#[test]
fn super_starts_above_the_prototype_of_the_method() {
    let text = "
        A = ( name = ( ^#a ) twice = ( ^self name ) )
        B = A ( name = ( ^{#b. super name} ) )
        C = B ( name = ( ^{#c. super name} ) )
        {C new name. C new twice}";
    assert_eq!(answer(text), "((#c (#b #a)) (#c (#b #a)))");
}

#[test]
fn private_methods_are_for_self() {
    let text = "object A = ( private secret = ( ^1 ) open = ( ^self secret ) )  A new open";
    assert_eq!(answer(text), "1");
    assert_eq!(fault("object A = ( private secret = ( ^1 ) )  A new secret").kind, "PrivateMethod");
    assert_eq!(fault("object A = ( private secret = ( ^1 ) )  A new perform: #secret").kind, "PrivateMethod");
}

#[test]
fn perform_counts_arguments() {
    assert_eq!(
        answer(
            "{[ :x | x ] perform: #value: with: 3. 4 perform: #yourself. [ :x :y | x - y ] perform: #value:value: withArguments: {9. 2}}"
        ),
        "(3 4 7)"
    );
    assert_eq!(fault("4 perform: #yourself with: 1").kind, "ArgumentError");
    assert_eq!(fault("4 perform: 3").kind, "ArgumentError");
    assert_eq!(fault("4 perform: #value: withArguments: 3").kind, "ArgumentError");
}

#[test]
fn a_perform_of_itself_uses_fuel_and_not_the_stack() {
    let text = "
        Knot = ( tie: a with: b = ( ^self ) )
        | a | a := ExceptionSet new. a setMembers: {#perform:withArguments:. nil}. nil";
    assert_eq!(answer(text), "nil");
}

#[test]
fn a_name_found_nowhere_is_a_message() {
    assert_eq!(fault("Unheard new").kind, "UnknownGlobal");
    assert_eq!(answer("object A = ( unknownGlobal: aName = ( ^aName ) it = ( ^Unheard ) )  A new it"), "#Unheard");
}

#[test]
fn a_primitive_that_is_not_there_is_an_exception() {
    let fault = fault("nil missing");
    assert_eq!(
        (fault.kind.as_str(), fault.text.as_str()),
        ("PrimitiveMissing", "`missing` of Object is a primitive that this VM does not have")
    );
}

#[test]
fn integers_are_added_in_place_until_they_do_not_fit() {
    assert_eq!(
        answer("{3 + 4. 3 - 4. 3 * 4. 12 / 4. 13 // 4. 13 \\\\ 4. -13 // 4. -13 \\\\ 4. 13 \\\\ -4}"),
        "(7 -1 12 3 3 1 -4 3 -3)"
    );
    assert_eq!(answer("4611686018427387903 + 1"), "(#sum 4611686018427387903 1)");
    assert_eq!(answer("-4611686018427387904 - 1"), "(#difference -4611686018427387904 1)");
    assert_eq!(answer("4611686018427387903 * 2"), "(#product 4611686018427387903 2)");
    assert_eq!(answer("7 / 2"), "(#quotient 7 2)");
}

#[test]
fn floats_are_computed_in_place_and_boxed_far_out() {
    assert_eq!(
        answer("{1.5 + 2. 2 * 0.5. 1.0 / 4. 3 - 0.5. 1.0e38 < 2. 2 < 2.5. 3 = 3.0}"),
        "(3.5 1.0 0.25 2.5 false true true)"
    );
    assert_eq!(answer("1.0e300"), "1e300");
    assert_eq!(answer("1.0e38 * 1.0e38"), "(#product 1e38 1e38)");
}

#[test]
fn literals_are_immutable_values() {
    assert_eq!(
        answer("{$a. 'text'. #sym. #(1 $b #c (2)). 123456789012345678901234567890}"),
        "($a 'text' #sym (1 $b #c (2)) 123456789012345678901234567890)"
    );
}

#[test]
fn garbage_is_collected_and_the_living_stay() {
    let text = "
        Node = ( | next value | next: n value: v = ( next := n. value := v ) next = ( ^next ) value = ( ^value ) )
        Lists = ( build = ( | list sum | list := nil.
            1 to: 200 do: [ :i | 1 to: 20 do: [ :j | Node new next: nil value: j ]. list := Node new next: list value: i; yourself ].
            sum := 0. [ list isNil ] whileFalse: [ sum := sum + list value. list := list next ]. ^sum ) )
        Lists new build";
    assert_eq!(answer(text), "20100");
}

#[test]
fn a_run_that_holds_too_much_is_out_of_memory() {
    let text = "
        Node = ( | next a b c d e f g | next: n = ( next := n ) )
        | list | list := nil. [ true ] whileTrue: [ list := Node new next: list; yourself ]";
    let mut vm = link(text);
    vm.set_limits(Limits { fuel: i64::MAX, memory_bytes: 4 << 20 });
    let fault = vm.run_main(&mut String::new()).expect_err("there is a limit");
    assert_eq!(fault.kind, "OutOfMemory");
}

#[test]
fn recursion_has_a_limit_and_the_vm_goes_on_after_it() {
    let mut vm = link(
        "Deep = ( go = ( ^self go ) )  | n | n := (n isNil ifTrue: [ 0 ] ifFalse: [ n ]) + 1. n < 2 ifTrue: [ Deep new go ]. n",
    );
    vm.set_limits(Limits { fuel: i64::MAX, memory_bytes: 16 << 20 });
    assert_eq!(vm.run_main(&mut String::new()).expect_err("too deep").kind, "StackDepth");
    let value = vm.run_main(&mut String::new()).expect("the second time");
    assert_eq!(show(&vm, value), "2");
}

#[test]
fn later_images_see_the_variables_and_definitions_of_earlier_ones() {
    let first = compiled("one.twin", "| a | Pump = ( rpm = ( ^7 ) )  a := 5", &[kernel()]);
    let second = compiled("two.twin", "| a | a + Pump new rpm", &[kernel(), &first]);
    let third = compiled("three.twin", "extend Pump = ( rpm = ( ^70 ) )  Pump new rpm", &[kernel(), &first, &second]);
    let mut vm = Vm::link(&[kernel(), &first]).expect("links");
    vm.run_main(&mut String::new()).expect("runs");
    vm.add_image(&second).expect("links");
    let value = vm.run_main(&mut String::new()).expect("runs");
    assert_eq!(show(&vm, value), "12");
    vm.add_image(&third).expect("links");
    let value = vm.run_main(&mut String::new()).expect("runs");
    assert_eq!(show(&vm, value), "70");
}

#[test]
fn the_whole_kernel_stands_a_collection_at_every_allocation() {
    let text = "
        | list names text set |
        list := List new. 1 to: 60 do: [ :i | list add: i * i ].
        names := Dictionary new. 1 to: 40 do: [ :i | names at: i printString put: (list at: i) ].
        set := Set new. list do: [ :each | set add: each \\\\ 7 ].
        text := String streamContents: [ :stream | 1 to: 9 do: [ :i | stream print: i; space ] ].
        {(list inject: 0 into: [ :sum :each | sum + each ]). (names at: '12'). set size. text. 30 factorial. 3 / 4 + 0.25.
         (list detect: [ :each | each > 100 ]). [ names at: 'none' ] on: Error do: [ :e | e class name ].
         (list asArray copyFrom: 1 to: 3) printString. 12.50s2 printString. 2 raisedTo: 100. #(3 1 2) asSortedList printString}";
    let shown = outcome_on(whole_kernel(), text).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(
        shown.starts_with("(73810 144 4 '1 2 3 4 5 6 7 8 9 ' 265252859812191058636308480000000 1.0 121 "),
        "{shown}"
    );
}
