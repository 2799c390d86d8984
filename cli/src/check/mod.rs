//! `stickler check FILE`: an operator's own configuration, judged.
//!
//! * `judge`: the scenarios of a check, and what they show of one balancer.
//! * `prepared`: sites with a page that health checks may ask for.
//! * `remedy`: changes to the file, each tried as the file itself was.
//! * `report`: what came of it, in words and as JSON.

mod judge;
mod prepared;
mod remedy;
mod report;

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::sync::Arc;

use stickler_advisor::{Disk, Document, Files, Language, Site};
use stickler_catalogue::Profile;
use stickler_model::topology::{TlsSpec, UpstreamTls};
use stickler_runner::Arm;
use stickler_scenarios::Case;
use stickler_sim::SimArm;
use stickler_wire::{ProductError, WireArm};

use self::judge::{Judged, Outcome};
use self::prepared::Prepared;
use self::report::{Report, SiteReport};
use crate::args::{self, Format};
use crate::{Failure, namespace, supervisor};

/// What the profile of a checked site is called.
const NAME: &str = "checked";

/// What every site of a check has in common.
struct Check<'a> {
    arguments: &'a args::Check,
    cases: Vec<Case>,
    /// The product's version, where it is installed.
    version: Option<String>,
    /// The file with the changes that have cured sites so far.
    cured: RefCell<Option<String>>,
}

/// Most sites that are checked at a time.
const MOST_SITES: usize = 16;

pub(crate) fn check(arguments: &args::Check) -> Result<(), Failure> {
    let path = arguments.file.display().to_string();
    let text = Disk.read(&arguments.file).map_err(|error| Failure::Wrong(format!("cannot read {path}: {error}")))?;
    let language = arguments
        .product
        .or_else(|| Language::guess(&text))
        .ok_or_else(|| Failure::Wrong(format!("{path}: of which product is it? Say so with --product")))?;
    let network = (!arguments.is_static).then(|| namespace::enter(!arguments.no_namespace));
    let found = stickler_wire::version(language.product());
    let version = match &found {
        Ok(version) => version.clone(),
        Err(error @ ProductError::Missing { .. }) if !arguments.is_static => {
            return Err(Failure::Missing(format!("{error}; `--static` only reads the file")));
        }
        Err(_) => None,
    };
    let document = read(language, arguments, &Disk, version.as_deref())?;
    if let Some(target) = arguments.write.as_ref().filter(|target| target.exists()) {
        let message = format!("{} is there already, and nothing is written over it", target.display());
        return Err(Failure::Wrong(message));
    }
    let check = Check { arguments, cases: judge::cases()?, version, cured: RefCell::new(None) };
    let mut report = Report::new(path, language.product(), check.version.clone(), network.as_ref());
    let mut failure = None;
    for index in chosen(document.sites(), arguments)? {
        let site = check.site(&*document, index, language)?;
        failure = worse(failure, site.failure());
        report.sites.push(site);
        if arguments.format == Format::Pretty {
            report.show_last(&mut io::stdout().lock())?;
        }
    }
    if arguments.format == Format::Json {
        writeln!(io::stdout(), "{}", report.json())?;
    }
    if let (Some(target), Some(text)) = (&arguments.write, check.cured.take()) {
        remedy::write(target, &text)?;
    }
    failure.map_or(Ok(()), Err)
}

/// Reads the file that the arguments name.
fn read(
    language: Language,
    arguments: &args::Check,
    files: &dyn Files,
    version: Option<&str>,
) -> Result<Box<dyn Document>, Failure> {
    stickler_advisor::read(language, &arguments.file, files, version)
        .map_err(|diagnostic| Failure::Wrong(diagnostic.to_string()))
}

/// The sites that the arguments mean, by their indices.
fn chosen(sites: &[Site], arguments: &args::Check) -> Result<Vec<usize>, Failure> {
    let path = arguments.file.display();
    if sites.is_empty() {
        let message = format!("{path}: it has no site: nothing in it takes requests and passes them on to servers");
        return Err(Failure::Nothing(message));
    }
    let is_meant =
        |site: &Site| arguments.site.is_empty() || arguments.site.iter().any(|text| site.name.contains(text));
    let chosen: Vec<usize> = (0..sites.len()).filter(|&index| is_meant(&sites[index])).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = sites.iter().map(|site| &*site.name).collect();
        let message = format!("{path}: no site is called so; there are: {}", names.join("; "));
        return Err(Failure::Nothing(message));
    }
    if chosen.len() > MOST_SITES {
        let names: Vec<&str> = chosen.iter().take(MOST_SITES).map(|&index| &*sites[index].name).collect();
        let message = format!(
            "{path}: it has {} sites, and {MOST_SITES} are checked at a time: choose with --site NAME; the first are {}",
            chosen.len(),
            names.join("; ")
        );
        return Err(Failure::Wrong(message));
    }
    Ok(chosen)
}

