//! Explanations as a JSON document.

use serde::Serialize;
use stickler_catalogue::explanation::{Cure as CatalogueCure, Statement as CatalogueStatement};
use stickler_catalogue::profile::{Citation, Fact as CatalogueFact};
use stickler_catalogue::{Mechanism, Profile, defect, explanation};
use stickler_oracle::Requirement;
use stickler_report::json::RequirementText;
use stickler_scenarios::{Case, catches};

use super::known;

/// The JSON document of `stickler explain`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Explained {
    /// The explanations, in the order of the names. A name that means several things has one explanation for each.
    pub(super) explanations: Vec<Record>,
}

/// One explanation.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Record {
    /// A product profile.
    Profile {
        /// The name of the profile.
        name: String,
        /// The product that the profile describes.
        product: String,
        /// The versions of the product to which the profile applies.
        versions: String,
        /// The line of configuration by which an operator recognises the profile.
        config: String,
        /// Further notes for operators.
        notes: Vec<String>,
        /// The values of the profile, with their sources.
        facts: Vec<Fact>,
    },
    /// A mechanism.
    Mechanism {
        /// The name of the mechanism, with its defects.
        name: String,
        /// The summary of its behaviour.
        summary: String,
        /// The violations that are expected of the mechanism without defects.
        violates: Vec<Violation>,
        /// The scenarios that show the mechanism's defects.
        caught: Vec<Catch>,
    },
    /// A requirement.
    Requirement {
        /// The id, the severity, the text and the source of the requirement.
        #[serde(flatten)]
        requirement: RequirementText,
        /// The consequences of a violation for users.
        means: Option<Statement>,
        /// The traces of a violation in the logs of IIS.
        log: Option<Statement>,
        /// The cures: first those that do not depend on the product.
        cures: Vec<Cure>,
        /// The mechanisms that are expected to violate the requirement.
        violated_by: Vec<Count>,
        /// The scenarios that show defects by this requirement.
        caught: Vec<Catch>,
    },
    /// A defect of products.
    Defect {
        /// The id of the defect.
        id: String,
        /// The name of the defect.
        name: String,
        /// The summary of its effect.
        summary: String,
        /// The source of the defect.
        source: String,
        /// The mechanisms to which the defect can be added.
        sits_on: Vec<String>,
        /// The scenarios that show the defect.
        caught: Vec<Catch>,
    },
    /// A shipped scenario.
    Scenario {
        /// The name of the scenario.
        name: String,
        /// The group of the scenario.
        group: String,
        /// The title of the scenario.
        title: String,
        /// The description of the scenario.
        description: String,
        /// The script of the scenario.
        script: String,
        /// The violations that are expected in the scenario.
        violated: Vec<Violation>,
    },
}

/// A value of a profile.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Fact {
    /// The key of the value.
    key: String,
    /// The value, as TOML.
    value: String,
    /// The quality of the evidence, as one letter (`M`, `S`, `D`, `I`, `C` or `R`); missing if the value is assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    /// The source of the value, or the reason why it is assumed.
    source: String,
}

/// A violation that is expected of a mechanism in a scenario.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Violation {
    /// The id of the requirement.
    requirement: String,
    /// The name of the mechanism.
    mechanism: String,
    /// The name of the scenario.
    scenario: String,
    /// Whether the violation shows with every seed.
    with_every_seed: bool,
}

/// A scenario that shows a defect.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Catch {
    /// The id of the defect.
    defect: String,
    /// The id of the requirement that is violated.
    requirement: String,
    /// The command that shows it.
    command: String,
}

/// The number of scenarios in which a mechanism violates a requirement.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Count {
    /// The name of the mechanism.
    mechanism: String,
    /// The number of scenarios.
    scenarios: usize,
}

/// A text, with its source.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Statement {
    /// The text, in lines.
    text: String,
    /// The source of the text.
    source: String,
}

/// A cure.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(super) struct Cure {
    /// The product in which the cure is applied; missing if the cure does not depend on the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    /// The cure, in one line.
    text: String,
    /// The source of the cure.
    source: String,
}

