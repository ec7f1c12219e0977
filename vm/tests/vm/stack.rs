//! The stack of the process: no instruction may keep a part of it. A handler that called the next one, in place
//! of jumping to it, would be seen here in an optimised build.

use twintalk_vm::Limits;

use crate::program::{link, show};

/// Runs the statement a great many times on a small stack.
fn check(definitions: &str, statement: &str) {
    let text =
        format!("{definitions}\n| i x | i := 0. x := nil. [ i < 30000 ] whileTrue: [ i := i + 1. {statement} ]. i");
    let run = move || {
        let mut vm = link(&text);
        vm.set_limits(Limits { fuel: i64::MAX, memory_bytes: 16 << 20 });
        let value = vm.run_main(&mut String::new()).unwrap_or_else(|fault| panic!("{text}\n{fault}"));
        assert_eq!(show(&vm, value), "30000");
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).expect("a thread").join().expect("it ends");
}

#[test]
fn sends_of_every_kind_leave_nothing_on_the_stack() {
    let definitions = "
        A = ( | s | s = ( ^s ) s: x = ( s := x ) m = ( ^1 ) block = ( ^[ ^1 ] ) leave = ( [ ^1 ] value. ^2 ) )
        B = A ( m = ( ^super m ) new2 = ( ^super yourself ) )";
    check(definitions, "x := A new. x s: i. x s. x m. x leave");
    check(definitions, "x := i \\\\ 2 = 0 ifTrue: [ A new ] ifFalse: [ B new ]. x m. x := B new new2");
    check(definitions, "x := [ :a :b | [ a + b + i ] value ]. x value: 1 value: 2. x numArgs");
    check(definitions, "x := A perform: #new. x perform: #s: with: 3. x perform: #m withArguments: {}");
    check(definitions, "x := {i. 2.5 * i. i + 0.5. 3 - 1.5. 'a'. 4611686018427387903 + i. i // 3. i \\\\ 3}");
    check(definitions, "x := [ Unheard ] on: UnknownGlobal do: [ :e | e return: 3 ]");
}

#[test]
fn exceptions_of_every_kind_leave_nothing_on_the_stack() {
    check("", "x := [ 1 / 0 ] on: ZeroDivide do: [ :e | e return: 3 ]");
    check("", "x := [ 1 / 0 ] on: ZeroDivide do: [ :e | e resume: 3 ]");
    check("", "x := [ 1 / 0 ] on: ZeroDivide do: [ :e | e resignalAs: Warning new ]");
    check("", "x := [ (3 fly: i) + 1 ] on: MessageNotUnderstood do: [ :e | e resume: 3 ]");
    check("", "x := [ [ :a | a ] value ] on: ArgumentError do: [ :e | e resume: 3 ]");
    check("", "x := [ nil missing ] on: PrimitiveMissing do: [ :e | e resume: 3 ]");
    check("", "x := [ [ Error signal ] ensure: [ x := 1 ] ] on: Error do: [ :e | 3 ]");
    check("", "x := [ [ Error signal ] on: Error do: [ :e | e pass ] ] on: Error do: [ :e | e resume: 5 ]");
    check("object A = ( private p = ( ^1 ) )", "x := [ A new p ] on: PrivateMethod do: [ :e | e resume: 3 ]");
    check("L = ( go = ( ^[ ^1 ] ) )", "x := [ L new go value ] on: BlockContextGone do: [ :e | 3 ]");
    check(
        "L = ( go: x = ( ^x ifTrue: [ 1 ] ifFalse: [ 2 ] ) )",
        "x := [ L new go: 7 ] on: Error do: [ :e | e resume: 3 ]",
    );
    check("L = ( go: x = ( ^x and: [ true ] ) )", "x := [ L new go: 7 ] on: Error do: [ :e | e resume: 3 ]");
    check("", "x := [ #(1 2) setMembers: 3 ] on: Error do: [ :e | e resume: 3 ]");
}
