//! Scenarios, mechanisms, product profiles, defects and requirements.

use std::io::{self, Write};

use serde::Serialize;
use stickler_catalogue::{defects, mechanisms, profiles};
use stickler_report::json::{self, RequirementText};

use crate::args::{Format, List};
use crate::{Failure, jobs};

#[derive(Serialize)]
struct Catalogue {
    scenarios: Vec<Entry>,
    mechanisms: Vec<Entry>,
    profiles: Vec<Entry>,
    defects: Vec<Entry>,
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
    let cases = jobs::cases(&[])?;
    let scenario = |case: &stickler_scenarios::Case| Entry {
        name: case.scenario.name().into(),
        summary: format!("{}: {}", case.group, case.scenario.title()),
        description: case.scenario.description().into(),
    };
    Ok(Catalogue {
        scenarios: cases.iter().map(scenario).collect(),
        mechanisms: mechanisms()
            .iter()
            .map(|mechanism| entry(&mechanism.name, mechanism.id.as_deref(), &mechanism.summary))
            .collect(),
        profiles: profiles()
            .iter()
            .map(|profile| entry(&profile.name, Some(&profile.product), &profile.config))
            .collect(),
        defects: defects().iter().map(|defect| entry(defect.id, Some(defect.name), defect.summary)).collect(),
        requirements: json::requirements(),
    })
}

fn entry(name: &str, label: Option<&str>, summary: &str) -> Entry {
    let summary = label.map_or_else(|| summary.to_owned(), |label| format!("{label}: {summary}"));
    Entry { name: name.into(), summary, description: String::new() }
}

fn pretty(out: &mut impl Write, catalogue: &Catalogue) -> io::Result<()> {
    for (title, entries) in [
        ("SCENARIOS (stickler run NAME, or a GROUP)", &catalogue.scenarios),
        ("MECHANISMS (--balancer NAME)", &catalogue.mechanisms),
        ("PRODUCT PROFILES (--balancer NAME, stickler matrix, stickler explain NAME)", &catalogue.profiles),
        ("DEFECTS (--balancer MECHANISM+DEFECT)", &catalogue.defects),
    ] {
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
