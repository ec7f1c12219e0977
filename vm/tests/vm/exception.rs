//! Exceptions: where they are handled, what a handler may do, and in which order blocks run.

use crate::program::{answer, fault, outcome};

#[test]
fn on_do_answers_its_block_or_what_the_handler_answers() {
    assert_eq!(answer("[ 1 ] on: Error do: [ :e | 2 ]"), "1");
    assert_eq!(answer("[ Error signal. 1 ] on: Error do: [ :e | 2 ]"), "2");
    assert_eq!(answer("[ Error signal: 'x'. 1 ] on: Error do: [ :e | e messageText ]"), "'x'");
    assert_eq!(answer("[ Error signal. 1 ] on: Error do: [ 3 ]"), "3");
}

#[test]
fn a_handler_is_for_the_kinds_it_names() {
    assert_eq!(answer("[ ZeroDivide signal ] on: Error do: [ :e | 1 ]"), "1");
    assert_eq!(answer("[ [ Error signal ] on: ZeroDivide do: [ :e | 1 ] ] on: Error do: [ :e | 2 ]"), "2");
    assert_eq!(answer("[ IndexError signal ] on: ZeroDivide , IndexError do: [ :e | 1 ]"), "1");
    assert_eq!(answer("[ IndexError signal ] on: ZeroDivide , ArgumentError , IndexError do: [ :e | 1 ]"), "1");
}

#[test]
fn a_handler_is_for_a_kind_of_exceptions_and_nothing_else() {
    for kind in ["3", "nil", "Integer", "Error new", "ZeroDivide , 3", "ZeroDivide , (IndexError , Object)"] {
        assert_eq!(fault(&format!("[ IndexError signal ] on: {kind} do: [ :e | 1 ]")).kind, "ArgumentError", "{kind}");
        assert_eq!(fault(&format!("[ 1 ] on: {kind} do: [ :e | 2 ]")).kind, "ArgumentError", "{kind}");
    }
}

#[test]
fn resignal_as_signals_where_the_first_signal_was() {
    assert_eq!(
        answer(
            "[ [ {Error signal. 1} ] on: Warning do: [ :w | w resume: 5 ] ] on: Error do: [ :e | e resignalAs: Warning new ]"
        ),
        "(5 1)"
    );
    assert_eq!(answer("[ {Error signal. 1} ] on: Error do: [ :e | e resignalAs: Warning. 3 ]"), "(nil 1)");
    assert_eq!(
        answer(
            "| log | log := {0. 0}.
             [ [ [ Error signal ] ensure: [ log := {log. 1} ] ] on: ZeroDivide do: [ :z | log := {log. 2}. 7 ] ]
                 on: Error do: [ :e | [ e resignalAs: ZeroDivide new ] ensure: [ log := {log. 3} ] ].
             log"
        ),
        "((((0 0) 3) 2) 1)"
    );
    // Behind a `pass` it is the place of the signal all the same.
    assert_eq!(
        answer(
            "[ [ [ {Error signal. 1} ] on: Warning do: [ :w | w resume: 5 ] ] on: Error do: [ :e | e pass. 8 ] ]
                 on: Error do: [ :e | e resignalAs: Warning new ]"
        ),
        "(5 1)"
    );
    assert_eq!(
        fault("[ ZeroDivide signal ] on: ZeroDivide do: [ :e | e resignalAs: IndexError new ]").kind,
        "IndexError"
    );
    assert_eq!(fault("[ Error signal ] on: Error do: [ :e | e resignalAs: Error new ]").kind, "OutOfFuel");
    assert_eq!(fault("Error new resignalAs: Error new").kind, "BlockContextGone");
}

#[test]
fn a_set_that_holds_itself_handles_what_else_it_holds() {
    let text = "| s | s := ZeroDivide , IndexError. s setMembers: {s. s. s. IndexError}.
        [ IndexError signal ] on: s do: [ :e | 1 ]";
    assert!(["1", "IndexError"].contains(&outcome(text).unwrap_or_else(|fault| fault.kind).as_str()));
}

#[test]
fn return_ends_the_handler_at_once() {
    assert_eq!(answer("[ Error signal. 1 ] on: Error do: [ :e | e return: 5. 6 ]"), "5");
}

