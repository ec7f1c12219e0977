//! The tables of an image that codes share: names, globals and program variables; and the nearest
//! name to one that is not there.

use hashbrown::HashMap;

use twintalk_bytecode::image::NameId;

/// Every name of an image, each once, in the order of first use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: Vec<String>,
    numbers: HashMap<String, NameId>,
}

impl Names {
    /// The number of `text`.
    pub(crate) fn id(&mut self, text: &str) -> NameId {
        if let Some(id) = self.numbers.get(text) {
            return *id;
        }
        let id = NameId(self.texts.len() as u32);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), id);
        id
    }

    /// All of them.
    pub(crate) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

/// A table of names that operands point into.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    rows: Vec<NameId>,
    /// By name one more than its row; 0 where it has none.
    numbers: Vec<u32>,
}

impl NameTable {
    /// The row of `name`, made if it is not there.
    pub(crate) fn row(&mut self, name: NameId) -> usize {
        let at = name.0 as usize;
        if at >= self.numbers.len() {
            self.numbers.resize(at + 1, 0);
        }
        if self.numbers[at] == 0 {
            self.rows.push(name);
            self.numbers[at] = self.rows.len() as u32;
        }
        self.numbers[at] as usize - 1
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// All of them.
    pub(crate) fn into_rows(self) -> Vec<NameId> {
        self.rows
    }
}

/// What all codes of an image refer to.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Every name.
    pub names: Names,
    /// Prototypes that codes name.
    pub globals: NameTable,
    /// Program variables.
    pub variables: NameTable,
}

/// Longer names are not compared with others.
const NAME_MAX: usize = 64;
/// Names that differ by more letters are not near.
const CHANGES_MAX: usize = 3;

/// The candidate that `name` was most likely meant to be: the nearest by letters put in, left out,
/// changed or exchanged, if it is near enough; of equals the first.
pub(crate) fn nearest<'n>(name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() > NAME_MAX {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name || candidate.len() > 4 * (letters.len() + CHANGES_MAX) {
            continue;
        }
        let other: Vec<char> = candidate.chars().collect();
        // One letter in three may differ, so that what is left is more of the shorter than what is not.
        let limit = (letters.len().min(other.len()) / 3).clamp(1, CHANGES_MAX);
        let distance = distance(&letters, &other);
        // Something of the name must be left.
        let near = distance <= limit && distance < letters.len().max(other.len());
        if near && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// How many letters apart two words are (Damerau and Levenshtein, adjacent exchanges only);
/// a letter in the other case counts as half a change, rounded up over the word.
fn distance(from: &[char], to: &[char]) -> usize {
    if from.len().abs_diff(to.len()) > 3 {
        return usize::MAX;
    }
    let width = to.len() + 1;
    let mut rows = vec![0; width * (from.len() + 1)];
    for (column, cell) in rows[..width].iter_mut().enumerate() {
        *cell = 2 * column;
    }
    for (i, letter) in from.iter().enumerate() {
        let row = (i + 1) * width;
        rows[row] = 2 * (i + 1);
        for (j, other) in to.iter().enumerate() {
            let change = match letter {
                letter if letter == other => 0,
                letter if letter.to_lowercase().eq(other.to_lowercase()) => 1,
                _ => 2,
            };
            let above = row - width + j;
            let mut least = (rows[above] + change).min(rows[above + 1] + 2).min(rows[row + j] + 2);
            if i > 0 && j > 0 && *letter == to[j - 1] && from[i - 1] == *other {
                least = least.min(rows[above - width - 1] + 2);
            }
            rows[row + j + 1] = least;
        }
    }
    rows[rows.len() - 1].div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_a_few_letters_away() {
        let known = ["level", "capacity", "Tank", "rpm"];
        assert_eq!(nearest("levle", known), Some("level"));
        assert_eq!(nearest("tank", known), Some("Tank"));
        assert_eq!(nearest("capcity", known), Some("capacity"));
        assert_eq!(nearest("volume", known), None);
        assert_eq!(nearest("Nothing", ["String"]), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("later", ["Date"]), None);
        assert_eq!(nearest("dat", ["Date"]), None);
        assert_eq!(nearest("Dtae", ["Date"]), Some("Date"));
    }
}
