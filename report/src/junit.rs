//! Renders cases as JUnit's XML, which Jenkins, GitLab, GitHub and most other servers read.
//!
//! A suite is a balancer, and a case is a scenario. A mistake of a script is an `error`, and a violation by a balancer
//! is a `failure`. A document follows the schema of Jenkins's xUnit plugin, which is the strictest: `junit-10.xsd` in
//! <https://github.com/jenkinsci/xunit-plugin>. This schema has no attribute for the place of a case, so the text of a
//! case begins with its place.

use std::time::Duration;

use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Report, TestCase as Case, TestCaseStatus, TestSuite};
use stickler_model::escape;

use crate::test_case::{Place, Problem, TestCase, TestResult};

/// Returns the document of these cases. The suites have the order in which they first appear.
pub fn document(cases: &[TestCase]) -> String {
    let mut suites: IndexMap<&str, Vec<&TestCase>> = IndexMap::new();
    for case in cases {
        suites.entry(&case.suite).or_default().push(case);
    }
    let mut report = Report::new("stickler");
    for (name, cases) in suites {
        let mut suite = TestSuite::new(escape::line(name));
        suite.add_test_cases(cases.iter().map(|case| of(case)));
        if let Some(time) = cases.iter().map(|case| case.took).sum::<Option<Duration>>() {
            suite.set_time(time);
        }
        report.add_test_suite(suite);
    }
    let text = report.to_string().expect("a document in memory can be written");
    // The schema allows the number of skipped cases for a suite only, and not for the whole report, whose number is in
    // the first tag.
    text.replacen(&format!(" skipped=\"{}\"", report.skipped), "", 1)
}

fn of(case: &TestCase) -> Case {
    let status = match &case.result {
        TestResult::Passed => TestCaseStatus::success(),
        TestResult::Skipped(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(escape::line(reason));
            status
        }
        TestResult::Failed(problem) => wrong(NonSuccessKind::Failure, "not as expected", problem, case.place.as_ref()),
        TestResult::Error(problem) => wrong(NonSuccessKind::Error, "not performed", problem, case.place.as_ref()),
    };
    let mut written = Case::new(escape::line(&case.name), status);
    // Jenkins shows the class of a case, but not its suite.
    written.set_classname(escape::line(&case.suite));
    if let Some(time) = case.took {
        written.set_time(time);
    }
    written
}

fn wrong(kind: NonSuccessKind, ty: &str, problem: &Problem, place: Option<&Place>) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    let place = place.map_or_else(String::new, |place| format!("{}\n", escape::line(&place.to_string())));
    status.set_type(ty).set_message(escape::line(&problem.summary));
    status.set_description(escape::lines(&format!("{place}{}", problem.details)));
    status
}
