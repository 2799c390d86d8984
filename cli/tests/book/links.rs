//! Every link of the book leads somewhere.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{BOOK, below};

/// `.ci/run book` builds the book into `target/book`.
#[test]
#[ignore = "needs the book as mdBook has built it"]
fn every_link_of_the_built_book_leads_somewhere() {
    let root = fs::canonicalize(Path::new(BOOK).join("../target/book")).expect("the book has been built");
    let pages: Vec<String> = below(&root).into_iter().filter(|it| it.ends_with(".html")).collect();
    assert!(pages.len() > 100, "{} pages", pages.len());
    let texts: HashMap<PathBuf, String> = pages
        .iter()
        .map(|page| (root.join(page), fs::read_to_string(root.join(page)).expect("pages are text")))
        .collect();
    let (mut seen, mut broken) = (0, Vec::new());
    for (page, text) in &texts {
        for address in values(text, "href").chain(values(text, "src")) {
            if address.contains("://") || address.starts_with("mailto:") || address.starts_with("data:") {
                continue;
            }
            seen += 1;
            let (path, anchor) = address.split_once('#').unwrap_or((&address, ""));
            let path = path.split('?').next().unwrap_or_default();
            let folder = if path.starts_with('/') { &root } else { page.parent().expect("it has a folder") };
            let target = if path.is_empty() { Ok(page.clone()) } else { fs::canonicalize(folder.join(path)) };
            let there = target.is_ok_and(|target| {
                anchor.is_empty() || texts.get(&target).is_some_and(|it| values(it, "id").any(|id| id == anchor))
            });
            if !there {
                broken.push(format!("{}: {address}", page.strip_prefix(&root).unwrap_or(page).display()));
            }
        }
    }
    assert!(seen > 1000, "{seen} links");
    broken.sort();
    broken.dedup();
    assert!(broken.is_empty(), "{} links lead nowhere:\n{}", broken.len(), broken.join("\n"));
}

/// The values of an attribute in a page. What mdBook writes has them in quotation marks.
fn values<'a>(page: &'a str, attribute: &str) -> impl Iterator<Item = String> + use<'a> {
    let start = format!(" {attribute}=\"");
    let parts: Vec<&str> = page.split(&*start).skip(1).collect();
    parts.into_iter().filter_map(|part| part.split_once('"')).map(|(value, _)| value.replace("&amp;", "&"))
}
