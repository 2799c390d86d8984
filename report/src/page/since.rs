//! Finds the changes since an earlier report.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use stickler_oracle::{Grade, Requirement};

use super::Change;
use crate::matrix::Matrix;

/// The worst grade of each requirement over each balancer in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grades(BTreeMap<String, BTreeMap<Requirement, Grade>>);

/// The parts of a JSON document of `matrix` or `run` that matter here.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    rows: Option<Vec<Row>>,
    #[serde(default)]
    runs: Option<Vec<Run>>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    cells: BTreeMap<String, RowCell>,
}

#[derive(Deserialize)]
struct RowCell {
    grade: Option<Grade>,
}

#[derive(Deserialize)]
struct Run {
    balancer: String,
    verdicts: Vec<Graded>,
}

#[derive(Deserialize)]
struct Graded {
    requirement: String,
    grade: Grade,
}

impl Grades {
    /// Reads the JSON document of an earlier `matrix` or `run`. A requirement that this version does not know is left
    /// out.
    ///
    /// # Errors
    ///
    /// Returns the reason why the text is not such a document.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut grades = Self::default();
        match document {
            Document { rows: None, runs: None } => return Err("it has neither `rows` nor `runs`".to_owned()),
            Document { rows, runs } => {
                for row in rows.into_iter().flatten() {
                    let cells = row.cells.into_iter().filter_map(|(id, cell)| Some((id, cell.grade?)));
                    grades.add(&row.name, cells);
                }
                for run in runs.into_iter().flatten() {
                    grades.add(&run.balancer, run.verdicts.into_iter().map(|it| (it.requirement, it.grade)));
                }
            }
        }
        Ok(grades)
    }

    /// Returns the grades of a matrix.
    pub fn of_matrix(matrix: &Matrix) -> Self {
        let cells = |row: &crate::matrix::Row| {
            row.cells.iter().filter_map(|(&id, cell)| Some((id, cell.grade?))).collect::<BTreeMap<_, _>>()
        };
        Self(matrix.rows().iter().map(|row| (row.subject.name.clone(), cells(row))).collect())
    }

    /// Returns the worst grade of each requirement over each balancer in these runs.
    pub fn of_runs<'r>(runs: impl IntoIterator<Item = &'r stickler_runner::Run>) -> Self {
        let mut grades = Self::default();
        for run in runs {
            let verdicts = run.verdicts.iter().map(|verdict| (verdict.requirement.id().to_owned(), verdict.grade));
            grades.add(&run.balancer.to_string(), verdicts);
        }
        grades
    }

    fn add(&mut self, balancer: &str, graded: impl Iterator<Item = (String, Grade)>) {
        let own = self.0.entry(balancer.to_owned()).or_default();
        for (id, grade) in graded.filter(|&(_, grade)| grade >= Grade::Ok) {
            if let Some(requirement) = Requirement::all().find(|requirement| requirement.id() == id) {
                let worst = own.entry(requirement).or_insert(grade);
                *worst = grade.max(*worst);
            }
        }
    }

    fn get(&self, balancer: &str, requirement: Requirement) -> Option<Grade> {
        self.0.get(balancer)?.get(&requirement).copied()
    }
}

/// Returns the changes by kind: grades that are worse or better, requirements that are newly tested or no longer
/// tested, and balancers that are new or gone.
pub(super) fn changes(earlier: &Grades, now: &Grades) -> Vec<Change> {
    let (mut worse, mut better, mut tested, mut untested) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (balancer, grades) in &now.0 {
        let Some(before) = earlier.0.get(balancer) else { continue };
        let ids: BTreeSet<Requirement> = grades.keys().chain(before.keys()).copied().collect();
        for id in ids {
            let (was, is) = (earlier.get(balancer, id), now.get(balancer, id));
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
    }
    let only = |one: &Grades, other: &Grades| {
        let names = one.0.keys().filter(|name| !other.0.contains_key(*name));
        names.map(|name| (name.clone(), String::new())).collect::<Vec<_>>()
    };
    let all = [
        ("Worse", worse),
        ("Better", better),
        ("Put to the test for the first time, and kept", tested),
        ("No longer put to the test", untested),
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

    const EARLIER: &str = r#"{"format": 1, "rows": [
        {"name": "a", "product": "X", "cells": {"HS-1": {"grade": "ok"}, "ID-1": {"grade": "violated", "kept": []}, "XX-9": {"grade": "ok"}, "ST-2": {"grade": "non-strict"}}},
        {"name": "gone", "cells": {}}
    ]}"#;

    fn changed(earlier: &str, now: &str) -> Vec<(String, Vec<String>)> {
        let [earlier, now] = [earlier, now].map(|text| Grades::parse(text).unwrap());
        let one = |(name, text): (String, String)| if text.is_empty() { name } else { format!("{name}: {text}") };
        changes(&earlier, &now).into_iter().map(|it| (it.heading, it.items.into_iter().map(one).collect())).collect()
    }

    #[test]
    fn nothing_changes_between_a_report_and_itself() {
        assert_eq!(changed(EARLIER, EARLIER), []);
    }

    #[test]
    fn each_way_of_changing_is_told_apart() {
        let now = r#"{"rows": [
            {"name": "a", "cells": {"HS-1": {"grade": "violated"}, "ID-1": {"grade": "ok"}, "ID-2": {"grade": "ok"}, "FO-1": {"grade": "violated"}}},
            {"name": "new", "cells": {"HS-1": {"grade": "violated"}}}
        ]}"#;
        let told = changed(EARLIER, now);
        let expected: [(&str, &[&str]); 6] = [
            ("Worse", &["a: HS-1 is violated, and was kept", "a: FO-1 is violated, and was not put to the test"]),
            ("Better", &["a: ID-1 is kept, and was violated"]),
            ("Put to the test for the first time, and kept", &["a: ID-2 is kept, and was not put to the test"]),
            ("No longer put to the test", &["a: ST-2 is not put to the test, and was not followed"]),
            ("New balancers", &["new"]),
            ("Balancers that the earlier report has alone", &["gone"]),
        ];
        let expected =
            expected.map(|(heading, items)| (heading.to_owned(), items.iter().map(ToString::to_string).collect()));
        assert_eq!(told, expected);
    }

    #[test]
    fn of_runs_the_worst_grade_counts() {
        let runs = r#"{"runs": [
            {"balancer": "a", "verdicts": [{"requirement": "HS-1", "grade": "violated"}, {"requirement": "ID-4", "grade": "not-exercised"}]},
            {"balancer": "a", "verdicts": [{"requirement": "HS-1", "grade": "ok"}]}
        ]}"#;
        let grades = Grades::parse(runs).unwrap();
        assert_eq!(grades.get("a", Requirement::Hs1), Some(Grade::Violated));
        assert_eq!(grades.get("a", Requirement::Id4), None);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for text in ["", "[]", "{}", r#"{"rows": [{"name": "a"}]}"#, r#"{"comparisons": []}"#] {
            assert!(Grades::parse(text).is_err(), "{text}");
        }
    }
}
