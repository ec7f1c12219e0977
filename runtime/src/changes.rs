//! How the slots of a twin differ between two moments, or between what was and what might have been.
//!
//! Values are trees, and only where they differ is told, by a *place*: `level`, `baseline.mean`, `readings[3]` (counted from
//! 1), `latest['power']`. Of two arrays first what is equal at their starts and ends is left out, or what was removed in front
//! and added behind; so a list that grew by one shows that one.

use std::fmt;

use crate::datum::Datum;

/// One place that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotChange {
    /// Where: the slot, and the way from there.
    pub place: String,
    /// What is there in the first; nothing there: none.
    pub before: Option<Datum>,
    /// And in the second.
    pub after: Option<Datum>,
}

impl fmt::Display for SlotChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlotChange { place, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{place}  {before} -> {after}"),
            (None, Some(after)) => write!(f, "{place}  + {after}"),
            (Some(before), None) => write!(f, "{place}  - {before}"),
            (None, None) => write!(f, "{place}"),
        }
    }
}

/// How slots differ; by name, in the order of the second.
pub(crate) fn changes(before: &[(String, Datum)], after: &[(String, Datum)]) -> Vec<SlotChange> {
    let mut found = Vec::new();
    slots("", before, after, &mut found);
    found
}

/// How two values at `place` differ.
pub(crate) fn value_changes(place: &str, before: Option<&Datum>, after: Option<&Datum>) -> Vec<SlotChange> {
    let mut found = Vec::new();
    value(place, before, after, &mut found);
    found
}

/// The value at a place: the slot, and the way from there as [`SlotChange::place`] writes it. `None`: there is none.
///
/// # Errors
/// The text is no place.
pub(crate) fn value_at<'d>(slots: &'d [(String, Datum)], place: &str) -> Result<Option<&'d Datum>, String> {
    let malformed =
        || format!("`{place}` is no place: it is written like level, baseline.mean, readings[3] or latest['power']");
    let end = place.find(['.', '[']).unwrap_or(place.len());
    let mut value = slots.iter().find(|(name, _)| name == &place[..end]).map(|(_, value)| value);
    let mut rest = &place[end..];
    while !rest.is_empty() {
        if let Some(named) = rest.strip_prefix('.') {
            let end = named.find(['.', '[']).unwrap_or(named.len());
            value = value.and_then(|value| match value {
                Datum::Object { slots, .. } => slots.iter().find(|(name, _)| name == &named[..end]).map(|(_, v)| v),
                _ => None,
            });
            rest = &named[end..];
            continue;
        }
        // A key may have a bracket in it.
        let inside = rest.strip_prefix('[').ok_or_else(malformed)?;
        let ends = inside.match_indices(']').map(|(end, _)| end);
        let key = ends.filter_map(|end| Some((end, Datum::literal(&inside[..end]).ok()?))).next();
        let (end, key) = key.ok_or_else(malformed)?;
        value = value.and_then(|value| match (value, &key) {
            (Datum::Array(elements), Datum::Int(index)) => elements.get(usize::try_from(index).ok()?.checked_sub(1)?),
            (Datum::Dictionary(entries), key) => entries.iter().find(|(one, _)| one == key).map(|(_, value)| value),
            _ => None,
        });
        rest = &inside[end + 1..];
    }
    Ok(value)
}

fn slots(place: &str, before: &[(String, Datum)], after: &[(String, Datum)], found: &mut Vec<SlotChange>) {
    let inside = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    let of = |slots: &'_ [(String, Datum)], name: &str| slots.iter().position(|(slot, _)| slot == name);
    for (name, after) in after {
        let before = of(before, name).map(|nth| &before[nth].1);
        value(&inside(name), before, Some(after), found);
    }
    for (name, before) in before.iter().filter(|(name, _)| of(after, name).is_none()) {
        value(&inside(name), Some(before), None, found);
    }
}

fn value(place: &str, before: Option<&Datum>, after: Option<&Datum>, found: &mut Vec<SlotChange>) {
    let (Some(one), Some(other)) = (before, after) else {
        if before.is_some() || after.is_some() {
            let (before, after) = (before.cloned(), after.cloned());
            found.push(SlotChange { place: place.to_owned(), before, after });
        }
        return;
    };
    if same(one, other) {
        return;
    }
    match (one, other) {
        (Datum::Array(before), Datum::Array(after)) => arrays(place, before, after, found),
        (Datum::Dictionary(before), Datum::Dictionary(after)) => {
            let of = |entries: &'_ [(Datum, Datum)], key: &Datum| entries.iter().position(|(one, _)| one == key);
            for (key, after) in after {
                let before = of(before, key).map(|nth| &before[nth].1);
                value(&format!("{place}[{key}]"), before, Some(after), found);
            }
            for (key, before) in before.iter().filter(|(key, _)| of(after, key).is_none()) {
                value(&format!("{place}[{key}]"), Some(before), None, found);
            }
        }
        (Datum::Object { prototype, slots: before }, Datum::Object { prototype: other, slots: after })
            if prototype == other && one.is_shown_by_slots() =>
        {
            slots(place, before, after, found);
        }
        _ => found.push(SlotChange { place: place.to_owned(), before: Some(one.clone()), after: Some(other.clone()) }),
    }
}

/// As `=`, but a float that is no number equals itself.
fn same(one: &Datum, other: &Datum) -> bool {
    one == other || format!("{one:?}") == format!("{other:?}")
}

