//! Collects the verdicts of many scenarios in one table, which shows the requirements that each balancer keeps.
//!
//! * `text` renders the table for a terminal, with a column for each family of requirements.
//! * `markdown` renders it with a column for each requirement. [`Matrix::page`] returns it as HTML, with the evidence.
//! * Programs get the [`Matrix`] itself as JSON.

mod markdown;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::Serialize;
use stickler_model::topology::Provider;
use stickler_model::{Action, Trace, What};
use stickler_oracle::{Grade, Requirement, Verdict};
use stickler_runner::Run;

use crate::{json, transcript};

/// A balancer of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Subject {
    /// The name of the balancer, as `--balancer` accepts it.
    pub name: String,
    /// The product, such as `HAProxy`. For a mechanism, its name in the literature (`M12`), or an empty text.
    pub product: String,
    /// The description of the configuration in one line.
    pub config: String,
}

/// A table of verdicts by balancer and requirement.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Matrix {
    /// The rows, one for each balancer.
    rows: Vec<Row>,
}

/// The verdicts on one balancer.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Row {
    /// The balancer of the row.
    #[serde(flatten)]
    pub subject: Subject,
    /// The outcome for users, by the provider of their site: NTLM, Kerberos alone, or Negotiate, where some users fall
    /// back to NTLM.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Logons>"))]
    pub logons: BTreeMap<Provider, Logons>,
    /// The outcome by requirement. A requirement that no scenario put to the test is missing.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Cell>"))]
    pub cells: IndexMap<Requirement, Cell>,
    /// The number of scenarios that were run.
    pub scenarios: usize,
    /// The number of runs that were requested and not made, or not performed to the end. Unless it is zero, nothing in
    /// the row is known to be kept.
    pub missing: usize,
}

/// The outcome for the users of sites of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Logons {
    /// Whether the users can log on.
    pub works: Works,
    /// Whether a request was ever served as another user.
    pub mixes_up_users: bool,
    /// The outcome of logons in scenarios without a fault: whether some worked, and whether some did not.
    #[serde(skip)]
    calm: (bool, bool),
}

/// The extent to which users can log on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Works {
    /// An unknown extent, because no scenario without a fault tried to log on.
    #[default]
    Unknown,
    /// Full success: every user with valid credentials was answered (HS-1, HS-2, HS-3) in every scenario without a
    /// fault. Other requirements cover the behaviour during faults.
    Yes,
    /// A partial success: users could log on in some scenarios, such as those with one backend or with one client at a
    /// time.
    Partly,
    /// No success in any scenario.
    No,
}

/// The outcome of one requirement over one balancer.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Cell {
    /// The worst grade in all scenarios.
    #[cfg_attr(feature = "schema", schemars(with = "Option<json::schema::Grade>"))]
    pub grade: Option<Grade>,
    /// The scenarios that put the requirement to the test and saw it kept.
    pub kept: Vec<String>,
    /// The sightings of violations of the requirement.
    pub broken: Vec<Sighting>,
}

/// A sighting of a violated requirement.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Sighting {
    /// The name of the scenario.
    pub scenario: String,
    /// The description of the first violation in one sentence.
    pub summary: String,
    /// The events that prove the violation, as transcript lines.
    pub evidence: Vec<String>,
    /// The command that shows the violation again.
    pub replay: String,
    /// The number of events of the run.
    #[serde(skip)]
    pub(crate) events: usize,
    /// The seed of the run.
    #[serde(skip)]
    pub(crate) seed: u64,
    /// The provider of the site.
    #[serde(skip)]
    pub(crate) takes: Provider,
    /// Whether the scenario had no fault.
    #[serde(skip)]
    pub(crate) calm: bool,
}

/// The kinds of sites that have a column, each with the heading of its column.
const KINDS: [(Provider, &str); 3] =
    [(Provider::Ntlm, "NTLM"), (Provider::NegotiateKerberos, "Kerberos"), (Provider::Negotiate, "Negotiate")];

/// The word for what is not violated in a row whose runs were not all made.
pub(crate) const OPEN: &str = "open";

