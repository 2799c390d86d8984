//! Scenarios, balancers and requirements.

use std::io::{self, Write};

use serde::Serialize;
use stickler_report::json::{self, RequirementText};

use crate::Failure;
use crate::args::{Format, List};

#[derive(Serialize)]
struct Catalogue {
    scenarios: Vec<Entry>,
    balancers: Vec<Entry>,
    requirements: Vec<RequirementText>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    summary: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

pub(crate) fn list(arguments: &List) -> Result<(), Failure> {
    let catalogue = catalogue()?;
    let mut out = io::stdout().lock();
    match arguments.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &catalogue).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Pretty => pretty(&mut out, &catalogue)?,
    }
    Ok(())
}

fn catalogue() -> Result<Catalogue, Failure> {
    let mechanisms = stickler_lb_core::mechanisms();
    let names: Vec<&str> = mechanisms.iter().map(|mechanism| mechanism.name).collect();
    let cases = stickler_scenarios::shipped(&names).map_err(|error| Failure::Wrong(error.to_string()))?;
    let scenario = |case: &stickler_scenarios::Case| Entry {
        name: case.scenario.name().into(),
        summary: case.scenario.title().into(),
        description: case.scenario.description().into(),
    };
    Ok(Catalogue {
        scenarios: cases.iter().map(scenario).collect(),
        balancers: mechanisms
            .iter()
            .map(|mechanism| Entry {
                name: mechanism.name.into(),
                summary: mechanism.summary.into(),
                description: String::new(),
            })
            .collect(),
        requirements: json::requirements(),
    })
}

fn pretty(out: &mut impl Write, catalogue: &Catalogue) -> io::Result<()> {
    for (title, entries) in
        [("SCENARIOS (stickler run NAME)", &catalogue.scenarios), ("BALANCERS (--balancer NAME)", &catalogue.balancers)]
    {
        writeln!(out, "{title}")?;
        let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        for entry in entries {
            writeln!(out, "  {:<width$}  {}", entry.name, entry.summary)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "REQUIREMENTS")?;
    for requirement in &catalogue.requirements {
        writeln!(
            out,
            "  {}  {:<6}  {} [{}]",
            requirement.id, requirement.severity, requirement.text, requirement.source
        )?;
    }
    Ok(())
}
