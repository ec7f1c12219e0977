//! The verbs, in the order of `--help`.

use clap::Subcommand;

use crate::exit::Outcome;
use crate::{
    backup, check, check_store, compile, completions, deadletters, diff, disasm, doc, export, feed, fmt, history,
    import, profile, query, repl, restore, run, send, state, test, twins, verify, version, whatif, why,
};

/// Every verb with its arguments; what `--help` says of one is the comment on its arguments.
#[derive(Subcommand)]
pub enum Verb {
    Check(check::Check),
    Compile(compile::Compile),
    Run(run::Run),
    Test(test::Test),
    Profile(profile::ProfileVerb),
    Repl(repl::Repl),
    Feed(feed::Feed),
    Send(send::Send),
    Twins(twins::Twins),
    State(state::State),
    Query(query::Query),
    History(history::History),
    Diff(diff::Diff),
    Why(why::Why),
    Whatif(whatif::Whatif),
    Deadletters(deadletters::Deadletters),
    Verify(verify::Verify),
    CheckStore(check_store::CheckStore),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Export(export::Export),
    Import(import::Import),
    Disasm(disasm::Disasm),
    Fmt(fmt::Fmt),
    Doc(doc::Doc),
    Completions(completions::Completions),
    Version(version::Version),
}

impl Verb {
    /// Does it.
    pub fn run(self) -> Outcome {
        match self {
            Verb::Check(verb) => verb.run(),
            Verb::Compile(verb) => verb.run(),
            Verb::Run(verb) => verb.run(),
            Verb::Test(verb) => verb.run(),
            Verb::Profile(verb) => verb.run(),
            Verb::Repl(verb) => verb.run(),
            Verb::Feed(verb) => verb.run(),
            Verb::Send(verb) => verb.run(),
            Verb::Twins(verb) => verb.run(),
            Verb::State(verb) => verb.run(),
            Verb::Query(verb) => verb.run(),
            Verb::History(verb) => verb.run(),
            Verb::Diff(verb) => verb.run(),
            Verb::Why(verb) => verb.run(),
            Verb::Whatif(verb) => verb.run(),
            Verb::Deadletters(verb) => verb.run(),
            Verb::Verify(verb) => verb.run(),
            Verb::CheckStore(verb) => verb.run(),
            Verb::Backup(verb) => verb.run(),
            Verb::Restore(verb) => verb.run(),
            Verb::Export(verb) => verb.run(),
            Verb::Import(verb) => verb.run(),
            Verb::Disasm(verb) => verb.run(),
            Verb::Fmt(verb) => verb.run(),
            Verb::Doc(verb) => verb.run(),
            Verb::Completions(verb) => verb.run(),
            Verb::Version(verb) => verb.run(),
        }
    }
}
