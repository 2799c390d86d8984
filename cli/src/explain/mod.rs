//! `stickler explain NAME`: explains a product profile, a mechanism, a requirement, a defect or a scenario. Names are
//! looked up in this order.
//!
//! * `words`: the last four of them in words, for a terminal. A profile describes itself.
//! * `markdown`: all of them as pages of the book.
//! * `record`: all of them as a JSON document.
//! * `known`: the relations between the last four.

mod known;
mod markdown;
mod record;
mod words;

use std::io::{self, Write as _};
use std::path::PathBuf;

use stickler_catalogue::{Mechanism, Profile, defect, defects, mechanisms, names, nearest, profiles};
use stickler_model::escape;
use stickler_oracle::Requirement;
use stickler_report::fit::fit;
use stickler_report::pretty;
use stickler_scenarios::Case;

use self::record::Record;
use crate::args::{Explain, Explanation};
use crate::output::Reports;
use crate::{Failure, balancers, jobs};

pub(crate) use self::record::Explained;

pub(crate) fn explain(arguments: &Explain) -> Result<(), Failure> {
    let cases = jobs::cases(&[])?;
    let format = match arguments.format {
        Explanation::Json => return in_json(&arguments.names, &cases),
        Explanation::Pretty => Form::Pretty,
        Explanation::Markdown => Form::Markdown,
        Explanation::Toml => Form::Toml,
    };
    let mut told = Vec::new();
    for name in &arguments.names {
        told.push(match profiles_called(name)? {
            Some(profiles) => of_profiles(&profiles, format),
            None => other(name, format, &cases)?,
        });
    }
    let told: Vec<&str> = told.iter().map(|text| text.trim_end()).collect();
    let width = if matches!(format, Form::Pretty) { pretty::columns() } else { None };
    writeln!(io::stdout().lock(), "{}", fit(&told.join("\n\n"), width))?;
    Ok(())
}

/// Returns the shipped profile of that name, or the profiles of the file at that path; `None` if there is neither.
fn profiles_called(name: &str) -> Result<Option<Vec<Profile>>, Failure> {
    if let Some(profile) = profiles().iter().find(|profile| profile.name.eq_ignore_ascii_case(name)) {
        return Ok(Some(vec![profile.clone()]));
    }
    let file = PathBuf::from(name);
    if !file.is_file() {
        return Ok(None);
    }
    balancers::own_profiles(&[file]).map(Some)
}

fn of_profiles(profiles: &[Profile], format: Form) -> String {
    let told = |profile: &Profile| match format {
        Form::Pretty => profile.describe().to_string(),
        Form::Markdown => markdown::profile(profile),
        Form::Toml => profile.toml().to_owned(),
    };
    let told: Vec<String> = profiles.iter().map(told).collect();
    // A file of somebody else may contain control characters, which must not reach the terminal.
    escape::lines(&told.join("\n")).into_owned()
}

/// Writes the explanations as a document, which has the error if a name means nothing.
fn in_json(names: &[String], cases: &[Case]) -> Result<(), Failure> {
    let mut reports = Reports::open("explain", &[], true)?;
    match records(names, cases) {
        Ok(explanations) => reports.finish(None, &Explained { explanations }),
        Err(failure) => {
            reports.add_failure(&failure);
            reports.finish(None, &Explained { explanations: Vec::new() })?;
            Err(failure)
        }
    }
}

fn records(names: &[String], cases: &[Case]) -> Result<Vec<Record>, Failure> {
    let mut explanations = Vec::new();
    for name in names {
        if let Some(profiles) = profiles_called(name)? {
            explanations.extend(profiles.iter().map(record::profile));
            continue;
        }
        let before = explanations.len();
        explanations.extend(mechanism(name)?.map(|mechanism| record::mechanism(&mechanism, cases)));
        explanations.extend(meant(name, cases).iter().map(|meant| meant.record(cases)));
        if explanations.len() == before {
            return Err(Failure::Wrong(unknown(name, cases)));
        }
    }
    Ok(explanations)
}

/// The form of an explanation that is text.
#[derive(Clone, Copy)]
enum Form {
    Pretty,
    Markdown,
    Toml,
}

