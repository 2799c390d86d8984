//! How this program supervises what it starts.

#[cfg(unix)]
use std::process::ExitCode;

use stickler_wire::Supervisor;

use crate::Failure;
#[cfg(unix)]
use crate::args::Supervise;

/// Supervises a program that this one has started. An error's message goes where the program's own would.
#[cfg(unix)]
pub(crate) fn supervise(arguments: &Supervise) -> ExitCode {
    use std::io::Write as _;

    match stickler_wire::supervisor::supervise(arguments.remove.as_deref(), &arguments.program, &arguments.arguments) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            let program = arguments.program.display();
            // Where even this cannot be written, the exit code has to do: that of a shell for what it cannot run.
            let _ = writeln!(std::io::stderr(), "the program `{program}` cannot run: {error}");
            ExitCode::from(127)
        }
    }
}

/// This program as a supervisor.
pub(crate) fn own() -> Result<Supervisor, Failure> {
    let own = std::env::current_exe();
    let own = own.map_err(|error| Failure::Wrong(format!("cannot find this program, to supervise others: {error}")))?;
    Ok(Supervisor::new(own, ["supervise"]))
}
