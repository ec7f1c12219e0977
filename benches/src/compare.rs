//! The programs of `benches/programs/` beside the same programs in other languages: `make compare`.
//!
//! Each program is written once in TwinTalk and once in Lua, does the same work in both, checks its result itself and prints
//! it. Large integers, which Lua has none of, are beside Python's. A run is a process of its own, and counts the time that it
//! spent on a processor from when the program is compiled to its end; so the start is not in it, and what else the machine
//! does changes little. In each round all languages run a program one after the other; a ratio is of two runs of one round.

use std::process::Command;

use twintalk_runtime::{FaultReport, OpenOptions, Output, System};

use crate::measure::busy_seconds;
use crate::turns::program;
use crate::{machine, plot, repository};

/// A program and its sizes.
pub struct Listed {
    /// The name of its files.
    pub name: &'static str,
    /// Whether it is one of the fourteen that others publish figures of.
    pub is_published: bool,
    /// The argument with which Lua takes a few tenths of a second.
    pub full: u64,
    /// The argument that shows that it runs, and with which its instructions are counted.
    pub small: u64,
    /// Whom it is beside.
    pub beside: Peer,
}

/// Who runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// We.
    TwinTalk,
    /// Lua 5.4.
    Lua,
    /// LuaJIT with its JIT off: an interpreter written by hand in assembly.
    LuaJit,
    /// Python 3.
    Python,
}

const fn published(name: &'static str, full: u64, small: u64) -> Listed {
    Listed { name, is_published: true, full, small, beside: Peer::Lua }
}

const fn own(name: &'static str, full: u64, small: u64, beside: Peer) -> Listed {
    Listed { name, is_published: false, full, small, beside }
}

/// All programs, in the order of the table.
pub const PROGRAMS: &[Listed] = &[
    published("richards", 15, 1),
    published("deltablue", 12_000, 500),
    published("json", 80, 2),
    published("cd", 100, 10),
    published("havlak", 12, 1),
    published("nbody", 250_000, 10_000),
    published("mandelbrot", 500, 100),
    published("queens", 6_000, 400),
    published("permute", 500, 30),
    published("towers", 250, 15),
    published("sieve", 2_500, 80),
    published("storage", 300, 25),
    published("bounce", 800, 40),
    published("list", 800, 40),
    own("fib", 34, 27, Peer::Lua),
    own("strings", 100, 4, Peer::Lua),
    own("dictionary", 150, 3, Peer::Lua),
    own("sort", 40, 2, Peer::Lua),
    own("blocks", 1_000, 40, Peer::Lua),
    own("exceptions", 1_200, 40, Peer::Lua),
    own("large_integers", 150, 3, Peer::Python),
];

impl Peer {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Peer::TwinTalk => "TwinTalk",
            Peer::Lua => "Lua 5.4",
            Peer::LuaJit => "LuaJIT, JIT off",
            Peer::Python => "Python 3",
        }
    }

    /// Runs a program of its language.
    fn command(self, name: &str) -> Command {
        let folder = repository().join("benches/programs");
        match self {
            Peer::TwinTalk => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["run", name]);
                command
            }
            Peer::Lua => {
                let mut command = Command::new("lua5.4");
                command.arg(folder.join("time.lua")).arg(folder.join(name).with_extension("lua"));
                command
            }
            Peer::LuaJit => {
                let mut command = Command::new("luajit");
                command.arg("-joff").arg(folder.join("time.lua")).arg(folder.join(name).with_extension("lua"));
                command
            }
            Peer::Python => {
                let mut command = Command::new("python3");
                command.arg(folder.join(name).with_extension("py"));
                command
            }
        }
    }

    /// Whether it is on this machine.
    pub fn is_there(self) -> bool {
        let version = |program: &str, argument: &str| {
            Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
        };
        match self {
            Peer::TwinTalk => true,
            Peer::Lua => version("lua5.4", "-v"),
            Peer::LuaJit => version("luajit", "-v"),
            Peer::Python => version("python3", "--version"),
        }
    }

    /// What a program prints with this size, and the milliseconds it took.
    ///
    /// # Errors
    /// What it wrote instead.
    fn run(self, name: &str, size: u64) -> Result<(String, f64), String> {
        let output = self.command(name).arg(size.to_string()).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = || format!("{name} in {}: {text}{}", self.name(), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(told());
        }
        let (result, seconds) = text.trim().rsplit_once('\n').ok_or_else(told)?;
        let seconds: f64 = seconds.parse().map_err(|_| told())?;
        Ok((result.to_owned(), seconds * 1e3))
    }
}

/// What a program prints.
#[derive(Default)]
struct Printed(String);

impl Output for Printed {
    fn print(&mut self, text: &str) {
        self.0.push_str(text);
    }
    fn fault(&mut self, report: &FaultReport) {
        panic!("{report:?}");
    }
}

/// Runs a program in this process: what it prints, and the seconds it took. Without a size it is only compiled.
pub fn run_here(name: &str, size: Option<String>) -> (String, f64) {
    let file = repository().join("benches/programs").join(name).with_extension("twin");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let options = OpenOptions { program: Some(program(&text)), ..OpenOptions::default() };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    let mut printed = Printed::default();
    let Some(size) = size else { return Default::default() };
    let seconds = busy_seconds(&mut || {
        let ran = system.run_program(vec![size.clone()], None, &mut printed);
        ran.unwrap_or_else(|error| panic!("{name}: {error}"));
    });
    (printed.0, seconds)
}

/// The middle value and the range of some rounds.
#[derive(Clone, Copy)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The lowest one.
    pub lowest: f64,
    /// The highest one.
    pub highest: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        Spread { median: values[values.len() / 2], lowest: values[0], highest: values[values.len() - 1] }
    }
}

