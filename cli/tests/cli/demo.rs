//! `examples/plant`, as `make demo` runs it.

use std::process::Command;

use crate::folder::Folder;

/// What the script says of a run with these arguments. It removes what it makes.
fn demo(arguments: &[&str]) -> String {
    let output = Command::new("bash")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/plant/demo.sh"))
        .args(arguments)
        .env("TWINTALK", env!("CARGO_BIN_EXE_twintalk"))
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    assert_eq!(complaints, "", "{said}");
    said
}

fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
}

#[test]
fn slow_two_simulated_plants_survive_a_kill_and_their_failures_are_heard_of() {
    let said = demo(&[]);
    assert_says(
        &said,
        &[
            "21504 readings, from 2026-03-02T00:00:00Z to 2026-03-29T23:45:00Z",
            "no acknowledged row is missing",
            "counted by the twins: 21504 of 21504 readings",
            "orders[1] of plant-1/pump-1 is 1",
            "watch sensor: plant-1/pump-1/vibration of: plant-1/pump-1 reads: 3.69 off: 3.46  from plant-1/pump-1/vibration",
            "  from telemetry ",
            "plant-1/pump-1/vibration        3.7    3.5 deviations   bearing of plant-1/pump-1",
            "plant-2/tank-1/temperature     23.3    3.0 deviations   cooling of plant-2/tank-1",
            "2 of 2 known failures alarmed in; 0 other alarms in 4.0 weeks, 0.00 a week",
            "no difference",
        ],
    );
}

#[test]
fn a_file_of_readings_is_watched_beside_its_known_failures() {
    // Days that go up and down by ten degrees, a fall on the tenth, a rise on the twentieth that nobody told of.
    let mut rows = "timestamp,value\n".to_owned();
    for hour in 0..30 * 24 {
        let warmth = 70 + (hour % 24 - 12_i32).abs();
        let fault = match hour / 24 {
            10 => -40,
            20 => 40,
            _ => 0,
        };
        rows.push_str(&format!("2024-01-{:02} {:02}:00:00,{}.5\n", hour / 24 + 1, hour % 24, warmth + fault));
    }
    let windows = r#"{
 "other.csv": [
  [
   "2024-01-21 00:00:00.000000",
   "2024-01-22 00:00:00.000000"
  ]
 ],
 "machine.csv": [
  [
   "2024-01-10 12:00:00.000000",
   "2024-01-12 00:00:00.000000"
  ],
  [
   "2024-01-28 00:00:00.000000",
   "2024-01-29 00:00:00.000000"
  ]
 ]
}
"#;
    let folder = Folder::with(&[("machine.csv", &rows), ("windows.json", windows)]);
    let file = folder.path("machine.csv");
    let said = demo(&[file.to_str().expect("a path in UTF-8")]);
    assert_says(
        &said,
        &[
            "720 readings, from 2024-01-01 00:00:00 to 2024-01-30 23:00:00",
            "counted by the twins: 720 of 720 readings",
            "1 of 2 known failures alarmed in; 1 other alarms in 4.3 weeks, 0.23 a week",
            "no difference",
        ],
    );
}
