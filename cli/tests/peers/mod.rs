//! Products that tests need, and that may be missing.

use std::env;
use std::path::PathBuf;

/// Finds a program in `PATH`, or in the folders for programs of servers.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(folders).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// Finds a program. If it is missing and `STICKLER_REQUIRE_PEERS=1`, the test fails.
pub(crate) fn needed(program: &str) -> Option<PathBuf> {
    let found = find(program);
    let required = env::var_os("STICKLER_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(found.is_some() || !required, "{program} is not installed, and STICKLER_REQUIRE_PEERS=1");
    found
}
