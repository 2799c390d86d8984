//! The destinations of reports.

#[cfg(unix)]
use std::fs::Permissions;
use std::fs::{self, File};
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::args::Destination;

/// An open report. Its errors name the path that the user gave.
///
/// A regular file is written under another name beside its path, and is moved there when it is complete. Readers see
/// either the old report or the new one, and an interrupted command leaves the old one in place. Anything else
/// (`/dev/stderr`, a named pipe) is written directly, and so is a file that is to be read while it grows.
#[derive(Debug)]
pub(super) struct Output {
    /// The name of the report, as errors show it.
    name: String,
    to: To,
}

/// The place to which a report is written.
#[derive(Debug)]
enum To {
    /// Standard output.
    Stdout(BufWriter<Stdout>),
    /// A file that is written directly.
    Direct(BufWriter<File>),
    /// A file that replaces the one at this path when it is complete.
    Replacing(BufWriter<NamedTempFile>, PathBuf),
}

impl Output {
    /// Opens a report. `grows` says that it is to be read while it is written.
    pub(super) fn open(to: &Destination, grows: bool) -> io::Result<Self> {
        match to {
            Destination::Stdout => {
                Ok(Self { name: "standard output".to_owned(), to: To::Stdout(BufWriter::new(io::stdout())) })
            }
            Destination::File(path) => {
                let name = path.display().to_string();
                let to = To::open(path, grows).map_err(|error| named(&name, &error))?;
                Ok(Self { name, to })
            }
        }
    }

    /// Writes the buffered rest, and moves the file to its path.
    pub(super) fn finish(self) -> io::Result<()> {
        let Self { name, to } = self;
        to.finish().map_err(|error| named(&name, &error))
    }
}

impl To {
    fn open(path: &Path, grows: bool) -> io::Result<Self> {
        // A symbolic link stays, and its target is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&target) {
            Ok(known) if known.is_file() && !grows => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !grows => {}
            _ => return Ok(Self::Direct(BufWriter::new(File::create(&target)?))),
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".stickler-");
        #[cfg(unix)]
        builder.permissions(permissions(&target));
        let file = builder.tempfile_in(folder).map_err(|error| without_path(&error))?;
        Ok(Self::Replacing(BufWriter::new(file), target))
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::Direct(mut file) => file.flush(),
            Self::Replacing(file, target) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.persist(target).map(drop).map_err(|error| error.error)
            }
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(out) => out,
            Self::Direct(file) => file,
            Self::Replacing(file, _) => file,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.writer().write(bytes).map_err(|error| named(&self.name, &error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.writer().flush().map_err(|error| named(&self.name, &error))
    }
}

/// Returns an error that begins with the name of the report.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// Returns an error without the path of the temporary file that `tempfile` adds, and that nobody has named.
fn without_path(error: &io::Error) -> io::Error {
    let text = error.to_string();
    let text = text.split_once(" at path \"").map_or(&*text, |(before, _)| before);
    io::Error::new(error.kind(), text)
}

/// Returns the permissions of a new report: those of the old one, or else those of any new file, which the user's umask
/// restricts.
#[cfg(unix)]
fn permissions(target: &Path) -> Permissions {
    use std::os::unix::fs::PermissionsExt as _;

    fs::metadata(target).map_or(Permissions::from_mode(0o666), |known| known.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(to: &Path, grows: bool) -> Output {
        let mut output = Output::open(&Destination::File(to.to_owned()), grows).unwrap();
        output.write_all(b"new").unwrap();
        output
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn an_error_does_not_name_the_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = Output::open(&Destination::File(folder.path().join("no/x.xml")), false).unwrap_err().to_string();
        assert!(error.contains("No such file") && !error.contains(".stickler-"), "{error}");
    }

    #[test]
    fn a_report_takes_the_place_of_the_old_one_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.xml");
        fs::write(&file, "old").unwrap();
        drop(write(&file, false));
        assert_eq!(read(&file), "old", "what is not finished");
        let output = write(&file, false);
        assert_eq!(read(&file), "old");
        output.finish().unwrap();
        assert_eq!(read(&file), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_report_that_grows_is_read_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.jsonl");
        let mut output = write(&file, true);
        output.flush().unwrap();
        assert_eq!(read(&file), "new");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_before_anything_is_run() {
        let folder = tempfile::tempdir().unwrap();
        for grows in [false, true] {
            assert!(Output::open(&Destination::File(folder.path().join("no/such.xml")), grows).is_err());
            assert!(Output::open(&Destination::File(folder.path().to_owned()), grows).is_err());
        }
    }

    #[test]
    fn an_error_names_the_path_that_the_user_gave_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/such.xml");
        let error = Output::open(&Destination::File(path.clone()), false).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())) && !error.contains(".stickler-"), "{error}");

        // The folder of the report is lost while the command works.
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("report.xml");
        let output = write(&path, false);
        fs::remove_dir_all(&inner).unwrap();
        let error = output.finish().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())) && !error.contains(".stickler-"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_with_the_path_of_the_report() {
        let error = write(Path::new("/dev/full"), false).finish().unwrap_err();
        assert!(error.to_string().starts_with("/dev/full: No space left"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_anybody_may_read_what_anybody_may_read() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("report.xml"), folder.path().join("link"));
        let other = folder.path().join("other");
        write(&file, false).finish().unwrap();
        fs::write(&other, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&other), "as any new file");
        symlink(&file, &link).unwrap();
        fs::write(&file, "old").unwrap();
        write(&link, false).finish().unwrap();
        assert!(link.is_symlink());
        assert_eq!(read(&file), "new");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt as _;

        write(Path::new("/dev/null"), false).finish().unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
