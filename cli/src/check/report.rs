//! What came of a check, in words and as JSON.

use std::io::{self, Write};

use serde::Serialize;
use stickler_advisor::{Sandbox, Site};
use stickler_catalogue::Profile;
use stickler_model::escape;
use stickler_oracle::Verdict;
use stickler_report::sarif::Edit;
use stickler_report::test_case::Place;
use stickler_report::transcript;

use super::judge::{Judged, Outcome};
use crate::Failure;
use crate::namespace::Network;

/// A check of one file.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The files that were checked.
    file: String,
    /// The product.
    product: &'static str,
    /// Its version, where it is installed and tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Whether the product ran at all; if not, what follows is the simulation's alone.
    ran: bool,
    /// Whether the product ran in a network namespace of its own; `None` where it did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    isolated: Option<bool>,
    #[serde(skip)]
    shared: Option<String>,
    /// The sites that were checked.
    pub(super) sites: Vec<SiteReport>,
}

/// One site of it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SiteReport {
    /// What it is called.
    pub(super) name: String,
    /// The number of its servers.
    servers: usize,
    /// The shipped profile that it is like.
    like: String,
    /// Why it is like that profile.
    pub(super) mechanism: Vec<Reason>,
    /// What its lines say.
    pub(super) facts: Vec<Value>,
    /// Lines that were not read, and may matter.
    pub(super) unread: Vec<NotRead>,
    /// What is different in the copy that was run.
    pub(super) changes: Vec<Changed>,
    /// What the real product showed; missing where it did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) real: Option<Judgement>,
    /// What the simulation of what was read showed.
    simulated: Judgement,
    /// Requirements over which the two differ.
    differences: Vec<String>,
    /// The line that the best remedy changes.
    #[serde(skip)]
    pub(super) to_change: Option<Place>,
    /// What could be changed, and what came of it.
    pub(super) remedies: Vec<Tried>,
    /// The site as a profile, in TOML.
    profile: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Reason {
    /// The place; missing where no line says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Place>,
    pub(super) says: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Value {
    /// The place.
    pub(super) at: Place,
    /// The key of a profile.
    key: &'static str,
    /// Its value, in TOML.
    #[serde(rename = "value")]
    toml: String,
    /// The line, in words.
    pub(super) says: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct NotRead {
    pub(super) at: Place,
    pub(super) says: String,
    pub(super) why: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Changed {
    pub(super) at: Place,
    pub(super) before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    pub(super) why: String,
    /// Whether the verdict may depend on it.
    pub(super) matters: bool,
}

/// What the scenarios showed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Judgement {
    outcome: String,
    pub(super) identity: String,
    requests: u64,
    clients: usize,
    pub(super) requirements: Vec<Requirement>,
    not_performed: Vec<NotPerformed>,
    #[serde(skip)]
    pub(super) is: Outcome,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Requirement {
    pub(super) id: String,
    pub(super) text: &'static str,
    pub(super) tested: u32,
    pub(super) violated: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) evidence: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct NotPerformed {
    why: String,
    scenarios: Vec<String>,
}

/// A remedy, and what came of it.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Tried {
    pub(super) title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) diff: Option<String>,
    /// The lines that are replaced.
    #[serde(skip)]
    pub(super) edits: Vec<Edit>,
    /// What the changed file showed; `None` where nothing was tried.
    #[serde(skip)]
    pub(super) outcome: Option<Outcome>,
    pub(super) cures: bool,
    /// Requirements that the changed file violates, and the file itself did not.
    pub(super) cost: Vec<String>,
    /// What the product said where it did not take the changed file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
}

impl Report {
    pub(super) fn new(file: String, product: &'static str, version: Option<String>, network: Option<&Network>) -> Self {
        let shared = match network {
            Some(Network::Shared(why)) => Some(why.clone()),
            _ => None,
        };
        let isolated = network.map(|network| *network == Network::Own);
        Self { file, product, version, ran: network.is_some(), isolated, shared, sites: Vec::new() }
    }

    /// Shows the site that was added last; before the first, what holds for all.
    pub(super) fn show_last(&self, out: &mut impl Write) -> io::Result<()> {
        let mut text = Vec::new();
        if self.sites.len() == 1 {
            self.head(&mut text)?;
        }
        if let Some(site) = self.sites.last() {
            site.show(&mut text, self.ran)?;
        }
        // All that a file says, and what a product answers, is escaped here.
        write!(out, "{}", escape::lines(&String::from_utf8_lossy(&text)))
    }

    fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { file, product, version, ran, shared, .. } = self;
        let version = version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
        if !ran {
            writeln!(
                out,
                "{file}: read alone. Nothing was run: the verdicts are the simulation's, over what could be read."
            )?;
        } else if let Some(why) = shared {
            writeln!(
                out,
                "{file}, over the real {product}{version}, in this network ({why}); its listeners were checked."
            )?;
        } else {
            writeln!(out, "{file}, over the real {product}{version}, in an empty network namespace.")?;
        }
        Ok(())
    }
}

