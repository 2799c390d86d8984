//! The expected outcome as data, and how a run differs from it.
//!
//! ```toml
//! [lone-two-backends.all]           # over every balancer
//! HS-1 = "ok"                       # must be put to the test, and kept
//!
//! [lone-two-backends."close-per-request, no-affinity"]      # a balancer, or several, or groups of them
//! reason = "type 1 and type 3 go to different servers"
//! script = "fails"                  # its own expectations: "holds" (if unsaid), "fails" or "either"
//! HS-1 = "violated"
//! HS-6 = ["ok", "violated"]         # depends on the seed
//!
//! [groups.no-affinity]              # a name for a list of balancers
//! balancers = ["shared-pool", "safe-pool"]
//! ```
//!
//! Where nothing is written for a requirement, it must not be violated; a `non-strict` SHOULD passes.
//! A violation that is expected and does not happen fails as one that is not expected and does.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use stickler_oracle::{Grade, Requirement};
use toml::{Spanned, Value};

use crate::suite::nearest;
use crate::{Diagnostic, Run};

/// Key of what holds over every balancer.
const ALL: &str = "all";

/// Key of the groups, in the place of a scenario's name.
const GROUPS: &str = "groups";

/// The grades that a requirement may get where nothing is written of it: any but a violation.
const UNSAID: [Grade; 4] = [Grade::Ok, Grade::NotExercised, Grade::NotApplicable, Grade::NonStrict];

/// The expected outcomes of the scenarios of a folder. Empty: no MUST is violated, anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectations {
    /// By scenario, then by balancer or [`ALL`].
    table: BTreeMap<String, BTreeMap<String, Expected>>,
}

/// The expected outcome of one scenario over one balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The grades that a requirement may get. One that is missing here must not be violated.
    pub grades: BTreeMap<Requirement, Vec<Grade>>,
    /// What becomes of the script's own expectations; `None`: they hold.
    pub script: Option<ScriptOutcome>,
    /// Why a violation is expected.
    pub reason: Option<String>,
}

/// What becomes of a script's own expectations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptOutcome {
    /// All of them hold.
    Holds,
    /// At least one does not.
    Fails,
    /// It depends on the seed.
    Either,
}

/// How a run differs from what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deviation {
    /// A requirement got a grade that was not expected.
    Grade {
        /// Which.
        requirement: Requirement,
        /// The grades that were.
        expected: Vec<Grade>,
        /// The grade it got.
        actual: Grade,
        /// Why those were expected.
        reason: Option<String>,
    },
    /// The script's own expectations did not end as expected.
    Script {
        /// How they were to end.
        expected: ScriptOutcome,
        /// How many did not hold.
        failed: usize,
        /// Why that was expected.
        reason: Option<String>,
    },
    /// The script could not go on; see [`Run::error`].
    Error,
}

/// A file of expected outcomes is wrong: where, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ExpectedError(pub Box<Diagnostic>);

/// The file's tables, with their places: scenario, balancers, key, value.
type Raw = BTreeMap<Spanned<String>, Table>;

/// A scenario's tables, or those of the groups.
type Table = BTreeMap<Spanned<String>, BTreeMap<Spanned<String>, Spanned<Value>>>;

