//! The packets of a simulated run, as files for Wireshark, for `run` and `replay`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use stickler_model::escape;
use stickler_runner::Arm;
use stickler_sim::CaptureArm;

use crate::Failure;

/// The options about captures.
#[derive(Debug, Args)]
pub(crate) struct PcapOptions {
    /// Write the packets of every link of the simulated network to this file, for Wireshark (pcapng), with the names of
    /// all hosts and the secrets of TLS. FILE.keytab, beside it, contains the keys of all accounts: wireshark -K
    /// FILE.keytab FILE decrypts Kerberos as well. It needs exactly one simulated run. No file is overwritten without
    /// --force.
    #[arg(id = "pcap", long = "pcap", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Overwrite the files of --pcap, if they exist.
    #[arg(long, requires = "pcap")]
    force: bool,
}

/// A capture that is to be written.
pub(crate) struct Capture {
    arm: Arc<CaptureArm>,
    /// The paths of the capture and of the keys.
    files: [PathBuf; 2],
    force: bool,
}

impl PcapOptions {
    /// Returns the requested capture, if there is one.
    ///
    /// # Errors
    /// There is more than one run, the run is not a simulated one, or a file exists that may not be overwritten.
    pub(crate) fn prepare(&self, runs: usize, is_simulated: bool) -> Result<Option<Capture>, Failure> {
        let Some(file) = &self.file else { return Ok(None) };
        if !is_simulated {
            return Err(Failure::Wrong(
                "--pcap captures the simulated network: with --arm wire, capture on the loopback interface (tcpdump -i lo)".into(),
            ));
        }
        if runs > 1 {
            return Err(Failure::Wrong(format!(
                "--pcap captures one run, but these are {runs}: name one scenario and one --balancer"
            )));
        }
        let mut keytab = OsString::from(file);
        keytab.push(".keytab");
        let files = [file.clone(), PathBuf::from(keytab)];
        for file in files.iter().filter(|_| !self.force) {
            // The check comes before minutes of work, and not after it.
            if fs::symlink_metadata(file).is_ok() {
                return Err(exists(file));
            }
        }
        Ok(Some(Capture { arm: Arc::default(), files, force: self.force }))
    }
}

impl Capture {
    /// Returns the arm that records the packets.
    pub(crate) fn arm(&self) -> Arc<dyn Arm> {
        Arc::clone(&self.arm) as Arc<dyn Arm>
    }

    /// Writes the packets of the run, and the keys.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let capture = self.arm.take();
        if capture.packets() == 0 {
            return Err(Failure::Wrong(
                "no packet went over the simulated network, so there is nothing to capture".into(),
            ));
        }
        let [file, keytab] = &self.files;
        let mut out = BufWriter::new(self.create(file)?);
        capture.write(&mut out).and_then(|()| out.flush()).map_err(|error| unwritten(file, &error))?;
        self.create(keytab)?.write_all(capture.keytab()).map_err(|error| unwritten(keytab, &error))?;
        let cut = if capture.is_cut() { ", and more that did not fit" } else { "" };
        let (packets, file, keytab) = (capture.packets(), file.display(), keytab.display());
        let message = format!("{packets} packets in {file}{cut}: wireshark -K {keytab} {file}");
        // If even this message cannot be written, the files still exist.
        let _ = writeln!(io::stderr(), "stickler: {}", escape::line(&message));
        Ok(())
    }

    fn create(&self, file: &Path) -> Result<File, Failure> {
        let created = if self.force { File::create(file) } else { File::create_new(file) };
        created.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(file),
            _ => unwritten(file, &error),
        })
    }
}

fn exists(file: &Path) -> Failure {
    Failure::Wrong(format!("{} exists already: name another file, or add --force to overwrite it", file.display()))
}

fn unwritten(file: &Path, error: &io::Error) -> Failure {
    Failure::Wrong(format!("cannot write {}: {error}", file.display()))
}
