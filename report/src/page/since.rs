//! Finds the changes since an earlier report.
//!
//! Two reports need not contain the same runs: one may have been interrupted, or may be about a selection of scenarios.
//! Verdicts are therefore compared over the runs that both have, and what only one of them has is told apart, so that a
//! scenario that was not run before does not count as a change of the balancer.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use stickler_oracle::{Grade, Requirement, Severity};

use super::{Change, Sort};
use crate::matrix::Matrix;

/// A scenario, with its seed if the report names it.
type Played = (String, Option<u64>);

/// The grade of each requirement over each balancer in a report, by run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grades {
    balancers: BTreeMap<String, BTreeMap<Played, BTreeMap<Requirement, Grade>>>,
    /// The command that wrote the report; empty if the report does not name it.
    command: String,
    /// Whether the report says that it does not contain everything that was requested.
    is_incomplete: bool,
}

/// The parts of a JSON document of `matrix`, `run` or `compare` that matter here.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    command: String,
    #[serde(default)]
    complete: Option<bool>,
    #[serde(default)]
    rows: Option<Vec<Row>>,
    #[serde(default)]
    runs: Option<Vec<Run>>,
    #[serde(default)]
    comparisons: Option<Vec<Comparison>>,
}

/// A profile that was compared with its product.
#[derive(Deserialize)]
struct Comparison {
    profile: String,
    scenarios: Vec<Compared>,
}

#[derive(Deserialize)]
struct Compared {
    scenario: String,
    cells: Vec<ComparedCell>,
}

#[derive(Deserialize)]
struct ComparedCell {
    requirement: String,
    verdict: String,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    cells: BTreeMap<String, RowCell>,
}

#[derive(Deserialize)]
struct RowCell {
    #[serde(default)]
    kept: Vec<String>,
    #[serde(default)]
    broken: Vec<Broken>,
}

#[derive(Deserialize)]
struct Broken {
    scenario: String,
}

#[derive(Deserialize)]
struct Run {
    balancer: String,
    #[serde(default)]
    scenario: String,
    #[serde(default)]
    seed: u64,
    verdicts: Vec<Graded>,
}

#[derive(Deserialize)]
struct Graded {
    requirement: String,
    grade: Grade,
}

impl Grades {
    /// Reads the JSON document of an earlier `matrix`, `run` or `compare`. Of a comparison, a difference counts as violated,
    /// and one that an exception explains as a SHOULD that is not followed. A requirement that this version does not know is left
    /// out.
    ///
    /// # Errors
    ///
    /// Returns the reason why the text is not such a document.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Document { command, complete, rows, runs, comparisons } = document;
        if rows.is_none() && runs.is_none() && comparisons.is_none() {
            return Err("it has none of `rows`, `runs` and `comparisons`".to_owned());
        }
        let mut grades = Self { command, is_incomplete: complete == Some(false), ..Self::default() };
        for row in rows.into_iter().flatten() {
            grades.balancers.entry(row.name.clone()).or_default();
            for (id, RowCell { kept, broken }) in row.cells {
                let Some(requirement) = requirement(&id) else { continue };
                let worst = worst(requirement);
                let kept = kept.into_iter().map(|scenario| (scenario, Grade::Ok));
                for (scenario, grade) in kept.chain(broken.into_iter().map(|it| (it.scenario, worst))) {
                    grades.add(&row.name, (scenario, None), [(requirement, grade)]);
                }
            }
        }
        for Run { balancer, scenario, seed, verdicts } in runs.into_iter().flatten() {
            let verdicts = verdicts.iter().filter_map(|it| Some((requirement(&it.requirement)?, it.grade)));
            grades.add(&balancer, (scenario, Some(seed)), verdicts);
        }
        for Comparison { profile, scenarios } in comparisons.into_iter().flatten() {
            grades.balancers.entry(profile.clone()).or_default();
            for Compared { scenario, cells } in scenarios {
                let cells =
                    cells.iter().filter_map(|cell| Some((requirement(&cell.requirement)?, compared(&cell.verdict))));
                grades.add(&profile, (scenario, None), cells);
            }
        }
        Ok(grades)
    }

    /// Returns the command that wrote the report; empty if the report does not name it.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns the grades of a matrix.
    pub fn of_matrix(matrix: &Matrix) -> Self {
        let mut grades = Self::default();
        for row in matrix.rows() {
            let name = &row.subject.name;
            grades.balancers.entry(name.clone()).or_default();
            grades.is_incomplete |= !row.is_complete();
            for (&id, cell) in &row.cells {
                let kept = cell.kept.iter().map(|scenario| (scenario, Grade::Ok));
                for (scenario, grade) in kept.chain(cell.broken.iter().map(|it| (&it.scenario, worst(id)))) {
                    grades.add(name, (scenario.clone(), None), [(id, grade)]);
                }
            }
        }
        grades
    }

    /// Returns the grades of these runs.
    pub fn of_runs<'r>(runs: impl IntoIterator<Item = &'r stickler_runner::Run>) -> Self {
        let mut grades = Self::default();
        // A run that was skipped, or not performed to its end, is no run that two reports can share.
        for run in runs.into_iter().filter(|run| run.end == stickler_runner::End::Complete) {
            let verdicts = run.verdicts.iter().map(|verdict| (verdict.requirement, verdict.grade));
            grades.add(&run.balancer.to_string(), (run.source.scenario.clone(), Some(run.seed)), verdicts);
        }
        grades
    }

    fn add(&mut self, balancer: &str, played: Played, graded: impl IntoIterator<Item = (Requirement, Grade)>) {
        let own = self.balancers.entry(balancer.to_owned()).or_default().entry(played).or_default();
        for (requirement, grade) in graded.into_iter().filter(|&(_, grade)| grade >= Grade::Ok) {
            let worst = own.entry(requirement).or_insert(grade);
            *worst = grade.max(*worst);
        }
    }

    /// Returns the worst grade of each requirement over a balancer in the runs for which `counts` is true.
    fn worst(&self, balancer: &str, counts: impl Fn(&Played) -> bool) -> BTreeMap<Requirement, Grade> {
        let mut all: BTreeMap<Requirement, Grade> = BTreeMap::new();
        let runs = self.balancers.get(balancer).into_iter().flatten();
        for (&requirement, &grade) in runs.filter(|(played, _)| counts(played)).flat_map(|(_, grades)| grades) {
            let worst = all.entry(requirement).or_insert(grade);
            *worst = grade.max(*worst);
        }
        all
    }

    fn played(&self, balancer: &str) -> BTreeSet<&Played> {
        self.balancers.get(balancer).into_iter().flat_map(BTreeMap::keys).collect()
    }
}

