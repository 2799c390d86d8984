//! A report as one HTML page: what it comes to, a table, what changed, what cures it, and the evidence.
//!
//! * [`Page`] is the model. `matrix` makes one of a table of verdicts, `runs` of runs as well, and `told` of whatever else was found.
//! * `pick`: which examples are shown. `since`: what changed since an earlier report.
//! * `view`: the model as the template has it. `page.html`, `page.css`, `page.js`: the page itself.
//!
//! The page loads nothing: its style and its script are part of it, and its content security policy allows these two alone, by
//! their hashes. Without the script everything is visible, and nothing can be filtered. Whatever a peer sent is escaped before it
//! becomes a part of the page ([`stickler_model::escape`]).

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

/// The most diagrams of a page.
pub const MOST_DIAGRAMS: usize = 24;

/// The most bytes of all diagrams of a page together. Most have some twenty thousand.
pub const DIAGRAM_BYTES: usize = 300_000;

/// A report that can be rendered as a page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What its marks are about.
    pub sort: Sort,
    /// The heading, which is the title as well.
    pub title: String,
    /// What the report is about, a paragraph each.
    pub lead: Vec<String>,
    /// What it comes to.
    pub facts: Vec<Fact>,
    /// What else is to be said of the whole, a sentence each.
    pub notes: Vec<String>,
    /// The caption of the table.
    pub caption: String,
    /// The columns of the table in front of those of the requirements: the headings of each group, by its name.
    pub leading: Vec<(String, Vec<String>)>,
    /// The rows of the table, one for each balancer.
    pub rows: Vec<Row>,
    /// The examples that the table refers to, in the order of the requirements.
    pub findings: Vec<Finding>,
    /// What did not end as it should have.
    pub problems: Vec<Problem>,
    /// What changed since an earlier report; `None` where there is no earlier one to compare with.
    pub changes: Option<Vec<Change>>,
}

/// What the marks of a page are about, which decides how they are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// Whether requirements are kept.
    #[default]
    Verdicts,
    /// Whether a product and its profile show the same.
    Comparison,
    /// What a hunt has found.
    Hunt,
}

/// A number that sums a report up: so many of so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// So many of them.
    pub count: usize,
    /// All of them.
    pub of: usize,
    /// What is true of so many: "balancers mix users up".
    pub text: String,
    /// Whether each one is one too many.
    pub is_bad: bool,
}

/// What became of something, as the table marks it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Nothing put it to the test. The cell is empty.
    #[default]
    Untested,
    /// It was kept.
    Kept,
    /// It holds in part: a SHOULD was not followed, some users can log on, or a difference is explained.
    Partly,
    /// It was violated.
    Violated,
}

/// A cell of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// How it is marked.
    pub mark: Mark,
    /// The same in a word or two, for whoever does not see the mark.
    pub word: String,
    /// The example that proves it, as an index into [`Page::findings`].
    pub finding: Option<usize>,
    /// How many scenarios, or trials, show it.
    pub times: usize,
}

/// What the table says of one balancer.
#[derive(Debug, Clone)]
pub struct Row {
    /// The balancer.
    pub subject: Subject,
    /// One cell for each column in front of the requirements.
    pub leading: Vec<Cell>,
    /// What became of the requirements. One that is missing was not put to the test.
    pub cells: BTreeMap<Requirement, Cell>,
    /// What is to be said of it in a sentence.
    pub told: String,
    /// The command that shows all that is violated over it.
    pub again: String,
}

/// An example of what went wrong, which several balancers may show.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The requirement.
    pub requirement: Requirement,
    /// The scenario and the seed of the run that shows it over the first balancer; `None` where that was no single run.
    pub run: Option<(String, u64)>,
    /// How bad it is.
    pub mark: Mark,
    /// What happened, in a sentence.
    pub summary: String,
    /// Where it happened: the scenario, mostly.
    pub place: String,
    /// The events that prove it, a line each.
    pub lines: Vec<String>,
    /// A diagram of it, as SVG that a page may contain as it is.
    pub diagram: Option<String>,
    /// Why it is expected, or explained.
    pub reason: Option<String>,
    /// The balancers that show it, as indices into [`Page::rows`], and the command that shows it again over each.
    pub seen: Vec<(usize, String)>,
}

/// Something that did not end as it should have.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong, in a line.
    pub what: String,
    /// Where.
    pub place: String,
    /// The details, if there are any, in lines.
    pub text: String,
    /// The command that shows it again.
    pub replay: String,
}

/// What changed in one way since an earlier report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// In which way.
    pub heading: String,
    /// The balancers, each with what it is about.
    pub items: Vec<(String, String)>,
}

impl Page {
    /// Draws diagrams of examples, of at most [`MOST_DIAGRAMS`] and in [`DIAGRAM_BYTES`] in all: first one of each requirement, those
    /// about the identity of users before others. `draw` gets an example, and returns what [`Finding::diagram`] has.
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

    /// Tells what changed since an earlier report.
    #[must_use]
    pub fn since(self, earlier: &Grades, now: &Grades) -> Self {
        Self { changes: Some(since::changes(earlier, now)), ..self }
    }
}
