//! The scenarios that the arguments of a command select.

use std::io::{self, Read as _};
use std::path::Path;

use stickler_catalogue::names;
use stickler_model::topology::Provider;
use stickler_oracle::{Grade, Requirement};
use stickler_scenarios::Case;
use stickler_scenarios::scenario::MAX_SOURCE;

use crate::args::{Selection, pattern};
use crate::{Failure, jobs};

/// The path that stands for standard input.
const STDIN: &str = "-";

/// The characters that make a name a pattern.
const WILD: [char; 3] = ['*', '?', '['];

/// Returns those scenarios of the given paths, names and patterns that the selection keeps.
pub(crate) fn cases(paths: &[String], selection: &Selection) -> Result<Vec<Case>, Failure> {
    let expanded = expanded(paths)?;
    let named: Vec<String> = expanded.iter().filter(|path| *path != STDIN).cloned().collect();
    let reads_stdin = named.len() < expanded.len();
    let mut cases = if named.is_empty() && reads_stdin { Vec::new() } else { jobs::cases(&named)? };
    if reads_stdin {
        cases.push(from_stdin()?);
    }
    let all = cases.len();
    cases.retain(|case| is_chosen(case, selection));
    if cases.is_empty() && all > 0 {
        let message = format!("--requirement, --group and --tag select none of {all} scenarios");
        return Err(Failure::Nothing(message));
    }
    Ok(cases)
}

/// Reads a script from standard input.
fn from_stdin() -> Result<Case, Failure> {
    let mut source = String::new();
    // One byte more than a script may have is enough to reject it as too long.
    let read = io::stdin().take(MAX_SOURCE + 1).read_to_string(&mut source);
    read.map_err(|error| Failure::Wrong(format!("cannot read a script from standard input: {error}")))?;
    Case::of_source("stdin", STDIN, &source).map_err(|error| Failure::Wrong(error.to_string()))
}

/// Replaces each pattern that is not the path of a file by the shipped scenarios and groups that match it.
fn expanded(paths: &[String]) -> Result<Vec<String>, Failure> {
    let is_pattern = |path: &str| path.contains(WILD) && Path::new(path).symlink_metadata().is_err();
    if !paths.iter().any(|path| is_pattern(path)) {
        return Ok(paths.to_vec());
    }
    let shipped = jobs::cases(&[])?;
    let mut names = Vec::new();
    for path in paths {
        if !is_pattern(path) {
            names.push(path.clone());
            continue;
        }
        let pattern = pattern(path).map_err(|error| Failure::Wrong(format!("`{path}`: {error}")))?;
        let fits = |case: &&Case| pattern.matches(case.scenario.name()) || pattern.matches(&case.group.name);
        let before = names.len();
        names.extend(shipped.iter().filter(fits).map(|case| case.scenario.name().to_owned()));
        if names.len() == before {
            return Err(Failure::Nothing(format!("no shipped scenario and no group fits the pattern `{path}`")));
        }
    }
    Ok(names)
}

fn is_chosen(case: &Case, selection: &Selection) -> bool {
    let Selection { requirement, group, tag } = selection;
    let any = |chosen: bool, none: bool| none || chosen;
    any(requirement.iter().any(|requirement| tests(case, *requirement)), requirement.is_empty())
        && any(group.iter().any(|pattern| pattern.matches(&case.group.name)), group.is_empty())
        && any(tags(case).iter().any(|own| tag.iter().any(|tag| tag.eq_ignore_ascii_case(own))), tag.is_empty())
}

/// Returns whether a scenario puts a requirement to the test, as its table says for at least one balancer. A scenario
/// without a table counts as one that does, because its grades are not known.
fn tests(case: &Case, requirement: Requirement) -> bool {
    let name = case.scenario.name();
    if !case.expectations.scenarios().any(|known| known == name) {
        return true;
    }
    let is_test = |grade: &Grade| matches!(grade, Grade::Ok | Grade::Violated | Grade::NonStrict);
    let balancers = names().into_iter().chain([""]);
    let expected = balancers.map(|balancer| case.expectations.expected(name, balancer));
    expected.into_iter().any(|expected| expected.grades.get(&requirement).is_some_and(|all| all.iter().any(is_test)))
}

/// Returns the tags of a scenario: those of its group, and its own.
fn tags(case: &Case) -> Vec<String> {
    let accepts = case.group.accepts.map(|provider| match provider {
        Provider::Ntlm => "ntlm",
        Provider::NegotiateKerberos => "kerberos",
        Provider::Negotiate | Provider::Nego2 => "negotiate",
    });
    let of_group = accepts.into_iter().chain(case.group.conformance.then_some("conformance"));
    let lines = case.scenario.description().lines().filter_map(|line| line.trim().strip_prefix("Tags:"));
    let own = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    of_group.chain(own).map(str::to_owned).collect()
}
