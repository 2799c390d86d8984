//! The shipped scenarios, and those loaded from files and folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stickler_model::BalancerSpec;
use stickler_model::topology::Provider;
use stickler_runner::{Arm, Run};

use crate::expected::{Expectations, ExpectedError, Known, Shared, Source};
pub(crate) use crate::nearest::nearest;
use crate::{Scenario, ScenarioError, run};

/// The file of expected outcomes in a folder of scripts.
const EXPECTED: &str = "expected.toml";

/// A scenario with what is expected of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The script.
    pub scenario: Scenario,
    /// The folder that it stands in: what the shipped scenarios are grouped by.
    pub group: String,
    /// The expected outcomes of its folder.
    pub expectations: Arc<Expectations>,
}

impl Case {
    /// Runs the script over a balancer on an arm; the run knows what is expected of it.
    pub fn run(&self, balancer: &BalancerSpec, seed: u64, arm: &Arc<dyn Arm>) -> Run {
        let expected = self.expectations.expected(self.scenario.name(), &balancer.to_string());
        Run { expected, ..run(&self.scenario, balancer, seed, arm) }
    }

    /// What the site takes, of the shipped scenarios in which a well set-up IIS stands behind the balancer: NTLM;
    /// Kerberos alone; or Negotiate, where some clients fall back to NTLM. What goes wrong there is the balancer's doing.
    /// `None`: another kind of server, or a site that is set up wrong.
    pub fn takes(&self) -> Option<Provider> {
        match &*self.group {
            "handshake" | "identity" | "affinity" | "failover" | "health" => Some(Provider::Ntlm),
            "kerberos" => Some(Provider::NegotiateKerberos),
            "negotiate" => Some(Provider::Negotiate),
            _ => None,
        }
    }
}

/// Why a selection of scenarios cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A script cannot be read.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A file of expected outcomes is wrong.
    #[error(transparent)]
    Expected(#[from] ExpectedError),
    /// A folder or a file of expected outcomes cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The path as it was given.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Neither a path nor the name of a shipped scenario, or a folder without scripts. Exit 3.
    #[error("nothing matches `{pattern}`: it is neither a script, a folder with scripts (*.star) nor a shipped scenario{}", nearest_hint(.nearest.as_deref()))]
    NothingMatched {
        /// What was asked for.
        pattern: String,
        /// The shipped scenario whose name is most like it.
        nearest: Option<String>,
    },
}

/// A folder of shipped scripts: its name, the name and source of each script, its expected outcomes.
struct Group {
    name: &'static str,
    scripts: &'static [(&'static str, &'static str)],
    expected: &'static str,
}

macro_rules! group {
    ($group:literal: $($name:literal),* $(,)?) => {
        Group {
            name: $group,
            scripts: &[$(($name, include_str!(concat!("../scripts/", $group, "/", $name, ".star")))),*],
            expected: include_str!(concat!("../scripts/", $group, "/expected.toml")),
        }
    };
}

