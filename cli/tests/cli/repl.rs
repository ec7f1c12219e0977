//! `twintalk repl`, through a pipe: what a dialogue knows of what it talks about.

use crate::folder::Folder;

#[test]
fn a_dialogue_says_what_things_are() {
    let folder = Folder::with(&[]);
    let input = "\"A tank.\" twin Tank = (\n  | level <- 0. |\n  \"Fills it.\"\n  fill: n = ( level := level + n )\n)\n\
                 :doc Tank\n:doc Tank fill:\n:type 3 / 4.\n:type Tank new: 't'\n";
    assert_eq!(
        folder.run_with("repl", input),
        "Tank = Twin\n  A tank.\nto its objects: fill:\nTank>>fill:\n  Fills it.\nFraction\nTank\n"
    );
}

#[test]
fn what_is_not_there_is_said_and_the_dialogue_goes_on() {
    let folder = Folder::with(&[]);
    let shown = folder.run_with("repl", ":doc Tonk\n:doc\n:type\n:nothing\n3 + 4\n");
    assert_eq!(
        shown,
        "7\n! twintalk: nothing is known of `Tonk`\n\
         ! twintalk: :doc needs a name: `:doc Tank`, `:doc Tank fill:` or `:doc fill:`\n\
         ! twintalk: :type needs an expression: `:type 3 / 4`\n\
         ! twintalk: there is no `:nothing`; :help tells what there is\nexit 1\n"
    );
}

#[test]
fn the_class_library_says_what_it_is() {
    let folder = Folder::with(&[]);
    let shown = folder.run_with("repl", ":doc File\n:doc StandardInput nextLine\n");
    assert!(
        shown.contains("File = Object\n  A file or folder") && shown.contains("StandardInput class>>nextLine"),
        "{shown}"
    );
}