fn requirement(id: &str) -> Option<Requirement> {
    Requirement::all().find(|requirement| requirement.id() == id)
}

/// Returns the grade that stands for the result of a comparison.
fn compared(verdict: &str) -> Grade {
    match verdict {
        "equal" => Grade::Ok,
        "explained" => Grade::NonStrict,
        _ => Grade::Violated,
    }
}

/// Returns the grade of a requirement that is not kept.
fn worst(requirement: Requirement) -> Grade {
    if requirement.severity() == Severity::Must { Grade::Violated } else { Grade::NonStrict }
}

/// Returns the remarks about runs that only one of the two reports has.
pub(super) fn notes(earlier: &Grades, now: &Grades) -> Vec<String> {
    let mut notes = Vec::new();
    let incomplete = [(earlier, "earlier"), (now, "present")].into_iter().filter(|(report, _)| report.is_incomplete);
    notes.extend(
        incomplete.map(|(_, which)| format!("The {which} report is incomplete: not all of its runs were made.")),
    );
    let alone = |one: &Grades, other: &Grades| -> usize {
        let both = one.balancers.keys().filter(|name| other.balancers.contains_key(*name));
        both.map(|name| one.played(name).difference(&other.played(name)).count()).sum()
    };
    let (new, gone) = (alone(now, earlier), alone(earlier, now));
    if new + gone > 0 {
        let runs = |count: usize| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
        notes.push(format!(
            "The two reports do not have the same runs: this report alone has {}, and the earlier one alone has {}. A verdict counts \
             as changed only in the runs that both have.",
            runs(new),
            runs(gone)
        ));
    }
    notes
}

