//! The order of keys.

use twintalk_store::{Key, KeyRange, Partition, Position};

const P: Partition = Partition(3);

fn state(path: &str) -> Key {
    Key::new().state(P, path).clone()
}

fn is_in(range: &KeyRange, key: &Key) -> bool {
    range.from <= *key && *key < range.to
}

#[test]
fn a_composite_and_its_parts_lie_side_by_side() {
    let paths = ["plant-1", "plant-1/a", "plant-1/a/b", "plant-1/ab", "plant-1-old", "plant-1-old/a", "plant-2"];
    assert!(paths.map(state).is_sorted());
    let range = KeyRange::twin_and_parts(P, "plant-1");
    assert_eq!(paths.map(|path| is_in(&range, &state(path))), [true, true, true, true, false, false, false]);
    let range = KeyRange::twin_and_parts(P, "plant-1/a");
    assert_eq!(paths.map(|path| is_in(&range, &state(path))), [false, true, true, false, false, false, false]);
}

#[test]
fn a_key_gives_back_what_it_was_made_of() {
    assert_eq!(state("plant-1/höhe").path().as_deref(), Some("plant-1/höhe"));
    let mut key = Key::new();
    assert_eq!(key.history(P, "plant-1/a", Position::block(7)).path().as_deref(), Some("plant-1/a"));
    assert_eq!(key.timer(P, -5, "plant-1", "check").due_ns(), Some(-5));
    assert_eq!(key.partition(), P);
}

#[test]
fn timers_ascend_by_time() {
    let times = [i64::MIN, -1, 0, 1, 1_700_000_000_000_000_000, i64::MAX];
    assert!(times.map(|due_ns| Key::new().timer(P, due_ns, "a", "b").clone()).is_sorted());
    for now_ns in times {
        let due = KeyRange::due(P, now_ns);
        for due_ns in times {
            let key = Key::new().timer(P, due_ns, "a", "b").clone();
            assert_eq!(is_in(&due, &key), due_ns <= now_ns, "{due_ns} at {now_ns}");
        }
    }
}

#[test]
fn what_belongs_to_one_twin_is_a_range() {
    let range = KeyRange::of_twin(P, "a");
    let mut key = Key::new();
    assert!(is_in(&range, key.history(P, "a", Position::FIRST)));
    assert!(is_in(&range, key.chunk(P, "a", u64::MAX, u32::MAX)));
    assert!(!is_in(&range, key.history(P, "a/b", Position::FIRST)));
    assert!(!is_in(&range, key.history(P, "ab", Position::FIRST)));
    assert!(is_in(&KeyRange::of_prototype(P, "Pump"), key.prototype(P, "Pump", "a/b")));
    assert!(!is_in(&KeyRange::of_prototype(P, "Pump"), key.prototype(P, "Pump2", "a/b")));
}

#[test]
fn a_partition_is_a_range() {
    let range = KeyRange::partition(Partition::SHARED);
    assert!(is_in(&range, Key::new().named(Partition::SHARED, "\u{10ffff}")));
    assert!(!is_in(&KeyRange::partition(Partition(255)), Key::new().named(Partition(256), "")));
}
