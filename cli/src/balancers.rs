//! Finds balancers by the names that the user gives.

use std::path::PathBuf;

use stickler_catalogue::{Mechanism, Profile, ProfileError, mechanisms, nearest, profiles};
use stickler_model::BalancerSpec;
use stickler_report::test_case::Place;
use stickler_runner::text_file;

use crate::Failure;

/// The maximum size of a file of profiles, in bytes.
const MAX_PROFILES: u64 = 1 << 20;

/// Returns the balancers of these names, each once. A name is that of a mechanism or of a profile, shipped or the
/// user's own, with defects after it. Without names, the result is all of the user's own profiles, or all mechanisms if
/// there are none.
pub(crate) fn find(names: &[String], own: &[Profile]) -> Result<Vec<BalancerSpec>, Failure> {
    if names.is_empty() && own.is_empty() {
        return Ok(mechanisms().iter().map(Mechanism::spec).collect());
    }
    let mut found = named(names, own)?;
    if !names.iter().any(|name| own.iter().any(|own| own.name == base(name))) {
        found.extend(own.iter().map(Profile::spec));
    }
    Ok(found)
}

/// Returns a balancer's name without its defects.
fn base(name: &str) -> &str {
    name.split('+').next().unwrap_or_default()
}

/// Returns the balancers of these names, each once.
pub(crate) fn named(names: &[String], own: &[Profile]) -> Result<Vec<BalancerSpec>, Failure> {
    let mut found: Vec<BalancerSpec> = Vec::new();
    for name in names {
        let own = own.iter().find(|own| own.name == base(name));
        // No profile has the name of a mechanism; reading all of them takes milliseconds.
        let is_mechanism = mechanisms().iter().any(|mechanism| mechanism.name == base(name));
        let shipped = || profiles().iter().find(|profile| profile.name == base(name));
        let profile = if is_mechanism { own } else { own.or_else(shipped) };
        let spec = match profile {
            Some(profile) => with_defects(profile, name)?,
            None => stickler_catalogue::find(name).map_err(|error| Failure::Wrong(error.to_string()))?.spec(),
        };
        if !found.contains(&spec) {
            found.push(spec);
        }
    }
    Ok(found)
}

/// Returns a profile with the defects of a name such as `ours+B6`.
fn with_defects(profile: &Profile, name: &str) -> Result<BalancerSpec, Failure> {
    let ids = name.split('+').skip(1);
    let mechanism = profile.mechanism().with_defects(ids).map_err(|error| Failure::Wrong(error.to_string()))?;
    let mut spec = profile.spec();
    if let BalancerSpec::Profile { defects, .. } = &mut spec {
        defects.extend(mechanism.defects.iter().map(ToString::to_string));
    }
    Ok(spec)
}

/// Reads the profiles of these files.
pub(crate) fn own_profiles(files: &[PathBuf]) -> Result<Vec<Profile>, Failure> {
    let mut all: Vec<Profile> = Vec::new();
    for file in files {
        let path = file.display().to_string();
        let toml = text_file::read(file, MAX_PROFILES);
        let toml = toml.map_err(|error| Failure::Wrong(format!("cannot read {path}: {error}")))?;
        for profile in Profile::parse(&toml, &path).map_err(|error| of_profile(&error))? {
            if all.iter().any(|other| other.name == profile.name) {
                let name = &profile.name;
                return Err(Failure::Wrong(format!("{path}: another file has a profile called `{name}` too")));
            }
            all.push(profile);
        }
    }
    Ok(all)
}

/// Converts an error in a file of profiles into a failure.
fn of_profile(error: &ProfileError) -> Failure {
    let (line, column) = (Some(error.line), Some(error.column));
    let place = Place { line, column, ..Place::of_file(error.path.clone()) };
    Failure::WrongFile(place, error.to_string())
}

/// Returns the profiles that have one of these names, or whose names start with one of them as whole words. Returns all
/// profiles if there are no names.
pub(crate) fn profiles_like(patterns: &[String]) -> Result<Vec<&'static Profile>, Failure> {
    for pattern in patterns {
        if !profiles().iter().any(|profile| fits(profile, pattern)) {
            let known: Vec<&str> = profiles().iter().map(|profile| &*profile.name).collect();
            let hint = nearest(pattern, &known).map(|near| format!("; did you mean `{near}`?"));
            let hint = hint.unwrap_or_else(|| format!("; `stickler list` shows the {} that there are", known.len()));
            let message = format!("there is no product profile `{pattern}`, nor any that starts with it{hint}");
            return Err(Failure::Nothing(message));
        }
    }
    let wanted = |profile: &&Profile| patterns.is_empty() || patterns.iter().any(|pattern| fits(profile, pattern));
    Ok(profiles().iter().filter(wanted).collect())
}

fn fits(profile: &Profile, pattern: &str) -> bool {
    profile.name == pattern || profile.name.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('-'))
}