/// The meaning of [`OPEN`], as a part of a sentence.
pub(crate) const OPEN_MEANS: &str = "nothing violates it so far, but runs are missing";

/// The requirements whose violation means that users are mixed up.
pub(crate) const IDENTITY: [Requirement; 3] = [Requirement::Id1, Requirement::Id2, Requirement::Id3];

/// The requirements whose violation means that users cannot log on.
pub(crate) const LOGON: [Requirement; 3] = [Requirement::Hs1, Requirement::Hs2, Requirement::Hs3];

impl Matrix {
    /// Adds the results of a run over a balancer, at a site with the provider `takes`. `replay` is the command that
    /// repeats the run. Runs with several seeds may be added. A run without a trace, such as a skipped run, adds
    /// nothing.
    pub fn add(&mut self, subject: &Subject, takes: Provider, run: &Run, replay: &str) {
        let Some(trace) = &run.trace else { return };
        let known = self.rows.iter().position(|row| row.subject == *subject);
        let index = known.unwrap_or_else(|| {
            self.rows.push(Row::new(subject.clone()));
            self.rows.len() - 1
        });
        self.rows[index].add(takes, (run, trace), replay);
    }

    /// Notes that this number of runs over a balancer was requested and not made, or not performed to the end.
    pub fn leave_out(&mut self, subject: &Subject, runs: usize) {
        match self.rows.iter_mut().find(|row| row.subject == *subject) {
            Some(row) => row.missing += runs,
            None => self.rows.push(Row { missing: runs, ..Row::new(subject.clone()) }),
        }
    }

    /// Returns a table with an empty row for each of these balancers.
    pub fn with_rows(subjects: &[Subject]) -> Self {
        Self { rows: subjects.iter().cloned().map(Row::new).collect() }
    }

    /// Adds the contents of another table.
    pub fn merge(&mut self, other: Self) {
        for row in other.rows {
            match self.rows.iter_mut().find(|own| own.subject == row.subject) {
                Some(own) => own.merge(row),
                None => self.rows.push(row),
            }
        }
    }

    /// Returns the rows, one for each balancer, in the order in which the balancers were added.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Returns the kinds of sites that occur in the scenarios, in order, with their headings.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (Provider, &'static str)> {
        KINDS.into_iter().filter(|(kind, _)| self.rows.iter().any(|row| row.logons.contains_key(kind)))
    }

    /// Returns the requirements that some scenario put to the test, in order.
    pub fn columns(&self) -> Vec<Requirement> {
        Requirement::all().filter(|id| self.rows.iter().any(|row| row.cells.contains_key(id))).collect()
    }

    /// Returns the table for a terminal, as wide as the terminal if there is one.
    pub fn text(&self, color: bool) -> String {
        text::render(self, color, None)
    }

    /// Returns the table for a terminal of `width` columns.
    pub fn text_within(&self, width: u16) -> String {
        text::render(self, false, Some(width))
    }

    /// Returns the table as Markdown that GitHub renders.
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// Returns the table as a JSON document.
    pub fn json(&self) -> String {
        json::to_text(self)
    }
}

impl Row {
    fn new(subject: Subject) -> Self {
        Self { subject, logons: BTreeMap::new(), cells: IndexMap::new(), scenarios: 0, missing: 0 }
    }

    /// Returns the outcome for the users of sites with this provider.
    pub fn logons(&self, takes: Provider) -> Logons {
        self.logons.get(&takes).copied().unwrap_or_default()
    }

    /// Returns whether a request was ever served as another user.
    pub fn mixes_up_users(&self) -> bool {
        self.logons.values().any(|logons| logons.mixes_up_users)
    }

