//! Sends, arithmetic and blocks, in codes put together by hand.

use twintalk_vm::{Kind, Vm};

use crate::assemble::*;

/// fib: n = ( n < 2 ifTrue: [ ^n ]. ^(self fib: n - 1) + (self fib: n - 2) )
fn fib(n: i16) -> Vm {
    let mut a = Assembler::default();
    a.prototype("Fib", Some("Object"));
    let sites = a.sites(&["<", "-", "fib:", "+"]);
    let ops = [
        integer(2, 2),
        less_jump_unless(3, 1, 2, 0),
        jump_unless(3, 1, 0),
        answer(1),
        copy(2, 0),
        subtract_tiny(3, 1, 1, 1),
        send(2, 2),
        copy(3, 0),
        subtract_tiny(4, 1, 2, 1),
        send(3, 2),
        add(2, 2, 3, 3),
        answer(2),
    ];
    a.add("fib:", vec![code(1, 5, &ops, sites)]);
    let global = a.global("Fib");
    let sites = a.sites(&["new", "fib:"]);
    let ops = [load_global(1, global), send(1, 0), integer(2, n), send(1, 1), answer(1)];
    a.main(vec![code(0, 3, &ops, sites)]);
    link(&a.image)
}

#[test]
fn a_method_sends_itself() {
    let mut vm = fib(20);
    let answer = vm.run_main(&mut String::new());
    assert_eq!(answer.map(|value| value.kind()), Ok(Kind::Integer(6765)));
}

#[test]
fn an_unknown_message_is_a_fault_with_a_trace() {
    let mut a = Assembler::default();
    let sites = a.sites(&["fly"]);
    a.main(vec![code(0, 2, &[integer(1, 3), send(1, 0), answer(1)], sites)]);
    let fault = link(&a.image).run_main(&mut String::new()).expect_err("integers do not fly");
    assert_eq!(fault.kind, "MessageNotUnderstood");
}
