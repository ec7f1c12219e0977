//! The limit: a hash map by name, and a function that changes what lies there.

use std::collections::HashMap;
use std::hint::black_box;

use crate::{ASKS, ENTITIES, MESSAGES, Measure, begin_counting, counted_bytes, name, ns_each, scattered};

#[derive(Default)]
struct Sensor {
    level: i64,
    low: i64,
    high: i64,
}

impl Sensor {
    fn level(&mut self, level: i64) -> i64 {
        self.level = level;
        self.low = self.low.min(level);
        self.high = self.high.max(level);
        self.level
    }
}

fn sensors(count: u64) -> HashMap<String, Sensor> {
    (0..count).map(|number| (name(number), Sensor::default())).collect()
}

/// See [`Measure`].
pub fn measure(measure: Measure) -> Option<f64> {
    Some(match measure {
        Measure::Tell | Measure::Ask => {
            let count = if measure == Measure::Tell { MESSAGES } else { ASKS };
            let (mut sensors, path) = (sensors(1), name(0));
            ns_each(count, || {
                for nth in 0..count {
                    black_box(sensors.get_mut(black_box(&path)).expect("there").level(nth as i64));
                }
            })
        }
        Measure::Random => {
            let mut sensors = sensors(ENTITIES);
            let names: Vec<String> = (0..MESSAGES).map(|nth| name(scattered(nth, ENTITIES))).collect();
            ns_each(MESSAGES, || {
                for (nth, name) in names.iter().enumerate() {
                    black_box(sensors.get_mut(name).expect("there").level(nth as i64));
                }
            })
        }
        Measure::Idle(count) => {
            begin_counting();
            let sensors = black_box(sensors(count));
            counted_bytes() / sensors.len() as f64
        }
    })
}
