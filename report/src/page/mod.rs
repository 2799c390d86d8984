//! Renders a report as one HTML page: the summary, a table, the changes since an earlier report, the cures and the
//! evidence.
//!
//! * [`Page`] is the model. `matrix` makes a page from a table of verdicts, `runs` makes one from runs, and `told`
//!   makes one from the results of a comparison or a hunt.
//! * `pick` selects the examples that a page shows. `since` finds the changes since an earlier report.
//! * `view` turns the model into the values of the template. `page.html`, `page.css` and `page.js` are the page itself.
//!
//! The page loads nothing: it contains its style and its script, and its content security policy allows only these two,
//! by their hashes. Without the script everything is visible, and nothing can be filtered. All text that a peer sent is
//! escaped before it becomes a part of the page ([`stickler_model::escape`]).

mod matrix;
mod pick;
mod runs;
mod since;
mod told;
mod view;

use std::collections::BTreeMap;

use stickler_oracle::Requirement;

pub use matrix::About;
pub(crate) use pick::{Shown, scenarios};
pub use since::Grades;
pub use told::Told;

use crate::matrix::Subject;

/// The maximum number of diagrams on a page.
pub const MOST_DIAGRAMS: usize = 24;

/// The maximum size in bytes of all diagrams of a page together. Most diagrams have about twenty thousand bytes.
pub const DIAGRAM_BYTES: usize = 300_000;

/// A report that can be rendered as a page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The kind of report, which determines how the marks are worded.
    pub sort: Sort,
    /// The heading, which is also the title.
    pub title: String,
    /// The introduction, with one paragraph in each item.
    pub lead: Vec<String>,
    /// The numbers that sum the report up.
    pub facts: Vec<Fact>,
    /// The statement that the report does not contain everything that was requested, with the reason; `None` if it does.
    pub incomplete: Option<String>,
    /// Further remarks about the whole report, with one sentence in each item.
    pub notes: Vec<String>,
    /// The caption of the table.
    pub caption: String,
    /// The columns of the table to the left of those of the requirements: the name of each group with its headings.
    pub leading: Vec<(String, Vec<String>)>,
    /// The rows of the table, one for each balancer.
    pub rows: Vec<Row>,
    /// The examples to which the table refers, in the order of the requirements.
    pub findings: Vec<Finding>,
    /// The problems, such as runs that did not end as they should have.
    pub problems: Vec<Problem>,
    /// Remarks about the comparison with an earlier report, with one sentence or two in each item.
    pub since: Vec<String>,
    /// The changes since an earlier report; `None` if there is no earlier report to compare with.
    pub changes: Option<Vec<Change>>,
}

/// The kind of report on a page, which determines how the marks are worded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// The marks say whether requirements are kept.
    #[default]
    Verdicts,
    /// The marks say whether a product and its profile behave in the same way.
    Comparison,
    /// The marks show the findings of a hunt.
    Hunt,
}

/// A number that sums a report up, as a part of a total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// The number of items for which the text is true.
    pub count: usize,
    /// The total number of items.
    pub of: usize,
    /// The statement that is true of the counted items: "balancers mix users up".
    pub text: String,
    /// Whether every counted item is a failure.
    pub is_bad: bool,
}

/// The outcome of a requirement or a group of users, as the table marks it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// An outcome that nothing put to the test. The cell has no sign.
    #[default]
    Untested,
    /// A requirement that nothing violates so far, while some of the requested runs were not made.
    Open,
    /// A requirement that was kept.
    Kept,
    /// A requirement that holds in part: a SHOULD was not followed, some users can log on, or a difference is
    /// explained.
    Partly,
    /// A requirement that was violated.
    Violated,
}

/// A cell of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// The mark of the cell.
    pub mark: Mark,
    /// The meaning of the mark in a word or two, for readers who do not see the mark.
    pub word: String,
    /// The example that proves the mark, as an index into [`Page::findings`].
    pub finding: Option<usize>,
    /// The number of scenarios or trials that show it.
    pub times: usize,
}

/// The row of one balancer in the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The balancer of the row.
    pub subject: Subject,
    /// One cell for each column in front of the requirements.
    pub leading: Vec<Cell>,
    /// The outcome of each requirement. A requirement that was not put to the test is missing.
    pub cells: BTreeMap<Requirement, Cell>,
    /// A summary of the row in one sentence.
    pub told: String,
    /// The command that shows every violation over the balancer.
    pub again: String,
}

/// An example of a failure, which several balancers may show.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The requirement that the example is about.
    pub requirement: Requirement,
    /// The scenario and the seed of the run that shows the failure over the first balancer; `None` if the example does
    /// not come from a single run.
    pub run: Option<(String, u64)>,
    /// The severity of the finding, as the table marks it.
    pub mark: Mark,
    /// The description of the failure in one sentence.
    pub summary: String,
    /// The place of the failure, usually the name of the scenario.
    pub place: String,
    /// The events that prove the failure, with one line for each event.
    pub lines: Vec<String>,
    /// A diagram of the failure, as SVG that a page may contain unchanged.
    pub diagram: Option<String>,
    /// The reason why the failure is expected or explained.
    pub reason: Option<String>,
    /// The balancers that show the failure, as indices into [`Page::rows`], each with the command that shows it again
    /// over that balancer.
    pub seen: Vec<(usize, String)>,
}

/// A problem, such as a run that did not end as it should have.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The description of the problem in one line.
    pub what: String,
    /// The place of the problem, usually the scenario, the balancer and the seed.
    pub place: String,
    /// The details, in several lines; empty if there are none.
    pub text: String,
    /// The command that shows the problem again.
    pub replay: String,
}

/// The changes of one kind since an earlier report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The kind of change.
    pub heading: String,
    /// The names of the balancers, each with the description of its change.
    pub items: Vec<(String, String)>,
}

impl Page {
    /// Draws diagrams of examples: at most [`MOST_DIAGRAMS`], and at most [`DIAGRAM_BYTES`] bytes in total. One example
    /// of each requirement comes first, and requirements about the identity of users come before others. `draw` takes
    /// an example and returns the value of [`Finding::diagram`].
    pub fn illustrate(&mut self, mut draw: impl FnMut(&Finding) -> Option<String>) {
        let of = |index: usize| self.findings[index].requirement;
        let is_later = |index: usize| index.checked_sub(1).is_some_and(|before| of(before) == of(index));
        let mut order: Vec<usize> = (0..self.findings.len()).collect();
        order.sort_by_key(|&index| (is_later(index), !of(index).id().starts_with("ID")));
        let mut left = DIAGRAM_BYTES;
        for index in order.into_iter().take(MOST_DIAGRAMS) {
            let diagram = draw(&self.findings[index]).filter(|diagram| diagram.len() <= left);
            left -= diagram.as_ref().map_or(0, String::len);
            self.findings[index].diagram = diagram;
        }
    }

    /// Returns the page as HTML.
    pub fn render(&self) -> String {
        view::render(self)
    }

    /// Returns the page with the changes since an earlier report.
    #[must_use]
    pub fn since(self, earlier: &Grades, now: &Grades) -> Self {
        let since = since::notes(earlier, now);
        Self { changes: Some(since::changes(self.sort, earlier, now)), since, ..self }
    }
}
