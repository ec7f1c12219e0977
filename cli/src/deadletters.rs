//! `twintalk deadletters`: messages that failed and that nobody waits for, and twins in quarantine.

use std::io::{self, BufWriter, Write};

use clap::Args;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::datum::message_text;
use twintalk_runtime::{DeadLetter, LetterId, OpenOptions, QuarantinedTwin, System, json, time};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};
use crate::state::number;
use crate::store::Look;

/// List messages that failed, and twins in quarantine; send again, drop, release
#[derive(Args)]
#[command(after_help = "A dead letter is named by the record of its failure, like 0/12.3:\n  \
                        twintalk deadletters plant-1 --store plant\n  \
                        twintalk deadletters --store plant --send 0/12.3\n  \
                        twintalk deadletters --store plant --release plant-1/pump-7")]
pub struct Deadletters {
    /// Only those of twins whose path starts so
    prefix: Option<String>,
    /// Print all of one dead letter
    #[arg(long, value_name = "LETTER", group = "what")]
    read: Option<LetterId>,
    /// Send one again
    #[arg(long, value_name = "LETTER", group = "what")]
    send: Option<LetterId>,
    /// Send all of them again, oldest first
    #[arg(long, group = "what")]
    send_all: bool,
    /// Drop one
    #[arg(long, value_name = "LETTER", group = "what")]
    drop: Option<LetterId>,
    /// Release a twin from its quarantine
    #[arg(long, value_name = "PATH", group = "what")]
    release: Option<String>,
    #[command(flatten)]
    look: Look,
}

impl Deadletters {
    /// Does what is asked; lists, if nothing is.
    pub fn run(self) -> Outcome {
        let prefix = self.prefix.as_deref().unwrap_or("");
        if let Some(id) = self.read {
            return self.read(id);
        }
        if self.send.is_none() && !self.send_all && self.drop.is_none() && self.release.is_none() {
            return self.list(prefix);
        }
        if !self.look.store.exists() {
            return Err(Failure::wrong(format!("{}: there is no store", self.look.store.display())));
        }
        let folder = Some(self.look.store.clone());
        let mut system = System::open(OpenOptions { folder, ..OpenOptions::default() })?;
        let mut console = Console::new();
        let done = self.act(prefix, &mut system, &mut console);
        system.close(&mut console)?;
        console.flush();
        done?;
        Ok(if console.faults > 0 { Exit::Wrong } else { Exit::Done })
    }

    fn act(&self, prefix: &str, system: &mut System, console: &mut Console) -> Result<(), Failure> {
        if let Some(id) = self.send {
            system.send_again(id, console)?;
        }
        if self.send_all {
            let letters = system.dead_letters(prefix)?;
            letters.iter().try_for_each(|letter| system.send_again(letter.id, console))?;
        }
        if let Some(id) = self.drop {
            system.drop_letter(id, console)?;
        }
        if let Some(path) = &self.release {
            system.release(path, console)?;
        }
        Ok(())
    }

    fn read(&self, id: LetterId) -> Outcome {
        let letters = self.look.open()?.dead_letters("")?;
        let Some(letter) = letters.into_iter().find(|letter| letter.id == id) else {
            return Err(Failure::wrong(format!("there is no dead letter {id}")));
        };
        let mut out = BufWriter::new(io::stdout());
        self.write_letter(&mut out, &letter)?;
        out.flush()?;
        Ok(Exit::Done)
    }

    fn list(&self, prefix: &str) -> Outcome {
        let mut system = self.look.open()?;
        let mut out = BufWriter::new(io::stdout());
        for letter in system.dead_letters(prefix)? {
            self.write_letter(&mut out, &letter)?;
        }
        for twin in system.quarantined(prefix) {
            self.write_twin(&mut out, &twin)?;
        }
        out.flush()?;
        Ok(Exit::Done)
    }

    fn write_letter(&self, out: &mut impl Write, letter: &DeadLetter) -> io::Result<()> {
        if self.look.json {
            return writeln!(out, "{}", json::text(&letter_row(letter)));
        }
        let DeadLetter { id, time_ns, path, selector, arguments, sender, fault } = letter;
        let what = message_text(selector, arguments);
        writeln!(out, "{id:>8}  {}  {path} {what}  from {sender}", time::moment_text(*time_ns))?;
        writeln!(out, "          failed: {}: {}", fault.kind, fault.text)
    }

    fn write_twin(&self, out: &mut impl Write, twin: &QuarantinedTwin) -> io::Result<()> {
        if self.look.json {
            return writeln!(out, "{}", json::text(&twin_row(twin)));
        }
        let since = time::moment_text(twin.since_ns);
        let waiting =
            if twin.waiting == 1 { "1 message waits".to_owned() } else { format!("{} messages wait", twin.waiting) };
        writeln!(out, "{} is in quarantine since {since}; {waiting}", twin.path)
    }
}

fn letter_row(letter: &DeadLetter) -> Datum {
    let fault = [("kind", Datum::from(&*letter.fault.kind)), ("text", Datum::from(&*letter.fault.text))];
    Datum::row([
        ("letter", Datum::String(letter.id.to_string())),
        ("time", Datum::String(time::moment_text(letter.time_ns))),
        ("twin", Datum::from(&*letter.path)),
        ("selector", Datum::from(&*letter.selector)),
        ("arguments", Datum::Array(letter.arguments.clone())),
        ("sender", Datum::from(&*letter.sender)),
        ("fault", Datum::row(fault)),
    ])
}

fn twin_row(twin: &QuarantinedTwin) -> Datum {
    Datum::row([
        ("quarantined", Datum::from(&*twin.path)),
        ("since", Datum::String(time::moment_text(twin.since_ns))),
        ("position", Datum::String(twin.position.to_string())),
        ("waiting", number(twin.waiting as u64)),
    ])
}
