//! Which balancer keeps which requirement: the verdicts of many scenarios in one table.
//!
//! * `text`: for a terminal, a column for each family of requirements.
//! * `markdown`: a column for each requirement. [`Matrix::page`] is the same with the evidence, as HTML.
//! * [`Matrix`] itself is what programs get, as JSON.

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Subject {
    /// Its name, as `--balancer` takes it.
    pub name: String,
    /// The product, `HAProxy`; for a mechanism, what it is called in the literature (`M12`), or nothing.
    pub product: String,
    /// The configuration in a line.
    pub config: String,
}

/// Verdicts by balancer and requirement.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Matrix {
    /// A row for each balancer.
    rows: Vec<Row>,
}

/// One balancer's verdicts.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Row {
    /// Whose.
    #[serde(flatten)]
    pub subject: Subject,
    /// What became of users, by what their site takes: NTLM; Kerberos alone; Negotiate, where some fall back to NTLM.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Logons>"))]
    pub logons: BTreeMap<Provider, Logons>,
    /// By requirement; one that no scenario put to the test is missing.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Cell>"))]
    pub cells: IndexMap<Requirement, Cell>,
    /// Scenarios that were run.
    pub scenarios: usize,
}

/// What became of the users of sites of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Logons {
    /// Whether they can log on.
    pub works: Works,
    /// Whether a request was ever served as somebody else.
    pub mixes_up_users: bool,
    /// What scenarios without a fault showed of logging on: worked, and did not.
    #[serde(skip)]
    calm: (bool, bool),
}

/// Whether users can log on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Works {
    /// Nothing was tried.
    #[default]
    Unknown,
    /// Every user with valid credentials was answered (HS-1, HS-2, HS-3) in every scenario in which nothing broke.
    /// What happens when something breaks is for the other requirements to say.
    Yes,
    /// In some scenarios: with one backend, or one client at a time.
    Partly,
    /// Never.
    No,
}

/// What became of one requirement over one balancer.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cell {
    /// The worst grade of all scenarios.
    #[cfg_attr(feature = "schema", schemars(with = "Option<json::schema::Grade>"))]
    pub grade: Option<Grade>,
    /// The scenarios that put it to the test and saw it kept.
    pub kept: Vec<String>,
    /// Those that saw it broken.
    pub broken: Vec<Sighting>,
}

/// Where a requirement was broken.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sighting {
    /// In which scenario.
    pub scenario: String,
    /// The first violation, in a sentence.
    pub summary: String,
    /// The events that prove it, as transcript lines.
    pub evidence: Vec<String>,
    /// The command that shows it again.
    pub replay: String,
    /// How many events the run has.
    #[serde(skip)]
    pub(crate) events: usize,
    /// The seed of the run.
    #[serde(skip)]
    pub(crate) seed: u64,
    /// What its site takes.
    #[serde(skip)]
    pub(crate) takes: Provider,
    /// Whether nothing was broken in that scenario.
    #[serde(skip)]
    pub(crate) calm: bool,
}

/// The kinds of sites that have a column, and its heading.
const KINDS: [(Provider, &str); 3] =
    [(Provider::Ntlm, "NTLM"), (Provider::NegotiateKerberos, "Kerberos"), (Provider::Negotiate, "Negotiate")];

/// Requirements whose violation means that users are mixed up.
pub(crate) const IDENTITY: [Requirement; 3] = [Requirement::Id1, Requirement::Id2, Requirement::Id3];

/// Requirements whose violation means that users cannot log on.
pub(crate) const LOGON: [Requirement; 3] = [Requirement::Hs1, Requirement::Hs2, Requirement::Hs3];

impl Matrix {
    /// Adds what a run, whose site takes this, showed of a balancer; `replay` is the command that makes it again. Several
    /// seeds may be added. A run without a trace, as one that was skipped, adds nothing.
    pub fn add(&mut self, subject: &Subject, takes: Provider, run: &Run, replay: &str) {
        let Some(trace) = &run.trace else { return };
        let known = self.rows.iter().position(|row| row.subject == *subject);
        let index = known.unwrap_or_else(|| {
            self.rows.push(Row::new(subject.clone()));
            self.rows.len() - 1
        });
        self.rows[index].add(takes, (run, trace), replay);
    }

    /// A table with a row for each of these, and nothing in it.
    pub fn with_rows(subjects: &[Subject]) -> Self {
        Self { rows: subjects.iter().cloned().map(Row::new).collect() }
    }

    /// Adds everything that another table has.
    pub fn merge(&mut self, other: Self) {
        for row in other.rows {
            match self.rows.iter_mut().find(|own| own.subject == row.subject) {
                Some(own) => own.merge(row),
                None => self.rows.push(row),
            }
        }
    }

    /// A row for each balancer, in the order in which they were added.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The kinds of sites that some scenario had, in order, with their headings.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (Provider, &'static str)> {
        KINDS.into_iter().filter(|(kind, _)| self.rows.iter().any(|row| row.logons.contains_key(kind)))
    }

    /// The requirements that some scenario put to the test, in order.
    pub fn columns(&self) -> Vec<Requirement> {
        Requirement::all().filter(|id| self.rows.iter().any(|row| row.cells.contains_key(id))).collect()
    }

    /// For a terminal, as wide as that is where there is one.
    pub fn text(&self, color: bool) -> String {
        text::render(self, color, None)
    }

    /// For a terminal of so many columns.
    pub fn text_within(&self, width: u16) -> String {
        text::render(self, false, Some(width))
    }

    /// As GitHub renders it.
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// One document.
    pub fn json(&self) -> String {
        json::to_text(self)
    }
}

impl Row {
    fn new(subject: Subject) -> Self {
        Self { subject, logons: BTreeMap::new(), cells: IndexMap::new(), scenarios: 0 }
    }

    /// What became of the users of sites that take this.
    pub fn logons(&self, takes: Provider) -> Logons {
        self.logons.get(&takes).copied().unwrap_or_default()
    }

    /// Whether a request was ever served as somebody else.
    pub fn mixes_up_users(&self) -> bool {
        self.logons.values().any(|logons| logons.mixes_up_users)
    }

    /// At which sites users were mixed up; nothing where at none.
    pub(crate) fn mixed(&self) -> String {
        let mixed = KINDS.iter().filter(|(kind, _)| self.logons(*kind).mixes_up_users).map(|&(_, heading)| heading);
        mixed.collect::<Vec<_>>().join(", ")
    }

    /// The grade of a requirement; not exercised where no scenario put it to the test.
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
    /// How many scenarios saw it broken.
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
    /// In a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
        }
    }
}
