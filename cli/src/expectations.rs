//! Accepted violations: the file of `run --expectations FILE`.
//!
//! ```toml
//! [[accept]]
//! scenario = "lone-*"        # a name or a pattern; without it, every scenario
//! balancer = "haproxy-safe"  # a name or a pattern; without it, every balancer
//! requirement = "HS-1"
//! reason = "the vendor has it: ticket 4711"
//! until = 2027-06-30         # the last day
//! ```
//!
//! An accepted violation has to happen. If it does not, the run is not as expected, so that the entry is removed when
//! its cause has gone. After its last day, an entry accepts nothing, and the command reports that.

use std::ops::Range;
use std::path::Path;

use glob::Pattern;
use jiff::civil::Date;
use serde::Deserialize;
use stickler_oracle::{Grade, Requirement, Severity};
use stickler_runner::{Diagnostic, End, Run, ScriptOutcome, text_file};
use toml::{Spanned, Value};

use crate::args::pattern;
use crate::{Failure, today};

/// The maximum size of a file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The violations that a file accepts.
#[derive(Debug)]
pub(crate) struct Expectations {
    entries: Vec<Entry>,
    today: Date,
}

/// A violation that is accepted until a given date.
#[derive(Debug)]
struct Entry {
    scenario: Pattern,
    balancer: Pattern,
    requirement: Requirement,
    reason: String,
    until: Date,
    /// The place of the entry in the file, with the entry in one line as the message.
    place: Diagnostic,
}

/// The structure of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    accept: Vec<Spanned<WrittenEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    scenario: Option<Spanned<String>>,
    balancer: Option<Spanned<String>>,
    requirement: Spanned<String>,
    reason: Spanned<String>,
    until: Spanned<Value>,
}