/// Returns the changes by kind: grades that are worse or better in the runs that both reports have, requirements that
/// are newly tested or no longer tested in them, what is violated in other runs, and balancers that are new or gone.
pub(super) fn changes(sort: Sort, earlier: &Grades, now: &Grades) -> Vec<Change> {
    let word = |grade| match (sort, grade) {
        (Sort::Comparison, Some(Grade::Violated)) => "different",
        (Sort::Comparison, Some(Grade::NonStrict)) => "different and explained",
        (Sort::Comparison, Some(Grade::Ok)) => "equal",
        (Sort::Comparison, _) => "not compared",
        (Sort::Verdicts | Sort::Hunt, grade) => word(grade),
    };
    let (mut worse, mut better, mut tested, mut untested) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut elsewhere = Vec::new();
    for balancer in now.balancers.keys().filter(|name| earlier.balancers.contains_key(*name)) {
        let (mine, theirs) = (now.played(balancer), earlier.played(balancer));
        let was = earlier.worst(balancer, |played| mine.contains(played));
        let is = now.worst(balancer, |played| theirs.contains(played));
        let ids: BTreeSet<Requirement> = is.keys().chain(was.keys()).copied().collect();
        for id in ids {
            let (was, is) = (was.get(&id).copied(), is.get(&id).copied());
            let list = match (was, is) {
                (Some(was), Some(is)) if is > was => &mut worse,
                (Some(was), Some(is)) if is < was => &mut better,
                (None, Some(Grade::Ok)) => &mut tested,
                (None, Some(_)) => &mut worse,
                (Some(_), None) => &mut untested,
                _ => continue,
            };
            list.push((balancer.clone(), format!("{id} is {}, and was {}", word(is), word(was))));
        }
        let everywhere = earlier.worst(balancer, |_| true);
        for (id, grade) in now.worst(balancer, |played| !theirs.contains(played)) {
            let known = is.get(&id).max(everywhere.get(&id)).copied();
            if grade > Grade::Ok && known.is_none_or(|known| grade > known) {
                elsewhere.push((balancer.clone(), format!("{id} is {}", word(Some(grade)))));
            }
        }
    }
    let only = |one: &Grades, other: &Grades| {
        let names = one.balancers.keys().filter(|name| !other.balancers.contains_key(*name));
        names.map(|name| (name.clone(), String::new())).collect::<Vec<_>>()
    };
    let (first, last) = match sort {
        Sort::Comparison => ("Compared for the first time, and equal", "No longer compared"),
        Sort::Verdicts | Sort::Hunt => ("Put to the test for the first time, and kept", "No longer put to the test"),
    };
    let all = [
        ("Worse", worse),
        ("Better", better),
        (first, tested),
        (last, untested),
        ("Seen in runs that the earlier report does not have", elsewhere),
        ("New balancers", only(now, earlier)),
        ("Balancers that the earlier report has alone", only(earlier, now)),
    ];
    let some = all.into_iter().filter(|(_, items)| !items.is_empty());
    some.map(|(heading, items)| Change { heading: heading.to_owned(), items }).collect()
}

