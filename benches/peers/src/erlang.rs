//! Erlang processes, where `erl` is to be had.

use std::process::Command;

use crate::{ASKS, ENTITIES, MESSAGES, Measure, ROUNDS};

const MODULE: &str = include_str!("sensors.erl");

/// See [`Measure`]; `None` without Erlang.
pub fn measure(measure: Measure) -> Option<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("sensors.erl"), MODULE).expect("written");
    let compiled = Command::new("erlc").arg("sensors.erl").current_dir(folder.path()).status().ok()?;
    assert!(compiled.success(), "sensors.erl compiles");
    let (what, count) = match measure {
        Measure::Tell => ("tell", MESSAGES),
        Measure::Ask => ("ask", ASKS),
        Measure::Random => ("random", MESSAGES),
        Measure::Idle(count) => ("idle", count),
    };
    let call = format!("sensors:{what}({count}, {ENTITIES}, {ROUNDS}), halt().");
    let output = Command::new("erl")
        .args(["+S", "1:1", "+P", "2000000", "-noshell", "-eval", &call])
        .current_dir(folder.path())
        .output()
        .ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