impl Check<'_> {
    /// Judges one site, in reality and in the simulation, and tries what could cure it.
    fn site(&self, document: &dyn Document, index: usize, language: Language) -> Result<SiteReport, Failure> {
        let site = &document.sites()[index];
        let sandbox = document.sandbox(index);
        let profile = profile(document, site, &sandbox.template)?;
        let simulated = self.simulated(document, site)?;
        let mut report = SiteReport::new(site, &sandbox, &profile, &simulated);
        if self.arguments.is_static {
            return Ok(report);
        }
        let real = self.real(site, &profile)?;
        report.set_real(&real, self.arguments.evidence);
        if real.outcome() == Outcome::Violated {
            report.remedies = remedy::try_all(self, document, index, language, &real)?;
        }
        Ok(report)
    }

    /// Judges what was read of the file. The simulation has no use for the copy.
    fn simulated(&self, document: &dyn Document, site: &Site) -> Result<Judged, Failure> {
        let profile = profile(document, site, "")?;
        let arm: Arc<dyn Arm> = Arc::new(Prepared(Arc::new(SimArm)));
        Judged::new(&self.cases, &profile.spec(), &arm, None)
    }

    /// Judges the real product on the copy of the file.
    fn real(&self, site: &Site, profile: &Profile) -> Result<Judged, Failure> {
        let arm = WireArm::new(supervisor::own()?, true).with_tls(tls(site)).with_host(self.arguments.host.clone());
        let arm: Arc<dyn Arm> = Arc::new(Prepared(Arc::new(arm)));
        let judged = Judged::new(&self.cases, &profile.spec(), &arm, self.arguments.jobs)?;
        if judged.performed() > 0 {
            return Ok(judged);
        }
        let why = judged.not_performed().into_keys().next().unwrap_or_default();
        let path = self.arguments.file.display().to_string();
        Err(Failure::Wrong(format!("{path}: {}", of_file(&why, &path))))
    }
}

/// What a product said of the copy of a file, about the file.
fn of_file(said: &str, path: &str) -> String {
    const COPY: &str = "/configuration";
    let mut text = String::new();
    let mut rest = said;
    while let Some((before, after)) = rest.split_once(COPY) {
        let begin = before.rfind([' ', '[', '(', '\'', '"', '\n']).map_or(0, |at| at + 1);
        text.push_str(&before[..begin]);
        text.push_str(path);
        rest = after;
    }
    text + rest
}

/// TLS of a site that ends at its balancer; `None` where it has none.
fn tls(site: &Site) -> Option<TlsSpec> {
    let (front, back) = site.tls;
    let upstream = if back { UpstreamTls::Own } else { UpstreamTls::Plain };
    front.then(|| TlsSpec { upstream, http2: site.http2, ..TlsSpec::default() })
}

/// The profile of a site.
fn profile(document: &dyn Document, site: &Site, template: &str) -> Result<Profile, Failure> {
    // A line of this kind would begin another file of the run's folder.
    if template.lines().any(|line| line.starts_with("==> ")) {
        let message = format!("{}: a line that begins with `==> ` cannot be part of a copy", site.name);
        return Err(Failure::Wrong(message));
    }
    let toml = site.profile(document, NAME, template);
    let profiles = Profile::parse(&toml, "the profile of this site");
    let profiles = profiles.map_err(|error| {
        Failure::Wrong(format!("what {} says makes no profile, which is a mistake of Stickler's: {error}", site.name))
    })?;
    profiles.into_iter().next().ok_or_else(|| Failure::Wrong("a site without a profile".into()))
}

/// Of two failures, the one that weighs more: a violation, then what could not be judged, then too little.
fn worse(one: Option<Failure>, other: Option<Failure>) -> Option<Failure> {
    let rank = |failure: &Option<Failure>| match failure {
        Some(Failure::NotAsExpected) => 3,
        Some(Failure::Nothing(_)) => 2,
        Some(_) => 1,
        None => 0,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
