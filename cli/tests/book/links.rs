//! The target of every link of the book exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::{BOOK, below, has_extension};

/// `.ci/run book` builds the book in `target/book` before this test.
#[test]
#[ignore = "reads the book that mdBook has built; the CI step `book` builds it and runs this test"]
fn every_link_of_the_built_book_leads_somewhere() {
    let (seen, broken) = checked(&Path::new(BOOK).join("../target/book"));
    assert!(seen > 1000, "{seen} links");
    assert!(broken.is_empty(), "{} links lead nowhere:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_link_to_a_page_or_an_anchor_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let links = ["b.html", "sub/../b.html?x#there", "#here", "https://a.example/b", "b.html#gone", "c.html", "#gone"];
    let page = links.map(|it| format!("<a id=\"here\" href=\"{it}\">")).concat();
    fs::create_dir(folder.path().join("sub")).expect("folders can be made");
    fs::write(folder.path().join("a.html"), page).expect("pages can be written");
    fs::write(folder.path().join("b.html"), "<h1 id=\"there\">").expect("pages can be written");
    let broken = ["a.html: #gone", "a.html: b.html#gone", "a.html: c.html"].map(ToOwned::to_owned);
    assert_eq!(checked(folder.path()), (6, broken.to_vec()));
}

/// Returns the number of links within the pages below a folder, and the links whose targets do not exist.
fn checked(root: &Path) -> (usize, Vec<String>) {
    let root = fs::canonicalize(root).expect("the pages are there");
    let pages = below(&root).into_iter().filter(|it| has_extension(it, "html"));
    let texts: BTreeMap<PathBuf, String> =
        pages.map(|page| (root.join(&page), fs::read_to_string(root.join(&page)).expect("pages are text"))).collect();
    let anchors: BTreeMap<&PathBuf, BTreeSet<String>> =
        texts.iter().map(|(page, text)| (page, values(text, "id").collect())).collect();
    let (mut seen, mut broken) = (0, BTreeSet::new());
    for (page, text) in &texts {
        for address in values(text, "href").chain(values(text, "src")) {
            if address.contains("://") || address.starts_with("mailto:") || address.starts_with("data:") {
                continue;
            }
            seen += 1;
            let (path, anchor) = address.split_once('#').unwrap_or((&address, ""));
            let path = path.split('?').next().unwrap_or_default();
            let folder = page.parent().expect("it has a folder");
            let target = if path.is_empty() { Ok(page.clone()) } else { fs::canonicalize(folder.join(path)) };
            let there = target.is_ok_and(|target| {
                anchor.is_empty() || anchors.get(&target).is_some_and(|known| known.contains(anchor))
            });
            if !there {
                broken.insert(format!("{}: {address}", page.strip_prefix(&root).unwrap_or(page).display()));
            }
        }
    }
    (seen, broken.into_iter().collect())
}

/// Returns the values of an attribute in a page. mdBook writes them in quotation marks.
fn values<'a>(page: &'a str, attribute: &str) -> impl Iterator<Item = String> + use<'a> {
    let start = format!(" {attribute}=\"");
    let parts: Vec<&str> = page.split(&*start).skip(1).collect();
    parts.into_iter().filter_map(|part| part.split_once('"')).map(|(value, _)| value.replace("&amp;", "&"))
}
