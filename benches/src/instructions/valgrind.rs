//! Counts instructions with valgrind.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Why there is no count.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// Valgrind cannot be started.
    #[error("valgrind cannot be started: {0}")]
    Start(io::Error),
    /// Valgrind, or the program in it, failed.
    #[error("valgrind failed with {status}: {said}")]
    Failed {
        /// The end of the process.
        status: std::process::ExitStatus,
        /// What it wrote to the standard error.
        said: String,
    },
    /// Valgrind's summary has no count.
    #[error("valgrind told no number of instructions: {0}")]
    NoCount(String),
}

/// The repetitions of the two runs. The first one is warm in both.
const REPETITIONS: [u32; 2] = [1, 3];

/// Returns the instructions of one repetition of a piece of work. `program` is called with `arguments` and the number of
/// repetitions.
///
/// # Errors
/// [`CountError`] says why there is no count.
pub fn count(program: &Path, arguments: &[&str]) -> Result<u64, CountError> {
    let [few, many] = REPETITIONS.map(|repetitions| whole(program, arguments, repetitions));
    Ok(many?.saturating_sub(few?) / u64::from(REPETITIONS[1] - REPETITIONS[0]))
}

/// Returns the instructions of a whole process, on all of its threads.
fn whole(program: &Path, arguments: &[&str], repetitions: u32) -> Result<u64, CountError> {
    // An environment of its own: the length of the environment moves the stack.
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .arg(repetitions.to_string())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(CountError::Start)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(CountError::Failed { status: output.status, said });
    }
    summary(&said).ok_or(CountError::NoCount(said))
}

/// Reads the line `==123== I   refs:      1,234,567`.
fn summary(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("refs:").filter(|(name, _)| name.contains(" I ")))?;
    line.1.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_instructions_is_in_the_summary() {
        let said = "==7== Cachegrind, a profiler\n==7== Command: x\n==7== I   refs:      1,234,567\n==7== \n";
        assert_eq!(summary(said), Some(1_234_567));
        // Newer versions align it differently.
        assert_eq!(summary("==7== I refs:        12\n"), Some(12));
        assert_eq!(summary("==7== D refs:        12\n"), None);
    }

    #[test]
    fn a_program_that_fails_has_no_count() {
        match count(Path::new("/bin/false"), &[]) {
            // Where there is no valgrind.
            Err(CountError::Start(error)) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
            other => assert!(matches!(other, Err(CountError::Failed { .. })), "{other:?}"),
        }
    }
}
