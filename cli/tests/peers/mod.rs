//! Products that tests need, and that need not be installed.

use std::env;
use std::path::PathBuf;

/// Finds a program in `PATH`, or where servers' programs are.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(folders).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// Finds a program that has to be there if `STICKLER_REQUIRE_PEERS=1`: without it, the test fails then.
pub(crate) fn needed(program: &str) -> Option<PathBuf> {
    let found = find(program);
    let required = env::var_os("STICKLER_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(found.is_some() || !required, "{program} is not installed, and STICKLER_REQUIRE_PEERS=1");
    found
}
