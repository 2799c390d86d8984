//! Files that this command writes and overwrites. It never overwrites a file that somebody else has written.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use stickler_runner::text_file;

use crate::Failure;

/// The first line of such a file. Both formats, krb5.conf and PEM, allow it.
const MARK: &str = "# Written by stickler serve, which writes over it without asking.";

/// Writes a file, with a first line that marks it as this command's own.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let shown = file.display();
    match may_be_written(file) {
        Ok(true) => {}
        Ok(false) => {
            return Err(Failure::Wrong(format!(
                "{shown} exists already, and stickler has not written it: name another file, or remove this one"
            )));
        }
        Err(error) => return Err(Failure::Wrong(format!("cannot write {shown}: {error}"))),
    }
    fs::write(file, format!("{MARK}\n{text}")).map_err(|error| Failure::Wrong(format!("cannot write {shown}: {error}")))
}

/// Returns whether writing the file loses nothing: it does not exist, is empty, or is this command's own.
fn may_be_written(file: &Path) -> io::Result<bool> {
    if fs::symlink_metadata(file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(true);
    }
    let mut first = Vec::new();
    BufReader::new(text_file::open(file)?.take(MARK.len() as u64 + 2)).read_until(b'\n', &mut first)?;
    Ok(first.is_empty() || first.strip_suffix(b"\n") == Some(MARK.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &Path) -> String {
        match write(file, "x") {
            Err(Failure::Wrong(message)) => message,
            _ => "written".into(),
        }
    }

    #[test]
    fn its_own_files_are_written_over_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("krb5.conf");
        assert_eq!(refused(&file), "written");
        assert_eq!(refused(&file), "written");
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{MARK}\nx"));
        for others in ["[libdefaults]\n", " \n", MARK, &format!("{MARK} \n"), &format!("\n{MARK}\n")] {
            fs::write(&file, others).unwrap();
            assert!(refused(&file).ends_with("name another file, or remove this one"), "{others:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), others);
        }
        fs::write(&file, "").unwrap();
        assert_eq!(refused(&file), "written");
        assert!(refused(folder.path()).contains("it is a directory, and no regular file"));
        assert!(refused(&folder.path().join("no/such")).starts_with("cannot write "));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_somebody_elses_file_is_not_followed_into_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("theirs"), folder.path().join("link"));
        fs::write(&file, "theirs").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(refused(&link).contains("stickler has not written it"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "theirs");
    }
}
