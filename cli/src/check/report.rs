//! The results of a check, in words and as JSON.

use std::io::{self, Write};

use serde::Serialize;
use stickler_advisor::{Sandbox, Site};
use stickler_catalogue::Profile;
use stickler_model::escape;
use stickler_oracle::Verdict;
use stickler_report::sarif::Edit;
use stickler_report::test_case::Place;
use stickler_report::transcript;

use super::excerpts::Excerpts;
use super::judge::{Judged, Outcome};
use crate::Failure;
use crate::namespace::Network;

/// The results of one check.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Report {
    /// The paths of the files that were checked, as one text.
    file: String,
    /// The name of the product.
    product: &'static str,
    /// The version of the product; missing if the product is not installed or does not state its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Whether the product ran at all. If not, all results are those of the simulation alone.
    ran: bool,
    /// Whether the product ran in a separate network namespace; missing if it did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    isolated: Option<bool>,
    #[serde(skip)]
    shared: Option<String>,
    /// The sites that were checked.
    pub(super) sites: Vec<SiteReport>,
}

/// One site of a check.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct SiteReport {
    /// The name of the site.
    pub(super) name: String,
    /// The number of the site's servers.
    servers: usize,
    /// The name of the shipped profile that the site resembles.
    like: String,
    /// The reasons why the site resembles that profile.
    pub(super) mechanism: Vec<Reason>,
    /// The values of a profile that lines of the file set.
    pub(super) facts: Vec<Value>,
    /// The lines that were not read although they may matter.
    pub(super) unread: Vec<NotRead>,
    /// The differences between the file and the copy that the product ran with.
    pub(super) changes: Vec<Changed>,
    /// The result over the real product; missing if the product did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) real: Option<Judgement>,
    /// The result of the simulation of the lines that were read.
    simulated: Judgement,
    /// The requirements on which the real product and the simulation differ.
    differences: Vec<String>,
    /// The line that the best remedy changes.
    #[serde(skip)]
    pub(super) to_change: Option<Place>,
    /// The possible changes, each with its result.
    pub(super) remedies: Vec<Tried>,
    /// The site as a profile, in TOML.
    profile: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Reason {
    /// The place in the file; missing if the reason is not a line of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Place>,
    pub(super) says: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Value {
    /// The place in the file.
    pub(super) at: Place,
    /// The key of a profile.
    key: &'static str,
    /// The value of the key, in TOML.
    #[serde(rename = "value")]
    toml: String,
    /// The meaning of the line, in words.
    pub(super) says: String,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct NotRead {
    pub(super) at: Place,
    pub(super) says: String,
    pub(super) why: String,
    /// The line with a mark under the place, for people.
    #[serde(skip)]
    excerpt: Option<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Changed {
    pub(super) at: Place,
    pub(super) before: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    pub(super) why: String,
    /// Whether the verdict may depend on the change.
    pub(super) matters: bool,
    /// The line with a mark under the place, for people, if the change matters.
    #[serde(skip)]
    excerpt: Option<String>,
}

/// The result of all scenarios of a check.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
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
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Requirement {
    pub(super) id: String,
    pub(super) text: &'static str,
    pub(super) tested: u32,
    pub(super) violated: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) evidence: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct NotPerformed {
    why: String,
    scenarios: Vec<String>,
}

/// A remedy, and its result.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Tried {
    pub(super) title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) diff: Option<String>,
    /// The edits of the remedy.
    #[serde(skip)]
    pub(super) edits: Vec<Edit>,
    /// The result over the changed file; `None` if nothing was tried.
    #[serde(skip)]
    pub(super) outcome: Option<Outcome>,
    pub(super) cures: bool,
    /// The requirements that the changed file violates and the file itself does not.
    pub(super) cost: Vec<String>,
    /// The product's message, if it rejected the changed file.
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

    /// Shows the site that was added last. The first site is preceded by a line about the whole check.
    pub(super) fn show_last(&self, out: &mut impl Write) -> io::Result<()> {
        let mut text = Vec::new();
        if self.sites.len() == 1 {
            self.head(&mut text)?;
        }
        if let Some(site) = self.sites.last() {
            site.show(&mut text, self.ran)?;
        }
        // The text of the file and the product's messages are escaped here.
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

/// Converts a place in a configuration into one of a report.
fn of(place: &stickler_advisor::Place) -> Place {
    let stickler_advisor::Place { file, line, column, end_line, end_column } = place;
    Place::of_range(file.to_string(), (*line, *column), (*end_line, *end_column))
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
        let mut excerpts = Excerpts::default();
        let unread = site.unread.iter().map(|unread| NotRead {
            at: of(&unread.place),
            says: unread.says.clone(),
            why: unread.why.clone(),
            excerpt: excerpts.at(&unread.place),
        });
        let unread: Vec<NotRead> = unread.collect();
        let changes = sandbox.changes.iter().map(|change| Changed {
            at: of(&change.place),
            before: change.before.clone(),
            after: change.after.as_deref().map(filled_in),
            why: change.why.clone(),
            matters: change.matters,
            excerpt: if change.matters { excerpts.at(&change.place) } else { None },
        });
        Self {
            name: site.name.clone(),
            servers: site.servers,
            like: site.base.to_owned(),
            mechanism: mechanism.collect(),
            facts: facts.collect(),
            unread,
            changes: changes.collect(),
            real: None,
            simulated: Judgement::new(simulated, false),
            differences: Vec::new(),
            to_change: None,
            remedies: Vec::new(),
            profile: profile.toml().to_owned(),
        }
    }

    /// Adds the result over the real product.
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

    /// Returns the result that counts: that over the real product, or else that of the simulation.
    pub(super) fn judgement(&self) -> &Judgement {
        self.real.as_ref().unwrap_or(&self.simulated)
    }

    /// Returns the failure of this site that determines the exit code; `None` if there is none.
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

    /// Returns whether the copy leaves something out that the verdict may depend on.
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
            described(&unread.at, &unread.says, &unread.why, unread.excerpt.as_deref())
        })?;
        if ran {
            list(out, "Changed for this run", &self.changes, |change| {
                let after = change.after.as_deref().map_or("left out".into(), |after| format!("now `{after}`"));
                let matters = if change.matters { " THE VERDICT MAY DEPEND ON IT." } else { "" };
                let why = format!("{after}: {}.{matters}", change.why);
                described(&change.at, &change.before, &why, change.excerpt.as_deref())
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

    /// Writes a sentence that compares the simulation with the real product.
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

/// Returns a line of a template with readable words in place of its placeholders.
fn filled_in(template: &str) -> String {
    let mut text = template.replace("{{ address }}", "ADDRESS").replace("{{ folder }}", "FOLDER");
    while let Some((before, rest)) = text.split_once("{{ servers[") {
        let (index, rest) = rest.split_once("].address }}").unwrap_or((rest, ""));
        let number = index.parse().map_or(0, |index: usize| index + 1);
        text = format!("{before}IIS{number}{rest}");
    }
    text
}

/// Returns a remark about a statement: with the line in which the statement is if it is known, or else with its text.
fn described(at: &Place, says: &str, why: &str, excerpt: Option<&str>) -> String {
    match excerpt {
        Some(excerpt) => format!("{at}: {why}\n      {}", excerpt.replace('\n', "\n      ")),
        None => format!("{at:<24} {says}: {why}"),
    }
}

fn list<T>(out: &mut impl Write, title: &str, all: &[T], line: impl Fn(&T) -> String) -> io::Result<()> {
    if !all.is_empty() {
        writeln!(out, "  {title}:")?;
    }
    all.iter().try_for_each(|one| writeln!(out, "    {}", line(one)))
}
