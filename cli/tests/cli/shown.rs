//! How values in slots and records are shown: as what they are to a user, not by how the kernel keeps them.

use expect_test::expect;

use crate::folder::Folder;

const BOX: &str = "twin Box = (
  | empty <- List new.
    list <- List new.
    queue <- List new.
    set <- Set new.
    moment <- DateTime year: 2024 month: 5 day: 1. |

  fill = (
    list add: 1; add: 'two'.
    queue addAll: #(1 2 3); addFirst: 0; removeFirst; removeLast.
    set add: #a; add: #b; remove: #a
  )
)
Box ensure: 'box'.
(Box at: 'box') fill.
(Other ensure: 'other') tell: (Box at: 'box').

twin Other = (
  tell: box = ( box ! fill )
)
";

#[test]
fn what_a_twin_holds_is_shown_as_what_it_is() {
    let folder = Folder::with(&[("box.twin", BOX)]);
    folder.run("run box.twin --store s");
    let state = folder.run("state box --store s");
    let slots = state.lines().filter_map(|line| line.strip_prefix("  "));
    let slots: String = slots.map(|line| format!("{line}\n")).collect();
    expect![[r#"
          empty   #()
          list    #(1 'two' 1 'two')
          queue   #(1 2 1 2)
          set     #(#b)
          moment  2024-05-01T00:00:00Z
    "#]]
    .assert_eq(&slots);
    let json = folder.run("state box --store s --json");
    assert!(json.contains(r#""list":[1,"two",1,"two"]"#), "{json}");
}

#[test]
fn only_senders_from_outside_number_their_messages() {
    let folder = Folder::with(&[("box.twin", BOX), ("rows.csv", "a\n1\n")]);
    folder.run("run box.twin --store s");
    folder.run("feed rows.csv --store s --to box --send fill");
    let history = folder.run("history box --store s");
    let senders: String = history
        .lines()
        .filter_map(|line| line.split_once("  from "))
        .map(|(_, sender)| format!("{sender}\n"))
        .collect();
    expect![[r#"
        <program>
        <program>
        other
        rows.csv 1
    "#]]
    .assert_eq(&senders);
}