/// One row of the table.
pub struct Row {
    /// The program.
    pub program: &'static Listed,
    /// Our milliseconds.
    pub ours: Spread,
    /// The milliseconds of whom it is beside, and how many times as fast we are.
    pub beside: Option<(Spread, Spread)>,
    /// How many times as fast as Lua LuaJIT's interpreter is.
    pub luajit: Option<Spread>,
}

/// Measures the programs whose names contain `only`; `smoke` takes small sizes and one round.
///
/// # Errors
/// A program that ends badly, or whose results differ.
pub fn measure(only: &str, smoke: bool) -> Result<Vec<Row>, String> {
    let there = |peer: Peer| {
        let there = peer.is_there();
        if !there {
            eprintln!("{} is not on this machine and is left out (tools/setup.sh peers)", peer.name());
        }
        there
    };
    let (lua, luajit, python) = (there(Peer::Lua), there(Peer::LuaJit), there(Peer::Python));
    let rounds = if smoke { 1 } else { 5 };
    let mut rows = Vec::new();
    for program in PROGRAMS.iter().filter(|program| program.name.contains(only)) {
        eprintln!("measuring {} ...", program.name);
        let mut peers = vec![Peer::TwinTalk];
        match program.beside {
            Peer::Lua => {
                peers.extend([(Peer::Lua, lua), (Peer::LuaJit, lua && luajit)].iter().filter(|p| p.1).map(|p| p.0))
            }
            Peer::Python if python => peers.push(Peer::Python),
            Peer::TwinTalk | Peer::LuaJit | Peer::Python => {}
        }
        let mut times = vec![Vec::new(); peers.len()];
        for _ in 0..rounds {
            let mut wanted: Option<String> = None;
            for (peer, times) in peers.iter().zip(&mut times) {
                let (result, milliseconds) =
                    peer.run(program.name, if smoke { program.small } else { program.full })?;
                match &wanted {
                    Some(wanted) if *wanted != result => {
                        return Err(format!("{}: {} prints {result}, we {wanted}", program.name, peer.name()));
                    }
                    Some(_) => {}
                    None => wanted = Some(result),
                }
                times.push(milliseconds);
            }
        }
        let ratio = |slow: usize, fast: usize| {
            Spread::of(times[slow].iter().zip(&times[fast]).map(|(slow, fast)| slow / fast).collect())
        };
        rows.push(Row {
            program,
            ours: Spread::of(times[0].clone()),
            beside: (times.len() > 1).then(|| (Spread::of(times[1].clone()), ratio(1, 0))),
            luajit: (times.len() > 2).then(|| ratio(1, 2)),
        });
    }
    Ok(rows)
}

/// The geometric mean of some ratios; none of none.
pub fn mean(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = ratios.fold((0, 0.0), |(count, sum), ratio| (count + 1, sum + f64::ln(ratio)));
    (count > 0).then(|| f64::exp(sum / f64::from(count)))
}

/// The rows and the means as Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| program | beside | its ms | TwinTalk ms | times as fast | lowest .. highest | LuaJIT, JIT off: times as fast as Lua |\n\
         | --- | --- | --: | --: | --: | --- | --: |\n",
    );
    for row in rows {
        let (theirs, ratio, range) = match row.beside {
            Some((theirs, ratio)) => (
                format!("{:.0}", theirs.median),
                format!("{:.2}", ratio.median),
                format!("{:.2} .. {:.2}", ratio.lowest, ratio.highest),
            ),
            None => Default::default(),
        };
        let luajit = row.luajit.map_or(String::new(), |ratio| format!("{:.2}", ratio.median));
        let (name, beside, ours) = (row.program.name, row.program.beside.name(), row.ours.median);
        text.push_str(&format!("| {name} | {beside} | {theirs} | {ours:.0} | {ratio} | {range} | {luajit} |\n"));
    }
    text.push('\n');
    for (what, all) in [("the published programs", false), ("all programs beside Lua", true)] {
        let rows = || rows.iter().filter(|row| row.program.beside == Peer::Lua && (all || row.program.is_published));
        let ours = mean(rows().filter_map(|row| Some(row.beside?.1.median)));
        let luajit = mean(rows().filter_map(|row| Some(row.luajit?.median)));
        if let Some(ours) = ours {
            let luajit = luajit.map_or(String::new(), |mean| format!("; LuaJIT without its JIT {mean:.2}"));
            text.push_str(&format!(
                "Geometric mean of {what} ({}): **{ours:.2}** times as fast as Lua 5.4{luajit}.\n\n",
                rows().count()
            ));
        }
    }
    text
}

/// Measures, prints, and with `write` puts the table and the plot into `benches/results/`.
///
/// # Errors
/// As [`measure`], and what the disk says.
pub fn compare(only: &str, smoke: bool, write: bool) -> Result<(), String> {
    let rows = measure(only, smoke)?;
    let table = table(&rows);
    print!("{table}");
    if write && (smoke || !only.is_empty()) {
        return Err("only a whole run at full size is written".to_owned());
    }
    if write {
        let folder = repository().join("benches/results");
        let head = format!(
            "# TwinTalk beside Lua\n\nWritten by `make compare WRITE=1`; what is measured says `benches/src/compare.rs`. Medians of five \
             rounds.\n\n{}\n\n![How many times as fast as Lua 5.4](compare.svg)\n\n",
            machine()
        );
        let write = |name: &str, text: String| {
            std::fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))
        };
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        write("compare.md", format!("{head}{}\n", table.trim_end()))?;
        write("compare.svg", plot::bars(&rows))?;
    }
    Ok(())
}
