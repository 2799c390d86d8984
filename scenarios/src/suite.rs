//! The shipped scenarios, and those loaded from files and folders.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_oracle::Grade;
#[cfg(feature = "scripts")]
use stickler_runner::{Arm, Run};
use stickler_runner::{Expected, ScriptOutcome, text_file};

use crate::expected::{Expectations, FileError, Known, Shared, Source};
use crate::group::Group;
pub(crate) use crate::nearest::nearest;
use crate::{Scenario, ScenarioError};

/// The maximum size of a file beside the scripts, in bytes.
const MAX_BESIDE: u64 = 1 << 20;

/// The file of expected outcomes in a folder of scripts.
pub(crate) const EXPECTED: &str = "expected.toml";

/// The file that describes a folder of scripts as a group.
pub(crate) const GROUP: &str = "group.toml";

/// A scenario with its expected outcomes.
#[derive(Debug, Clone)]
pub struct Case {
    /// The script.
    pub scenario: Scenario,
    /// The folder that contains the script. The shipped scenarios are grouped by their folders.
    pub group: Arc<Group>,
    /// The expected outcomes of its folder.
    pub expectations: Arc<Expectations>,
    /// The text of the recorded plan, a run file; `None` if the script has none.
    pub(crate) plan: Option<&'static str>,
}

impl Case {
    /// Returns the case of a script that is in no file. It belongs to no group, and its expected outcome is the one of
    /// every script. `path` is shown in errors and in the replay command.
    ///
    /// # Errors
    /// [`ScenarioError::TooLong`]: the source is longer than [`MAX_SOURCE`](crate::scenario::MAX_SOURCE).
    pub fn of_source(name: &str, path: &str, source: &str) -> Result<Self, ScenarioError> {
        let (group, expectations) = (Arc::new(Group::unnamed("")), Arc::new(Expectations::default()));
        Ok(Self { scenario: Scenario::new(name, path, source)?, group, expectations, plan: None })
    }

    /// Runs the script over a balancer on an arm, and returns a run that contains its expected outcome. A balancer of
    /// the user is judged by the expectations for every balancer, whatever its name is.
    #[cfg(feature = "scripts")]
    pub fn run(&self, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Run {
        Run { expected: self.expected(balancer), ..crate::run(&self.scenario, balancer, seed, arm) }
    }

    /// Returns the expected outcome over a balancer.
    pub(crate) fn expected(&self, balancer: &BalancerSpec) -> Expected {
        let name = match balancer {
            BalancerSpec::Foreign(_) | BalancerSpec::Target { .. } => String::new(),
            known => known.to_string(),
        };
        let expected = self.expectations.expected(self.scenario.name(), &name);
        let has_table = self.expectations.scenarios().any(|name| name == self.scenario.name());
        if has_table && matches!(balancer, BalancerSpec::Target { .. }) { of_unknown(expected) } else { expected }
    }
}

/// Returns the expected outcome over an unknown balancer, from the outcome for all balancers of the table. A MUST may
/// be violated if it may be violated over all of them. Whether requirements are put to the test, and whether the
/// script's expectations hold, may depend on the balancer.
fn of_unknown(all: Expected) -> Expected {
    let may_fail = all.grades.into_iter().filter(|(_, grades)| grades.contains(&Grade::Violated));
    let any = [Grade::NotExercised, Grade::NotApplicable, Grade::Ok, Grade::NonStrict, Grade::Violated];
    let grades = may_fail.map(|(requirement, _)| (requirement, any.to_vec())).collect();
    Expected { grades, script: Some(ScriptOutcome::Either), reason: all.reason }
}

/// The reason why a selection of scenarios cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A script cannot be read.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A file beside the scripts is wrong: the expected outcomes, or the description of the group.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder or a file beside the scripts cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The path as it was given.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The argument is neither a path nor the name of a shipped scenario, or it is a folder without scripts.
    #[error("nothing matches `{pattern}`: it is neither a script, a folder with scripts (*.star) nor a shipped scenario{}", nearest_hint(.nearest.as_deref()))]
    NothingMatched {
        /// The argument as it was given.
        pattern: String,
        /// The shipped scenario with the most similar name.
        nearest: Option<String>,
    },
}

/// The reasons that more than one folder uses, by key.
const REASONS: Source<'_> = Source { text: include_str!("../scripts/reasons.toml"), origin: "reasons.toml" };

