//! Counts the instructions of a dozen pieces of work, and compares them with `benches/instructions.toml`.
//!
//! This program runs itself under valgrind (`--perform NAME TIMES`), with the allocator of the system, whose
//! instructions do not depend on the memory that the kernel gives.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use stickler_benches::instructions::{Committed, CountError, Work, count, extensions};

const HELP: &str = "\
Counts the instructions of pieces of work under valgrind, and compares them with benches/instructions.toml.
Fails where one takes 10% more than is committed, unless that is accepted there with a reason.

  cargo bench --profile release --bench instructions -- --compare          counts and compares
  cargo bench --profile release --bench instructions -- --compare world    those whose name contains \"world\"
  cargo bench --profile release --bench instructions -- --bless            writes the counts into the file

Without an argument, as in a plain `cargo bench`, nothing is counted: the counts are those of the profile `release`.
";

/// The argument with which this program performs a piece of work, and that with which it tells the extensions.
const PERFORM: &str = "--perform";
const EXTENSIONS: &str = "--extensions";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).filter(|it| *it != "--bench").collect();
    let done = match *arguments {
        [PERFORM, name, times] => perform(name, times),
        [EXTENSIONS, ..] => {
            println!("{}", extensions());
            Ok(())
        }
        ["--help" | "-h", ..] => {
            print!("{HELP}");
            Ok(())
        }
        ["--bless"] => bless(),
        // `cargo test --benches` performs each once.
        ["--test", ..] => Work::ALL.iter().try_for_each(|work| perform(work.name, "1")),
        ["--compare"] => compare(""),
        ["--compare", filter] => compare(filter),
        [] => {
            println!("Instructions are not counted: `-- --help` says how.");
            Ok(())
        }
        _ => Err(HELP.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(name: &str, times: &str) -> Result<(), String> {
    let work = Work::find(name).ok_or_else(|| format!("there is no work `{name}`"))?;
    work.perform(times.parse().map_err(|error| format!("{times}: {error}"))?);
    Ok(())
}

fn bless() -> Result<(), String> {
    let counts = counted(Work::ALL.iter().map(|work| work.name).collect())?;
    for (name, count) in &counts {
        println!("{name:24}{count:>14}");
    }
    let instructions = counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    let committed = Committed { extensions: extensions_there()?, instructions, ..Committed::default() };
    committed.save(&file()).map_err(|error| error.to_string())
}

fn compare(filter: &str) -> Result<(), String> {
    let committed = Committed::load(&file()).map_err(|error| error.to_string())?;
    let extensions = extensions_there()?;
    let counts = counted(Work::ALL.iter().map(|work| work.name).filter(|name| name.contains(filter)).collect())?;
    if counts.is_empty() {
        return Err(format!("there is no work whose name contains `{filter}`"));
    }
    let mut failed = 0;
    for (name, count) in counts {
        let outcome = committed.compare(name, count);
        println!("{name:24}{count:>14}  {outcome}");
        failed += usize::from(outcome.fails());
    }
    if extensions != committed.extensions {
        println!(
            "Nothing is judged: the counts are those of `{}`, and this machine has `{extensions}`.",
            committed.extensions
        );
        return Ok(());
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} counts are too large: see the head of benches/instructions.toml")),
    }
}

/// Counts the instructions of these pieces of work, as many at the same time as there are processors: counts do not
/// depend on what else the machine does.
fn counted(names: Vec<&'static str>) -> Result<Vec<(&'static str, u64)>, String> {
    let program = program()?;
    let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![None; names.len()]));
    let worker = || -> Result<(), String> {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let counted = count(&program, &[PERFORM, name]).map_err(|error: CountError| format!("{name}: {error}"))?;
            let index = names.iter().position(|it| it == name).unwrap_or_default();
            results.lock().map_err(|error| error.to_string())?[index] = Some(counted);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked".to_owned())?)
    })?;
    let results = results.into_inner().map_err(|error| error.to_string())?;
    Ok(names.into_iter().zip(results.into_iter().flatten()).collect())
}

/// Returns the extensions of the processor that valgrind shows.
fn extensions_there() -> Result<String, String> {
    let output = Command::new("valgrind").args(["--tool=none", "--quiet"]).arg(program()?).arg(EXTENSIONS).output();
    let output = output.map_err(|error| format!("valgrind cannot be started: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| error.to_string())
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml")
}
