//! Reads files that a user names on a command line or places beside a script. Only regular files, which have an end, are
//! read.

use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::path::Path;

/// Opens a regular file for reading. Links are followed.
///
/// A device may have no end, and opening a FIFO waits for a writer, so neither is opened.
///
/// # Errors
/// The file is not a regular file, or the operating system cannot open it.
pub fn open(path: &Path) -> io::Result<File> {
    // If it is replaced by something else in between, the result is no worse than without the check.
    let kind = fs::metadata(path).map_err(|error| dangling(path, error))?.file_type();
    if !kind.is_file() {
        let message = format!("it is {}, and no regular file", name(kind));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    File::open(path)
}

/// Reads a regular file of UTF-8 text, without the byte-order mark that it may begin with.
///
/// # Errors
/// The file is not a regular file, is longer than `most` bytes, is not UTF-8, or cannot be read by the operating
/// system.
pub fn read(path: &Path, most: u64) -> io::Result<String> {
    let too_long = || Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {most} bytes")));
    let file = open(path)?;
    if file.metadata()?.len() > most {
        return too_long();
    }
    let mut text = String::new();
    // A file may grow, or claim to be empty, as the files of /proc do.
    file.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        return too_long();
    }
    let marked = text.starts_with('\u{feff}');
    Ok(if marked { text.split_off('\u{feff}'.len_utf8()) } else { text })
}

fn dangling(path: &Path, error: io::Error) -> io::Error {
    match fs::read_link(path) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), format!("it is a link to {}, which does not exist", target.display()))
        }
        _ => error,
    }
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

#[cfg(not(unix))]
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() { "a directory" } else { "something else" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &Path) -> String {
        read(path, 10).unwrap_err().to_string()
    }

    #[test]
    fn text_is_read_up_to_its_limit_and_without_its_byte_order_mark() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        for (bytes, text) in [(&b"\xef\xbb\xbfabc"[..], "abc"), (b"0123456789", "0123456789"), (b"", "")] {
            fs::write(&file, bytes).unwrap();
            assert_eq!(read(&file, 10).unwrap(), text);
        }
        fs::write(&file, "0123456789a").unwrap();
        assert_eq!(said(&file), "it is longer than 10 bytes");
        fs::write(&file, b"\xff").unwrap();
        assert_eq!(read(&file, 10).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(said(folder.path()), "it is a directory, and no regular file");
        assert_eq!(read(&folder.path().join("none"), 10).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(said(Path::new("/dev/zero")), "it is a device, and no regular file");
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(said(&fifo), "it is a FIFO, and no regular file");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(said(&link), "it is a link to nowhere, which does not exist");
        std::os::unix::fs::symlink(&fifo, folder.path().join("to-fifo")).unwrap();
        assert_eq!(said(&folder.path().join("to-fifo")), "it is a FIFO, and no regular file");
    }
}