impl Expectations {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read or is wrong. The message says where and how.
    pub(crate) fn read(path: &Path, today: Date) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let text = text_file::read(path, MAX_FILE);
        let text = text.map_err(|error| Failure::Wrong(format!("cannot read {shown}: {error}")))?;
        Self::parse(&text, &shown, today).map_err(|diagnostic| Failure::from(&*diagnostic))
    }

    fn parse(text: &str, path: &str, today: Date) -> Result<Self, Box<Diagnostic>> {
        let wrong = |span: Range<usize>, message: String| Box::new(Diagnostic::new(path, text, span, message, None));
        let written: Written =
            toml::from_str(text).map_err(|error| wrong(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let entries = written.accept.into_iter().map(|entry| {
            let span = entry.span();
            let WrittenEntry { scenario, balancer, requirement, reason, until } = entry.into_inner();
            let glob = |name: Option<Spanned<String>>| match name {
                None => Ok(pattern("*").unwrap_or_default()),
                Some(name) => pattern(name.get_ref()).map_err(|error| wrong(name.span(), error)),
            };
            let id = requirement.get_ref();
            let known = id.parse().map_err(|_| wrong(requirement.span(), format!("there is no requirement `{id}`")));
            if reason.get_ref().trim().is_empty() {
                return Err(wrong(reason.span(), "say why it is accepted".to_owned()));
            }
            let requirement: Requirement = known?;
            let first = text[span.clone()].lines().next().map_or(span.start, |line| span.start + line.len());
            Ok(Entry {
                scenario: glob(scenario)?,
                balancer: glob(balancer)?,
                requirement,
                until: day(&until).map_err(|error| wrong(until.span(), error))?,
                place: *wrong(span.start..first, format!("{requirement} was accepted until {}", shown(&until))),
                reason: reason.into_inner(),
            })
        });
        Ok(Self { entries: entries.collect::<Result<_, _>>()?, today })
    }

    /// Adds the accepted violations to the expectations of a run. Returns the indices of the entries about this run
    /// that have expired.
    pub(crate) fn apply(&self, run: &mut Run) -> Vec<usize> {
        let mut expired = Vec::new();
        if run.end != End::Complete {
            return expired;
        }
        let balancer = run.balancer.to_string();
        for (index, entry) in self.entries.iter().enumerate() {
            if !entry.scenario.matches(&run.source.scenario) || !entry.balancer.matches(&balancer) {
                continue;
            }
            if entry.until < self.today {
                expired.push(index);
                continue;
            }
            let broken = match entry.requirement.severity() {
                Severity::Must => Grade::Violated,
                Severity::Should => Grade::NonStrict,
            };
            run.expected.grades.insert(entry.requirement, vec![broken]);
            // A client that is served as another user notices it, so the script may fail, too.
            run.expected.script.get_or_insert(ScriptOutcome::Either);
            run.expected.reason = Some(entry.reason.clone());
        }
        expired
    }

    /// Returns the message that an entry has expired, with the place of the entry.
    pub(crate) fn expired(&self, index: usize) -> Option<String> {
        let Entry { place, reason, .. } = self.entries.get(index)?;
        Some(format!("{}:{}:{}: {} ({reason})", place.file, place.line, place.column, place.message))
    }
}

/// Returns the last day of an entry.
fn day(value: &Spanned<Value>) -> Result<Date, String> {
    match value.get_ref() {
        Value::Datetime(_) | Value::String(_) => today::parse(&shown(value)),
        other => Err(format!("a day is written like 2027-06-30, but this is of the type {}", other.type_str())),
    }
}

fn shown(value: &Spanned<Value>) -> String {
    match value.get_ref() {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use stickler_model::BalancerSpec;
    use stickler_oracle::Verdict;
    use stickler_runner::{Ending, Expected, Source};

    use super::*;

    const FILE: &str = "[[accept]]\nscenario = \"lone-*\"\nbalancer = \"shared-*\"\nrequirement = \"ID-2\"\n\
                        reason = \"ticket 4711\"\nuntil = 2027-06-30\n";

    fn on(day: &str) -> Expectations {
        Expectations::parse(FILE, "accepted.toml", today::parse(day).unwrap()).unwrap()
    }

    fn run(scenario: &str, balancer: &str, grade: Grade) -> Run {
        Run {
            source: Source { scenario: scenario.into(), path: scenario.into() },
            arm: "sim".into(),
            balancer: BalancerSpec::named(balancer),
            seed: 0,
            trace: None,
            verdicts: vec![Verdict { requirement: Requirement::Id2, grade, exercised: 1, evidence: Vec::new() }],
            failures: vec![Diagnostic::new("x", "x", 0..1, "x".into(), None)],
            printed: Vec::new(),
            end: End::Complete,
            expected: Expected::default(),
        }
    }

    fn ending(day: &str, mut run: Run) -> (Ending, usize) {
        let expired = on(day).apply(&mut run).len();
        (run.ending(), expired)
    }

    #[test]
    fn an_accepted_violation_is_as_expected_until_its_day_and_nothing_else_is() {
        let leak = || run("lone-one", "shared-pool", Grade::Violated);
        assert_eq!(ending("2027-06-30", leak()), (Ending::AsExpected, 0));
        assert!(matches!(ending("2027-07-01", leak()), (Ending::NotAsExpected(_), 1)));
        for other in [run("crowd", "shared-pool", Grade::Violated), run("lone-one", "l4-nat", Grade::Violated)] {
            assert!(matches!(ending("2027-06-30", other), (Ending::NotAsExpected(_), 0)));
        }
    }

    #[test]
    fn an_accepted_violation_that_does_not_happen_is_not_as_expected() {
        let (ending, _) = ending("2027-06-30", run("lone-one", "shared-pool", Grade::Ok));
        let Ending::NotAsExpected(deviations) = ending else { panic!("{ending:?}") };
        assert_eq!(deviations[0].to_string(), "ID-2 is ok, expected violated (because: ticket 4711)");
    }

    #[test]
    fn an_entry_that_has_expired_is_named_with_its_place() {
        let said = "accepted.toml:1:1: ID-2 was accepted until 2027-06-30 (ticket 4711)";
        assert_eq!(on("2027-07-01").expired(0).as_deref(), Some(said));
    }

    #[test]
    fn whatever_is_wrong_has_its_place() {
        for (from, to, place, why) in [
            ("ID-2", "ID-99", (4, 15), "there is no requirement `ID-99`"),
            ("lone-*", "lone-[", (2, 12), "a pattern has *, ? and [...]"),
            ("2027-06-30", "2027-02-30", (6, 9), ""),
            ("2027-06-30", "\"soon\"", (6, 9), "`soon` is not a date"),
            ("2027-06-30", "7", (6, 9), "of the type integer"),
            ("ticket 4711", " ", (5, 10), "say why it is accepted"),
            ("reason", "resaon", (5, 1), "unknown field"),
        ] {
            let error =
                Expectations::parse(&FILE.replace(from, to), "f", today::parse("2027-01-01").unwrap()).unwrap_err();
            assert!(error.message.contains(why), "{error}");
            assert_eq!((error.line, error.column), place, "{error}");
        }
    }
}
