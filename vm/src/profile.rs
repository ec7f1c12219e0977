//! What a run has learned, read from the caches of its send sites.
//!
//! Nothing is counted while code runs, so reading this costs a run nothing: a site's cache already
//! says what it saw last and how often it had to learn.

use crate::class::{ClassKind, Hit, Mark, NO_CLASS};
use crate::vm::Vm;

/// A send site and its cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteProfile {
    /// The method it stands in, as `Prototype>>selector`.
    pub method: String,
    /// The number of the code in the method: 0 for the body, others for blocks.
    pub code: u32,
    /// The number of the site in the code.
    pub site: usize,
    /// What is sent.
    pub selector: String,
    /// `empty`, `monomorphic`, `polymorphic` or `megamorphic`.
    pub state: &'static str,
    /// How often it learned where to go.
    pub misses: u32,
    /// The prototype of the receiver seen last.
    pub receiver: Option<String>,
    /// What the last send led to.
    pub hit: Hit,
}

impl Vm {
    /// Every send site of the program with what its cache says, method by method.
    pub fn sites(&self) -> Vec<SiteProfile> {
        let mut sites = Vec::new();
        for method in self.methods.iter().filter(|method| method.mark == Mark::None) {
            let class = self.class(method.class);
            let side = if class.kind == ClassKind::Prototype { " class" } else { "" };
            let name = format!("{}{side}>>{}", self.symbols.name(class.name), self.symbols.name(method.selector));
            for code in &method.codes {
                for (number, (site, cache)) in code.sites.iter().zip(&code.caches).enumerate() {
                    let cache = cache.get();
                    let receiver = (cache.class != NO_CLASS)
                        .then(|| self.symbols.name(self.classes[cache.class as usize].name).to_owned());
                    sites.push(SiteProfile {
                        method: name.clone(),
                        code: code.index,
                        site: number,
                        selector: self.symbols.name(site.selector).to_owned(),
                        state: cache.state(),
                        misses: cache.misses,
                        receiver,
                        hit: cache.hit,
                    });
                }
            }
        }
        sites
    }
}
