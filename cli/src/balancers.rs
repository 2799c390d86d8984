//! Balancers by what the user calls them.

use std::path::PathBuf;

use stickler_catalogue::{Mechanism, Profile, mechanisms, profiles};

use crate::Failure;

/// The mechanisms, profiles and faulty ones of these names, each once; all mechanisms if there are none.
pub(crate) fn find(names: &[String]) -> Result<Vec<Mechanism>, Failure> {
    if names.is_empty() {
        return Ok(mechanisms().to_vec());
    }
    let mut found: Vec<Mechanism> = Vec::new();
    for name in names {
        let mechanism = stickler_catalogue::find(name).map_err(|error| Failure::Wrong(error.to_string()))?;
        if !found.iter().any(|other| other.name == mechanism.name) {
            found.push(mechanism);
        }
    }
    Ok(found)
}

/// The profiles of these files.
pub(crate) fn own_profiles(files: &[PathBuf]) -> Result<Vec<Profile>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let path = file.display().to_string();
        let text =
            std::fs::read_to_string(file).map_err(|error| Failure::Wrong(format!("cannot read {path}: {error}")))?;
        all.extend(Profile::parse(&text, &path).map_err(|error| Failure::Wrong(error.to_string()))?);
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