    /// Returns whether every requested run over the balancer was made, so that what is not violated is kept.
    pub const fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Returns the extent to which the users of sites with this provider can log on, in one word.
    pub(crate) fn works(&self, takes: Provider) -> &'static str {
        match self.logons(takes).works {
            Works::Yes if !self.is_complete() => OPEN,
            works => works.word(),
        }
    }

    /// Returns whether users are kept apart: `yes`, or `no` with the kinds of sites at which they were mixed up.
    pub(crate) fn kept_apart(&self) -> String {
        match self.mixed() {
            mixed if !mixed.is_empty() => format!("no: {mixed}"),
            _ if !self.is_complete() => OPEN.to_owned(),
            _ if self.logons.is_empty() => Works::Unknown.word().to_owned(),
            _ => "yes".to_owned(),
        }
    }

    /// Returns the kinds of sites at which users were mixed up, separated by commas; empty if there are none.
    pub(crate) fn mixed(&self) -> String {
        let mixed = KINDS.iter().filter(|(kind, _)| self.logons(*kind).mixes_up_users).map(|&(_, heading)| heading);
        mixed.collect::<Vec<_>>().join(", ")
    }

    /// Returns the grade of a requirement, which is "not exercised" if no scenario put it to the test.
    pub fn grade(&self, requirement: Requirement) -> Grade {
        self.cells.get(&requirement).and_then(|cell| cell.grade).unwrap_or(Grade::NotExercised)
    }

    fn add(&mut self, takes: Provider, (run, trace): (&Run, &Trace), replay: &str) {
        let (scenario, verdicts) = (&run.source.scenario, &run.verdicts);
        self.scenarios += 1;
        let calm = !trace.events.iter().any(|event| matches!(event.what, What::Action(Action::Fault(_))));
        self.logons.entry(takes).or_default().add(calm, verdicts);
        for verdict in verdicts.iter().filter(|verdict| verdict.grade >= Grade::Ok) {
            let cell = self.cells.entry(verdict.requirement).or_default();
            cell.grade = cell.grade.max(Some(verdict.grade));
            match verdict.against_balancer().next() {
                None => cell.kept.push(scenario.clone()),
                Some(first) => cell.broken.push(Sighting {
                    scenario: scenario.clone(),
                    summary: first.summary.clone(),
                    evidence: transcript::lines(trace, &first.events),
                    replay: replay.to_owned(),
                    events: trace.events.len(),
                    seed: run.seed,
                    takes,
                    calm,
                }),
            }
        }
        self.cells.sort_unstable_keys();
    }

    fn merge(&mut self, other: Self) {
        self.scenarios += other.scenarios;
        self.missing += other.missing;
        for (takes, logons) in other.logons {
            self.logons.entry(takes).or_default().merge(logons);
        }
        for (requirement, cell) in other.cells {
            let own = self.cells.entry(requirement).or_default();
            own.grade = own.grade.max(cell.grade);
            own.kept.extend(cell.kept);
            own.broken.extend(cell.broken);
        }
        self.cells.sort_unstable_keys();
    }
}

impl Cell {
    /// Returns the number of scenarios that saw the requirement violated.
    pub(crate) fn scenarios(&self) -> usize {
        self.broken.iter().map(|sighting| &*sighting.scenario).collect::<BTreeSet<_>>().len()
    }
}

impl Logons {
    fn add(&mut self, calm: bool, verdicts: &[Verdict]) {
        let has = |ids: &[Requirement], grade| {
            verdicts.iter().any(|verdict| ids.contains(&verdict.requirement) && verdict.grade == grade)
        };
        self.mixes_up_users |= has(&IDENTITY, Grade::Violated);
        if calm {
            self.calm.0 |= has(&[Requirement::Hs1], Grade::Ok);
            self.calm.1 |= has(&LOGON, Grade::Violated);
        }
        self.works = self.works();
    }

    fn merge(&mut self, other: Self) {
        self.mixes_up_users |= other.mixes_up_users;
        self.calm = (self.calm.0 | other.calm.0, self.calm.1 | other.calm.1);
        self.works = self.works();
    }

    fn works(self) -> Works {
        match self.calm {
            (false, false) => Works::Unknown,
            (true, false) => Works::Yes,
            (true, true) => Works::Partly,
            (false, true) => Works::No,
        }
    }
}

impl Works {
    /// Returns the extent in one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
        }
    }
}
