//! The expected outcome as data, and how a run differs from it.
//!
//! ```toml
//! [lone-two-backends]                                       # a scenario; a row for each balancer that differs
//! all = { ok = "HS-1, HS-2" }                               # over every balancer: must be put to the test, and kept
//! pool-uri = { not-exercised = "HS-2" }                     # over this one; of the rest, what is written for all
//! "closing, l4-hash" = { script = "fails", violated = "HS-1", because = "torn" }       # several, and classes of them
//! pool-random = { script = "either", varies = "HS-1", ST-2 = ["ok", "non-strict"], reason = "the backend is drawn" }
//!
//! [reasons]                                                 # of this folder alone
//! torn = "type 1 and type 3 go to different servers"
//!
//! [groups.no-affinity]                                      # the folder's own name for a list of balancers
//! balancers = ["shared-pool", "safe-pool"]
//! ```
//!
//! * `script`: the script's own expectations: "holds" (if unsaid), "fails" or "either".
//! * `ok`, `violated`, `non-strict`, `not-exercised`, `not-applicable`: the requirements that get this grade.
//!   `varies`: as the seed decides, they are not exercised, kept or violated.
//! * `HS-1 = "ok"`, `HS-1 = ["ok", "violated"]`: the same of one requirement, and any set of grades.
//! * `because`: a reason's key, of the folder or of [`Shared`]; `reason`: its text.
//!
//! A row for a balancer counts in place of the rows for its class and for what it is like ([`Shared`]); an empty one says
//! that it does as all do. Rows may be tables of their own, `[lone-two-backends.pool-uri]`.
//!
//! Where nothing is written for a requirement, it must not be violated; a `non-strict` SHOULD passes.
//! A violation that is expected and does not happen fails as one that is not expected and does.

mod file;
mod shared;
mod source;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use stickler_oracle::{Grade, Requirement};

pub use self::file::Known;
pub use self::shared::Shared;
pub use self::source::{FileError, Source};
use crate::Run;

/// Key of what holds over every balancer.
const ALL: &str = "all";

/// The grades that a requirement may get where nothing is written of it: any but a violation.
const UNSAID: [Grade; 4] = [Grade::Ok, Grade::NotExercised, Grade::NotApplicable, Grade::NonStrict];

/// The expected outcomes of the scenarios of a folder. Empty: no MUST is violated, anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectations {
    /// By scenario, then by balancer or [`ALL`].
    table: BTreeMap<String, BTreeMap<String, Expected>>,
    /// The scenarios in the order in which they are written.
    order: Vec<String>,
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

impl Expectations {
    /// Reads a folder's table of expected outcomes.
    ///
    /// # Errors
    /// It is not TOML of that form, or it names a scenario, balancer, requirement or reason that does not
    /// exist, or expects a violation without saying why.
    pub fn parse(source: Source<'_>, known: &Known<'_>) -> Result<Self, FileError> {
        file::parse(source, known)
    }

    /// The scenarios that have a table, in the order in which they are written.
    pub fn scenarios(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
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

#[cfg(test)]
mod tests {
    use stickler_oracle::Verdict;

    use super::*;
    use crate::Diagnostic;

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

    fn parse(text: &str) -> Result<Expectations, FileError> {
        parse_over(text, &["l4-nat", "shared-pool"])
    }

    fn parse_over(text: &str, balancers: &[&str]) -> Result<Expectations, FileError> {
        let reasons = Source { text: "closed = \"closed in mid-handshake\"\n", origin: "reasons.toml" };
        let alike = "[classes]\npools = \"x\"\n[like]\nshared-pool = \"pools\"\n";
        let shared = Shared::parse(reasons, Source { text: alike, origin: "mechanisms.toml" }, balancers)?;
        let known = Known { scenarios: &["lone", "crowd"], balancers, shared: &shared };
        Expectations::parse(Source { text, origin: "expected.toml" }, &known)
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
        let parse = |text| parse_over(text, &["l4-nat", "l4-dsr", "shared-pool", "safe-pool"]);
        let parsed = parse(table).unwrap();
        let fails = |balancer| parsed.expected("lone", balancer).script == Some(ScriptOutcome::Fails);
        assert_eq!(["l4-nat", "shared-pool", "safe-pool", "l4-dsr"].map(fails), [true, true, true, false]);
        let twice = format!("{table}[lone.safe-pool]\nscript = \"holds\"\n");
        assert!(parse(&twice).unwrap_err().to_string().contains("`safe-pool` has two tables"));
    }

    #[test]
    fn both_ways_to_write_a_table_mean_the_same() {
        let short = "[lone]\nall = { ok = \"HS-1, HS-2\" }\n\
                     shared-pool = { script = \"fails\", violated = \"ID-2\", varies = \"HS-6\", because = \"closed\" }\n";
        let long = "[lone.all]\nHS-1 = \"ok\"\nHS-2 = [\"ok\"]\n\
                    [lone.shared-pool]\nreason = \"closed in mid-handshake\"\nscript = \"fails\"\nID-2 = \"violated\"\n\
                    HS-6 = [\"not-exercised\", \"ok\", \"violated\"]\n";
        assert_eq!(parse(short), parse(long));
    }

    #[test]
    fn a_row_for_a_balancer_counts_in_place_of_its_class() {
        let balancers = ["shared-pool", "safe-pool"];
        let script = |text: &str, balancer| parse_over(text, &balancers).unwrap().expected("lone", balancer).script;
        let class = "[lone]\npools = { script = \"fails\", because = \"closed\" }\n";
        assert_eq!(balancers.map(|balancer| script(class, balancer)), [Some(ScriptOutcome::Fails), None]);
        let own = format!("{class}shared-pool = {{}}\n");
        assert_eq!(balancers.map(|balancer| script(&own, balancer)), [None, None]);
    }

    #[test]
    fn a_folder_has_reasons_of_its_own_and_scenarios_keep_their_order() {
        let text = "[reasons]\nclosed = \"here it is another\"\n\
                    [lone.all]\nscript = \"fails\"\nbecause = \"closed\"\n[crowd]\n[lone.l4-nat]\nHS-1 = \"ok\"\n";
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.expected("lone", "l4-nat").reason.as_deref(), Some("here it is another"));
        assert_eq!(parsed.scenarios().collect::<Vec<_>>(), ["lone", "crowd"]);
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
            "[lone]\nall = { ok = \"HS-1, HS-11\" }\n",
            "[lone]\nall = { ok = \"HS-1\", HS-1 = \"ok\" }\n",
            "[lone]\nall = { okay = \"HS-1\" }\n",
            "[lone]\n\"l4-nat, pool\" = { ok = \"HS-1\" }\n",
            "[lone]\npools = { script = \"fails\", because = \"close\" }\n",
            "[lone]\nall = { because = \"closed\", reason = \"closed\" }\n",
            "[reasons]\nclosed = 3\n",
        ];
        insta::assert_snapshot!(tables.map(message).join("\n\n"));
    }
}