#[test]
fn resume_goes_on_behind_the_signal() {
    assert_eq!(answer("[ (Error signal) + 1 ] on: Error do: [ :e | e resume: 5. 6 ]"), "6");
    assert_eq!(answer("[ Warning signal ] value"), "nil");
    assert_eq!(answer("[ {3 / 0. 4} ] on: ZeroDivide do: [ :e | e resume: 9 ]"), "(9 4)");
}

#[test]
fn retry_starts_the_block_again() {
    assert_eq!(
        answer("| n | n := 0. [ n := n + 1. n < 4 ifTrue: [ Error signal ]. n ] on: Error do: [ :e | e retry ]"),
        "4"
    );
    assert_eq!(answer("[ Error signal ] on: Error do: [ :e | e retryUsing: [ 7 ] ]"), "7");
}

#[test]
fn a_retry_for_ever_runs_out_of_fuel() {
    assert_eq!(fault("[ Error signal ] on: Error do: [ :e | e retry ]").kind, "OutOfFuel");
}

#[test]
fn pass_goes_to_the_handler_around() {
    assert_eq!(answer("[ [ Error signal. 1 ] on: Error do: [ :e | e pass. 2 ] ] on: Error do: [ :e | 3 ]"), "3");
    assert_eq!(
        answer("[ [ (Error signal) + 1 ] on: Error do: [ :e | e pass. 2 ] ] on: Error do: [ :e | e resume: 4 ]"),
        "5"
    );
    assert_eq!(fault("[ Error signal: 'lost' ] on: Error do: [ :e | e pass ]").text, "lost");
    assert_eq!(answer("[ {Warning signal. 2} ] on: Warning do: [ :e | e pass ]"), "(nil 2)");
}

#[test]
fn outer_comes_back_when_it_is_resumed() {
    let text = "[ [ Error signal. 1 ] on: Error do: [ :e | | n | n := e outer. e return: n + 10 ] ] on: Error do: [ :e | e resume: 4 ]";
    assert_eq!(answer(text), "14");
    let text = "[ [ Error signal. 1 ] on: Error do: [ :e | e outer. 2 ] ] on: Error do: [ :e | 3 ]";
    assert_eq!(answer(text), "3");
}

#[test]
fn what_a_handler_raises_is_for_the_handlers_around_its_on_do() {
    let text = "[ [ Error signal ] on: Error do: [ :e | ZeroDivide signal. 1 ] ] on: ZeroDivide do: [ :e | 2 ]";
    assert_eq!(answer(text), "2");
    assert_eq!(fault("[ Error signal ] on: Error do: [ :e | Error signal: 'again' ]").text, "again");
    // A handler inside the handler is its own.
    let text = "[ Error signal ] on: Error do: [ :e | [ Error signal ] on: Error do: [ :f | 3 ] ]";
    assert_eq!(answer(text), "3");
}

#[test]
fn a_handler_below_the_one_at_work_stays_out_until_it_is_done() {
    let text = "[ [ [ Error signal ] on: ZeroDivide do: [ :e | 1 ] ] on: Error do: [ :e | ZeroDivide signal. 2 ] ]
        on: ZeroDivide do: [ :e | 3 ]";
    assert_eq!(answer(text), "3");
}

#[test]
fn ensure_blocks_run_after_the_handler_and_before_what_follows() {
    let text = "| log | log := 0.
        [ [ log := log * 10 + 1. Error signal. log := log * 10 + 9 ] ensure: [ log := log * 10 + 2 ] ]
            on: Error do: [ :e | log := log * 10 + 3 ].
        log * 10 + 4";
    assert_eq!(answer(text), "1324");
}

#[test]
fn ensure_answers_what_its_block_answers() {
    assert_eq!(answer("[ 1 ] ensure: [ 2 ]"), "1");
    assert_eq!(answer("| n | n := 0. [ n := 1 ] ensure: [ n := n + 5 ]. n"), "6");
}

#[test]
fn if_curtailed_runs_only_when_it_is_left() {
    assert_eq!(answer("| n | n := 0. [ 1 ] ifCurtailed: [ n := 1 ]. n"), "0");
    assert_eq!(answer("| n | n := 0. [ [ Error signal ] ifCurtailed: [ n := 1 ] ] on: Error do: [ :e | 3 ]. n"), "1");
}

