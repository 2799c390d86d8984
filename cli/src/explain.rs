//! How a product, or a mechanism, treats connections.

use std::io::{self, Write as _};
use std::path::PathBuf;

use stickler_catalogue::{Profile, defect, profiles};
use stickler_model::escape;

use crate::args::{Explain, Explanation};
use crate::{Failure, balancers};

pub(crate) fn explain(arguments: &Explain) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let told = |profile: &Profile| match arguments.format {
        Explanation::Pretty => profile.explain(),
        Explanation::Toml => profile.toml().to_owned(),
    };
    if let Some(profile) = profiles().iter().find(|profile| profile.name == arguments.name) {
        writeln!(out, "{}", told(profile).trim_end())?;
        return Ok(());
    }
    let file = PathBuf::from(&arguments.name);
    if file.is_file() {
        let own = balancers::own_profiles(&[file])?;
        let told: Vec<String> = own.iter().map(told).collect();
        // A file of somebody else's is no reason for a terminal to obey it.
        writeln!(out, "{}", escape::lines(told.join("\n").trim_end()))?;
        return Ok(());
    }
    let mechanism = stickler_catalogue::find(&arguments.name).map_err(|error| Failure::Wrong(error.to_string()))?;
    if arguments.format == Explanation::Toml {
        let profile = Profile::of_mechanism(&mechanism).map_err(|error| Failure::Wrong(error.to_string()))?;
        writeln!(out, "{}", profile.toml().trim_end())?;
        return Ok(());
    }
    let id = mechanism.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    writeln!(out, "{}{id}: {}.", mechanism.name, mechanism.summary)?;
    for defect in mechanism.defects.iter().filter_map(|id| defect::find(id).ok()) {
        writeln!(out, "with the defect {} ({}): {}. [{}]", defect.id, defect.name, defect.summary, defect.source)?;
    }
    Ok(())
}
