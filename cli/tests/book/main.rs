//! Tests of the book (`book/`): its pages about the catalogue are the command's output (`catalogue`), its commands
//! print the output that it shows (`commands`), and the targets of its links exist (`links`).
//!
//! With `STICKLER_UPDATE=1`, the pages of the catalogue are regenerated.

mod catalogue;
mod commands;
mod links;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const BOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../book");

/// Returns all files below a folder, as paths relative to it.
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
