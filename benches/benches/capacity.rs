//! Measures the cost of authentication, and writes `book/src/capacity/`: `cargo bench --profile release --bench capacity`.

use std::path::Path;
use std::{fs, process};

use stickler_benches::capacity::tables;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/src/capacity");
    for (name, text) in tables() {
        let file = folder.join(name);
        if let Err(error) = fs::write(&file, text) {
            eprintln!("{} cannot be written: {error}", file.display());
            process::exit(1);
        }
        println!("book/src/capacity/{name}");
    }
}
