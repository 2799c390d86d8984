//! Folders that a user names on a command line, for files that are to be written.

use std::fs;
use std::io;
use std::path::Path;

/// Creates a folder, and those that lead to it.
///
/// # Errors
/// The operating system cannot create it. If something that is no folder is in the way, the message names it.
pub fn create(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path).map_err(|error| match in_the_way(path) {
        Some(other) if other == path => {
            io::Error::new(error.kind(), "it exists and is no folder: choose another folder, or remove it")
        }
        Some(other) => no_folder(other, &error),
        None => error,
    })
}

/// Creates the folder of a file, in the same way as [`create`].
///
/// # Errors
/// The operating system cannot create it. If something that is no folder is in the way, the message names it.
pub fn create_for(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|error| match in_the_way(folder) {
        Some(other) => no_folder(other, &error),
        None => error,
    })
}

fn no_folder(other: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{} exists and is no folder: choose another folder", other.display()))
}

/// Returns the part of a path that prevents the creation of a folder there, because it exists and is no folder.
pub fn in_the_way(path: &Path) -> Option<&Path> {
    path.ancestors().find(|part| fs::symlink_metadata(part).is_ok() && !part.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_of_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (file, deep) = (folder.path().join("file"), folder.path().join("a/b"));
        fs::write(&file, "x").unwrap();
        let said = |path: &Path| create(path).unwrap_err().to_string();
        assert_eq!(said(&file), "it exists and is no folder: choose another folder, or remove it");
        let below = said(&file.join("b/c"));
        assert_eq!(below, format!("{} exists and is no folder: choose another folder", file.display()));
        let of_file = create_for(&file.join("b")).unwrap_err().to_string();
        assert_eq!(of_file, below, "the file that was to be written is not what exists");
        create_for(&deep.join("file")).unwrap();
        create(&deep).unwrap();
        assert_eq!(in_the_way(&deep.join("c")), None);
        assert_eq!(fs::read_to_string(&file).unwrap(), "x");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(create(&link).unwrap_err().to_string().starts_with("it exists and is no folder"));
    }
}
