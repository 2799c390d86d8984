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

use stickler_oracle::{Grade, Requirement};
use stickler_runner::{Diagnostic, Expected};
use toml::{Spanned, Value};

use crate::suite::nearest;

/// Key of what holds over every balancer.
const ALL: &str = "all";

/// Key of the groups, in the place of a scenario's name.
const GROUPS: &str = "groups";

/// The expected outcomes of the scenarios of a folder. Empty: no MUST is violated, anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectations {
    /// By scenario, then by balancer or [`ALL`].
    table: BTreeMap<String, BTreeMap<String, Expected>>,
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
        ExpectedError(Box::new(Diagnostic::new(self.origin, self.text, span, message, None)))
    }
}

#[cfg(test)]
mod tests {
    use stickler_model::BalancerSpec;
    use stickler_oracle::Verdict;
    use stickler_runner::{Deviation, End, Ending, Run, ScriptOutcome, Source};

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
        let verdict = |&(requirement, grade)| Verdict { requirement, grade, exercised: 1, evidence: Vec::new() };
        Run {
            source: Source { scenario: "lone".into(), path: "lone.star".into() },
            arm: "sim".into(),
            balancer: BalancerSpec::named("shared-pool"),
            seed: 1,
            trace: None,
            verdicts: grades.iter().map(verdict).collect(),
            failures: vec![Diagnostic::new("lone.star", "x", 0..1, "x".into(), None); failed],
            printed: Vec::new(),
            end: End::Complete,
            expected: Expected::default(),
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
    fn a_run_that_did_not_come_to_its_end_is_never_as_expected() {
        let sound = run(&[], 0);
        assert_eq!(sound.ending(), Ending::AsExpected);
        let diagnostic = run(&[], 1).failures.remove(0);
        let failed = Run { end: End::Failed(Box::new(diagnostic.clone())), ..sound.clone() };
        assert_eq!(failed.ending(), Ending::Failed(diagnostic));
        let skipped = Run { end: End::Skipped("no such arm".into()), ..sound };
        assert_eq!((skipped.ending(), skipped.as_expected()), (Ending::Skipped("no such arm".into()), false));
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
