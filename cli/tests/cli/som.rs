//! `examples/som`: a program written for SOM runs unchanged behind a prelude.

use std::process::Command;

#[test]
fn a_program_written_for_som_runs_from_its_folder_behind_the_prelude() {
    let main = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/som/main.twin");
    let output = Command::new(env!("CARGO_BIN_EXE_twintalk")).args(["run", main]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said,
        "shelf 1: 8 pieces, 13 on average\n\
         shelf 2: 9 pieces, 13 on average\n\
         shelf 3: 8 pieces, 12 on average\n\
         half of 25 is 12, and of 25.0 12.5\n\
         minus 7 by 2 is -3\n\
         nothing is better than 1.0 // 0.0: true\n\
         the second letter of shop is h\n\
         1 << 10 is 1024, and back by 3 128\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