/// A thing that a name may mean besides a profile or a mechanism.
enum Meant<'a> {
    Requirement(Requirement),
    Defect(&'static defect::Defect),
    Scenario(&'a Case),
}

impl Meant<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Requirement(_) => "requirement",
            Self::Defect(_) => "defect",
            Self::Scenario(_) => "scenario",
        }
    }

    /// Returns a name that no other kind of thing has.
    fn unique_name(&self) -> String {
        match self {
            Self::Requirement(requirement) => requirement.id().to_owned(),
            Self::Defect(defect) => defect.id.to_owned(),
            Self::Scenario(case) => format!("{}/{}", case.group.name, case.scenario.name()),
        }
    }

    fn record(&self, cases: &[Case]) -> Record {
        match self {
            Self::Requirement(requirement) => record::requirement(*requirement, cases),
            Self::Defect(defect) => record::defect(defect),
            Self::Scenario(case) => record::scenario(case),
        }
    }

    fn told(&self, cases: &[Case], format: Form) -> Result<String, Failure> {
        Ok(match (self, format) {
            (Self::Requirement(requirement), Form::Pretty) => words::requirement(*requirement, cases),
            (Self::Requirement(requirement), Form::Markdown) => markdown::requirement(*requirement, cases),
            (Self::Defect(defect), Form::Pretty) => words::defect(defect),
            (Self::Defect(defect), Form::Markdown) => markdown::defect(defect),
            (Self::Scenario(case), Form::Pretty) => words::scenario(case),
            (Self::Scenario(case), Form::Markdown) => markdown::scenario(case),
            (_, Form::Toml) => {
                let (name, kind) = (self.unique_name(), self.kind());
                return Err(Failure::Wrong(format!(
                    "`{name}` is a {kind}: only profiles and mechanisms can be shown as TOML"
                )));
            }
        })
    }
}

/// Explains the mechanism of that name, or else the first other thing of that name. Further things of that name are
/// mentioned.
fn other(name: &str, format: Form, cases: &[Case]) -> Result<String, Failure> {
    let mut meant = meant(name, cases).into_iter();
    let mut text = match (mechanism(name)?, format) {
        (Some(mechanism), Form::Toml) => return in_toml(&mechanism),
        (Some(mechanism), Form::Pretty) => words::mechanism(&mechanism, cases),
        (Some(mechanism), Form::Markdown) => markdown::mechanism(&mechanism, cases),
        (None, _) => {
            let first = meant.next().ok_or_else(|| Failure::Wrong(unknown(name, cases)))?;
            first.told(cases, format)?
        }
    };
    for also in meant {
        let (kind, name) = (also.kind(), also.unique_name());
        text += &["\nThere is a ", kind, " of that name as well: stickler explain ", &name, "\n"].concat();
    }
    Ok(escape::lines(&text).into_owned())
}

fn in_toml(mechanism: &Mechanism) -> Result<String, Failure> {
    let profile = Profile::of_mechanism(mechanism).map_err(|error| Failure::Wrong(error.to_string()))?;
    Ok(profile.toml().to_owned())
}

/// Returns the mechanism of this name or number (`M12`), with defects appended if the name has any.
fn mechanism(name: &str) -> Result<Option<Mechanism>, Failure> {
    let numbered = |it: &&Mechanism| it.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(name));
    if let Some(mechanism) = mechanisms().iter().find(numbered) {
        return Ok(Some(mechanism.clone()));
    }
    let (base, defects) = name.split_at(name.find('+').unwrap_or(name.len()));
    match stickler_catalogue::find(&(base.to_ascii_lowercase() + defects)) {
        Ok(mechanism) => Ok(Some(mechanism)),
        // The error says whether the base or one of the defects is wrong.
        Err(error) if name.contains('+') => Err(Failure::Wrong(error.to_string())),
        Err(_) => Ok(None),
    }
}

/// Returns everything that a name means besides profiles and mechanisms, in the order in which it is looked up. A
/// scenario may be named with its group, `failover/drain`.
fn meant<'a>(name: &str, cases: &'a [Case]) -> Vec<Meant<'a>> {
    let requirement = Requirement::all().find(|it| it.id().eq_ignore_ascii_case(name));
    let with_group = |case: &Case| format!("{}/{}", case.group.name, case.scenario.name()).eq_ignore_ascii_case(name);
    let scenario = cases.iter().find(|case| case.scenario.name().eq_ignore_ascii_case(name) || with_group(case));
    let requirement = requirement.map(Meant::Requirement);
    let defect = defect::find(name).ok().map(Meant::Defect);
    [requirement, defect, scenario.map(Meant::Scenario)].into_iter().flatten().collect()
}

/// Returns the message about a name that means nothing.
fn unknown(name: &str, cases: &[Case]) -> String {
    let mut known: Vec<&str> = Vec::new();
    // Some of these names live as long as the program, and others do not.
    for name in names() {
        known.push(name);
    }
    for requirement in Requirement::all() {
        known.push(requirement.id());
    }
    for defect in defects() {
        known.extend_from_slice(&[defect.id, defect.name]);
    }
    for case in cases {
        known.push(case.scenario.name());
    }
    let start: String = name.chars().take(64).collect();
    let hint = nearest(name, &known).map(|it| format!("; did you mean `{it}`?")).unwrap_or_default();
    format!(
        "there is no profile, mechanism, requirement, defect or scenario called `{start}`, and no file{hint}; `stickler list` shows \
         what there is"
    )
}
