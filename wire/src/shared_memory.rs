//! Shared memory that a product would leave behind.
//!
//! A product that is killed cannot remove the POSIX shared memory that it has created, and its name is not always
//! known: APR hashes a path. Therefore the shared memory that its processes have mapped is removed before a process
//! group is killed. If a product ends by itself, there are no processes to examine; shared memory that is named after
//! the run's folder ([`name`]) is then removed with the folder.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// The folder in which Linux has shared memory.
const FOLDER: &str = "/dev/shm/";

/// The beginnings of the names that belong to products which Stickler starts: APR's (httpd), and names after the run's
/// folder.
const OWN: [&str; 2] = ["ShM.", "stickler"];

/// Removes the shared memory of products that processes of this group have mapped. The function does nothing if there
/// is no `/proc`.
pub(crate) fn remove(group: Pid) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for process in processes.filter_map(Result::ok).map(|entry| entry.path()) {
        if group_of(&process) != Some(group.as_raw_nonzero().get()) {
            continue;
        }
        let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
        for file in mapped(&maps) {
            // Another process of the group may have had it, too.
            let _ = fs::remove_file(file);
        }
    }
}

/// Returns the name for the shared memory of a product with this folder: letters and digits only.
pub(crate) fn name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Removes the shared memory that is named after a run's folder.
pub(crate) fn remove_with(folder: &Path) {
    let name = name(folder);
    let files = fs::read_dir(FOLDER).into_iter().flatten().filter_map(Result::ok);
    for file in files.filter(|file| !name.is_empty() && file.file_name().to_string_lossy().starts_with(&name)) {
        // The keeper of the folder may have removed it, too.
        let _ = fs::remove_file(file.path());
    }
}

/// Returns the process group of the process to which this folder of `/proc` belongs.
fn group_of(process: &Path) -> Option<i32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The name of the program, in brackets, may contain any characters.
    stat.rsplit_once(") ")?.1.split_whitespace().nth(2)?.parse().ok()
}

/// Returns the files of products' shared memory in a list of a process's mappings.
fn mapped(maps: &str) -> impl Iterator<Item = PathBuf> {
    let paths = maps.lines().filter_map(|line| Some(&line[line.find(FOLDER)?..]));
    let is_own = |path: &&str| OWN.iter().any(|own| path[FOLDER.len()..].starts_with(own));
    paths.filter(is_own).filter(|path| !path.ends_with(" (deleted)")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_somebody_elses_or_gone_is_left_alone() {
        let maps = "\
7f00-7f01 rw-s 00000000 00:1a 2 /dev/shm/ShM.195351d8H4ab1afc2
7f01-7f02 rw-s 00000000 00:1a 3 /dev/shm/stickler0123-cf__queues.shm
7f02-7f03 rw-s 00000000 00:1a 4 /dev/shm/PostgreSQL.1
7f03-7f04 rw-s 00000000 00:1a 5 /dev/shm/ShM.1H2 (deleted)
7f04-7f05 r-xp 00000000 08:01 6 /usr/lib/libc.so.6
7f05-7f06 rw-p 00000000 00:00 0 
";
        let files: Vec<PathBuf> = mapped(maps).collect();
        assert_eq!(
            files,
            ["/dev/shm/ShM.195351d8H4ab1afc2", "/dev/shm/stickler0123-cf__queues.shm"].map(PathBuf::from)
        );
    }

    #[test]
    fn what_is_called_after_a_folder_goes_with_it() {
        assert_eq!(name(Path::new("/tmp/stickler-00ff")), "stickler00ff");
        if !Path::new(FOLDER).is_dir() {
            return;
        }
        let (own, other) = ("/dev/shm/sticklertest1-cf__queues.shm", "/dev/shm/sticklertest2-cf__queues.shm");
        for file in [own, other] {
            fs::write(file, "").unwrap();
        }
        remove_with(Path::new("/tmp/stickler-test1"));
        assert!(!Path::new(own).exists() && Path::new(other).exists());
        remove_with(Path::new("/tmp/stickler-test2"));
        assert!(!Path::new(other).exists());
    }

    #[test]
    fn the_group_of_this_process_is_found() {
        let own = rustix::process::getpgrp().as_raw_nonzero().get();
        assert_eq!(group_of(Path::new("/proc/self")), Some(own));
    }
}