/// A place in a configuration as reports have it.
fn of(place: &stickler_advisor::Place) -> Place {
    Place { file: place.file.to_string(), line: Some(place.line), column: None }
}

impl SiteReport {
    pub(super) fn new(site: &Site, sandbox: &Sandbox, profile: &Profile, simulated: &Judged) -> Self {
        let mechanism = site.reasons.iter();
        let mechanism = mechanism.map(|(place, says)| Reason { at: place.as_ref().map(of), says: says.clone() });
        let facts = site.facts.iter().map(|fact| Value {
            at: of(&fact.place),
            key: fact.key,
            toml: fact.toml.clone(),
            says: fact.says.clone(),
        });
        let unread = site.unread.iter().map(|unread| NotRead {
            at: of(&unread.place),
            says: unread.says.clone(),
            why: unread.why.clone(),
        });
        let changes = sandbox.changes.iter().map(|change| Changed {
            at: of(&change.place),
            before: change.before.clone(),
            after: change.after.as_deref().map(filled_in),
            why: change.why.clone(),
            matters: change.matters,
        });
        Self {
            name: site.name.clone(),
            servers: site.servers,
            like: site.base.to_owned(),
            mechanism: mechanism.collect(),
            facts: facts.collect(),
            unread: unread.collect(),
            changes: changes.collect(),
            real: None,
            simulated: Judgement::new(simulated, false),
            differences: Vec::new(),
            to_change: None,
            remedies: Vec::new(),
            profile: profile.toml().to_owned(),
        }
    }

    /// Adds what the real product showed.
    pub(super) fn set_real(&mut self, judged: &Judged, with_events: bool) {
        let real = Judgement::new(judged, with_events);
        let violates = |judgement: &Judgement, id: &str| {
            let found = judgement.requirements.iter().find(|requirement| requirement.id == id);
            found.map(|requirement| requirement.violated > 0)
        };
        let differs = |requirement: &&Requirement| {
            let simulated = violates(&self.simulated, &requirement.id);
            simulated.is_some_and(|simulated| simulated != (requirement.violated > 0))
        };
        self.differences = real.requirements.iter().filter(differs).map(|requirement| requirement.id.clone()).collect();
        self.real = Some(real);
    }

    /// What counts of it: what the real product showed, or else the simulation.
    pub(super) fn judgement(&self) -> &Judgement {
        self.real.as_ref().unwrap_or(&self.simulated)
    }

    /// What the exit code has to say of it.
    pub(super) fn failure(&self) -> Option<Failure> {
        let judgement = self.judgement();
        let name = &self.name;
        match &judgement.is {
            Outcome::Violated | Outcome::Clean if self.real.is_some() && self.is_partial() => {
                let lines = self.changes.iter().filter(|one| one.matters).map(|one| one.at.to_string());
                let lines: Vec<String> = lines.collect();
                let message = format!("{name}: the verdict is that of the file without {}", lines.join(", "));
                Some(Failure::Inconclusive(Some(message)))
            }
            Outcome::Violated => Some(Failure::NotAsExpected),
            Outcome::Nothing(why) => Some(Failure::Nothing(format!("{name}: {why}"))),
            Outcome::Inconclusive if self.real.is_some() => {
                Some(Failure::Inconclusive(Some(format!("{name}: {}", judgement.identity))))
            }
            _ if self.real.is_none() && !self.unread.is_empty() => {
                let count = self.unread.len();
                Some(Failure::Inconclusive(Some(format!("{name}: {count} lines may matter, and could not be read"))))
            }
            _ => None,
        }
    }

    /// Whether something was left out that the verdict may depend on.
    fn is_partial(&self) -> bool {
        self.changes.iter().any(|change| change.matters)
    }

    fn show(&self, out: &mut impl Write, ran: bool) -> io::Result<()> {
        let Self { name, servers, like, .. } = self;
        writeln!(out, "\n{name}: {servers} servers; like the profile {like}")?;
        for Reason { at, says } in &self.mechanism {
            let at = at.as_ref().map_or_else(|| "(no line)".to_owned(), Place::to_string);
            writeln!(out, "  {at:<24} {says}")?;
        }
        list(out, "Not read, and may matter", &self.unread, |unread| {
            format!("{:<24} {}: {}", unread.at, unread.says, unread.why)
        })?;
        if ran {
            list(out, "Changed for this run", &self.changes, |change| {
                let after = change.after.as_deref().map_or("left out".into(), |after| format!("now `{after}`"));
                let matters = if change.matters { " THE VERDICT MAY DEPEND ON IT." } else { "" };
                format!("{:<24} {}: {after}: {}.{matters}", change.at, change.before, change.why)
            })?;
        }
        match &self.real {
            Some(real) => {
                let without = if self.is_partial() { ", without what was left out" } else { "" };
                real.show(out, &format!("The real product{without}"))?;
                if !matches!(real.is, Outcome::Nothing(_)) {
                    self.beside(out)?;
                }
            }
            None => self.simulated.show(out, "The simulation, over what was read")?,
        }
        self.remedies.iter().try_for_each(|tried| tried.show(out))
    }

