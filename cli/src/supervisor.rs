//! The supervision of programs that this program starts.

#[cfg(unix)]
use std::process::ExitCode;

use stickler_wire::Supervisor;

use crate::Failure;
#[cfg(unix)]
use crate::args::Supervise;

/// Supervises a program that this one has started, or keeps a folder for it. The message of an error goes to the error
/// stream that the program would have used.
#[cfg(unix)]
pub(crate) fn supervise(arguments: &Supervise) -> ExitCode {
    use std::io::Write as _;

    let (result, what) = match (&arguments.folder, &arguments.program) {
        (Some(folder), _) => (
            stickler_wire::supervisor::keep(folder).map(|()| 0),
            format!("cannot keep the folder {}", folder.display()),
        ),
        (None, Some(program)) => {
            let result = stickler_wire::supervisor::supervise(program, &arguments.arguments);
            (result, format!("the program `{}` cannot run", program.display()))
        }
        // The command line requires one of the two arguments.
        (None, None) => return ExitCode::SUCCESS,
    };
    match result {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            // If even this message cannot be written, only the exit code remains: that of a shell for a program that it
            // cannot run.
            let _ = writeln!(std::io::stderr(), "{what}: {error}");
            ExitCode::from(127)
        }
    }
}

/// Returns this program as a supervisor.
pub(crate) fn own() -> Result<Supervisor, Failure> {
    let own = std::env::current_exe();
    let own = own.map_err(|error| Failure::Wrong(format!("cannot find this program, to supervise others: {error}")))?;
    Ok(Supervisor::new(own, ["supervise"]))
}