impl Expectations {
    /// Reads a table of expected outcomes. `origin` is what errors show as the file.
    ///
    /// # Errors
    /// It is not TOML of that form, or it names a scenario, balancer or requirement that does not
    /// exist, or expects a violation without saying why.
    pub fn parse(text: &str, origin: &str, scenarios: &[&str], balancers: &[&str]) -> Result<Self, ExpectedError> {
        let file = File { text, origin };
        let mut raw: Raw = toml::from_str(text)
            .map_err(|error| file.wrong(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let groups = raw.remove(GROUPS).map_or(Ok(BTreeMap::new()), |groups| file.groups(groups, balancers))?;
        let mut table = BTreeMap::new();
        for (scenario, outcomes) in raw {
            file.check_name("scenario", &scenario, scenarios.iter().copied())?;
            table.insert(scenario.into_inner(), file.row(outcomes, &groups, balancers)?);
        }
        Ok(Self { table })
    }

    /// What is expected of a scenario over a balancer: what is written for all, and over it what is
    /// written for this one.
    pub fn expected(&self, scenario: &str, balancer: &str) -> Expected {
        let row = self.table.get(scenario);
        let mut expected = row.and_then(|row| row.get(ALL)).cloned().unwrap_or_default();
        if let Some(own) = row.and_then(|row| row.get(balancer)) {
            expected.grades.extend(own.grades.clone());
            expected.script = own.script.or(expected.script);
            expected.reason = own.reason.clone().or(expected.reason);
        }
        expected
    }
}

impl Expected {
    /// How the run differs from this; empty where it does not.
    pub fn compare(&self, run: &Run) -> Vec<Deviation> {
        if run.error.is_some() {
            return vec![Deviation::Error];
        }
        let mut deviations: Vec<Deviation> = Requirement::all()
            .filter_map(|requirement| self.compare_grade(requirement, run.grade(requirement)))
            .collect();
        let expected = self.script.unwrap_or(ScriptOutcome::Holds);
        let failed = run.failures.len();
        if matches!((expected, failed), (ScriptOutcome::Holds, 1..) | (ScriptOutcome::Fails, 0)) {
            deviations.push(Deviation::Script { expected, failed, reason: self.reason.clone() });
        }
        deviations
    }

    /// Whether a violation, a departure or a failed script is among what is expected.
    fn expects_trouble(&self) -> bool {
        let trouble = |grade: &Grade| matches!(grade, Grade::Violated | Grade::NonStrict);
        self.grades.values().flatten().any(trouble)
            || matches!(self.script, Some(ScriptOutcome::Fails | ScriptOutcome::Either))
    }

    fn compare_grade(&self, requirement: Requirement, actual: Grade) -> Option<Deviation> {
        let expected = self.grades.get(&requirement).map_or(&UNSAID[..], Vec::as_slice);
        (!expected.contains(&actual)).then(|| Deviation::Grade {
            requirement,
            expected: expected.to_vec(),
            actual,
            reason: self.reason.clone(),
        })
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self {
            Self::Error => return f.write_str("the script could not go on"),
            Self::Grade { requirement, expected, actual, reason } => {
                if expected[..] == UNSAID {
                    write!(f, "{requirement} is {actual}, which nothing here expects")?;
                } else {
                    let expected: Vec<String> = expected.iter().map(Grade::to_string).collect();
                    write!(f, "{requirement} is {actual}, expected {}", expected.join(" or "))?;
                }
                reason
            }
            Self::Script { expected: ScriptOutcome::Fails, reason, .. } => {
                f.write_str("every expectation of the script holds, and one was expected to fail")?;
                reason
            }
            Self::Script { failed, reason, .. } => {
                write!(
                    f,
                    "{failed} expectation{} of the script {} not hold",
                    if *failed == 1 { "" } else { "s" },
                    if *failed == 1 { "does" } else { "do" }
                )?;
                reason
            }
        };
        match reason {
            Some(reason) => write!(f, " (because: {reason})"),
            None => Ok(()),
        }
    }
}

/// A file that is being read, for errors.
struct File<'a> {
    text: &'a str,
    origin: &'a str,
}

/// Lists of balancers, by name.
type Groups = BTreeMap<String, Vec<String>>;

impl File<'_> {
    fn groups(&self, groups: Table, balancers: &[&str]) -> Result<Groups, ExpectedError> {
        let mut named = Groups::new();
        for (name, mut entries) in groups {
            let Some(list) = entries.remove("balancers").filter(|_| entries.is_empty()) else {
                return Err(self.wrong(name.span(), "a group has one key: `balancers = [...]`".into()));
            };
            let span = list.span();
            let members: Vec<String> = self.value(list)?;
            for member in &members {
                self.check("balancer", member, &span, balancers.iter().copied())?;
            }
            named.insert(name.into_inner(), members);
        }
        Ok(named)
    }

    /// What is expected of one scenario, by balancer.
    fn row(
        &self,
        outcomes: Table,
        groups: &Groups,
        balancers: &[&str],
    ) -> Result<BTreeMap<String, Expected>, ExpectedError> {
        let mut row = BTreeMap::new();
        for (list, entries) in outcomes {
            let expected = self.expected(&list, entries)?;
            for name in list.get_ref().split(',').map(str::trim) {
                let known = balancers.iter().copied().chain(groups.keys().map(String::as_str)).chain([ALL]);
                self.check("balancer", name, &list.span(), known)?;
                let alone = [name.to_owned()];
                for member in groups.get(name).map_or(&alone[..], Vec::as_slice) {
                    if row.insert(member.clone(), expected.clone()).is_some() {
                        return Err(self.wrong(list.span(), format!("`{member}` has two tables for this scenario")));
                    }
                }
            }
        }
        Ok(row)
    }