    /// Says how the simulation compares with reality.
    fn beside(&self, out: &mut impl Write) -> io::Result<()> {
        if self.differences.is_empty() {
            return writeln!(out, "  The simulation of what was read says the same of each requirement.");
        }
        writeln!(out, "  The simulation of what was read differs over {}; reality counts.", self.differences.join(", "))
    }
}

impl Judgement {
    fn new(judged: &Judged, with_events: bool) -> Self {
        let is = judged.outcome();
        let requirements = judged.counts().into_iter().map(|(id, count)| {
            let example = judged.example(id);
            let evidence = example.and_then(|run| {
                let verdict = run.verdicts.iter().find(|verdict| verdict.requirement == id)?;
                let evidence = Verdict::against_balancer(verdict).next()?;
                let (scenario, trace) = (&run.source.scenario, run.trace.as_ref()?);
                let shown = if with_events { transcript::evidence(trace, evidence) } else { evidence.summary.clone() };
                Some(std::iter::once(format!("{scenario}:")).chain(shown.lines().map(str::to_owned)).collect())
            });
            Requirement {
                id: id.to_string(),
                text: id.text(),
                tested: count.tested,
                violated: count.violated,
                evidence: evidence.unwrap_or_default(),
            }
        });
        let not_performed = judged.not_performed().into_iter().map(|(why, scenarios)| NotPerformed {
            why,
            scenarios: scenarios.into_iter().map(str::to_owned).collect(),
        });
        Self {
            outcome: is.word().to_owned(),
            identity: judged.confidence.to_string(),
            requests: judged.confidence.requests,
            clients: judged.confidence.clients,
            requirements: requirements.collect(),
            not_performed: not_performed.collect(),
            is,
        }
    }

    fn show(&self, out: &mut impl Write, who: &str) -> io::Result<()> {
        writeln!(out, "  {who}: {}", self.outcome.to_uppercase())?;
        if let Outcome::Nothing(why) = &self.is {
            return writeln!(out, "    {why}");
        }
        writeln!(out, "    {}", self.identity)?;
        for requirement in self.requirements.iter().filter(|requirement| requirement.violated > 0) {
            let Requirement { id, text, tested, violated, evidence } = requirement;
            writeln!(out, "    {id} violated in {violated} of {tested} runs: {text}")?;
            for line in evidence {
                writeln!(out, "        {line}")?;
            }
        }
        let kept: Vec<&str> = self.requirements.iter().filter(|one| one.violated == 0).map(|one| &*one.id).collect();
        if !kept.is_empty() {
            writeln!(out, "    kept: {}", kept.join(", "))?;
        }
        for NotPerformed { why, scenarios } in &self.not_performed {
            writeln!(out, "    not run: {}: {why}", scenarios.join(", "))?;
        }
        Ok(())
    }
}

impl Tried {
    fn show(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(diff) = &self.diff else { return writeln!(out, "  Or: {}", self.title) };
        writeln!(out, "  What to change: {}", self.title)?;
        for line in diff.lines() {
            writeln!(out, "    {line}")?;
        }
        if let Some(refused) = &self.refused {
            return writeln!(out, "    The product does not take that: {refused}");
        }
        let outcome = self.outcome.as_ref().map_or("not tried", Outcome::word);
        let cost = if self.cost.is_empty() { String::new() } else { format!("; it costs {}", self.cost.join(", ")) };
        writeln!(out, "    With it, the real product is: {}{cost}", outcome.to_uppercase())
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Violated => "violated",
            Self::Clean => "clean",
            Self::Inconclusive => "inconclusive",
            Self::Nothing(_) => "nothing judged",
        }
    }
}

/// A line of a template as people read it.
fn filled_in(template: &str) -> String {
    let mut text = template.replace("{{ address }}", "ADDRESS").replace("{{ folder }}", "FOLDER");
    while let Some((before, rest)) = text.split_once("{{ servers[") {
        let (index, rest) = rest.split_once("].address }}").unwrap_or((rest, ""));
        let number = index.parse().map_or(0, |index: usize| index + 1);
        text = format!("{before}IIS{number}{rest}");
    }
    text
}

fn list<T>(out: &mut impl Write, title: &str, all: &[T], line: impl Fn(&T) -> String) -> io::Result<()> {
    if !all.is_empty() {
        writeln!(out, "  {title}:")?;
    }
    all.iter().try_for_each(|one| writeln!(out, "    {}", line(one)))
}
