//! Writes down the folders of `scripts/`, so that the library contains them: whoever adds a script names it nowhere else.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = variable("CARGO_MANIFEST_DIR")?;
    let (scripts, plans) = (Path::new(&root).join("scripts"), Path::new(&root).join("plans"));
    // Of a folder Cargo looks at everything below it, also at what is new.
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
        // A group of scenarios that all decide by what they are answered has no recorded plans.
        let plans = plans.join(stem(folder));
        if plans.is_dir() {
            text.push_str(&files(&plans, "jsonl")?);
        }
        text.push_str("] },\n");
    }
    text.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("folders.rs"), text)
}

/// The files of a folder with this extension: for each, a pair of its name and its text.
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

/// What is in a folder, by name.
fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| entry.map(|it| it.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// An expression that has the file's text; a file that is missing is the compiler's error, with its path.
fn included(path: &Path) -> String {
    format!("include_str!({:?})", path.display().to_string())
}