/// The file that says which mechanisms behave alike.
const MECHANISMS: Source<'_> = Source { text: include_str!("../scripts/mechanisms.toml"), origin: "mechanisms.toml" };

/// A folder of `scripts/`, as `build.rs` finds it.
struct Folder {
    name: &'static str,
    /// The text of its `group.toml`.
    group: &'static str,
    /// The text of its `expected.toml`.
    expected: &'static str,
    /// The name and source of each script, sorted by name.
    scripts: &'static [(&'static str, &'static str)],
    /// The name and text of each recorded plan, sorted by name.
    plans: &'static [(&'static str, &'static str)],
}

/// The shipped scripts.
const FOLDERS: &[Folder] = include!(concat!(env!("OUT_DIR"), "/folders.rs"));

/// Returns the shipped scenarios in the recommended order of reading: that of the groups and, within a group, that of
/// its table of expected outcomes. `balancers` are the names that exist, for the check of these tables.
///
/// # Errors
/// [`FileError`] where a shipped table names a balancer that `balancers` lacks.
pub fn shipped(balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    shipped_in(|_| true, balancers)
}

/// Returns the shipped scenarios like [`shipped`], of these folders only. The tables of the others are not read.
fn shipped_in(wanted: impl Fn(&Folder) -> bool, balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    let shared = Shared::parse(REASONS, MECHANISMS, balancers)?;
    let mut folders = Vec::new();
    for folder in FOLDERS.iter().filter(|folder| wanted(folder)) {
        let origin = format!("{}/{GROUP}", folder.name);
        let group = Group::parse(folder.name, Source { text: folder.group, origin: &origin })?;
        folders.push((group.order, of_folder(folder, &Arc::new(group), balancers, &shared)?));
    }
    folders.sort_by_key(|(order, _)| *order);
    Ok(folders.into_iter().flat_map(|(_, cases)| cases).collect())
}