#[test]
fn an_exception_in_an_ensure_block_takes_the_place_of_what_was_on_its_way() {
    let text =
        "[ [ [ Error signal ] ensure: [ ZeroDivide signal ] ] on: Error do: [ :e | 1 ] ] on: ZeroDivide do: [ :e | 2 ]";
    assert_eq!(answer(text), "2");
    let text = "[ [ 1 ] ensure: [ ZeroDivide signal ] ] on: ZeroDivide do: [ :e | 2 ]";
    assert_eq!(answer(text), "2");
    let text = "Leave = ( now = ( [ [ ^1 ] ensure: [ ZeroDivide signal ] ] on: ZeroDivide do: [ :e | ^2 ]. ^3 ) )  Leave new now";
    assert_eq!(answer(text), "2");
}

#[test]
fn the_handler_that_has_run_is_not_asked_again_by_ensure_blocks_it_unwinds() {
    assert_eq!(
        fault("[ [ Error signal ] ensure: [ Error signal: 'second' ] ] on: Error do: [ :e | 1 ]").text,
        "second"
    );
}

#[test]
fn an_ensure_block_may_handle_its_own() {
    let text = "[ [ Error signal ] ensure: [ [ Error signal ] on: Error do: [ :e | 5 ] ] ] on: Error do: [ :e | 1 ]";
    assert_eq!(answer(text), "1");
}

#[test]
fn a_caret_leaves_a_handler() {
    assert_eq!(answer("Leave = ( now = ( [ Error signal ] on: Error do: [ :e | ^1 ]. ^2 ) )  Leave new now"), "1");
}

#[test]
fn a_handler_that_has_ended_cannot_be_told_anything() {
    let text = "| kept | [ Error signal ] on: Error do: [ :e | kept := e ].
        [ kept return: 1 ] on: BlockContextGone do: [ :e | #gone ]";
    assert_eq!(answer(text), "#gone");
    assert_eq!(fault("Error new retry").kind, "BlockContextGone");
    assert_eq!(fault("Error new resume: 1").kind, "BlockContextGone");
    assert_eq!(fault("Error new pass").kind, "BlockContextGone");
}

#[test]
fn an_exception_can_be_signalled_again() {
    let text = "[ [ Error signal: 'one' ] on: Error do: [ :e | e signal ] ] on: Error do: [ :e | e messageText ]";
    assert_eq!(answer(text), "'one'");
}

#[test]
fn limits_are_for_no_handler() {
    let forever = "[ [ true ] whileTrue: [ nil ] ] on: Exception do: [ :e | 1 ]";
    assert_eq!(fault(forever).kind, "OutOfFuel");
    let deep = "Deep = ( go = ( ^self go ) )  [ Deep new go ] on: Exception do: [ :e | 1 ]";
    assert_eq!(fault(deep).kind, "StackDepth");
}

#[test]
fn a_message_nobody_understands_can_be_answered_by_a_handler() {
    assert_eq!(answer("[ 3 fly: 4 ] on: MessageNotUnderstood do: [ :e | e resume: e message arguments ]"), "(4)");
    assert_eq!(answer("[ 3 fly ] on: MessageNotUnderstood do: [ :e | e message selector ]"), "#fly");
}

#[test]
fn conditions_are_booleans() {
    assert_eq!(fault("3 ifTrue: [ 1 ]").kind, "MessageNotUnderstood");
    let fault = fault("[ 3 ] whileTrue: [ 1 ]");
    assert!(["NonBoolean", "MessageNotUnderstood"].contains(&fault.kind.as_str()), "{fault}");
}

#[test]
fn a_fault_names_where_it_happened() {
    let text = "Pump = (\n  start = ( ^self turn: 3 )\n  turn: n = (\n    ^[ self error: 'stuck' ] value\n  )\n)\nPump new start";
    let fault = fault(text);
    let expected = "Error: stuck
  Object>>error: 'stuck' of a Pump (kernel.twin:11:27)
  Pump>>turn: block (test.twin:4:13)
  Pump>>turn: 3 (test.twin:4:30)
  Pump>>start (test.twin:2:19)
  main (test.twin:7:10)";
    assert_eq!(fault.to_string(), expected);
}
