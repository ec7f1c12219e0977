//! What each construct becomes.

use expect_test::expect;

use crate::check::check_bytecode;

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