/// Returns the cases of a shipped folder. Scenarios that its table does not name come last, sorted by name.
fn of_folder(
    folder: &Folder,
    group: &Arc<Group>,
    balancers: &[&str],
    shared: &Shared,
) -> Result<Vec<Case>, SuiteError> {
    let scripts = folder.scripts.iter();
    let mut scenarios =
        scripts.map(|(name, source)| Scenario::new(name, name, source)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = folder.scripts.iter().map(|(name, _)| *name).collect();
    let known = Known { scenarios: &names, balancers, shared };
    let origin = format!("{}/{EXPECTED}", folder.name);
    let expectations = Expectations::parse(Source { text: folder.expected, origin: &origin }, &known)?;
    let place = |scenario: &Scenario| expectations.scenarios().position(|name| name == scenario.name());
    scenarios.sort_by_key(|scenario| place(scenario).unwrap_or(usize::MAX));
    let mut cases = cases(scenarios, group, expectations);
    for case in &mut cases {
        let plan = folder.plans.iter().find(|(name, _)| *name == case.scenario.name());
        case.plan = plan.map(|(_, text)| *text);
    }
    Ok(cases)
}

/// Returns the scenarios that the arguments of `stickler run` select; without arguments, all shipped ones.
///
/// An argument is a script, a folder (its `*.star`, sorted by name, and then those of the folders below it), the name
/// of a shipped scenario, or the name of a group of them. A path that exists takes precedence. There may be an
/// `expected.toml` beside a script; without it, no MUST may be violated, and the script's expectations must hold.
///
/// Files called `lib.star`, files and folders whose names begin with `_`, and folders called `lib` are only loaded by
/// other scripts. A folder that is given as an argument is searched whatever its name is. A link to a folder is not
/// followed.
///
/// # Errors
/// [`SuiteError`]: an argument selects nothing, or a file cannot be read or is wrong.
pub fn select(patterns: &[String], balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    if patterns.is_empty() {
        return shipped(balancers);
    }
    let mut cases = Vec::new();
    for pattern in patterns {
        let path = Path::new(pattern);
        if path.is_dir() {
            cases.extend(load_folder(pattern, path, balancers)?);
        } else if path.symlink_metadata().is_ok() {
            let folder = path.parent().unwrap_or(Path::new(""));
            cases.extend(load(folder, &[path.to_owned()], balancers)?);
        } else {
            let before = cases.len();
            let named = |case: &Case| case.scenario.name() == pattern || case.group.name == *pattern;
            let has_it =
                |folder: &Folder| folder.name == pattern || folder.scripts.iter().any(|(script, _)| script == pattern);
            cases.extend(shipped_in(has_it, balancers)?.into_iter().filter(named));
            if cases.len() == before {
                return Err(nothing_matched(pattern));
            }
        }
    }
    Ok(cases)
}

fn load_folder(pattern: &str, folder: &Path, balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    let mut cases = Vec::new();
    for folder in folders(folder, false)? {
        let scripts = scripts_in(&folder)?;
        if !scripts.is_empty() {
            cases.extend(load(&folder, &scripts, balancers)?);
        }
    }
    if cases.is_empty() { Err(nothing_matched(pattern)) } else { Ok(cases) }
}

/// The maximum depth of folders that are searched.
const MAX_DEPTH: usize = 16;

/// The maximum number of folders that are searched below one folder.
const MAX_FOLDERS: usize = 10_000;

/// Returns a folder and those below it, sorted by path. `libraries` includes the folders that contain only files to be
/// loaded.
pub(crate) fn folders(folder: &Path, libraries: bool) -> Result<Vec<PathBuf>, SuiteError> {
    let mut found = vec![(folder.to_owned(), 0)];
    let mut next = 0;
    while let Some((folder, depth)) = found.get(next).cloned() {
        next += 1;
        if depth >= MAX_DEPTH || found.len() >= MAX_FOLDERS {
            let source = std::io::Error::other(format!(
                "there are more than {MAX_FOLDERS} folders below it, or more than {MAX_DEPTH} in a row"
            ));
            return Err(unreadable(&folder, source));
        }
        let mut below = Vec::new();
        for entry in entries(&folder)? {
            // The file type of a directory entry is that of a link itself, not of its target.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name();
            let is_hidden = name.to_string_lossy().starts_with('.');
            if is_folder && !is_hidden && (libraries || !is_library_folder(&name.to_string_lossy())) {
                below.push((entry.path(), depth + 1));
            }
        }
        found.extend(below);
    }
    let mut folders: Vec<PathBuf> = found.into_iter().map(|(folder, _)| folder).collect();
    folders.sort();
    Ok(folders)
}

fn is_library_folder(name: &str) -> bool {
    name == "lib" || name.starts_with('_')
}

/// Returns whether a file is only loaded by others, and is not a scenario.
pub(crate) fn is_library(path: &Path) -> bool {
    let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let file = name(path.file_name());
    let folder = path.parent().map(|folder| name(folder.file_name())).unwrap_or_default();
    file == "lib.star" || file.starts_with('_') || is_library_folder(&folder)
}

/// Loads scripts of one folder, with the folder's description and table of expected outcomes.
fn load(folder: &Path, scripts: &[PathBuf], balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    let scenarios = scripts.iter().map(|path| Scenario::load(path)).collect::<Result<Vec<_>, _>>()?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let group = match beside(folder, GROUP)? {
        Some((text, origin)) => Group::parse(&name, Source { text: &text, origin: &origin })?,
        None => Group::unnamed(&name),
    };
    let expectations = match beside(folder, EXPECTED)? {
        Some((text, origin)) => {
            let mut mistakes = Vec::new();
            let expectations = table(folder, Source { text: &text, origin: &origin }, balancers, &mut mistakes)?;
            match mistakes.into_iter().next() {
                Some(first) => return Err(first.into()),
                None => expectations,
            }
        }
        None => Expectations::default(),
    };
    Ok(cases(scenarios, &Arc::new(group), expectations))
}

/// Reads the table of expected outcomes of a folder, and its mistakes. The table refers to the whole folder, even if
/// only one script of it is run.
fn table(
    folder: &Path,
    source: Source<'_>,
    balancers: &[&str],
    mistakes: &mut Vec<FileError>,
) -> Result<Expectations, SuiteError> {
    let names: Vec<String> = scripts_in(folder)?.iter().map(|path| stem(path)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shared = Shared::parse(REASONS, MECHANISMS, balancers)?;
    Ok(Expectations::read(source, &Known { scenarios: &names, balancers, shared: &shared }, mistakes))
}

/// Returns all mistakes of a folder's table of expected outcomes.
#[cfg(feature = "scripts")]
pub(crate) fn mistakes_of_table(
    folder: &Path,
    source: Source<'_>,
    balancers: &[&str],
) -> Result<Vec<FileError>, SuiteError> {
    let mut mistakes = Vec::new();
    table(folder, source, balancers, &mut mistakes)?;
    Ok(mistakes)
}

/// Returns the text and the path of a file in a folder; `None` if the folder has no such file.
pub(crate) fn beside(folder: &Path, name: &str) -> Result<Option<(String, String)>, SuiteError> {
    let file = folder.join(name);
    if file.symlink_metadata().is_err() {
        return Ok(None);
    }
    let text = text_file::read(&file, MAX_BESIDE).map_err(|source| unreadable(&file, source))?;
    Ok(Some((text, file.display().to_string())))
}

/// Returns the scenarios of a folder, sorted by name. An entry that has the name of a script but cannot be read as one
/// is an error: if it were skipped silently, it would seem to have been run.
fn scripts_in(folder: &Path) -> Result<Vec<PathBuf>, SuiteError> {
    // A folder that is given as an argument is searched whatever its name is.
    let only_loaded = |path: &PathBuf| path.file_name().is_some_and(|name| is_library(Path::new(name)));
    Ok(all_scripts_in(folder)?.into_iter().filter(|path| !only_loaded(path)).collect())
}

/// Returns the scripts of a folder, sorted by name, including those that are only loaded.
pub(crate) fn all_scripts_in(folder: &Path) -> Result<Vec<PathBuf>, SuiteError> {
    let mut scripts = BTreeSet::new();
    for entry in entries(folder)? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "star") {
            text_file::open(&path).map_err(|source| unreadable(&path, source))?;
            scripts.insert((stem(&path), path));
        }
    }
    Ok(scripts.into_iter().map(|(_, path)| path).collect())
}

