//! The command `stickler`: shows, reproducibly, how a load balancer treats Windows authentication.
//!
//! * `args`: the command line.
//! * `run`: runs scripts over balancers, judges them and determines the exit code. `jobs`: runs many scripts in
//!   parallel.
//! * `selection`: the scenarios that the arguments select. `expectations`: violations that are accepted until a day
//!   (`today`). `bless`: writes the outcomes of scripts as their expectations. `state`: the runs that failed last.
//! * `target`: a balancer that runs already. `summary`: the statement of runs about the identity of users, with its
//!   confidence.
//! * `diagram`: sequence diagrams of runs. `pcap`: their packets, for Wireshark. `output`: reports for other programs,
//!   and for people. `page`: the contents of the reports for people.
//! * `record`: run files of a folder. `replay`: performs their plans again, and compares the results.
//! * `check`: judges an operator's own configuration file over the real product. `compare`: compares profiles with
//!   their products.
//! * `hunt`: looks for failures that nobody has scripted; merges the shards of a hunt. `interrupt`: the signals that
//!   end the command.
//! * `defaults`: options from `stickler.toml`. `completions`: completions for shells, and man pages.
//! * `namespace`: a separate network for this program. `terminal`: colours, and the progress of a command.
//! * `matrix`: the table of balancers by requirement. `explain`: explains how a product treats connections, and what a
//!   requirement, a defect or a scenario is.
//! * `list`: scenarios, balancers, defects, requirements. `balancers`: finds balancers by name.
//! * `script`: helps the authors of scenarios.
//! * `serve`: the mocks and a balancer on loopback, for real clients. `own_file`: files that the command writes, and
//!   may overwrite.

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
use stickler_report::json::ErrorRecord;
use stickler_report::test_case::Place;
use stickler_runner::Diagnostic;
use stickler_scenarios::limits::Metered;

/// The allocator, which limits the memory of scripts. Worlds allocate much and briefly, where mimalloc is faster than
/// the system's allocator.
#[global_allocator]
static ALLOCATOR: Metered<MiMalloc> = Metered(MiMalloc);

/// The reason why the command failed.
enum Failure {
    /// An outcome was not the expected one. Exit 1.
    NotAsExpected,
    /// A script or the arguments are wrong. Exit 2.
    Wrong(String),
    /// A script or the arguments are wrong, at a known place in a file, which the message names too. Exit 2.
    WrongFile(Place, String),
    /// Several scripts or files are wrong, or the same one in several places; each message is an error of its own. Exit 2.
    WrongFiles(Vec<ErrorRecord>),
    /// Nothing matched the arguments or could be judged, which must not look like success. Exit 3.
    Nothing(String),
    /// No failure was found, but in too few requests or with too few facts to conclude that there is none. Exit 4.
    Inconclusive(Option<String>),
    /// A product is not installed. Exit 4.
    #[cfg(unix)]
    Missing(String),
    /// The command was interrupted, after it showed the results so far. Exit 130.
    Interrupted,
    /// Nobody reads the output any more (`stickler ... | head`).
    OutputClosed,
}

impl From<&Diagnostic> for Failure {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self::WrongFile(diagnostic.into(), diagnostic.to_string())
    }
}

impl Failure {
    /// Returns the messages of the failure with their places, for reports; none if an outcome says everything.
    fn records(&self) -> Vec<ErrorRecord> {
        let (message, place) = match self {
            Self::Wrong(message) | Self::Nothing(message) | Self::Inconclusive(Some(message)) => (message, None),
            Self::WrongFile(place, message) => (message, Some(place.clone())),
            Self::WrongFiles(errors) => return errors.clone(),
            #[cfg(unix)]
            Self::Missing(message) => (message, None),
            Self::NotAsExpected | Self::Interrupted | Self::Inconclusive(None) | Self::OutputClosed => {
                return Vec::new();
            }
        };
        vec![ErrorRecord { message: message.clone(), place }]
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

/// Prints the reason why the command failed, if it did, and returns the exit code.
fn end(result: Result<(), Failure>) -> ExitCode {
    let (code, message) = match result {
        Ok(()) | Err(Failure::OutputClosed) => (0, None),
        Err(Failure::NotAsExpected) => (1, None),
        Err(Failure::Interrupted) => (130, None),
        Err(Failure::Wrong(message) | Failure::WrongFile(_, message)) => (2, Some(message)),
        Err(Failure::WrongFiles(errors)) => {
            let messages: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            (2, Some(messages.join("\n")))
        }
        Err(Failure::Nothing(message)) => (3, Some(message)),
        Err(Failure::Inconclusive(message)) => (4, message),
        #[cfg(unix)]
        Err(Failure::Missing(message)) => (4, Some(message)),
    };
    if let Some(message) = message {
        // If even this message cannot be written, only the exit code remains.
        let _ = writeln!(io::stderr(), "stickler: {}", escape::lines(&message));
    }
    ExitCode::from(code)
}
