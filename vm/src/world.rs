//! The one trait through which a run sees the rest.
//!
//! Interim: programs only, which print. The real one also brings twins and the answers of far queries.

/// What the interpreter asks of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Show this text; the answer is nil.
    Print(String),
}

/// What a program sees of the world.
pub trait World {
    /// Shows `text`, as it stands.
    fn print(&mut self, text: &str);
}

/// A world for tests, which keeps what was printed.
impl World for String {
    fn print(&mut self, text: &str) {
        self.push_str(text);
    }
}