    fn expected(
        &self,
        balancer: &Spanned<String>,
        entries: BTreeMap<Spanned<String>, Spanned<Value>>,
    ) -> Result<Expected, ExpectedError> {
        let mut expected = Expected::default();
        for (key, value) in entries {
            match key.get_ref().as_str() {
                "reason" => expected.reason = Some(self.value(value)?),
                "script" => expected.script = Some(self.value(value)?),
                id => {
                    self.check_name("requirement", &key, Requirement::all().map(Requirement::id))?;
                    let requirement = id.parse().map_err(|error| self.wrong(key.span(), error))?;
                    expected.grades.insert(requirement, self.grades(value)?);
                }
            }
        }
        if expected.expects_trouble() && expected.reason.is_none() {
            return Err(self.wrong(balancer.span(), "what is expected here needs a `reason`".into()));
        }
        Ok(expected)
    }

    /// One grade, or a list of those that are allowed.
    fn grades(&self, value: Spanned<Value>) -> Result<Vec<Grade>, ExpectedError> {
        let span = value.span();
        let grades: Vec<Grade> = if value.get_ref().is_array() { self.value(value)? } else { vec![self.value(value)?] };
        if grades.is_empty() {
            Err(self.wrong(span, "an empty list allows no grade at all".into()))
        } else {
            Ok(grades)
        }
    }

    fn value<T: serde::de::DeserializeOwned>(&self, value: Spanned<Value>) -> Result<T, ExpectedError> {
        let span = value.span();
        value.into_inner().try_into().map_err(|error: toml::de::Error| self.wrong(span, error.message().to_owned()))
    }

    fn check_name<'n>(
        &self,
        kind: &str,
        name: &Spanned<String>,
        known: impl Iterator<Item = &'n str>,
    ) -> Result<(), ExpectedError> {
        self.check(kind, name.get_ref(), &name.span(), known)
    }

    fn check<'n>(
        &self,
        kind: &str,
        name: &str,
        span: &std::ops::Range<usize>,
        known: impl Iterator<Item = &'n str>,
    ) -> Result<(), ExpectedError> {
        let known: Vec<&str> = known.collect();
        if known.contains(&name) {
            return Ok(());
        }
        let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(self.wrong(span.clone(), format!("there is no {kind} `{name}`{hint}")))
    }

    fn wrong(&self, span: std::ops::Range<usize>, message: String) -> ExpectedError {
        ExpectedError(Box::new(Diagnostic::in_text(self.origin, self.text, span, message, None)))
    }
}

#[cfg(test)]
mod tests {
    use stickler_oracle::Verdict;

    use super::*;

    const TABLE: &str = r#"
[lone.all]
HS-1 = "ok"

[lone.shared-pool]
reason = "one connection for all"
script = "fails"
ID-2 = "violated"
HS-6 = ["ok", "violated"]
ST-2 = "non-strict"
"#;

    fn parse(text: &str) -> Result<Expectations, ExpectedError> {
        Expectations::parse(text, "expected.toml", &["lone"], &["l4-nat", "shared-pool"])
    }

    fn run(grades: &[(Requirement, Grade)], failed: usize) -> Run {
        let scenario = crate::Scenario::new("lone", "lone.star", "x").unwrap();
        let verdict = |&(requirement, grade)| Verdict { requirement, grade, exercised: 1, evidence: Vec::new() };
        Run {
            scenario: "lone".into(),
            path: "lone.star".into(),
            balancer: "shared-pool".into(),
            seed: 1,
            trace: None,
            verdicts: grades.iter().map(verdict).collect(),
            failures: vec![Diagnostic::new(&scenario, 0..1, "x".into(), None); failed],
            error: None,
            printed: Vec::new(),
        }
    }

    fn deviations(balancer: &str, run: &Run) -> Vec<String> {
        parse(TABLE).unwrap().expected("lone", balancer).compare(run).iter().map(Deviation::to_string).collect()
    }

