//! Lists scenarios, mechanisms, product profiles, defects and requirements.

use std::io::{self, Write};

use serde::Serialize;
use stickler_catalogue::{defects, mechanisms, profiles};
use stickler_report::json::{self, RequirementText};
use stickler_report::pretty;

use crate::args::{Format, List};
use crate::output::Reports;
use crate::{Failure, jobs};

/// The JSON document of `stickler list`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Catalogue {
    /// The groups of scenarios.
    groups: Vec<Entry>,
    /// The shipped scenarios.
    scenarios: Vec<Entry>,
    /// The mechanisms.
    mechanisms: Vec<Entry>,
    /// The product profiles.
    profiles: Vec<Entry>,
    /// The defects of products.
    defects: Vec<Entry>,
    /// The requirements.
    requirements: Vec<RequirementText>,
}

/// An entry of the catalogue.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Entry {
    /// The name of the entry.
    name: String,
    /// The summary in one line.
    summary: String,
    /// The description beyond the summary; missing if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

pub(crate) fn list(arguments: &List) -> Result<(), Failure> {
    let catalogue = catalogue()?;
    if arguments.format == Format::Json {
        return Reports::open("list", &[], true)?.finish(None, &catalogue);
    }
    Ok(show(&mut io::stdout().lock(), &catalogue)?)
}

fn catalogue() -> Result<Catalogue, Failure> {
    let cases = jobs::cases(&[])?;
    let scenario = |case: &stickler_scenarios::Case| Entry {
        name: case.scenario.name().into(),
        summary: format!("{}: {}", case.group.name, case.scenario.title()),
        description: case.scenario.description().into(),
    };
    let mut groups: Vec<_> = cases.iter().map(|case| entry(&case.group.name, None, &case.group.title)).collect();
    groups.dedup_by(|one, other| one.name == other.name);
    Ok(Catalogue {
        groups,
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

fn show(out: &mut impl Write, catalogue: &Catalogue) -> io::Result<()> {
    let columns = pretty::columns();
    for (title, entries) in [
        ("GROUPS OF SCENARIOS (stickler run GROUP)", &catalogue.groups),
        ("SCENARIOS (stickler run NAME)", &catalogue.scenarios),
        ("MECHANISMS (--balancer NAME)", &catalogue.mechanisms),
        ("PRODUCT PROFILES (--balancer NAME, stickler matrix, stickler explain NAME)", &catalogue.profiles),
        ("DEFECTS (--balancer MECHANISM+DEFECT)", &catalogue.defects),
    ] {
        writeln!(out, "{title}")?;
        let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
        for entry in entries {
            let head = format!("  {:<width$}  ", entry.name);
            write!(out, "{}", pretty::hanging(&head, &entry.summary, columns))?;
        }
        writeln!(out)?;
    }
    writeln!(out, "REQUIREMENTS")?;
    for requirement in &catalogue.requirements {
        let RequirementText { id, severity, text, source } = requirement;
        write!(
            out,
            "{}",
            pretty::hanging(&format!("  {id}  {severity:<6}  "), &format!("{text} [{source}]"), columns)
        )?;
    }
    Ok(())
}