/// The shipped scripts, in the order in which they are best read.
const SHIPPED: &[Group] = &[
    group!("handshake":
        "lone-one-backend",
        "lone-two-backends",
        "parity",
        "interleaved",
        "mixed",
        "many-at-once",
        "negotiate-with-ntlm",
        "wrong-password",
        "lockout",
        "post-curl",
        "post-browser",
    ),
    group!("identity":
        "anonymous-after-user",
        "user-after-user",
        "address-reused",
        "leaves-in-turn",
        "re-authentication",
    ),
    group!("affinity":
        "same-backend",
        "no-cookies",
        "forged-cookie",
        "behind-one-address",
        "spread",
        "services",
    ),
    group!("failover":
        "restart",
        "backend-crash",
        "power-loss",
        "hang",
        "crash-between-legs",
        "post-in-flight",
        "pinned-reset",
        "blame",
        "keep-alive-race",
        "drain",
        "all-down",
        "recovery",
        "flapping",
    ),
    group!("health":
        "protected-site",
        "dc-unreachable-from-one",
        "dc-down",
        "connection-of-the-check",
    ),
    group!("kerberos":
        "service-account",
        "machine-account-alone",
        "kernel-mode-pool-credentials",
        "clock-skew",
        "one-shot",
        "persisted",
        "not-persisted",
        "replayed-ticket",
    ),
    group!("negotiate":
        "falls-back",
        "kdc-out-of-reach",
        "name-missing",
        "name-twice",
        "by-address",
        "second-hop",
    ),
    group!("setup":
        "machine-accounts",
        "kernel-mode",
        "kerberos-only",
        "single-request",
        "epa-allow",
        "http2-at-once",
    ),
    group!("claims":
        "l4-without-persistence",
        "persistence-unusable",
        "spread-by-request",
        "effort",
        "effort-not-persisted",
        "nego2",
    ),
    group!("domain":
        "trusted-user",
        "broken-trust",
        "partner-out-of-reach",
        "name-filtered",
        "slow-dc",
        "wrong-dc",
    ),
    group!("tls":
        "epa-none",
        "epa-require",
        "epa-require-same-certificate",
        "epa-proxy",
        "offloaded",
        "http2-alone",
        "http2-given-up",
    ),
    group!("acceptor":
        "by-connection",
        "by-header",
        "header-claimed",
        "header-claimed-address-checked",
        "header-claimed-token-checked",
        "second-proxy",
        "second-proxy-token-checked",
        "identity-header",
    ),
    group!("hostile":
        "rogue-backends",
        "half-an-answer",
        "not-http",
        "header-flood",
        "silent-backend",
        "big-cookie",
        "pipelining",
        "pipelining-with-credentials",
        "garbage-client",
    ),
];

/// The reasons that more folders than one give, by key.
const REASONS: Source<'_> = Source { text: include_str!("../scripts/reasons.toml"), origin: "reasons.toml" };

/// Which mechanisms behave alike.
const MECHANISMS: Source<'_> = Source { text: include_str!("../scripts/mechanisms.toml"), origin: "mechanisms.toml" };

/// The shipped scenarios. `balancers` are the names that exist, to check the expected outcomes.
///
/// # Errors
/// [`ExpectedError`] where a shipped table names a balancer that `balancers` lacks.
pub fn shipped(balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    let shared = Shared::parse(REASONS, MECHANISMS, balancers)?;
    let mut all = Vec::new();
    for group in SHIPPED {
        let scripts = group.scripts.iter();
        let scenarios =
            scripts.map(|(name, source)| Scenario::new(name, name, source)).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> = scenarios.iter().map(Scenario::name).collect();
        let origin = format!("{}/{EXPECTED}", group.name);
        let known = Known { scenarios: &names, balancers, shared: &shared };
        let expectations = Expectations::parse(Source { text: group.expected, origin: &origin }, &known)?;
        all.extend(cases(scenarios, group.name, expectations));
    }
    Ok(all)
}

/// The scenarios that the arguments of `stickler run` mean; all shipped ones without arguments.
///
/// An argument is a script, a folder (its `*.star`, by name, not those in folders below), the name of
/// a shipped scenario, or that of a group of them; a path that exists wins. Beside a script may stand an
/// `expected.toml`; without it, no MUST may be violated and the script's expectations must hold.
///
/// # Errors
/// [`SuiteError`].
pub fn select(patterns: &[String], balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    if patterns.is_empty() {
        return shipped(balancers);
    }
    let mut cases = Vec::new();
    for pattern in patterns {
        let path = Path::new(pattern);
        if path.is_dir() {
            cases.extend(load_folder(pattern, path, balancers)?);
        } else if path.exists() {
            let folder = path.parent().unwrap_or(Path::new(""));
            cases.extend(load(folder, &[path.to_owned()], balancers)?);
        } else {
            let before = cases.len();
            let named = |case: &Case| case.scenario.name() == pattern || case.group == *pattern;
            cases.extend(shipped(balancers)?.into_iter().filter(named));
            if cases.len() == before {
                return Err(nothing_matched(pattern));
            }
        }
    }
    Ok(cases)
}

fn load_folder(pattern: &str, folder: &Path, balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    let scripts = scripts_in(folder)?;
    if scripts.is_empty() {
        return Err(nothing_matched(pattern));
    }
    load(folder, &scripts, balancers)
}

