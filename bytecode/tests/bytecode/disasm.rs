//! Listings, as tests elsewhere and the command line show them.

use expect_test::expect;
use twintalk_bytecode::disasm::ImageListing;

use crate::builder::{self, Builder, code};

#[test]
fn a_listing_shows_every_method_with_its_tables() {
    let listing = ImageListing::of(&builder::tank()).to_string();
    expect![[r#"
        image 9262c5acc25b79364f62899418737dacd00c0f4849a6395df303b741923ec26f

        Tank supervise retry: 5 after: 100000000 nanoseconds upTo: 10000000000 nanoseconds within: 60000000000 nanoseconds then: quarantine

        Tank>>level (initialiser)
          body: arguments 0, registers 2
            0000  load_nil      r1
            0001  answer        r1

        Tank>>check (timer)
          body: arguments 0, registers 2
            0000  load_nil      r1
            0001  answer        r1

        Tank>>check (duration)
          body: arguments 0, registers 2
            0000  load_nil      r1
            0001  answer        r1

        Tank>>plausible (invariant)
          body: arguments 0, registers 2
            0000  load_nil      r1
            0001  answer        r1

        Tank>>migrate (migration from 1)
          body: arguments 0, registers 2
            0000  load_nil      r1
            0001  answer        r1

        Tank>>inflow: (method)
          body: arguments 1, registers 5
            0000  load_slot     r2, slot0          ; level
            0001  add           r2, r2, r1, site0  ; +
            0003  store_slot    r2, slot0          ; level
            0004  load_integer  r3, 100
            0005  less_jump_unless r3, r2, r3, site1 ; <
            0007  jump_unless   r3, 0011, fallback 0013
            0009  load_literal  r2, literal0       ; #full
            0010  answer        r2
            0011  load_nil      r2
            0012  answer        r2
            0013  copy          r2, r3
            0014  load_literal  r3, literal0       ; #full
            0015  send          r2, site2          ; ifTrue:
            0016  answer        r2
            literal0 = #full
            site0 = +, arguments 1
            site1 = <, arguments 1
            site2 = ifTrue:, arguments 1
            slot0 = level

        Tank>>sum: (method)
          body: arguments 1, registers 6
            0000  load_integer  r2, 0
            0001  make_cell     r2, r2
            0002  copy          r3, r1
            0003  make_block    r4, code1
            0004  send          r3, site0          ; do:
            0005  load_cell     r3, r2
            0006  answer        r3
            site0 = do:, arguments 1
          code1: arguments 1, registers 4, captures r2
            0000  load_cell     r3, r2
            0001  add           r3, r3, r1, site0  ; +
            0003  store_cell    r2, r3
            0004  answer        r3
            site0 = +, arguments 1

        Tank>>upTo: (method)
          body: arguments 1, registers 5
            0000  load_integer  r2, 0
            0001  less_jump_unless r3, r2, r1, site0 ; <
            0003  jump_unless   r3, 0008
            0005  add_tiny      r2, r2, 1, site1   ; +
            0007  jump_back     0001
            0008  answer_self
            site0 = <, arguments 1
            site1 = +, arguments 1

        Tank>>description (method)
          body: arguments 0, registers 2
            0000  copy          r1, r0
            0001  send_super    r1, site0          ; description
            0002  answer        r1
            site0 = description, arguments 0, to self

        Tank class>>level: (method, query)
          primitive

        Number>>double (extension)
          body: arguments 0, registers 1
            0000  answer_self

        main (main)
          body: arguments 0, registers 2
            0000  load_global   r1, global0        ; Tank
            0001  send          r1, site0          ; new
            0002  store_variable r1, variable0     ; one
            0003  load_literal  r1, literal0       ; #(nil true false -9223372036854775808 16r010000000000000000  ...
            0004  answer        r1
            literal0 = #(nil true false -9223372036854775808 16r010000000000000000 NaN -0.05s2 $ä 'it''s' #at:put: (#[0 255]))
            site0 = new, arguments 0
    "#]].assert_eq(&listing);
}

#[test]
fn what_points_nowhere_is_shown_by_number() {
    let mut b = Builder::default();
    b.prototype("A", None);
    let mut broken = code(0, 1, &[builder::send(200, 7), builder::jump_back(-9)]);
    broken.words.push(0xdead_beef);
    b.add("a", vec![broken]);
    b.image.methods[0].selector.0 = 99;
    let listing = ImageListing::of(&b.image).to_string();
    expect![[r#"
        image b8d2b273c354b89c8c15fa1cfe94c9b41482fdc5b7e3db4924ac47d0c24abca2

        A>><name 99> (method)
          body: arguments 0, registers 1
            0000  send          r200, site7
            0001  jump_back     -7
            0002  word          0xdeadbeef         ; no instruction has the number 239
    "#]]
    .assert_eq(&listing);
}