fn arrays(place: &str, before: &[Datum], after: &[Datum], found: &mut Vec<SlotChange>) {
    let start = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    let (old, new) = (&before[start..], &after[start..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);
    let at = |index: usize| format!("{place}[{}]", start + index + 1);
    if old.len() == new.len() {
        // A queue: what was in front is gone, and there is more behind.
        let kept = if start + end == 0 { overlap(old, new) } else { 0 };
        if kept == 0 {
            for (index, (one, other)) in old.iter().zip(new).enumerate() {
                value(&at(index), Some(one), Some(other), found);
            }
            return;
        }
    }
    let kept = overlap(old, new);
    for (index, one) in old[..old.len() - kept].iter().enumerate() {
        value(&at(index), Some(one), None, found);
    }
    for (index, other) in new[kept..].iter().enumerate() {
        value(&at(kept + index), None, Some(other), found);
    }
}

/// How long the longest end of `old` is that is a start of `new`. Linear, as Knuth, Morris and Pratt search.
fn overlap(old: &[Datum], new: &[Datum]) -> usize {
    // borders[n]: the longest proper start of new[..=n] that is also its end.
    let mut borders = vec![0; new.len()];
    let mut length = 0;
    for index in 1..new.len() {
        while length > 0 && new[index] != new[length] {
            length = borders[length - 1];
        }
        length += usize::from(new[index] == new[length]);
        borders[index] = length;
    }
    let mut matched = 0;
    for one in old {
        while matched > 0 && (matched == new.len() || *one != new[matched]) {
            matched = borders[matched - 1];
        }
        matched += usize::from(new.get(matched) == Some(one));
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(numbers: &[i64]) -> Datum {
        Datum::Array(numbers.iter().map(|&number| Datum::from(number)).collect())
    }

    fn check(before: &Datum, after: &Datum, wanted: &[&str]) {
        let found: Vec<String> =
            value_changes("x", Some(before), Some(after)).iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn of_arrays_only_what_differs_is_told() {
        check(&array(&[1, 2]), &array(&[1, 2, 3]), &["x[3]  + 3"]);
        check(&array(&[1, 2, 3]), &array(&[2, 3]), &["x[1]  - 1"]);
        check(&array(&[1, 2, 3]), &array(&[1, 7, 3]), &["x[2]  2 -> 7"]);
        check(&array(&[1, 2, 3]), &array(&[2, 3, 4]), &["x[1]  - 1", "x[3]  + 4"]);
        check(
            &array(&[1, 2, 3, 4]),
            &array(&[3, 4, 5, 6, 7]),
            &["x[1]  - 1", "x[2]  - 2", "x[3]  + 5", "x[4]  + 6", "x[5]  + 7"],
        );
        check(&array(&[1, 2, 9]), &array(&[1, 5, 6, 9]), &["x[2]  - 2", "x[2]  + 5", "x[3]  + 6"]);
        check(&array(&[]), &array(&[]), &[]);
    }

    #[test]
    fn an_overlap_is_the_longest_end_that_is_a_start() {
        let numbers = |text: &str| text.bytes().map(|byte| Datum::from(i64::from(byte))).collect::<Vec<_>>();
        for (old, new, wanted) in [
            ("abc", "bcd", 2),
            ("aab", "aaba", 3),
            ("aaa", "aaaa", 3),
            ("aaaa", "aaa", 3),
            ("abab", "ababab", 4),
            ("abac", "acab", 2),
            ("abc", "xyz", 0),
            ("", "a", 0),
            ("a", "", 0),
        ] {
            // As the definition says it.
            let defined = (0..=old.len().min(new.len())).rev().find(|&n| old.ends_with(&new[..n])).unwrap_or(0);
            assert_eq!(defined, wanted, "{old} {new}");
            assert_eq!(overlap(&numbers(old), &numbers(new)), wanted, "{old} {new}");
        }
    }

    #[test]
    fn what_is_inside_has_its_own_place_and_is_found_by_it() {
        let inner = |mean: i64| Datum::Object {
            prototype: "Baseline".to_owned(),
            slots: vec![
                ("mean".to_owned(), mean.into()),
                ("by".to_owned(), Datum::Dictionary(vec![(Datum::from("a]b"), array(&[1, mean]))])),
            ],
        };
        check(&inner(1), &inner(2), &["x.mean  1 -> 2", "x.by['a]b'][2]  1 -> 2"]);
        let slots = [("x".to_owned(), inner(5))];
        assert_eq!(value_at(&slots, "x.by['a]b'][2]"), Ok(Some(&Datum::from(5))));
        for nothing in ["y", "x.z", "x.by['c']", "x.by['a]b'][3]", "x.by['a]b'][0]", "x[1]"] {
            assert_eq!(value_at(&slots, nothing), Ok(None), "{nothing}");
        }
        for malformed in ["x[", "x[]", "x['a]", "x[1]y"] {
            assert!(value_at(&slots, malformed).is_err(), "{malformed}");
        }
    }

    #[test]
    fn slots_come_and_go() {
        let before = [("a".to_owned(), Datum::from(1)), ("old".to_owned(), Datum::from(2))];
        let after = [("new".to_owned(), Datum::Nil), ("a".to_owned(), Datum::from(1))];
        let found: Vec<String> = changes(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["new  + nil", "old  - 2"]);
    }
}