/// Returns the word that pages use for a grade.
pub(super) const fn word(grade: Option<Grade>) -> &'static str {
    match grade {
        Some(Grade::Violated) => "violated",
        Some(Grade::NonStrict) => "not followed",
        Some(Grade::Ok) => "kept",
        Some(Grade::NotExercised | Grade::NotApplicable) | None => "not put to the test",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str = r#"{"format": 1, "command": "matrix", "complete": true, "rows": [
        {"name": "a", "product": "X", "cells": {
            "HS-1": {"grade": "ok", "kept": ["calm", "other"]},
            "ID-1": {"grade": "violated", "kept": [], "broken": [{"scenario": "calm"}]},
            "XX-9": {"grade": "ok", "kept": ["calm"]},
            "ST-2": {"grade": "non-strict", "broken": [{"scenario": "calm"}]}}},
        {"name": "gone", "cells": {}}
    ]}"#;

    fn changed(earlier: &str, now: &str) -> Vec<(String, Vec<String>)> {
        let [earlier, now] = [earlier, now].map(|text| Grades::parse(text).unwrap());
        let one = |(name, text): (String, String)| if text.is_empty() { name } else { format!("{name}: {text}") };
        changes(Sort::Verdicts, &earlier, &now)
            .into_iter()
            .map(|it| (it.heading, it.items.into_iter().map(one).collect()))
            .collect()
    }

    fn expected(all: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        all.iter()
            .map(|(heading, items)| ((*heading).to_owned(), items.iter().map(ToString::to_string).collect()))
            .collect()
    }

    #[test]
    fn nothing_changes_between_a_report_and_itself() {
        assert_eq!(changed(EARLIER, EARLIER), []);
        let grades = Grades::parse(EARLIER).unwrap();
        assert_eq!(notes(&grades, &grades), [""; 0]);
    }

    #[test]
    fn each_way_of_changing_is_told_apart() {
        let now = r#"{"rows": [
            {"name": "a", "cells": {
                "HS-1": {"broken": [{"scenario": "calm"}]},
                "ID-1": {"kept": ["calm"]},
                "ID-2": {"kept": ["calm"]},
                "FO-1": {"broken": [{"scenario": "other"}]}}},
            {"name": "new", "cells": {"HS-1": {"broken": [{"scenario": "calm"}]}}}
        ]}"#;
        let all: &[(&str, &[&str])] = &[
            ("Worse", &["a: HS-1 is violated, and was kept", "a: FO-1 is violated, and was not put to the test"]),
            ("Better", &["a: ID-1 is kept, and was violated"]),
            ("Put to the test for the first time, and kept", &["a: ID-2 is kept, and was not put to the test"]),
            ("No longer put to the test", &["a: ST-2 is not put to the test, and was not followed"]),
            ("New balancers", &["new"]),
            ("Balancers that the earlier report has alone", &["gone"]),
        ];
        assert_eq!(changed(EARLIER, now), expected(all));
    }

    #[test]
    fn a_report_with_other_runs_shows_no_change_of_the_balancer() {
        let interrupted = r#"{"command": "matrix", "complete": false, "rows": [{"name": "a", "cells": {
            "HS-1": {"kept": ["other"]}}}]}"#;
        let all: &[(&str, &[&str])] = &[
            ("Seen in runs that the earlier report does not have", &["a: ID-1 is violated", "a: ST-2 is not followed"]),
            ("Balancers that the earlier report has alone", &["gone"]),
        ];
        assert_eq!(changed(interrupted, EARLIER)[..1], expected(all)[..1]);
        assert_eq!(changed(EARLIER, interrupted), expected(&all[1..]), "and in the other direction");
        let [earlier, now] = [interrupted, EARLIER].map(|text| Grades::parse(text).unwrap());
        let told = notes(&earlier, &now).join("\n");
        assert!(told.contains("The earlier report is incomplete"), "{told}");
        assert!(told.contains("this report alone has 1 run,"), "{told}");
    }

    #[test]
    fn of_runs_the_worst_grade_counts() {
        let runs = r#"{"runs": [
            {"balancer": "a", "scenario": "calm", "seed": 0, "verdicts": [{"requirement": "HS-1", "grade": "violated"}, {"requirement": "ID-4", "grade": "not-exercised"}]},
            {"balancer": "a", "scenario": "calm", "seed": 1, "verdicts": [{"requirement": "HS-1", "grade": "ok"}]}
        ]}"#;
        let grades = Grades::parse(runs).unwrap().worst("a", |_| true);
        assert_eq!(grades.get(&Requirement::Hs1), Some(&Grade::Violated));
        assert_eq!(grades.get(&Requirement::Id4), None);
    }

    #[test]
    fn a_seed_that_the_earlier_report_lacks_is_no_change() {
        let run = |seed: u64, grade: &str| {
            format!(
                r#"{{"balancer": "a", "scenario": "calm", "seed": {seed}, "verdicts": [{{"requirement": "ID-1", "grade": "{grade}"}}]}}"#
            )
        };
        let earlier = format!(r#"{{"runs": [{}], "complete": false}}"#, run(0, "ok"));
        let now = format!(r#"{{"runs": [{}, {}]}}"#, run(0, "ok"), run(1, "violated"));
        let all: &[(&str, &[&str])] =
            &[("Seen in runs that the earlier report does not have", &["a: ID-1 is violated"])];
        assert_eq!(changed(&earlier, &now), expected(all));
    }

    #[test]
    fn of_a_comparison_what_differs_counts() {
        let of = |verdict: &str| {
            let text = format!(
                r#"{{"comparisons": [{{"profile": "p", "scenarios": [{{"scenario": "calm", "cells": [{{"requirement": "ID-1", "verdict": "{verdict}"}}]}}]}}]}}"#
            );
            Grades::parse(&text).unwrap()
        };
        let told = |earlier: &str, now: &str| {
            let changes = changes(Sort::Comparison, &of(earlier), &of(now));
            changes.into_iter().map(|change| (change.heading, change.items[0].1.clone())).collect::<Vec<_>>()
        };
        let one = |heading: &str, text: &str| vec![(heading.to_owned(), text.to_owned())];
        assert_eq!(told("equal", "differs"), one("Worse", "ID-1 is different, and was equal"));
        assert_eq!(
            told("expired exception", "explained"),
            one("Better", "ID-1 is different and explained, and was different")
        );
        assert_eq!(told("explained", "explained"), []);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in ["", "[]", "{}", r#"{"rows": [{"name": "a"}]}"#, r#"{"findings": []}"#] {
            assert!(Grades::parse(text).is_err(), "{text}");
        }
    }
}
