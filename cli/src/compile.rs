//! `twintalk compile`: source to one image.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use twintalk_bytecode::file;

use crate::exit::{Exit, Failure, Outcome};
use crate::load;

/// Compile a program, with all it imports, into one image
#[derive(Args)]
#[command(after_help = "The image runs on any machine: twintalk run OUT.twb")]
pub struct Compile {
    /// The program
    file: PathBuf,
    /// Where the image goes; FILE with .twb at its end if not given
    #[arg(short, long, value_name = "OUT.twb")]
    output: Option<PathBuf>,
    /// Leave out names of source files, line numbers and comments
    #[arg(long)]
    strip: bool,
}

impl Compile {
    /// Compiles it.
    pub fn run(self) -> Outcome {
        let output = self.output.unwrap_or_else(|| self.file.with_extension("twb"));
        if output == self.file {
            return Err(Failure::usage("the image would replace the program: name another file with -o"));
        }
        let mut image = load::image(&self.file, &[])?;
        if self.strip {
            file::strip(&mut image);
        }
        // Beside it first, so that nobody ever finds half an image there.
        let draft = output.with_extension(format!("twb-{}", std::process::id()));
        fs::write(&draft, file::encode(&image)).and_then(|()| fs::rename(&draft, &output)).map_err(|error| {
            let _ = fs::remove_file(&draft);
            Failure::file(&output.display(), &error)
        })?;
        Ok(Exit::Done)
    }
}
