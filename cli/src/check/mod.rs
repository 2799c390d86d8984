//! `stickler check FILE`: judges an operator's own configuration.
//!
//! * `judge`: performs the scenarios of a check over one balancer, and judges the runs.
//! * `prepared`: sets up sites as the configuration expects them.
//! * `remedy`: changes the file, and tries each change in the same way as the file itself.
//! * `excerpts`: the lines of the files to which a report refers.
//! * `report`: shows the results in words and as JSON. `findings`: the same results as findings in files, for SARIF.

mod excerpts;
mod findings;
mod judge;
mod prepared;
mod remedy;
mod report;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stickler_advisor::{Disk, Document, Files, Language, Sandbox, Site};
use stickler_catalogue::Profile;
use stickler_model::topology::{TlsSpec, UpstreamTls};
use stickler_runner::Arm;
use stickler_sim::SimArm;
use stickler_wire::{ProductError, WireArm};

use self::judge::{Judged, Outcome};
pub(crate) use self::report::Report;
use self::report::SiteReport;
use crate::args::{self, Format};
use crate::output::Reports;
use crate::{Failure, namespace, supervisor};

/// The name of the profile of a checked site.
const NAME: &str = "checked";

/// The data that all sites of a check share.
struct Check<'a> {
    arguments: &'a args::Check,
    /// The paths of the configuration files. A folder among the arguments is replaced by the files in it.
    files: Vec<PathBuf>,
    /// The product's version; `None` if it is not known.
    version: Option<String>,
    /// The changed texts that have cured sites so far, by the paths of their files.
    cured: RefCell<BTreeMap<PathBuf, String>>,
}

/// The maximum number of sites that one command checks.
const MOST_SITES: usize = 16;

pub(crate) fn check(arguments: &args::Check) -> Result<(), Failure> {
    let mut reports = Reports::open("check", &arguments.report, arguments.format == Format::Json)?;
    let mut report = Report::default();
    let checked = check_all(arguments, &mut report, reports.takes_stdout());
    let missing = checked.as_ref().err().map(|failure| {
        reports.add_failure(failure);
        "not every site was checked"
    });
    reports.write_findings(findings::of(&report))?;
    reports.finish(missing, &report)?;
    checked?.map_or(Ok(()), Err)
}

/// Judges each site, adds it to the report, and shows it unless `silent` is set. Returns the failure that decides the
/// exit code, or `None`.
fn check_all(arguments: &args::Check, report: &mut Report, silent: bool) -> Result<Option<Failure>, Failure> {
    let files = Disk.configurations(&arguments.files).map_err(|error| Failure::Wrong(error.to_string()))?;
    let language = language(&files, arguments.product)?;
    let network = (!arguments.is_static).then(|| namespace::enter(!arguments.no_namespace));
    let found = stickler_wire::version(language.product());
    let version = match &found {
        Ok(version) => version.clone(),
        Err(error @ ProductError::Missing { .. }) if !arguments.is_static => {
            return Err(Failure::Missing(format!("{error}; `--static` only reads the file")));
        }
        Err(_) => None,
    };
    let document = read(language, &files, &Disk, version.as_deref())?;
    if let Some(target) = arguments.write.as_ref().filter(|target| target.exists()) {
        let message = format!("{} exists already, and is not overwritten", target.display());
        return Err(Failure::Wrong(message));
    }
    let check = Check { arguments, files, version, cured: RefCell::default() };
    *report = Report::new(check.name(), language.product(), check.version.clone(), network.as_ref());
    let mut failure = None;
    for index in check.chosen(document.sites())? {
        let site = check.site(&*document, index, language)?;
        failure = worse(failure, site.failure());
        report.sites.push(site);
        if !silent {
            report.show_last(&mut io::stdout().lock())?;
        }
    }
    if let Some(target) = &arguments.write {
        remedy::write(target, &check.cured.take())?;
    }
    Ok(failure)
}

/// Returns the language of the files: that of the given product, or else the guess from the first file that allows one.
fn language(files: &[PathBuf], product: Option<Language>) -> Result<Language, Failure> {
    let mut guess = product;
    for path in files {
        let cannot = |error| Failure::Wrong(format!("cannot read {}: {error}", path.display()));
        let text = Disk.read(path).map_err(cannot)?;
        guess = guess.or_else(|| Language::guess(&text));
    }
    guess.ok_or_else(|| {
        Failure::Wrong(format!("{}: the product cannot be determined: name it with --product", all(files)))
    })
}

/// Returns the paths of files as one text for people.
fn all(files: &[PathBuf]) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Reads the configuration files from a source of files.
fn read(
    language: Language,
    paths: &[PathBuf],
    files: &dyn Files,
    version: Option<&str>,
) -> Result<Box<dyn Document>, Failure> {
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let document = stickler_advisor::read(language, &paths, files, version);
    document.map_err(|diagnostic| Failure::from(&*diagnostic))
}

