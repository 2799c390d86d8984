//! Balancers by what the user calls them.

use std::path::PathBuf;

use stickler_catalogue::{Profile, mechanisms, profiles};
use stickler_model::BalancerSpec;

use crate::Failure;

/// A profile of the user's own, and the text of its file.
pub(crate) struct OwnProfile {
    pub(crate) profile: Profile,
    toml: String,
}

/// The balancers of these names, each once. A name is that of a mechanism or of a profile, shipped or the user's own, with
/// defects after it. Own profiles are all meant where none of them is named; all mechanisms are where nothing is.
pub(crate) fn find(names: &[String], own: &[OwnProfile]) -> Result<Vec<BalancerSpec>, Failure> {
    if names.is_empty() && own.is_empty() {
        return Ok(mechanisms().iter().map(|mechanism| BalancerSpec::named(&mechanism.name)).collect());
    }
    let mut found: Vec<BalancerSpec> = Vec::new();
    let mut own_named = false;
    for name in names {
        let is_own = |own: &&OwnProfile| name.split('+').next() == Some(&*own.profile.name);
        let spec = match own.iter().find(is_own) {
            Some(own) => {
                own_named = true;
                own.with_defects(name)?
            }
            None => shipped(name)?,
        };
        if !found.contains(&spec) {
            found.push(spec);
        }
    }
    if !own_named {
        found.extend(own.iter().map(OwnProfile::spec));
    }
    Ok(found)
}

/// A mechanism or a profile of the catalogue.
fn shipped(name: &str) -> Result<BalancerSpec, Failure> {
    let mechanism = stickler_catalogue::find(name).map_err(|error| Failure::Wrong(error.to_string()))?;
    // Defects are named once each, and in their order.
    Ok(BalancerSpec::named(&mechanism.name))
}

impl OwnProfile {
    /// The profile as a balancer.
    pub(crate) fn spec(&self) -> BalancerSpec {
        BalancerSpec::Profile { name: self.profile.name.to_string(), toml: self.toml.clone(), defects: Vec::new() }
    }

    /// The profile with the defects of a name, `ours+B6`.
    fn with_defects(&self, name: &str) -> Result<BalancerSpec, Failure> {
        let ids = name.split('+').skip(1);
        let wrong = |error: &dyn std::fmt::Display| Failure::Wrong(error.to_string());
        let mechanism = self.profile.mechanism().with_defects(ids).map_err(|error| wrong(&error))?;
        let defects = mechanism.defects.iter().map(|id| id.to_string()).collect();
        Ok(BalancerSpec::Profile { name: self.profile.name.to_string(), toml: self.toml.clone(), defects })
    }
}

/// The profiles of these files.
pub(crate) fn own_profiles(files: &[PathBuf]) -> Result<Vec<OwnProfile>, Failure> {
    let mut all: Vec<OwnProfile> = Vec::new();
    for file in files {
        let path = file.display().to_string();
        let toml =
            std::fs::read_to_string(file).map_err(|error| Failure::Wrong(format!("cannot read {path}: {error}")))?;
        for profile in Profile::parse(&toml, &path).map_err(|error| Failure::Wrong(error.to_string()))? {
            if all.iter().any(|other| other.profile.name == profile.name) {
                return Err(Failure::Wrong(format!(
                    "{path}: another file has a profile called `{}` too",
                    profile.name
                )));
            }
            all.push(OwnProfile { profile, toml: toml.clone() });
        }
    }
    Ok(all)
}

/// The profiles whose name, or the words that it starts with, is one of these; all if there are none.
pub(crate) fn profiles_like(patterns: &[String]) -> Result<Vec<&'static Profile>, Failure> {
    let fits = |profile: &Profile, pattern: &str| {
        profile.name == pattern || profile.name.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('-'))
    };
    for pattern in patterns {
        if !profiles().iter().any(|profile| fits(profile, pattern)) {
            let known: Vec<_> = profiles().iter().map(|profile| &*profile.name).collect();
            return Err(Failure::Nothing(format!(
                "there is no product profile `{pattern}`, nor any that starts with it; there are: {}",
                known.join(", ")
            )));
        }
    }
    let wanted = |profile: &&Profile| patterns.is_empty() || patterns.iter().any(|pattern| fits(profile, pattern));
    Ok(profiles().iter().filter(wanted).collect())
}
