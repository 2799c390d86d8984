//! The tables of expected outcomes of a folder of scenarios.
//!
//! ```toml
//! [lone-two-backends]                                       # a scenario; a row for each balancer that differs
//! all = { ok = "HS-1, HS-2" }                               # over every balancer: must be put to the test, and kept
//! pool-uri = { not-exercised = "HS-2" }                     # over this one; for the rest, the row `all` applies
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
//! * `script`: the outcome of the script's own expectations: "holds" (the default), "fails" or "either".
//! * `ok`, `violated`, `non-strict`, `not-exercised`, `not-applicable`: the requirements that get this grade.
//!   `varies`: the requirements that are not exercised, kept or violated depending on the seed.
//! * `HS-1 = "ok"`, `HS-1 = ["ok", "violated"]`: the grade of a single requirement, or any set of grades.
//! * `because`: the key of a reason, of the folder or of [`Shared`]. `reason`: the text of a reason.
//!
//! An entry has to exclude something that could happen, since otherwise no run would ever differ from it. An entry that
//! lists every grade that its requirement can get is therefore an error, and so is a row by which every requirement may
//! be kept or violated and the script's expectations may hold or fail.
//!
//! A row for a balancer replaces the rows for its class and for the balancer that it is like ([`Shared`]). An empty row
//! means that the balancer behaves as the row `all` says. Rows may also be separate tables,
//! `[lone-two-backends.pool-uri]`.
//!
//! A requirement for which nothing is written must not be violated; a `non-strict` SHOULD passes. An expected violation
//! that does not happen fails the run, as an unexpected one does.

mod file;
mod shared;
mod source;

use std::collections::BTreeMap;

use stickler_runner::Expected;

pub use self::file::Known;
pub use self::shared::Shared;
pub use self::source::{FileError, Source};

/// The key of the row that applies to every balancer.
const ALL: &str = "all";

/// The expected outcomes of the scenarios of a folder. If it is empty, no MUST may be violated in any of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectations {
    /// The outcomes by scenario, and then by balancer or [`ALL`].
    table: BTreeMap<String, BTreeMap<String, Expected>>,
    /// The scenarios in the order in which they are written.
    order: Vec<String>,
}

impl Expectations {
    /// Reads a folder's table of expected outcomes.
    ///
    /// # Errors
    /// The file is not TOML of that form; it names a scenario, balancer, requirement or reason that does not exist; it
    /// expects a violation without a reason; or it accepts every outcome.
    pub fn parse(source: Source<'_>, known: &Known<'_>) -> Result<Self, FileError> {
        let mut mistakes = Vec::new();
        let expectations = Self::read(source, known, &mut mistakes);
        match mistakes.into_iter().next() {
            Some(first) => Err(first),
            None => Ok(expectations),
        }
    }

    /// Reads the valid parts of a folder's table of expected outcomes, and notes every mistake in it, in the order of
    /// the file.
    pub(crate) fn read(source: Source<'_>, known: &Known<'_>, mistakes: &mut Vec<FileError>) -> Self {
        let expectations = file::read(source, known, mistakes);
        mistakes.sort_by_key(|FileError(diagnostic)| (diagnostic.line, diagnostic.column));
        expectations
    }

    /// Returns the scenarios that have a table, in the order in which they are written.
    pub fn scenarios(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// Returns the expected outcome of a scenario over a balancer: the row for all balancers, overridden by the row for
    /// this balancer.
    pub fn expected(&self, scenario: &str, balancer: &str) -> Expected {
        let row = self.table.get(scenario);
        let all = row.and_then(|row| row.get(ALL)).cloned().unwrap_or_default();
        match row.and_then(|row| row.get(balancer)) {
            Some(own) => over(all, own),
            None => all,
        }
    }
}

/// Returns the row for all balancers, overridden by the row for one balancer.
fn over(mut all: Expected, own: &Expected) -> Expected {
    all.grades.extend(own.grades.clone());
    all.script = own.script.or(all.script);
    all.reason = own.reason.clone().or(all.reason);
    all
}

#[cfg(test)]
mod tests {
    use stickler_model::BalancerSpec;
    use stickler_oracle::{Grade, Requirement, Severity, Verdict};
    use stickler_runner::{Deviation, Diagnostic, End, Ending, Run, ScriptOutcome};

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
        let verdict = |&(requirement, grade)| Verdict { requirement, grade, exercised: 1, evidence: Vec::new() };
        Run {
            source: stickler_runner::Source { scenario: "lone".into(), path: "lone.star".into() },
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
    fn what_accepts_whatever_happens_is_an_error_with_its_place() {
        let place = |text: &str| parse(text).map_err(|error| (error.0.line, error.0.column, error.0.message));
        let anything = "[\"ok\", \"violated\", \"not-exercised\", \"not-applicable\"]";
        let (line, column, message) = place(&format!("[lone.all]\nreason = \"x\"\nHS-1 = {anything}\n")).unwrap_err();
        assert_eq!((line, column), (3, 1));
        assert_eq!(message, "this accepts every grade of HS-1: remove those that must not happen");
        let should = "[lone]\nall = { reason = \"x\", ST-2 = [\"ok\", \"non-strict\", \"not-exercised\", \"not-applicable\"] }\n";
        assert!(place(should).is_err());

        let must = |requirement: &Requirement| requirement.severity() == Severity::Must;
        let varies = |from: usize| {
            let ids: Vec<&str> = Requirement::all().filter(must).map(Requirement::id).skip(from).collect();
            format!("reason = \"x\", varies = \"{}\"", ids.join(", "))
        };
        let open = format!("[crowd]\n[lone]\nl4-nat = {{ {}, script = \"either\" }}\n", varies(0));
        let (line, column, message) = place(&open).unwrap_err();
        assert_eq!((line, column), (3, 1));
        assert!(message.starts_with("this accepts every outcome"), "{message}");
        let in_two = format!("[lone]\nall = {{ {} }}\nl4-nat = {{ script = \"either\", reason = \"x\" }}\n", varies(0));
        assert_eq!(place(&in_two).unwrap_err().0, 3);
        for kept in [format!("script = \"either\", {}", varies(1)), varies(0)] {
            assert!(place(&format!("[lone]\nl4-nat = {{ {kept} }}\n")).is_ok(), "{kept}");
        }
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
