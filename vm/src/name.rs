//! Names on their way: paths and selectors as messages carry them.
//!
//! A message names its receiver, its sender, a selector and perhaps a prototype, and most of these are short. A
//! [`Name`] of at most [`SHORT_MAX`] bytes lies where it is held, so that a message costs no allocation for each of them; a longer
//! one is a string of its own.
//!
//! Invariant: the bytes of a short name are UTF-8, and it is short whenever it can be.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// How many bytes a name has at most that lies where it is held.
const SHORT_MAX: usize = 22;

/// A path, a selector or another name.
#[derive(Clone)]
pub struct Name(Text);

#[derive(Clone)]
enum Text {
    Short { length: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<str>),
}

const _: () = assert!(size_of::<Name>() == 24);

impl Name {
    /// The name as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // SAFETY: the invariant of this file; the length is at most that of the array.
            Text::Short { length, bytes } => unsafe {
                std::str::from_utf8_unchecked(bytes.get_unchecked(..usize::from(*length)))
            },
            Text::Long(text) => text,
        }
    }
}

impl From<&str> for Name {
    #[inline]
    fn from(text: &str) -> Name {
        if text.len() > SHORT_MAX {
            return Name(Text::Long(text.into()));
        }
        let mut bytes = [0; SHORT_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Name(Text::Short { length: text.len() as u8, bytes })
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        if text.len() > SHORT_MAX { Name(Text::Long(text.into())) } else { Name::from(&*text) }
    }
}

impl Default for Name {
    fn default() -> Name {
        Name::from("")
    }
}

impl Deref for Name {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self
    }
}

impl PartialEq for Name {
    #[inline]
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl PartialEq<Name> for str {
    fn eq(&self, other: &Name) -> bool {
        *self == **other
    }
}

impl PartialEq<Name> for String {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        (**self).cmp(other)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_text_it_was_made_of_whatever_its_length() {
        for text in ["", "a", "größe", "plant-1/line-3/pump-78", "plant-1/line-3/pump-789", "ß".repeat(300).as_str()]
        {
            for name in [Name::from(text), Name::from(text.to_owned()), Name::from(text).clone()] {
                assert_eq!((&*name, name.len(), name.to_string()), (text, text.len(), text.to_owned()));
                assert_eq!(matches!(name.0, Text::Short { .. }), text.len() <= 22);
                let (same, other) = (Name::from(text), Name::from(format!("{text}.")));
                assert!(name == same && name != other);
            }
        }
    }
}
