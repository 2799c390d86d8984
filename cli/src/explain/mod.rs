//! What a name means: a product profile, a mechanism, a requirement, a defect or a scenario, looked for in this order.
//!
//! * `words`: the last four of them in words. A profile says itself what it is.

mod words;

use std::io::{self, Write as _};
use std::path::PathBuf;

use stickler_catalogue::{Mechanism, Profile, defect, defects, mechanisms, names, nearest, profiles};
use stickler_model::escape;
use stickler_oracle::Requirement;
use stickler_scenarios::Case;

use crate::args::{Explain, Explanation};
use crate::{Failure, balancers, jobs};

pub(crate) fn explain(arguments: &Explain) -> Result<(), Failure> {
    let text = match profile(arguments)? {
        Some(text) => text,
        None => other(arguments)?,
    };
    writeln!(io::stdout().lock(), "{}", text.trim_end())?;
    Ok(())
}

/// A shipped profile of that name, or the profiles of a file of that path.
fn profile(arguments: &Explain) -> Result<Option<String>, Failure> {
    let told = |profile: &Profile| match arguments.format {
        Explanation::Pretty => profile.explain(),
        Explanation::Toml => profile.toml().to_owned(),
    };
    if let Some(profile) = profiles().iter().find(|profile| profile.name.eq_ignore_ascii_case(&arguments.name)) {
        return Ok(Some(told(profile)));
    }
    let file = PathBuf::from(&arguments.name);
    if !file.is_file() {
        return Ok(None);
    }
    let told: Vec<String> = balancers::own_profiles(&[file])?.iter().map(told).collect();
    // A file of somebody else's is no reason for a terminal to obey it.
    Ok(Some(escape::lines(&told.join("\n")).into_owned()))
}

/// What else a name may mean.
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

    /// A name that means nothing else.
    fn unique_name(&self) -> String {
        match self {
            Self::Requirement(requirement) => requirement.id().to_owned(),
            Self::Defect(defect) => defect.id.to_owned(),
            Self::Scenario(case) => format!("{}/{}", case.group.name, case.scenario.name()),
        }
    }

    fn told(&self, cases: &[Case]) -> String {
        match self {
            Self::Requirement(requirement) => words::requirement(*requirement, cases),
            Self::Defect(defect) => words::defect(defect),
            Self::Scenario(case) => words::scenario(case),
        }
    }
}

/// A mechanism, or what the name means besides.
fn other(arguments: &Explain) -> Result<String, Failure> {
    let (name, cases) = (&*arguments.name, jobs::cases(&[])?);
    let mut meant = meant(name, &cases).into_iter();
    let mut text = if let Some(mechanism) = mechanism(name)? {
        if arguments.format == Explanation::Toml {
            return in_toml(&mechanism);
        }
        words::mechanism(&mechanism, &cases)
    } else {
        let first = meant.next().ok_or_else(|| Failure::Wrong(unknown(name, &cases)))?;
        if arguments.format == Explanation::Toml {
            let (name, kind) = (first.unique_name(), first.kind());
            return Err(Failure::Wrong(format!(
                "`{name}` is a {kind}: as TOML there are profiles and mechanisms alone"
            )));
        }
        first.told(&cases)
    };
    for also in meant {
        let (kind, name) = (also.kind(), also.unique_name());
        text.push_str(&format!("\nThere is a {kind} of that name as well: stickler explain {name}\n"));
    }
    Ok(escape::lines(&text).into_owned())
}

fn in_toml(mechanism: &Mechanism) -> Result<String, Failure> {
    let profile = Profile::of_mechanism(mechanism).map_err(|error| Failure::Wrong(error.to_string()))?;
    Ok(profile.toml().to_owned())
}

/// The mechanism of this name or number (`M12`), with defects appended if the name has any.
fn mechanism(name: &str) -> Result<Option<Mechanism>, Failure> {
    let numbered = |it: &&Mechanism| it.id.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(name));
    if let Some(mechanism) = mechanisms().iter().find(numbered) {
        return Ok(Some(mechanism.clone()));
    }
    let (base, defects) = name.split_at(name.find('+').unwrap_or(name.len()));
    match stickler_catalogue::find(&(base.to_ascii_lowercase() + defects)) {
        Ok(mechanism) => Ok(Some(mechanism)),
        // The error says what is wrong with the base or the defects.
        Err(error) if name.contains('+') => Err(Failure::Wrong(error.to_string())),
        Err(_) => Ok(None),
    }
}

/// All that a name means besides profiles and mechanisms, in the order in which it is looked for. A scenario may be named with
/// its group, `failover/drain`.
fn meant<'a>(name: &str, cases: &'a [Case]) -> Vec<Meant<'a>> {
    let requirement = Requirement::all().find(|it| it.id().eq_ignore_ascii_case(name));
    let with_group = |case: &Case| format!("{}/{}", case.group.name, case.scenario.name()).eq_ignore_ascii_case(name);
    let scenario = cases.iter().find(|case| case.scenario.name().eq_ignore_ascii_case(name) || with_group(case));
    let requirement = requirement.map(Meant::Requirement);
    let defect = defect::find(name).ok().map(Meant::Defect);
    [requirement, defect, scenario.map(Meant::Scenario)].into_iter().flatten().collect()
}

/// What to say of a name that means nothing.
fn unknown(name: &str, cases: &[Case]) -> String {
    let mut known: Vec<&str> = Vec::new();
    // Some of these live as long as the program, and others do not.
    names().into_iter().for_each(|name| known.push(name));
    Requirement::all().for_each(|requirement| known.push(requirement.id()));
    defects().iter().for_each(|defect| known.extend_from_slice(&[defect.id, defect.name]));
    cases.iter().for_each(|case| known.push(case.scenario.name()));
    let start: String = name.chars().take(64).collect();
    let hint = nearest(name, &known).map(|it| format!("; did you mean `{it}`?")).unwrap_or_default();
    format!(
        "there is no profile, mechanism, requirement, defect or scenario called `{start}`, and no file{hint}; `stickler list` shows \
         what there is"
    )
}
