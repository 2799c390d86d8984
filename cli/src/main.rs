//! The command `stickler`: shows, reproducibly, how a load balancer treats Windows authentication.
//!
//! * `args`: the command line.
//! * `run`: scripts over balancers, judged; what the exit code means. `jobs`: many of them, in parallel.
//! * `selection`: the scenarios that are meant. `expectations`: violations that somebody accepts, until a day (`today`). `bless`: what came of
//!   scripts becomes what is expected. `state`: what failed last.
//! * `target`: a balancer that runs already. `summary`: what runs say of the identity of users, with its number.
//! * `diagram`: sequence diagrams of runs. `pcap`: their packets, for Wireshark. `output`: reports for other programs, and for people. `page`: what those for people show.
//! * `record`: run files of a folder. `replay`: their plans performed again, and compared.
//! * `check`: an operator's own configuration file, judged over the real product. `compare`: profiles beside their products.
//! * `hunt`: looks for what nobody has scripted; puts the shards of a hunt together. `interrupt`: the end that somebody asks for.
//! * `defaults`: options from `stickler.toml`. `completions`: what shells complete, and man pages.
//! * `namespace`: a network of this program's own. `terminal`: colours, and how far a command is.
//! * `matrix`: product by requirement. `explain`: how a product treats connections; what a requirement, a defect or a scenario is.
//! * `list`: scenarios, balancers, defects, requirements. `balancers`: what names mean.
//! * `script`: what authors of scenarios need.
//! * `serve`: the mocks and a balancer on loopback, for real clients. `own_file`: what it writes, and writes over.

mod args;
mod balancers;
mod bless;
#[cfg(unix)]
mod check;
#[cfg(unix)]
mod compare;
mod completions;
mod defaults;
mod diagram;
mod expectations;
mod explain;
mod hunt;
mod interrupt;
mod jobs;
mod list;
mod matrix;
#[cfg(unix)]
mod namespace;
mod output;
mod own_file;
mod page;
mod pcap;
mod record;
mod replay;
mod run;
mod script;
mod selection;
mod serve;
mod state;
mod summary;
mod supervisor;
mod target;
mod terminal;
mod today;

use std::io::{self, Write as _};
use std::process::ExitCode;

use args::Command;
use mimalloc::MiMalloc;
use stickler_model::escape;
use stickler_report::test_case::Place;
use stickler_runner::Diagnostic;
use stickler_scenarios::limits::Metered;

/// Bounds the memory of scripts. Worlds allocate much and briefly, where mimalloc beats the system's allocator.
#[global_allocator]
static ALLOCATOR: Metered<MiMalloc> = Metered(MiMalloc);

/// Why the command ends otherwise than well.
enum Failure {
    /// An outcome was not the expected one. Exit 1.
    NotAsExpected,
    /// A script or the arguments are wrong. Exit 2.
    Wrong(String),
    /// The same, where the place in a file is known. The message names it too.
    WrongFile(Place, String),
    /// Nothing matched: never a silent green. Exit 3.
    Nothing(String),
    /// Nothing was found, in too few requests or over too few facts to say that there is nothing. Exit 4.
    Inconclusive(Option<String>),
    /// A product is not installed. Exit 4.
    #[cfg(unix)]
    Missing(String),
    /// Somebody ended it before its time, and what was known has been shown. Exit 130.
    Interrupted,
    /// Nobody reads the output any more (`stickler ... | head`).
    OutputClosed,
}

impl From<&Diagnostic> for Failure {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self::WrongFile(diagnostic.into(), diagnostic.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Wrong(format!("cannot write the output: {error}"))
        }
    }
}

fn main() -> ExitCode {
    let line: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let arguments = match defaults::parse(&line) {
        Ok(arguments) => arguments,
        Err(failure) => return end(Err(failure)),
    };
    arguments.appearance.apply();
    let result = match arguments.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Matrix(arguments) => matrix::matrix(&arguments),
        #[cfg(unix)]
        Command::Compare(arguments) => compare::compare(&arguments),
        #[cfg(unix)]
        Command::Check(arguments) => check::check(&arguments),
        Command::Hunt(arguments) => hunt::hunt(&arguments),
        Command::Merge(arguments) => hunt::merge(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::List(arguments) => list::list(&arguments),
        Command::Script(arguments) => script::script(&arguments.command),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
        #[cfg(unix)]
        Command::Supervise(arguments) => return supervisor::supervise(&arguments),
    };
    end(result)
}

/// Says why the command ends otherwise than well, and returns the exit code.
fn end(result: Result<(), Failure>) -> ExitCode {
    let (code, message) = match result {
        Ok(()) | Err(Failure::OutputClosed) => (0, None),
        Err(Failure::NotAsExpected) => (1, None),
        Err(Failure::Interrupted) => (130, None),
        Err(Failure::Wrong(message) | Failure::WrongFile(_, message)) => (2, Some(message)),
        Err(Failure::Nothing(message)) => (3, Some(message)),
        Err(Failure::Inconclusive(message)) => (4, message),
        #[cfg(unix)]
        Err(Failure::Missing(message)) => (4, Some(message)),
    };
    if let Some(message) = message {
        // Where even this cannot be written, the exit code has to do.
        let _ = writeln!(io::stderr(), "stickler: {}", escape::lines(&message));
    }
    ExitCode::from(code)
}
