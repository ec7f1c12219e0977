//! Every benchmark still runs: how fast, `make bench` says.

use std::process::Command;

#[test]
fn every_group_of_figures_can_be_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_twintalk-benches")).arg("--smoke").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for wanted in ["near send", "far send", "one-slot update", "lazy load", "idle twin", "replay", "opening", "compile"]
    {
        assert!(text.contains(wanted), "there is no figure for {wanted}:\n{text}");
    }
}

#[test]
fn every_program_gives_its_known_result_here_and_in_the_other_languages_that_are_there() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_twintalk-benches")).args(["compare", "--smoke"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("| richards |"), "{text}");
}

#[test]
fn the_long_run_runs() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_twintalk-benches")).args(["soak", "--smoke"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("| minute |") && text.contains("Latency over all"), "{text}");
}
