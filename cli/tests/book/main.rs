//! The book (`book/`): what it says of the catalogue is what the command says (`catalogue`), its commands print what it shows
//! (`commands`), and its links lead somewhere (`links`).
//!
//! `STICKLER_UPDATE=1` writes the pages of the catalogue anew.

mod catalogue;
mod commands;
mod links;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const BOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../book");

/// All files below a folder, as paths from there on.
fn below(folder: &Path) -> BTreeSet<String> {
    let (mut found, mut left) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.strip_prefix(folder).expect("it is below").to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == extension)
}