/// Loads scripts of one folder with the folder's expectations.
fn load(folder: &Path, scripts: &[PathBuf], balancers: &[&str]) -> Result<Vec<Case>, SuiteError> {
    let scenarios = scripts.iter().map(|path| Scenario::load(path)).collect::<Result<Vec<_>, _>>()?;
    let file = folder.join(EXPECTED);
    let group = folder.file_name().unwrap_or_default().to_string_lossy();
    if !file.exists() {
        return Ok(cases(scenarios, &group, Expectations::default()));
    }
    let text = std::fs::read_to_string(&file).map_err(|source| unreadable(&file, source))?;
    // The file is about its whole folder, also where one script of it is run.
    let names: Vec<String> = scripts_in(folder)?.iter().map(|path| stem(path)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shared = Shared::parse(REASONS, MECHANISMS, balancers)?;
    let known = Known { scenarios: &names, balancers, shared: &shared };
    let origin = file.display().to_string();
    let expectations = Expectations::parse(Source { text: &text, origin: &origin }, &known)?;
    Ok(cases(scenarios, &group, expectations))
}

/// The scripts of a folder by name.
fn scripts_in(folder: &Path) -> Result<Vec<PathBuf>, SuiteError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut scripts = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
        let path = entry.map_err(|source| unreadable(folder, source))?.path();
        if path.extension().is_some_and(|extension| extension == "star") && path.is_file() {
            scripts.insert(stem(&path), path);
        }
    }
    Ok(scripts.into_values().collect())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn cases(scenarios: Vec<Scenario>, group: &str, expectations: Expectations) -> Vec<Case> {
    let expectations = Arc::new(expectations);
    let case = |scenario| Case { scenario, group: group.to_owned(), expectations: expectations.clone() };
    scenarios.into_iter().map(case).collect()
}

fn unreadable(path: &Path, source: std::io::Error) -> SuiteError {
    SuiteError::Unreadable { path: path.display().to_string(), source }
}

fn nothing_matched(pattern: &str) -> SuiteError {
    let scenarios = SHIPPED.iter().flat_map(|group| group.scripts).map(|(name, _)| *name);
    let names = scenarios.chain(SHIPPED.iter().map(|group| group.name));
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
    fn every_script_in_the_folders_is_shipped_with_a_title_and_a_description() {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut folders = Vec::new();
        for folder in
            std::fs::read_dir(&scripts).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
        {
            let in_folder: Vec<String> = scripts_in(&folder).unwrap().iter().map(|path| stem(path)).collect();
            let group = SHIPPED.iter().find(|group| folder.ends_with(group.name)).expect("every folder is shipped");
            let mut names: Vec<&str> = group.scripts.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            assert_eq!(in_folder, names);
            folders.push(folder);
        }
        assert_eq!(folders.len(), SHIPPED.len());
        for case in shipped(&names()).unwrap() {
            assert!(!case.scenario.title().is_empty(), "{} has no title", case.scenario.name());
            assert!(!case.scenario.description().is_empty(), "{} has no description", case.scenario.name());
        }
    }

    #[test]
    fn a_shipped_scenario_is_found_by_name_and_a_slip_gets_a_hint() {
        let found = select(&["parity".into()], &names()).unwrap();
        assert_eq!(found.iter().map(|case| case.scenario.name()).collect::<Vec<_>>(), ["parity"]);
        let group = select(&["identity".into()], &names()).unwrap();
        assert!(group.len() > 1 && group.iter().all(|case| case.group == "identity"));
        let error = select(&["parrity".into()], &names()).unwrap_err().to_string();
        assert!(error.ends_with("; did you mean `parity`?"), "{error}");
    }

    #[test]
    fn a_folder_and_a_script_are_loaded_with_the_names_of_their_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/handshake").display().to_string();
        let all = select(std::slice::from_ref(&folder), &names()).unwrap();
        assert_eq!((all.len(), &*all[0].group), (SHIPPED[0].scripts.len(), "handshake"));
        let one = select(&[format!("{folder}/lockout.star")], &names()).unwrap();
        assert_eq!((one.len(), one[0].scenario.name()), (1, "lockout"));
    }

    #[test]
    fn a_folder_without_scripts_is_never_a_silent_green() {
        let folder = format!("{}/src", env!("CARGO_MANIFEST_DIR"));
        assert!(matches!(select(&[folder], &names()), Err(SuiteError::NothingMatched { .. })));
    }
}