fn entries(folder: &Path) -> Result<Vec<std::fs::DirEntry>, SuiteError> {
    let given = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(given).and_then(Iterator::collect);
    entries.map_err(|source| unreadable(given, source))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn cases(scenarios: Vec<Scenario>, group: &Arc<Group>, expectations: Expectations) -> Vec<Case> {
    let expectations = Arc::new(expectations);
    let case =
        |scenario| Case { scenario, group: Arc::clone(group), expectations: Arc::clone(&expectations), plan: None };
    scenarios.into_iter().map(case).collect()
}

fn unreadable(path: &Path, source: std::io::Error) -> SuiteError {
    SuiteError::Unreadable { path: path.display().to_string(), source }
}

pub(crate) fn nothing_matched(pattern: &str) -> SuiteError {
    let scenarios = FOLDERS.iter().flat_map(|folder| folder.scripts).map(|(name, _)| *name);
    let names = scenarios.chain(FOLDERS.iter().map(|folder| folder.name));
    SuiteError::NothingMatched { pattern: pattern.to_owned(), nearest: nearest(pattern, names).map(str::to_owned) }
}

fn nearest_hint(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use stickler_catalogue::names;

    use super::*;

    #[test]
    fn every_shipped_scenario_has_a_title_and_a_description_and_every_group_a_place() {
        let cases = shipped(&names()).unwrap();
        for case in &cases {
            assert!(!case.scenario.title().is_empty(), "{} has no title", case.scenario.name());
            assert!(!case.scenario.description().is_empty(), "{} has no description", case.scenario.name());
            assert!(!case.group.title.is_empty(), "{} has no title", case.group.name);
        }
        let mut places: Vec<u32> = cases.iter().map(|case| case.group.order).collect();
        places.dedup();
        assert!(places.iter().copied().eq(1..=FOLDERS.len() as u32), "{places:?}");
    }

    #[test]
    fn the_scenarios_of_a_group_come_in_the_order_of_their_table_and_the_rest_by_name() {
        let folder = Folder {
            name: "mine",
            group: "",
            expected: "[second]\n[first]\nall = { ok = \"HS-1\" }\n",
            scripts: &[("a", "x"), ("b", "x"), ("first", "x"), ("second", "x")],
            plans: &[],
        };
        let group = Arc::new(Group::unnamed("mine"));
        let cases = of_folder(&folder, &group, &names(), &Shared::default()).unwrap();
        let names: Vec<&str> = cases.iter().map(|case| case.scenario.name()).collect();
        assert_eq!(names, ["second", "first", "a", "b"]);
    }

    #[test]
    fn a_shipped_scenario_is_found_by_name_and_a_slip_gets_a_hint() {
        let found = select(&["parity".into()], &names()).unwrap();
        assert_eq!(found.iter().map(|case| case.scenario.name()).collect::<Vec<_>>(), ["parity"]);
        let group = select(&["identity".into()], &names()).unwrap();
        assert!(group.len() > 1 && group.iter().all(|case| case.group.name == "identity"));
        let error = select(&["parrity".into()], &names()).unwrap_err().to_string();
        assert!(error.ends_with("; did you mean `parity`?"), "{error}");
    }

    /// The outcomes that the tables declare for known balancers do not count against an unknown balancer.
    #[test]
    fn of_a_target_nothing_is_expected_but_that_it_violates_nothing_that_others_keep() {
        let target = BalancerSpec::Target { address: ([127, 0, 0, 1], 80).into(), like: None };
        let of = |name: &str| select(&[name.into()], &names()).unwrap()[0].expected(&target);
        let usual = of("one-shot");
        assert_eq!((usual.grades.len(), usual.script), (0, Some(ScriptOutcome::Either)));
        let hopeless = of("keep-alives-off");
        assert!(hopeless.grades.values().all(|grades| grades.contains(&Grade::Violated)), "{hopeless:?}");
        let folder = format!("{}/tests", env!("CARGO_MANIFEST_DIR"));
        let scenario = Scenario::new("mine", &format!("{folder}/mine.star"), "x = 1").unwrap();
        let own = Case { scenario, group: Arc::default(), expectations: Arc::default(), plan: None };
        assert_eq!(own.expected(&target), Expected::default(), "the user's own script means what it expects");
    }

    #[test]
    fn a_folder_and_a_script_are_loaded_with_the_names_of_their_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/handshake").display().to_string();
        let all = select(std::slice::from_ref(&folder), &names()).unwrap();
        let shipped = select(&["handshake".into()], &names()).unwrap();
        assert_eq!((all.len(), &all[0].group), (shipped.len(), &shipped[0].group));
        let one = select(&[format!("{folder}/lockout.star")], &names()).unwrap();
        assert_eq!((one.len(), one[0].scenario.name()), (1, "lockout"));
    }

    /// An entry that has the name of a script, or is in the place of one, but is not a script, is reported as an error.
    #[cfg(unix)]
    #[test]
    fn what_cannot_be_read_as_a_script_is_an_error_that_names_it() {
        let folder = std::env::temp_dir().join(format!("stickler-suite-{}", std::process::id()));
        let made = |name: &str, make: &dyn Fn(&Path)| {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("good.star"), "x = 1\n").unwrap();
            make(&folder.join(name));
            let whole = select(&[folder.display().to_string()], &names()).unwrap_err().to_string();
            let one = select(&[folder.join("good.star").display().to_string()], &names());
            (whole.replace(&folder.display().to_string(), "mine"), one.is_ok())
        };
        let link = |path: &Path| std::os::unix::fs::symlink("nowhere", path).unwrap();
        let fifo = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        let zero = |path: &Path| std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        let cannot = |what: &str| format!("cannot read mine/{what}");
        let gone = ": it is a link to nowhere, which does not exist";
        assert_eq!(made("x.star", &link), (cannot("x.star") + gone, true));
        assert_eq!(made("x.star", &fifo), (cannot("x.star: it is a FIFO, and no regular file"), true));
        let folder_of_that_name = |path: &Path| std::fs::create_dir(path).unwrap();
        let directory = cannot("x.star: it is a directory, and no regular file");
        assert_eq!(made("x.star", &folder_of_that_name), (directory, true));
        // A file beside the scripts applies to each of them.
        assert_eq!(made("expected.toml", &link), (cannot("expected.toml") + gone, false));
        assert_eq!(made("expected.toml", &zero), (cannot("expected.toml: it is a device, and no regular file"), false));
        assert_eq!(made("group.toml", &fifo), (cannot("group.toml: it is a FIFO, and no regular file"), false));
        made("x.star", &link);
        let named = select(&[folder.join("x.star").display().to_string()], &names()).unwrap_err().to_string();
        assert!(named.ends_with(&format!("x.star{gone}")), "{named}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_without_scripts_is_never_a_silent_green() {
        let folder = format!("{}/src", env!("CARGO_MANIFEST_DIR"));
        assert!(matches!(select(&[folder], &names()), Err(SuiteError::NothingMatched { .. })));
    }
}