pub(super) fn profile(profile: &Profile) -> Record {
    Record::Profile {
        name: profile.name.clone(),
        product: profile.product.clone(),
        versions: profile.versions.clone(),
        config: profile.config.clone(),
        notes: profile.notes.clone(),
        facts: profile.facts.iter().map(fact).collect(),
    }
}

fn fact(CatalogueFact { what, toml, citation }: &CatalogueFact) -> Fact {
    let (evidence, source) = match citation {
        Citation::Known { source, evidence } => (Some(evidence.letter().to_owned()), source),
        Citation::Assumed { why } => (None, why),
    };
    Fact { key: what.clone(), value: toml.clone(), evidence, source: source.clone() }
}

pub(super) fn mechanism(mechanism: &Mechanism, cases: &[Case]) -> Record {
    let expected = known::violates(mechanism, cases).into_iter();
    let violates = expected.flat_map(|(requirement, cases)| {
        let violation = |(case, certain): (&Case, bool)| violation(requirement, &mechanism.name, case, certain);
        cases.into_iter().map(violation).collect::<Vec<_>>()
    });
    Record::Mechanism {
        name: mechanism.name.to_string(),
        summary: mechanism.summary.to_string(),
        violates: violates.collect(),
        caught: mechanism.defects.iter().flat_map(|id| caught_by(id)).collect(),
    }
}

pub(super) fn requirement(requirement: Requirement, cases: &[Case]) -> Record {
    let told = explanation(requirement.id());
    let count = |(mechanism, scenarios): (&str, usize)| Count { mechanism: mechanism.to_owned(), scenarios };
    let caught = known::caught().filter(|(_, catch)| catch.requirement == requirement);
    Record::Requirement {
        requirement: RequirementText::of(requirement),
        means: told.map(|told| statement(&told.means)),
        log: told.map(|told| statement(&told.log)),
        cures: told.iter().flat_map(|told| &told.cures).map(cure).collect(),
        violated_by: known::violated_by(requirement, cases).into_iter().map(count).collect(),
        caught: caught.map(|(defect, found)| catch(defect.id, found)).collect(),
    }
}

pub(super) fn defect(defect: &defect::Defect) -> Record {
    Record::Defect {
        id: defect.id.to_owned(),
        name: defect.name.to_owned(),
        summary: defect.summary.to_owned(),
        source: defect.source.to_owned(),
        sits_on: defect.sits_on().iter().map(ToString::to_string).collect(),
        caught: caught_by(defect.id).collect(),
    }
}

pub(super) fn scenario(case: &Case) -> Record {
    let expected = known::violated_in(case).into_iter();
    let violated = expected.flat_map(|(requirement, mechanisms)| {
        let violation = |(mechanism, certain)| violation(requirement, mechanism, case, certain);
        mechanisms.into_iter().map(violation).collect::<Vec<_>>()
    });
    Record::Scenario {
        name: case.scenario.name().to_owned(),
        group: case.group.name.clone(),
        title: case.scenario.title().to_owned(),
        description: case.scenario.description().to_owned(),
        script: case.scenario.source().to_owned(),
        violated: violated.collect(),
    }
}

fn violation(requirement: Requirement, mechanism: &str, case: &Case, with_every_seed: bool) -> Violation {
    Violation {
        requirement: requirement.id().to_owned(),
        mechanism: mechanism.to_owned(),
        scenario: case.scenario.name().to_owned(),
        with_every_seed,
    }
}

fn caught_by(defect: &str) -> impl Iterator<Item = Catch> {
    catches(defect).iter().map(move |found| catch(defect, found))
}

fn catch(defect: &str, found: &stickler_scenarios::Catch) -> Catch {
    Catch {
        defect: defect.to_owned(),
        requirement: found.requirement.id().to_owned(),
        command: known::command(found, defect),
    }
}

fn statement(CatalogueStatement { text, source }: &CatalogueStatement) -> Statement {
    Statement { text: text.clone(), source: source.clone() }
}

fn cure(CatalogueCure { product, text, source }: &CatalogueCure) -> Cure {
    Cure { product: product.clone(), text: text.clone(), source: source.clone() }
}
