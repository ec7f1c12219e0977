//! Blocks: what they capture, what they answer, and where `^` leads.

use crate::program::{answer, fault};

#[test]
fn a_block_answers_its_last_statement_and_nil_if_it_has_none() {
    assert_eq!(
        answer("{[ 1. 2 ] value. [] value. [ :x | x ] value: 3. [ :x :y | x - y ] value: 9 value: 4}"),
        "(2 nil 3 5)"
    );
}

#[test]
fn a_block_given_the_wrong_number_of_arguments_says_so() {
    let fault = fault("[ :x | x ] value");
    assert_eq!(
        (fault.kind.as_str(), fault.text.as_str()),
        ("ArgumentError", "this block takes 1 argument, but was given 0")
    );
}

#[test]
fn value_with_arguments_counts_them() {
    assert_eq!(answer("[ :x :y | x - y ] valueWithArguments: {7. 2}"), "5");
    assert_eq!(fault("[ :x | x ] valueWithArguments: {7. 2}").kind, "ArgumentError");
    assert_eq!(fault("[ :x | x ] valueWithArguments: 7").kind, "ArgumentError");
}

#[test]
fn a_variable_assigned_in_a_block_is_seen_outside_and_by_other_blocks() {
    let text = "
        Counter = ( count = ( | n up | n := 0. up := [ n := n + 1 ]. up value. up value. n := n + 10. up value. ^n ) )
        Counter new count";
    assert_eq!(answer(text), "13");
}

#[test]
fn a_block_keeps_its_variables_when_its_method_has_answered() {
    let text = "
        Maker = ( counter = ( | n | n := 0. ^[ n := n + 1. n ] ) )
        | a b | a := Maker new counter. b := Maker new counter. a value. a value. b value. {a value. b value}";
    assert_eq!(answer(text), "(3 2)");
}

#[test]
fn each_round_of_a_loop_has_fresh_variables_of_its_block() {
    let text = "
        Maker = ( two = ( | blocks | blocks := nil.
            1 to: 2 do: [ :i | | own previous | own := i. previous := blocks. blocks := [ {own. previous} ] ]. ^blocks ) )
        ((Maker new two) value)";
    assert!(answer(text).starts_with("(2 "));
}

#[test]
fn a_caret_in_a_block_leaves_the_method_it_stands_in() {
    let text = "
        Search = (
            each: aBlock = ( 1 to: 10 do: [ :i | aBlock value: i ]. ^#none )
            find: n = ( self each: [ :i | self each: [ :j | j + i = n ifTrue: [ ^{i. j} ] ] ]. ^#none ) )
        {Search new find: 12. Search new find: 99}";
    assert_eq!(answer(text), "((2 10) #none)");
}

#[test]
fn a_caret_after_the_method_has_answered_is_an_exception() {
    let text = "Maker = ( leaver = ( ^[ ^1 ] ) )  Maker new leaver value";
    assert_eq!(fault(text).kind, "BlockContextGone");
    let handled =
        "Maker = ( leaver = ( ^[ ^1 ] ) )  [ Maker new leaver value ] on: BlockContextGone do: [ :e | #gone ]";
    assert_eq!(answer(handled), "#gone");
}

#[test]
fn a_caret_that_is_resumed_is_tried_again() {
    let text = "
        Maker = ( leaver = ( ^[ ^1 ] ) )
        | tries | tries := 0.
        [ Maker new leaver value ] on: BlockContextGone do: [ :e |
            tries := tries + 1. tries < 3 ifTrue: [ e resume: 5 ] ifFalse: [ tries ] ]";
    assert_eq!(answer(text), "3");
}

#[test]
fn a_caret_runs_the_ensure_blocks_on_its_way() {
    let text = "
        Log = ( | all |
            all = ( ^all )
            add: n = ( all := all * 10 + n )
            leave = ( all := 0. [ [ ^self add: 1 ] ensure: [ self add: 2 ] ] ensure: [ self add: 3 ]. self add: 4 ) )
        | log | log := Log new. log leave. log all";
    assert_eq!(answer(text), "123");
}

#[test]
fn a_caret_in_an_ensure_block_wins() {
    let text = "
        Two = ( answers = ( [ ^1 ] ensure: [ ^2 ] ) )
        Two new answers";
    assert_eq!(answer(text), "2");
}

#[test]
fn a_block_knows_self_however_deep() {
    let text = "Me = ( | n | me = ( n := 7. ^[ [ [ n ] value ] value ] value ) )  Me new me";
    assert_eq!(answer(text), "7");
}
