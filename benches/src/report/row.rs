//! The rows of the report: figures as they were judged.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Estimate;

/// How a run was started, from which follows what it can judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A run of all benchmarks with the settings of the program. Only such a run counts the aims that are met.
    Full,
    /// A run with a filter or with other settings: its figures are judged and not counted.
    Part,
    /// A run with `--quick`: two samples for each figure give no confidence interval, so that nothing is judged.
    Quick,
}

/// The relation of a figure to its aim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The whole confidence interval is on the wrong side of the aim.
    Missed,
    /// The confidence interval contains the aim: the run does not decide.
    Open,
    /// The whole confidence interval is on the right side of the aim.
    Met,
}

/// One row of the report, about one figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Row {
    /// The benchmark's id.
    pub id: String,
    /// The description of what was measured.
    pub what: String,
    /// The value of the figure, in `unit`.
    pub value: Estimate,
    /// The unit of the value.
    pub unit: &'static str,
    /// The figure of the same run with which this one is compared.
    pub beside: Option<Beside>,
    /// The bare reference, if `beside` is not bare itself: the cost of the same work without any policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bare: Option<Beside>,
    /// The speed as a multiple of the speed of `beside`; above 1 means faster.
    pub relative_speed: Option<Estimate>,
    /// The description of the aim.
    pub aim: Option<String>,
    /// The value as a multiple of the aim. An absolute figure has an interval that includes the drift of the machine.
    pub to_aim: Option<Estimate>,
    /// Whether less than the aim is better. `false` if there is no aim.
    pub less_is_better: bool,
    /// The relation to the aim, if there is an aim and the run can judge it.
    pub state: Option<State>,
    /// The change of the relative speed since the baseline; above 0 means faster.
    pub change: Option<f64>,
    /// Further remarks.
    pub note: String,
}

/// A figure beside another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Beside {
    /// The benchmark's id.
    pub id: String,
    /// The value, in the unit of the row.
    pub value: f64,
}

/// The numbers of aims in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// The number of aims that are met.
    pub met: usize,
    /// The number of aims that are missed.
    pub missed: usize,
    /// The number of aims that the run does not decide.
    pub open: usize,
}

impl Mode {
    /// Returns the mode of a run with these arguments. The switches that change only what is printed do not matter.
    pub fn of<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut mode = Self::Full;
        for argument in arguments {
            match argument {
                "--quick" => return Self::Quick,
                "--bench" | "--noplot" | "-n" | "--quiet" | "--verbose" | "-v" => {}
                _ => mode = Self::Part,
            }
        }
        mode
    }
}

impl Row {
    /// Returns the group of the benchmark: the first word of its id.
    pub(super) fn group(&self) -> &str {
        self.id.split(['-', '/']).next().unwrap_or_default()
    }

    /// Returns the figure as a multiple of its aim, turned so that above 1 is better than the aim.
    pub fn attained(&self) -> Option<Estimate> {
        self.to_aim.map(|to_aim| if self.less_is_better { to_aim.dividing(1.0) } else { to_aim })
    }
}

impl Counts {
    /// Counts the states of rows.
    pub(super) fn of(rows: &[Row]) -> Self {
        let mut counts = Self::default();
        for state in rows.iter().filter_map(|row| row.state) {
            match state {
                State::Met => counts.met += 1,
                State::Missed => counts.missed += 1,
                State::Open => counts.open += 1,
            }
        }
        counts
    }
}

impl fmt::Display for State {
    /// Writes the state as it stands in tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Open => "open",
        })
    }
}
