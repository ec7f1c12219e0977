//! What each construct becomes.

use expect_test::expect;

use crate::check::check_bytecode;

// ---- values and variables ----

#[test]
fn a_method_answers_self_unless_it_says_otherwise() {
    check_bytecode(
        "G = ( a = ( ) )",
        expect![[r#"
        0000  answer_self
    "#]],
    );
}

#[test]
fn a_setter_answers_what_it_stores() {
    check_bytecode(
        "Pump = ( | speed | speed: rpm = ( ^speed := rpm ) )",
        expect![[r#"
        0000  store_slot    r1, slot0          ; speed
        0001  answer        r1
    "#]],
    );
}

#[test]
fn arguments_go_straight_into_the_window_of_their_send() {
    check_bytecode(
        "G = ( | s | a: x = ( ^self at: x + 1 put: (s foo: nil) ) )",
        expect![[r#"
        0000  copy          r2, r0
        0001  add_tiny      r3, r1, 1, site0   ; +
        0003  load_slot     r4, slot0          ; s
        0004  load_nil      r5
        0005  send          r4, site1          ; foo:
        0006  send          r2, site2          ; at:put:
        0007  answer        r2
    "#]],
    );
}

#[test]
fn an_assignment_of_arithmetic_writes_the_variable() {
    check_bytecode(
        "G = ( a: x = ( | t | t := x * x. t := t - 200. ^t // x ) )",
        expect![[r#"
        0000  multiply      r2, r1, r1, site0  ; *
        0002  load_integer  r3, 200
        0003  subtract      r2, r2, r3, site1  ; -
        0005  quotient      r3, r2, r1, site2  ; //
        0007  answer        r3
    "#]],
    );
}

#[test]
fn a_temporary_starts_as_nil_unless_it_is_assigned_first() {
    check_bytecode(
        "G = ( a = ( | t u | self foo: u. t := 1. u := t. ^t ) )",
        expect![[r#"
        0000  load_nil      r2
        0001  copy          r3, r0
        0002  copy          r4, r2
        0003  send          r3, site0          ; foo:
        0004  load_integer  r1, 1
        0005  copy          r2, r1
        0006  answer        r1
    "#]],
    );
}

#[test]
fn an_operand_is_copied_when_a_later_one_assigns_it() {
    check_bytecode(
        "G = ( a = ( | t | t := 1. ^t + (t := 2) ) )",
        expect![[r#"
        0000  load_integer  r1, 1
        0001  copy          r3, r1
        0002  load_integer  r1, 2
        0003  add           r2, r3, r1, site0  ; +
        0005  answer        r2
    "#]],
    );
}

#[test]
fn small_integers_are_in_the_instruction_and_others_are_literals() {
    check_bytecode(
        "G = ( a = ( ^{ 32767. 32768. -36r1Z. 123456789012345678901234567890. 3.50s2. 1.5e3. $a. 'b'. #c:d:. #(1 x (nil #y) $z). #[1 2] } ) )",
        expect![[r#"
            0000  load_integer  r1, 32767
            0001  load_literal  r2, literal0       ; 32768
            0002  load_integer  r3, -71
            0003  load_literal  r4, literal1       ; 16r018EE90FF6C373E0EE4E3F0AD2
            0004  load_literal  r5, literal2       ; 3.50s2
            0005  load_literal  r6, literal3       ; 1500.0
            0006  load_literal  r7, literal4       ; $a
            0007  load_literal  r8, literal5       ; 'b'
            0008  load_literal  r9, literal6       ; #c:d:
            0009  load_literal  r10, literal7      ; #(1 #x (nil #y) $z)
            0010  load_literal  r11, literal8      ; #[1 2]
            0011  make_array    r1, 11
            0012  answer        r1
        "#]],
    );
}

#[test]
fn equal_literals_are_one() {
    check_bytecode(
        "G = ( a = ( ^self foo: 'x' bar: 'x' ) )",
        expect![[r#"
        0000  copy          r1, r0
        0001  load_literal  r2, literal0       ; 'x'
        0002  load_literal  r3, literal0       ; 'x'
        0003  send          r1, site0          ; foo:bar:
        0004  answer        r1
    "#]],
    );
}

#[test]
fn globals_and_program_variables_have_tables() {
    check_bytecode(
        "G = ( a = ( v := G. ^v ) ) | v |",
        expect![[r#"
        0000  load_global   r1, global0        ; G
        0001  store_variable r1, variable0     ; v
        0002  load_variable r1, variable0      ; v
        0003  answer        r1
    "#]],
    );
}

#[test]
fn slots_behind_the_dashes_are_slots_of_the_prototype() {
    check_bytecode(
        "G = ( ---- | n <- 0. | next = ( ^n := n + 1 ) )",
        expect![[r#"
        G class>>n
        0000  load_integer  r1, 0
        0001  answer        r1
        G class>>next
        0000  load_slot     r1, slot0          ; n
        0001  add_tiny      r1, r1, 1, site0   ; +
        0003  store_slot    r1, slot0          ; n
        0004  answer        r1
    "#]],
    );
}

// ---- sends ----

#[test]
fn super_and_self_are_sent_from_a_copy_of_self() {
    check_bytecode(
        "G = ( a: x = ( super a: x. ^self a: super size ) )",
        expect![[r#"
        0000  copy          r2, r0
        0001  copy          r3, r1
        0002  send_super    r2, site0          ; a:
        0003  copy          r2, r0
        0004  copy          r3, r0
        0005  send_super    r3, site1          ; size
        0006  send          r2, site2          ; a:
        0007  answer        r2
    "#]],
    );
}

#[test]
fn a_cascade_sends_all_to_one_receiver() {
    check_bytecode(
        "G = ( a: x = ( ^x foo bar: 1; baz; quux: 2 ) )",
        expect![[r#"
        0000  copy          r2, r1
        0001  send          r2, site0          ; foo
        0002  copy          r3, r2
        0003  load_integer  r4, 1
        0004  send          r3, site1          ; bar:
        0005  copy          r3, r2
        0006  send          r3, site2          ; baz
        0007  load_integer  r3, 2
        0008  send          r2, site3          ; quux:
        0009  answer        r2
    "#]],
    );
}

#[test]
fn a_cascade_of_far_sends_is_far_throughout() {
    check_bytecode(
        "G = ( a: x = ( ^x ! m: 1; n ) )",
        expect![[r#"
        0000  copy          r3, r1
        0001  load_integer  r4, 1
        0002  send_far      r3, site0          ; m:
        0003  copy          r2, r1
        0004  send_far      r2, site1          ; n
        0005  answer        r2
    "#]],
    );
}

// ---- blocks ----

#[test]
fn a_block_takes_copies_of_what_nobody_assigns_any_more() {
    check_bytecode(
        "G = ( a: x = ( | t | t := x + 1. ^[ :y | t + y ] ) )",
        expect![[r#"
        G>>a:
        0000  add_tiny      r2, r1, 1, site0   ; +
        0002  make_block    r3, code1
        0003  answer        r3
        code1, captures r2
        0000  add           r3, r2, r1, site0  ; +
        0002  answer        r3
    "#]],
    );
}

#[test]
fn a_variable_that_a_block_assigns_lives_in_a_cell() {
    check_bytecode(
        "G = ( a: x = ( | t | t := 0. x do: [ :y | t := t + y ]. ^t ) )",
        expect![[r#"
        G>>a:
        0000  load_integer  r3, 0
        0001  make_cell     r2, r3
        0002  copy          r3, r1
        0003  make_block    r4, code1
        0004  send          r3, site0          ; do:
        0005  load_cell     r3, r2
        0006  answer        r3
        code1, captures r2
        0000  load_cell     r3, r2
        0001  add           r3, r3, r1, site0  ; +
        0003  store_cell    r2, r3
        0004  answer        r3
    "#]],
    );
}

#[test]
fn a_variable_assigned_behind_its_block_lives_in_a_cell() {
    check_bytecode(
        "G = ( a = ( | t b | b := [ t ]. t := 1. ^b ) )",
        expect![[r#"
        G>>a
        0000  load_nil      r1
        0001  make_cell     r1, r1
        0002  make_block    r2, code1
        0003  load_integer  r3, 1
        0004  store_cell    r1, r3
        0005  answer        r2
        code1, captures r1
        0000  load_cell     r2, r1
        0001  answer        r2
    "#]],
    );
}

#[test]
fn a_variable_older_than_the_loop_that_assigns_and_takes_it_lives_in_a_cell() {
    check_bytecode(
        "G = ( a: x = ( | t | 1 to: x do: [ :i | t := i. x add: [ t ] ] ) )",
        expect![[r#"
        G>>a:
        0000  load_nil      r2
        0001  make_cell     r2, r2
        0002  load_integer  r3, 1
        0003  jump_unless_number r1, 0015
        0004  less_equal_jump_unless r4, r3, r1, site0 ; <=
        0006  jump_unless   r4, 0019
        0008  store_cell    r2, r3
        0009  copy          r4, r1
        0010  make_block    r5, code1
        0011  send          r4, site1          ; add:
        0012  add_tiny      r3, r3, 1, site2   ; +
        0014  jump_back     0004
        0015  copy          r4, r3
        0016  copy          r5, r1
        0017  make_block    r6, code2
        0018  send          r4, site3          ; to:do:
        0019  answer_self
        code1, captures r2
        0000  load_cell     r2, r1
        0001  answer        r2
        code2, captures r2 r1
        0000  store_cell    r2, r1
        0001  copy          r4, r3
        0002  make_block    r5, code3
        0003  send          r4, site0          ; add:
        0004  answer        r4
        code3, captures r2
        0000  load_cell     r2, r1
        0001  answer        r2
    "#]],
    );
}

#[test]
fn a_variable_of_the_loop_itself_is_new_in_each_round() {
    check_bytecode(
        "G = ( a: x = ( 1 to: x do: [ :i | | t | t := i. x add: [ t ] ] ) )",
        expect![[r#"
        G>>a:
        0000  load_integer  r2, 1
        0001  jump_unless_number r1, 0013
        0002  less_equal_jump_unless r3, r2, r1, site0 ; <=
        0004  jump_unless   r3, 0017
        0006  copy          r3, r2
        0007  copy          r4, r1
        0008  make_block    r5, code1
        0009  send          r4, site1          ; add:
        0010  add_tiny      r2, r2, 1, site2   ; +
        0012  jump_back     0002
        0013  copy          r3, r2
        0014  copy          r4, r1
        0015  make_block    r5, code2
        0016  send          r3, site3          ; to:do:
        0017  answer_self
        code1, captures r3
        0000  answer        r1
        code2, captures r1
        0000  copy          r3, r1
        0001  copy          r4, r2
        0002  make_block    r5, code3
        0003  send          r4, site0          ; add:
        0004  answer        r4
        code3, captures r3
        0000  answer        r1
    "#]],
    );
}

#[test]
fn an_answer_from_a_block_goes_home() {
    check_bytecode(
        "G = ( a: x = ( x do: [ :y | ^y ]. ^[ ] ) )",
        expect![[r#"
        G>>a:
        0000  copy          r2, r1
        0001  make_block    r3, code1
        0002  send          r2, site0          ; do:
        0003  make_block    r2, code2
        0004  answer        r2
        code1
        0000  answer_home   r1
        code2
        0000  load_nil      r1
        0001  answer        r1
    "#]],
    );
}

#[test]
fn blocks_in_blocks_pass_their_captures_on() {
    check_bytecode(
        "G = ( a: x = ( ^[ :y | [ x + y ] ] ) )",
        expect![[r#"
        G>>a:
        0000  make_block    r2, code1
        0001  answer        r2
        code1, captures r1
        0000  make_block    r3, code2
        0001  answer        r3
        code2, captures r2 r1
        0000  add           r3, r1, r2, site0  ; +
        0002  answer        r3
    "#]],
    );
}

// ---- conditionals ----

#[test]
fn a_conditional_statement_yields_nothing() {
    check_bytecode(
        "G = ( a: x = ( x < 3 ifTrue: [ self foo ] ) )",
        expect![[r#"
            G>>a:
            0000  less_tiny_jump_unless r2, r1, 3, site0 ; <
            0002  jump_unless   r2, 0010, fallback 0007
            0004  copy          r2, r0
            0005  send          r2, site1          ; foo
            0006  answer_self
            0007  make_block    r3, code1
            0008  send          r2, site2          ; ifTrue:
            0009  answer_self
            0010  answer_self
            code1
            0000  copy          r1, r0
            0001  send          r1, site0          ; foo
            0002  answer        r1
        "#]],
    );
}

#[test]
fn a_conditional_answers_from_its_branches() {
    check_bytecode(
        "G = ( a: x = ( ^x isNil ifTrue: [ 1 ] ifFalse: [ x ] ) )",
        expect![[r#"
        0000  jump_unless_nil r1, 0003
        0001  load_integer  r2, 1
        0002  answer        r2
        0003  answer        r1
    "#]],
    );
}

#[test]
fn a_branch_that_is_not_there_is_nil() {
    check_bytecode(
        "G = ( a: x = ( ^self foo: (x ifFalse: [ 1 ]) ) )",
        expect![[r#"
        G>>a:
        0000  copy          r2, r0
        0001  jump_if       r1, 0010, fallback 0005
        0003  load_integer  r3, 1
        0004  jump          0011
        0005  copy          r4, r1
        0006  make_block    r5, code1
        0007  send          r4, site0          ; ifFalse:
        0008  copy          r3, r4
        0009  jump          0011
        0010  load_nil      r3
        0011  send          r2, site1          ; foo:
        0012  answer        r2
        code1
        0000  load_integer  r1, 1
        0001  answer        r1
    "#]],
    );
}

#[test]
fn the_fallback_of_a_conditional_shares_what_its_branches_assign() {
    check_bytecode(
        "G = ( a: x = ( | t | t := 0. x ifTrue: [ t := 1 ]. ^t ) )",
        expect![[r#"
        G>>a:
        0000  load_integer  r2, 0
        0001  jump_unless   r1, 0012, fallback 0005
        0003  load_integer  r2, 1
        0004  answer        r2
        0005  copy          r3, r1
        0006  make_cell     r4, r2
        0007  copy          r5, r3
        0008  make_block    r6, code1
        0009  send          r5, site0          ; ifTrue:
        0010  load_cell     r2, r4
        0011  answer        r2
        0012  answer        r2
        code1, captures r4
        0000  load_integer  r2, 1
        0001  store_cell    r1, r2
        0002  answer        r2
    "#]],
    );
}

#[test]
fn and_and_or_jump_without_making_booleans() {
    check_bytecode(
        "G = ( a: x b: y = ( (x > 1 and: [ y == nil or: [ y < x ] ]) ifTrue: [ ^1 ]. ^2 ) )",
        expect![[r#"
            G>>a:b:
            0000  greater_tiny_jump_unless r3, r1, 1, site0 ; >
            0002  jump_unless   r3, 0015, fallback 0011
            0004  jump_if_nil   r2, 0009
            0005  less_jump_unless r3, r2, r1, site1 ; <
            0007  jump_unless   r3, 0015, fallback 0013
            0009  load_integer  r3, 1
            0010  answer        r3
            0011  make_block    r4, code1
            0012  send          r3, site2          ; and:
            0013  make_block    r4, code3
            0014  send          r3, site3          ; ifTrue:
            0015  load_integer  r3, 2
            0016  answer        r3
            code1, captures r2 r1
            0000  load_nil      r4
            0001  identical     r3, r1, r4
            0002  make_block    r4, code2
            0003  send          r3, site0          ; or:
            0004  answer        r3
            code2, captures r1 r2
            0000  less          r3, r1, r2, site0  ; <
            0002  answer        r3
            code3
            0000  load_integer  r1, 1
            0001  answer_home   r1
        "#]],
    );
}

#[test]
fn as_a_value_and_answers_what_its_block_answers() {
    check_bytecode(
        "G = ( a: x b: y = ( | t | t := x && [ y ]. ^t ) )",
        expect![[r#"
        G>>a:b:
        0000  copy          r3, r1
        0001  jump_unless   r3, 0010, fallback 0005
        0003  copy          r3, r2
        0004  answer        r3
        0005  copy          r4, r3
        0006  make_block    r5, code1
        0007  send          r4, site0          ; &&
        0008  copy          r3, r4
        0009  answer        r3
        0010  answer        r3
        code1, captures r2
        0000  answer        r1
    "#]],
    );
}

#[test]
fn if_nil_needs_no_fallback() {
    check_bytecode(
        "G = ( a: x = ( | t | t := x ifNil: [ 1 ]. ^t ifNotNil: [ :v | v + t ] ) )",
        expect![[r#"
        0000  copy          r2, r1
        0001  jump_unless_nil r2, 0003
        0002  load_integer  r2, 1
        0003  copy          r3, r2
        0004  jump_if_nil   r3, 0008
        0005  add           r4, r3, r2, site0  ; +
        0007  answer        r4
        0008  load_nil      r3
        0009  answer        r3
    "#]],
    );
}

#[test]
fn identity_is_an_instruction() {
    check_bytecode(
        "G = ( a: x = ( ^(x ~~ self) == x notNil ) )",
        expect![[r#"
        0000  identical     r3, r1, r0
        0001  jump_if       r3, 0005
        0003  load_true     r3
        0004  jump          0006
        0005  load_false    r3
        0006  jump_if_nil   r1, 0009
        0007  load_true     r4
        0008  jump          0010
        0009  load_false    r4
        0010  identical     r2, r3, r4
        0011  answer        r2
    "#]],
    );
}

// ---- loops ----

#[test]
fn a_while_loop_tests_at_its_head() {
    check_bytecode(
        "G = ( a: x = ( | i | i := 0. [ i <= x ] whileTrue: [ i := i + 1 ]. ^i ) )",
        expect![[r#"
        0000  load_integer  r2, 0
        0001  less_equal_jump_unless r3, r2, r1, site0 ; <=
        0003  jump_unless   r3, 0008
        0005  add_tiny      r2, r2, 1, site1   ; +
        0007  jump_back     0001
        0008  answer        r2
    "#]],
    );
}

#[test]
fn a_while_loop_may_have_its_test_last() {
    check_bytecode(
        "G = ( a: x = ( [ x foo. x next > 3 ] whileFalse ) )",
        expect![[r#"
            0000  copy          r3, r1
            0001  send          r3, site0          ; foo
            0002  copy          r2, r1
            0003  send          r2, site1          ; next
            0004  greater_tiny_jump_unless r2, r2, 3, site2 ; >
            0006  jump_unless   r2, 0009
            0008  answer_self
            0009  jump_back     0000
        "#]],
    );
}

#[test]
fn a_loop_without_end_has_nothing_behind_it() {
    check_bytecode(
        "G = ( a = ( [ self foo ] repeat ) )",
        expect![[r#"
        0000  copy          r1, r0
        0001  send          r1, site0          ; foo
        0002  jump_back     0000
    "#]],
    );
}

#[test]
fn counting_guards_what_may_be_no_number() {
    check_bytecode(
        "G = ( a: x = ( 10 to: x by: -3 do: [ :i | self foo: i ] ) )",
        expect![[r#"
        G>>a:
        0000  load_integer  r2, 10
        0001  jump_unless_number r1, 0012
        0002  greater_equal_jump_unless r3, r2, r1, site0 ; >=
        0004  jump_unless   r3, 0017
        0006  copy          r3, r0
        0007  copy          r4, r2
        0008  send          r3, site1          ; foo:
        0009  add_tiny      r2, r2, -3, site2  ; +
        0011  jump_back     0002
        0012  copy          r3, r2
        0013  copy          r4, r1
        0014  load_integer  r5, -3
        0015  make_block    r6, code1
        0016  send          r3, site3          ; to:by:do:
        0017  answer_self
        code1
        0000  copy          r2, r0
        0001  copy          r3, r1
        0002  send          r2, site0          ; foo:
        0003  answer        r2
    "#]],
    );
}

#[test]
fn counting_up_to_a_slot_evaluates_it_once() {
    check_bytecode(
        "G = ( | n | a: x = ( ^x to: n do: [ :i | self foo: i ] ) )",
        expect![[r#"
        G>>a:
        0000  copy          r3, r1
        0001  load_slot     r4, slot0          ; n
        0002  jump_unless_number r3, 0015
        0003  jump_unless_number r4, 0015
        0004  copy          r2, r3
        0005  less_equal_jump_unless r5, r3, r4, site0 ; <=
        0007  jump_unless   r5, 0020
        0009  copy          r5, r0
        0010  copy          r6, r3
        0011  send          r5, site1          ; foo:
        0012  add_tiny      r3, r3, 1, site2   ; +
        0014  jump_back     0005
        0015  copy          r5, r3
        0016  copy          r6, r4
        0017  make_block    r7, code1
        0018  send          r5, site3          ; to:do:
        0019  copy          r2, r5
        0020  answer        r2
        code1
        0000  copy          r2, r0
        0001  copy          r3, r1
        0002  send          r2, site0          ; foo:
        0003  answer        r2
    "#]],
    );
}

#[test]
fn times_repeat_counts_for_itself() {
    check_bytecode(
        "G = ( a: x = ( x timesRepeat: [ self foo ] ) )",
        expect![[r#"
        G>>a:
        0000  jump_unless_number r1, 0011
        0001  load_integer  r2, 1
        0002  less_equal_jump_unless r3, r2, r1, site0 ; <=
        0004  jump_unless   r3, 0014
        0006  copy          r3, r0
        0007  send          r3, site1          ; foo
        0008  add_tiny      r2, r2, 1, site2   ; +
        0010  jump_back     0002
        0011  copy          r3, r1
        0012  make_block    r4, code1
        0013  send          r3, site3          ; timesRepeat:
        0014  answer_self
        code1
        0000  copy          r1, r0
        0001  send          r1, site0          ; foo
        0002  answer        r1
    "#]],
    );
}

#[test]
fn a_conditional_at_the_end_of_a_round_jumps_back_by_itself() {
    check_bytecode(
        "G = ( a: x = ( [ x foo ] whileTrue: [ x bar ifTrue: [ x baz ] ] ) )",
        expect![[r#"
        G>>a:
        0000  copy          r2, r1
        0001  send          r2, site0          ; foo
        0002  jump_unless   r2, 0015
        0004  copy          r2, r1
        0005  send          r2, site1          ; bar
        0006  jump_unless   r2, 0014, fallback 0011
        0008  copy          r2, r1
        0009  send          r2, site2          ; baz
        0010  jump_back     0000
        0011  make_block    r3, code1
        0012  send          r2, site3          ; ifTrue:
        0013  jump_back     0000
        0014  jump_back     0000
        0015  answer_self
        code1, captures r1
        0000  copy          r2, r1
        0001  send          r2, site0          ; baz
        0002  answer        r2
    "#]],
    );
}

#[test]
fn blocks_of_the_wrong_arity_are_arguments() {
    check_bytecode(
        "G = ( a: x = ( ^x ifTrue: [ :y | y ] ) )",
        expect![[r#"
        G>>a:
        0000  copy          r2, r1
        0001  make_block    r3, code1
        0002  send          r2, site0          ; ifTrue:
        0003  answer        r2
        code1
        0000  answer        r1
    "#]],
    );
}

// ---- programs ----

#[test]
fn a_program_answers_its_last_statement() {
    check_bytecode(
        "| x | x := 3. x + 1",
        expect![[r#"
        0000  load_integer  r1, 3
        0001  store_variable r1, variable0     ; x
        0002  load_variable r1, variable0      ; x
        0003  add_tiny      r1, r1, 1, site0   ; +
        0005  answer        r1
    "#]],
    );
}

#[test]
fn first_values_timers_invariants_and_migrations_are_methods_of_their_own() {
    check_bytecode(
        "twin T = ( | a <- 1. b = 2 + 3. | timer t every: 10 seconds = ( a := 0 ) invariant i = ( a < b ) version 2. migrate 1 = ( a := 1 ) )",
        expect![[r#"
            T>>a
            0000  load_integer  r1, 1
            0001  answer        r1
            T>>b
            0000  load_integer  r1, 2
            0001  add_tiny      r1, r1, 3, site0   ; +
            0003  answer        r1
            T>>t
            0000  load_integer  r1, 10
            0001  send          r1, site0          ; seconds
            0002  answer        r1
            T>>t
            0000  load_integer  r1, 0
            0001  store_slot    r1, slot0          ; a
            0002  answer_self
            T>>i
            0000  load_slot     r1, slot0          ; a
            0001  load_slot     r2, slot1          ; b
            0002  less          r1, r1, r2, site0  ; <
            0004  answer        r1
            T>>migrate 1
            0000  load_integer  r1, 1
            0001  store_slot    r1, slot0          ; a
            0002  answer_self
        "#]],
    );
}
