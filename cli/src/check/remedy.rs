//! Changes to the files, each tried in the same way as the files themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use stickler_advisor::{Disk, Document, Instead, Language, Remedy, unified};

use super::judge::{Judged, Outcome};
use super::report::Tried;
use super::{Check, findings, profile, read, whole};
use crate::Failure;

/// Tries the remedies of a site in their order, until one cures it. A remedy that does not change the file is only
/// listed.
pub(super) fn try_all(
    check: &Check<'_>,
    document: &dyn Document,
    index: usize,
    language: Language,
    before: &Judged,
) -> Result<Vec<Tried>, Failure> {
    let mut tried = Vec::new();
    let mut is_cured = false;
    // Changes that have cured another site of the file stay in place.
    let mut cured = check.cured.borrow().clone();
    let again = (!cured.is_empty()).then(|| {
        let files = Instead { files: &Disk, texts: &cured };
        read(language, &check.files, &files, check.version.as_deref())
    });
    let again = again.transpose()?;
    let name = &document.sites()[index].name;
    let (document, index) = match &again {
        Some(again) => (&**again, again.sites().iter().position(|site| site.name == *name).unwrap_or(index)),
        None => (document, index),
    };
    for remedy in document.remedies(index) {
        match remedy {
            Remedy::Choice(title) => tried.push(Tried { title, ..Tried::default() }),
            Remedy::Edit { .. } if is_cured => {}
            Remedy::Edit { title, files } => {
                let diff = files.iter().map(|file| unified(&file.path, &file.before, &file.after)).collect();
                let diff = Some(diff);
                // The line numbers of a file that was changed before are not those of the user's file.
                let edits = files.iter().filter(|_| again.is_none()).flat_map(findings::edits).collect();
                let mut texts = cured.clone();
                texts.extend(files.into_iter().map(|file| (PathBuf::from(file.path), file.after)));
                let one = match judge(check, language, &document.sites()[index].name, &texts) {
                    Ok(changed) => {
                        is_cured = changed.outcome() == Outcome::Clean;
                        let known = before.violated();
                        let new = changed.violated().into_iter().filter(|id| !known.contains(id));
                        let cost = new.map(|id| id.to_string()).collect();
                        let outcome = Some(changed.outcome());
                        Tried { title, diff, edits, outcome, cures: is_cured, cost, refused: None }
                    }
                    // A change that the product rejects is not a cure. The verdict on the file itself remains valid.
                    Err(Failure::Wrong(why) | Failure::WrongFile(_, why)) => {
                        Tried { title, diff, refused: Some(why), ..Tried::default() }
                    }
                    Err(Failure::WrongFiles(errors)) => {
                        let why: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                        Tried { title, diff, refused: Some(why.join("\n")), ..Tried::default() }
                    }
                    Err(failure) => return Err(failure),
                };
                if is_cured && check.arguments.write.is_some() {
                    cured = texts;
                }
                tried.push(one);
            }
        }
    }
    check.cured.replace(cured);
    Ok(tried)
}

/// Judges the files with these changes over the real product.
fn judge(
    check: &Check<'_>,
    language: Language,
    name: &str,
    texts: &BTreeMap<PathBuf, String>,
) -> Result<Judged, Failure> {
    let files = Instead { files: &Disk, texts };
    let document = read(language, &check.files, &files, check.version.as_deref())?;
    let index = document.sites().iter().position(|site| site.name == name).unwrap_or_default();
    let Some(site) = document.sites().get(index) else {
        return Err(Failure::Wrong("the changed file has no site, which is a defect of Stickler".into()));
    };
    let sandbox = document.sandbox(index);
    check.real(&*document, site, &profile(&*document, site, &whole(site, &sandbox)?)?)
}

/// Writes the changed file to `path`, if a file was changed.
///
/// # Errors
/// More than one file was changed, `path` exists already, or it cannot be written.
pub(super) fn write(path: &Path, changed: &BTreeMap<PathBuf, String>) -> Result<(), Failure> {
    if changed.len() > 1 {
        let names: Vec<String> = changed.keys().map(|path| path.display().to_string()).collect();
        let message = format!(
            "{} are changed, but --write writes only one file: choose a site with --site NAME",
            names.join(", ")
        );
        return Err(Failure::Wrong(message));
    }
    let Some(text) = changed.values().next() else { return Ok(()) };
    let file = File::options().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::Wrong(format!("cannot write {}: {error}", path.display())))
}
