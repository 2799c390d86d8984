//! Changes to the file, each tried as the file itself was.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use stickler_advisor::{Disk, Document, Instead, Language, Remedy, unified};

use super::judge::{Judged, Outcome};
use super::report::Tried;
use super::{Check, profile, read};
use crate::Failure;

/// Tries the remedies of a site in their order, until one cures it. What is no change of the file is listed.
pub(super) fn try_all(
    check: &Check<'_>,
    document: &dyn Document,
    index: usize,
    language: Language,
    before: &Judged,
) -> Result<Vec<Tried>, Failure> {
    let mut tried = Vec::new();
    let mut is_cured = false;
    // What has cured another site of the file stays.
    let cured = check.cured.borrow().clone();
    let cured = cured.map(|text| {
        let files = Instead { files: &Disk, path: check.arguments.file.clone(), text };
        read(language, check.arguments, &files, check.version.as_deref())
    });
    let cured = cured.transpose()?;
    let name = &document.sites()[index].name;
    let (document, index) = match &cured {
        Some(cured) => (&**cured, cured.sites().iter().position(|site| site.name == *name).unwrap_or(index)),
        None => (document, index),
    };
    for remedy in document.remedies(index) {
        match remedy {
            Remedy::Choice(title) => tried.push(Tried { title, ..Tried::default() }),
            Remedy::Edit { .. } if is_cured => {}
            Remedy::Edit { title, file, before: old, after } => {
                let diff = Some(unified(&file, &old, &after));
                let path = PathBuf::from(&file);
                let one = match judge(check, language, &document.sites()[index].name, &path, &after) {
                    Ok(changed) => {
                        is_cured = changed.outcome() == Outcome::Clean;
                        let known = before.violated();
                        let new = changed.violated().into_iter().filter(|id| !known.contains(id));
                        let cost = new.map(|id| id.to_string()).collect();
                        Tried { title, diff, outcome: Some(changed.outcome()), cures: is_cured, cost, refused: None }
                    }
                    // A change that the product does not take is no cure; what was seen of the file itself stands.
                    Err(Failure::Wrong(why)) => Tried { title, diff, refused: Some(why), ..Tried::default() },
                    Err(failure) => return Err(failure),
                };
                if is_cured && check.arguments.write.is_some() {
                    check.cured.replace(Some(after));
                }
                tried.push(one);
            }
        }
    }
    Ok(tried)
}

/// Judges the changed file over the real product.
fn judge(check: &Check<'_>, language: Language, name: &str, path: &Path, text: &str) -> Result<Judged, Failure> {
    let files = Instead { files: &Disk, path: path.to_owned(), text: text.to_owned() };
    let document = read(language, check.arguments, &files, check.version.as_deref())?;
    let index = document.sites().iter().position(|site| site.name == name).unwrap_or_default();
    let Some(site) = document.sites().get(index) else {
        return Err(Failure::Wrong("the changed file has no site, which is a mistake of Stickler's".into()));
    };
    let sandbox = document.sandbox(index);
    check.real(site, &profile(&*document, site, &sandbox.template)?)
}

/// Writes the changed file, where there is none yet.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = File::options().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::Wrong(format!("cannot write {}: {error}", path.display())))
}
