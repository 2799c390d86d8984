//! Merges the shards of a hunt.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use stickler_hunt::folder::{self, Description, Folder};
use stickler_hunt::search::{Found, Key, Place};

use super::show::Shown;
use super::watch::Progress;
use super::{finish, with_reports, wrong};
use crate::args::{self, Arm};
use crate::output::Reports;
use crate::{Failure, interrupt, jobs};

/// Reads the folders, which have to belong to one hunt, and writes one folder with all of their contents. A shard that
/// is named twice, or was run twice, makes no difference.
pub(crate) fn merge(arguments: &args::Merge) -> Result<(), Failure> {
    with_reports("merge", &arguments.findings, |reports| put_together(arguments, reports))
}

/// Returns an error if the result would be written into a folder that is only to be read, however the paths are spelled.
fn is_another(source: &Path, out: &Path) -> Result<(), Failure> {
    let (there, here) = (resolved(source), resolved(out));
    if !here.starts_with(&there) {
        return Ok(());
    }
    let (source, out) = (source.display(), out.display());
    let what = if here == there { "is the folder" } else { "is in the folder" };
    Err(Failure::Wrong(format!(
        "--out {out} {what} {source}, which is to be merged and only read: choose another folder for the result"
    )))
}

/// Returns the path of a folder without links and `..`. The part of it that does not exist stays as it is.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match known {
        Some((part, real)) => path.strip_prefix(part).map_or(real.clone(), |rest| real.join(rest)),
        None => path,
    }
}

fn put_together(arguments: &args::Merge, reports: &mut Option<Reports>) -> Result<(), Failure> {
    arguments.folders.iter().try_for_each(|folder| is_another(folder, &arguments.out))?;
    let mut all: Option<(Description, Found)> = None;
    let mut shortest: BTreeMap<Key, (Place, PathBuf)> = BTreeMap::new();
    for path in &arguments.folders {
        let (description, found, records) = folder::read(path).map_err(wrong)?;
        for (key, record) in records.into_iter().filter(|(_, record)| record.short.is_some()) {
            let here = folder::finding_folder(path, &record.balancer, &record.kind);
            if shortest.get(&key).is_none_or(|(place, _)| record.place < *place) {
                shortest.insert(key, (record.place, here));
            }
        }
        match &mut all {
            None => all = Some((description, found)),
            Some((first, whole)) => {
                if let Some((field, here, there)) = first.difference(&description) {
                    return Err(Failure::Wrong(format!(
                        "{} and {} belong to different hunts: `{field}` is {here} in the first, and {there} in the other",
                        arguments.folders[0].display(),
                        path.display()
                    )));
                }
                whole.merge(found);
            }
        }
    }
    let Some((description, found)) = all else { return Ok(()) };
    let (mut folder, mut whole) = Folder::open(&arguments.out, &description).map_err(wrong)?;
    whole.merge(found);
    folder.save(&whole).map_err(wrong)?;
    for finding in whole.findings.values() {
        if let Some((place, from)) = shortest.get(&finding.key())
            && *place == finding.place
        {
            folder.take_short(finding, from).map_err(wrong)?;
        }
    }
    let arm = jobs::build(if description.arm == "wire" { Arm::Wire } else { Arm::Sim })?;
    let over = interrupt::listen()?;
    if !arguments.findings.no_shrink {
        finish::shrink_all(&mut folder, &whole, &*arm, jobs::threads(arguments.findings.jobs, &*arm), &over)?;
    }
    let incomplete = description.runs.is_some_and(|runs| whole.runs() < runs);
    let progress = Progress { runs: whole.runs(), time: Duration::ZERO, incomplete };
    if let Some(runs) = description.runs.filter(|_| incomplete) {
        let (made, missing) = (whole.runs(), runs - whole.runs());
        let _ = writeln!(
            io::stderr(),
            "stickler: {missing} of {runs} runs are missing: name all shards, or complete them ({made} were made)"
        );
    }
    let steps = description.exhaustive;
    let clean =
        steps.map(|steps| format!("no violation in the plans of {steps} steps that these folders have, seed 0"));
    let (out, balancers, clean) = (&*arguments.out, &*description.balancers, clean.as_deref());
    let shown = Shown { out, folder: &folder, found: &whole, progress: &progress, balancers, clean };
    reports.take().map_or(Ok(()), |reports| shown.show(reports))
}
