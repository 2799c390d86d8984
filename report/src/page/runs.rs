//! Builds the page of runs: the table of their verdicts, and the runs that did not end as expected.

use indexmap::IndexMap;
use stickler_runner::{Ending, Run};

use super::{About, Page, Problem};
use crate::matrix::Matrix;
use crate::missing::Missing;
use crate::pretty;

/// The maximum number of problems that are shown. The others are only counted.
const MOST_PROBLEMS: usize = 200;

impl Page {
    /// Returns the page of these runs. `matrix` contains the runs that are in the table. `replay` returns the command
    /// that repeats a run. `missing` are the runs that were requested and not made.
    pub fn of_runs(
        matrix: &Matrix,
        runs: &[Run],
        missing: Option<&Missing>,
        about: &About<'_>,
        replay: &dyn Fn(&Run) -> String,
    ) -> Self {
        let page = matrix.page(about);
        let count = pretty::count(runs, None);
        let mut notes: Vec<String> = count.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let mut problems: IndexMap<String, (Problem, usize)> = IndexMap::new();
        for run in runs {
            let (key, what) = match run.ending() {
                Ending::AsExpected | Ending::Skipped(_) => continue,
                Ending::NotAsExpected(deviations) => {
                    let told: Vec<String> = deviations.iter().map(ToString::to_string).collect();
                    (format!("{} {} {}", run.source.path, run.balancer, told.join(";")), told.join("; "))
                }
                // A mistake in a script is the same over every balancer.
                Ending::Failed(mistake) => {
                    (mistake.to_string(), format!("not performed to the end: {}", mistake.message))
                }
            };
            let problem = || Problem {
                what,
                place: format!("{} over {}, seed {}", run.source.scenario, run.balancer, run.seed),
                text: pretty::details(run, &replay(run), false),
                replay: replay(run),
            };
            problems.entry(key).or_insert_with(|| (problem(), 0)).1 += 1;
        }
        if let Some(more) = problems.len().checked_sub(MOST_PROBLEMS + 1) {
            notes.push(format!("{} more problems are not shown here.", more + 1));
        }
        let shown = problems.into_values().take(MOST_PROBLEMS).map(|(problem, times)| match times {
            1 => problem,
            2 => Problem { place: format!("{}, and 1 more run", problem.place), ..problem },
            _ => Problem { place: format!("{}, and {} more runs", problem.place, times - 1), ..problem },
        });
        let incomplete = missing.map(|missing| format!("{missing}.")).or(page.incomplete);
        Self { incomplete, problems: shown.collect(), notes: [page.notes, notes].concat(), ..page }
    }
}
