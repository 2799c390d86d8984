//! The configuration files of a product.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The beginning and the end of a line that names a further file.
const BEGIN: &str = "==> ";
const END: &str = " <==";

/// Writes a configuration: the text before the first line `==> NAME <==` goes into `first`, and the text after each
/// such line into the file with that name in the same folder.
///
/// # Errors
/// A name refers to another folder, or a file cannot be written.
pub(super) fn write(first: &Path, text: &str) -> io::Result<()> {
    let (mut file, mut part) = (first.to_owned(), String::new());
    for line in text.split_inclusive('\n') {
        let Some(name) = line.trim_end().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) else {
            part.push_str(line);
            continue;
        };
        write_one(&file, &std::mem::take(&mut part))?;
        if name.contains('/') || name.starts_with('.') {
            return Err(io::Error::other(format!("`{name}` cannot be the name of a file in the run's folder")));
        }
        file.set_file_name(name);
    }
    write_one(&file, &part)
}

/// Writes a file that only this user can read, since a product reads its configuration before it changes its user.
pub(super) fn write_one(file: &Path, text: &str) -> io::Result<()> {
    fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_becomes_a_file_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("records.config");
        write(&first, "a\nb\n==> remap.config <==\nc\n==> empty <==\n").unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("records.config"), read("remap.config"), read("empty")),
            ("a\nb\n".into(), "c\n".into(), String::new())
        );
        write(&first, "==> in the middle of a line\nx ==> y <==\n").unwrap();
        assert_eq!(read("records.config"), "==> in the middle of a line\nx ==> y <==\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&first).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "nobody else reads what an operator's file says");
    }

    #[test]
    fn a_part_of_another_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x", "/etc/x", "a/b", ".."] {
            let error = write(&folder.path().join("first"), &format!("==> {name} <==\n")).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