    #[test]
    fn what_happens_as_expected_is_no_deviation() {
        let as_told =
            [(Requirement::Hs1, Grade::Ok), (Requirement::Id2, Grade::Violated), (Requirement::St2, Grade::NonStrict)];
        for hs6 in [Grade::Ok, Grade::Violated] {
            let run = run(&[&as_told[..], &[(Requirement::Hs6, hs6)]].concat(), 2);
            assert_eq!(deviations("shared-pool", &run), Vec::<String>::new());
        }
        let clean = run(&[(Requirement::Hs1, Grade::Ok), (Requirement::St2, Grade::NonStrict)], 0);
        assert_eq!(deviations("l4-nat", &clean), Vec::<String>::new());
    }

    #[test]
    fn an_unexpected_violation_is_a_deviation() {
        let leak = run(&[(Requirement::Hs1, Grade::Ok), (Requirement::Id2, Grade::Violated)], 1);
        assert_eq!(
            deviations("l4-nat", &leak),
            ["ID-2 is violated, which nothing here expects", "1 expectation of the script does not hold"]
        );
    }

    #[test]
    fn an_expected_violation_that_does_not_happen_is_a_deviation() {
        let clean = run(
            &[
                (Requirement::Hs1, Grade::Ok),
                (Requirement::Hs6, Grade::Ok),
                (Requirement::Id2, Grade::Ok),
                (Requirement::St2, Grade::NonStrict),
            ],
            0,
        );
        assert_eq!(
            deviations("shared-pool", &clean),
            [
                "ID-2 is ok, expected violated (because: one connection for all)",
                "every expectation of the script holds, and one was expected to fail (because: one connection for all)"
            ]
        );
    }

    #[test]
    fn a_requirement_that_must_be_put_to_the_test_fails_where_it_is_not() {
        assert_eq!(deviations("l4-nat", &run(&[], 0)), ["HS-1 is not exercised, expected ok"]);
    }

    #[test]
    fn a_script_that_cannot_go_on_is_a_deviation_whatever_was_expected() {
        let mut broken = run(&[], 0);
        broken.error = Some(broken.failures.pop().unwrap_or_else(|| run(&[], 1).failures.remove(0)));
        assert_eq!(deviations("shared-pool", &broken), ["the script could not go on"]);
    }

    #[test]
    fn a_table_may_be_about_several_balancers_and_groups_of_them() {
        let table = "[groups.pools]\nbalancers = [\"shared-pool\", \"safe-pool\"]\n\
                     [lone.\"l4-nat, pools\"]\nreason = \"x\"\nscript = \"fails\"\n";
        let parse = |text| Expectations::parse(text, "x", &["lone"], &["l4-nat", "l4-dsr", "shared-pool", "safe-pool"]);
        let parsed = parse(table).unwrap();
        let fails = |balancer| parsed.expected("lone", balancer).script == Some(ScriptOutcome::Fails);
        assert_eq!(["l4-nat", "shared-pool", "safe-pool", "l4-dsr"].map(fails), [true, true, true, false]);
        let twice = format!("{table}[lone.safe-pool]\nscript = \"holds\"\n");
        assert!(parse(&twice).unwrap_err().to_string().contains("`safe-pool` has two tables"));
    }

    #[test]
    fn nothing_written_means_no_violation_and_a_script_that_holds() {
        let expected = Expectations::default().expected("any", "any");
        assert_eq!(expected.compare(&run(&[(Requirement::St2, Grade::NonStrict)], 0)), Vec::new());
        assert_eq!(expected.compare(&run(&[(Requirement::Hs1, Grade::Violated)], 3)).len(), 2);
    }

    #[test]
    fn unknown_names_in_the_table_are_errors_with_their_place_and_a_hint() {
        let message = |text| parse(text).unwrap_err().to_string();
        let tables = [
            "[alone.all]\n",
            "[lone.shared-pol]\nHS-1 = \"ok\"\n",
            "[lone.all]\nHS-11 = \"ok\"\n",
            "[lone.all]\nHS-1 = \"okay\"\n",
            "[lone.all]\nHS-1 = []\n",
            "[lone.all]\nscript = \"fail\"\n",
            "[lone.all]\nHS-1 = \"violated\"\n",
            "[lone.all]\nHS-1 = \n",
            "[lone]\nall = 3\n",
        ];
        insta::assert_snapshot!(tables.map(message).join("\n\n"));
    }
}
