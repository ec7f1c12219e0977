//! Interned names: selectors, symbols, slots and prototypes.
//!
//! A symbol is a number; two symbols are the same name exactly when their numbers are equal. Numbers
//! last as long as the VM and are never stored: what leaves the VM is spelled out.

use std::rc::Rc;

use rustc_hash::FxHashMap;

/// An interned name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub u32);

/// Every name interned so far.
#[derive(Default)]
pub struct Symbols {
    numbers: FxHashMap<Rc<str>, Symbol>,
    names: Vec<Rc<str>>,
}

impl Symbols {
    /// The symbol of `name`.
    pub fn intern(&mut self, name: &str) -> Symbol {
        if let Some(&symbol) = self.numbers.get(name) {
            return symbol;
        }
        let symbol = Symbol(u32::try_from(self.names.len()).expect("memory ends before four thousand million names"));
        let name: Rc<str> = name.into();
        self.names.push(name.clone());
        self.numbers.insert(name, symbol);
        symbol
    }

    /// The symbol of `name`, if it was interned.
    pub fn find(&self, name: &str) -> Option<Symbol> {
        self.numbers.get(name).copied()
    }

    /// The text of `symbol`.
    pub fn name(&self, symbol: Symbol) -> &str {
        &self.names[symbol.0 as usize]
    }
}

/// How many arguments a selector takes: none, one for a binary one, one a colon for keywords.
pub fn argument_count(selector: &str) -> usize {
    let is_word = match selector.as_bytes().first() {
        Some(first) if first.is_ascii() => first.is_ascii_alphabetic() || *first == b'_',
        Some(_) => selector.starts_with(char::is_alphabetic),
        None => return 0,
    };
    if is_word { selector.bytes().filter(|&byte| byte == b':').count() } else { 1 }
}
