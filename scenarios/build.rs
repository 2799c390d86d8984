//! Lists the folders of `scripts/`, so that the library contains them. A new script needs no other entry.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = variable("CARGO_MANIFEST_DIR")?;
    let (scripts, plans) = (Path::new(&root).join("scripts"), Path::new(&root).join("plans"));
    // Cargo watches everything below a folder, including new files.
    println!("cargo::rerun-if-changed={}", scripts.display());
    println!("cargo::rerun-if-changed={}", plans.display());
    let mut text = String::from("&[\n");
    for folder in sorted(&scripts)?.iter().filter(|path| path.is_dir()) {
        let _ = writeln!(
            text,
            "Folder {{ name: {:?}, group: {}, expected: {}, scripts: &[",
            stem(folder),
            included(&folder.join("group.toml")),
            included(&folder.join("expected.toml"))
        );
        text.push_str(&files(folder, "star")?);
        text.push_str("], plans: &[\n");
        // A group has no recorded plans if the steps of all its scenarios depend on answers.
        let plans = plans.join(stem(folder));
        if plans.is_dir() {
            text.push_str(&files(&plans, "jsonl")?);
        }
        text.push_str("] },\n");
    }
    text.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("folders.rs"), text)
}

/// Returns the files of a folder with this extension, each as a pair of its name and its text.
fn files(folder: &Path, extension: &str) -> io::Result<String> {
    let mut text = String::new();
    for file in sorted(folder)?.iter().filter(|path| path.extension().is_some_and(|it| it == extension)) {
        let _ = writeln!(text, "({:?}, {}),", stem(file), included(file));
    }
    Ok(text)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}

/// Returns the paths in a folder, sorted by name.
fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| entry.map(|it| it.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns an expression with the file's text. If the file is missing, the compiler reports its path.
fn included(path: &Path) -> String {
    format!("include_str!({:?})", path.display().to_string())
}
