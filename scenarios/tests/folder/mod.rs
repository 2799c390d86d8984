//! Folders with scripts, for tests of the code that reads such folders.

use std::fs;
use std::path::{Path, PathBuf};

/// Creates a folder `test/name` with these files, in place of an earlier one.
pub(crate) fn folder(test: &str, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test).join(name);
    let _ = fs::remove_dir_all(&folder);
    for (file, text) in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}