impl Check<'_> {
    /// Returns the paths of the files as one text for people.
    fn name(&self) -> String {
        all(&self.files)
    }

    /// Returns the indices of the sites that the arguments select.
    fn chosen(&self, sites: &[Site]) -> Result<Vec<usize>, Failure> {
        let path = self.name();
        if sites.is_empty() {
            let message =
                format!("{path}: it has no site: nothing in it accepts requests and passes them on to servers");
            return Err(Failure::Nothing(message));
        }
        let is_meant = |site: &Site| {
            self.arguments.site.is_empty() || self.arguments.site.iter().any(|text| site.name.contains(text))
        };
        let chosen: Vec<usize> = (0..sites.len()).filter(|&index| is_meant(&sites[index])).collect();
        if chosen.is_empty() {
            let names: Vec<&str> = sites.iter().map(|site| &*site.name).collect();
            let message = format!("{path}: there is no site with this name; there are: {}", names.join("; "));
            return Err(Failure::Nothing(message));
        }
        if chosen.len() > MOST_SITES {
            let names: Vec<&str> = chosen.iter().take(MOST_SITES).map(|&index| &*sites[index].name).collect();
            let message = format!(
                "{path}: it has {} sites, but at most {MOST_SITES} are checked at a time: choose with --site NAME; the first are {}",
                chosen.len(),
                names.join("; ")
            );
            return Err(Failure::Wrong(message));
        }
        Ok(chosen)
    }

    /// Judges one site, over the real product and in the simulation, and tries its remedies.
    fn site(&self, document: &dyn Document, index: usize, language: Language) -> Result<SiteReport, Failure> {
        let site = &document.sites()[index];
        let sandbox = document.sandbox(index);
        let profile = profile(document, site, &whole(site, &sandbox)?)?;
        let simulated = simulated(document, site)?;
        let mut report = SiteReport::new(site, &sandbox, &profile, &simulated);
        report.to_change = findings::to_change(document, index, &report);
        if self.arguments.is_static {
            return Ok(report);
        }
        let real = self.real(document, site, &profile)?;
        report.set_real(&real, self.arguments.evidence);
        if real.outcome() == Outcome::Violated {
            report.remedies = remedy::try_all(self, document, index, language, &real)?;
        }
        Ok(report)
    }

    /// Judges the real product, which runs with the copy of the file.
    fn real(&self, document: &dyn Document, site: &Site, profile: &Profile) -> Result<Judged, Failure> {
        let arm = WireArm::new(supervisor::own()?, true).with_tls(tls(site)).with_host(self.arguments.host.clone());
        let arm: Arc<dyn Arm> = Arc::new(arm);
        let judged = Judged::new(&profile.spec(), (&arm, site.servers), self.arguments.jobs)?;
        if judged.performed() > 0 {
            return Ok(judged);
        }
        let why = judged.not_performed().into_keys().next().unwrap_or_default();
        let path = self.name();
        Err(Failure::Wrong(format!("{path}: {}", of_files(&why, &path, document))))
    }
}

/// Judges the part of the file that was read, in the simulation. The simulation does not need the copy of the file.
fn simulated(document: &dyn Document, site: &Site) -> Result<Judged, Failure> {
    let profile = profile(document, site, "")?;
    let arm: Arc<dyn Arm> = Arc::new(SimArm);
    Judged::new(&profile.spec(), (&arm, site.servers), None)
}

/// Rewrites a product's message about the copy into one about the user's files. `path` replaces the name of the copy;
/// the number of a line of the copy becomes the corresponding place in the user's files, if there is one.
fn of_files(said: &str, path: &str, document: &dyn Document) -> String {
    const COPIES: [&str; 3] = ["/configuration", "/Caddyfile", "/envoy.yaml"];
    let mut text = String::new();
    let mut rest = said;
    while let Some((at, copy)) = COPIES.iter().filter_map(|copy| Some((rest.find(copy)?, copy))).min() {
        let (before, after) = (&rest[..at], &rest[at + copy.len()..]);
        let begin = before.rfind([' ', '[', '(', '\'', '"', '\n']).map_or(0, |at| at + 1);
        text.push_str(&before[..begin]);
        let number = after.strip_prefix(':').unwrap_or_default();
        let number = &number[..number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len())];
        let place = number.parse().ok().and_then(|line| document.place(line));
        if let Some(place) = place {
            text.push_str(&place.to_string());
            rest = &after[1 + number.len()..];
        } else {
            text.push_str(path);
            rest = after;
        }
    }
    text + rest
}

/// Returns the TLS settings of a site whose balancer terminates TLS; `None` if the site has no TLS.
fn tls(site: &Site) -> Option<TlsSpec> {
    let (front, back) = site.tls;
    let upstream = if back { UpstreamTls::Own } else { UpstreamTls::Plain };
    front.then(|| TlsSpec { upstream, http2: site.http2, ..TlsSpec::default() })
}

/// Returns the copy of a site's configuration.
fn whole(site: &Site, sandbox: &Sandbox) -> Result<String, Failure> {
    let message = || format!("{}: a line that begins with `==> ` cannot be part of a copy", site.name);
    sandbox.whole().ok_or_else(|| Failure::Wrong(message()))
}

/// Returns the profile of a site.
fn profile(document: &dyn Document, site: &Site, template: &str) -> Result<Profile, Failure> {
    let toml = site.profile(document, NAME, template);
    let profiles = Profile::parse(&toml, "the profile of this site");
    let profiles = profiles.map_err(|error| {
        Failure::Wrong(format!(
            "the settings of {} are not a valid profile, which is a defect of Stickler: {error}",
            site.name
        ))
    })?;
    profiles.into_iter().next().ok_or_else(|| Failure::Wrong("a site without a profile".into()))
}

/// Returns the more serious of two failures. A violation is the most serious one, then a site that could not be judged,
/// then any other failure.
fn worse(one: Option<Failure>, other: Option<Failure>) -> Option<Failure> {
    let rank = |failure: &Option<Failure>| match failure {
        Some(Failure::NotAsExpected) => 3,
        Some(Failure::Nothing(_)) => 2,
        Some(_) => 1,
        None => 0,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
