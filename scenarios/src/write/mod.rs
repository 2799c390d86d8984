//! Writes a plan as a script. A hunt uses it to present a finding in the form in which a person would have written it.
//!
//! * this module: the script as a whole, and its docstring.
//! * `story.rs`: the docstring of a finding.
//! * `canonical.rs`: the form that a plan has after it has been read from a script. `named.rs`: the plan with clients
//!   named after their users.
//! * `site.rs`: `site()` and its parts.
//! * `steps.rs`: the steps, one after the other. `client.rs`: the clients with their users.
//! * `expectations.rs`: the expectations about the answers.
//! * `text.rs`: the layout of values and calls. `names.rs`: the names of variables.
//!
//! The written script must have one property: over the same balancer with the same seed, it asks for exactly the
//! canonical plan, in its site and its steps. If scripts cannot express something, no script is written
//! ([`Unwritable`]). There is one exception. A script has the text of a token, not its number. If a client makes the
//! same token twice, as with NTLM, and the first one is sent after the second was made, the script asks for the second
//! one, which has the same text.

mod canonical;
mod client;
mod expectations;
mod named;
mod names;
mod site;
mod steps;
mod story;
mod text;

use stickler_model::plan::PlanError;
use stickler_model::{Action, Plan, escape};
use stickler_oracle::{Evidence, Requirement};

use crate::limits;
use crate::scenario::MAX_SOURCE;
use steps::Steps;

pub use canonical::canonical;
pub use named::named_after_users;
#[cfg(all(test, feature = "scripts"))]
pub(crate) use names::RESERVED;

/// The maximum length of a line of a docstring, in characters.
const WIDTH: usize = 118;

/// The text of a script's docstring, and the finding that the script shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// The subject of the script, in one line: the first of the docstring.
    pub title: String,
    /// The course of events: paragraphs with an empty line in between.
    pub text: String,
    /// The violation that the script shows, if there is one.
    pub finding: Option<Finding>,
}

/// A violation that a plan shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The requirement that is violated.
    pub requirement: Requirement,
    /// The proof. Its requests are numbered as in the [`canonical`] plan.
    pub evidence: Evidence,
}

/// The reason why a plan cannot be written as a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// The plan is invalid.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Scripts cannot describe the site.
    #[error("a script cannot describe this site: {0}")]
    Site(&'static str),
    /// Scripts cannot ask for a step.
    #[error("a script cannot contain step {step}: {why}")]
    Step {
        /// The index of the step, from 0.
        step: usize,
        /// The property of the step that a script cannot express.
        why: &'static str,
    },
    /// The plan contains no request and no raw bytes, but a script has to ask for something.
    #[error("the plan has no request and sends no bytes, but a script needs at least one of them")]
    AsksNothing,
    /// The plan has more steps than a script may perform.
    #[error("the plan has {0} steps, but a script may perform at most {limit}", limit = limits::ACTIONS)]
    TooManySteps(usize),
    /// The script is longer than a script may be.
    #[error("the script has {0} bytes, but a script may have at most {MAX_SOURCE}")]
    TooLong(usize),
}

/// A property that a script cannot express, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inexpressible(&'static str);

/// Writes a plan as a script, which asks for the [`canonical`] plan. The balancer and the seed are not part of the
/// script: they are given when it is run.
///
/// A violated MUST makes the run of such a script end otherwise than expected, whatever the script's own expectations
/// are. For a finding about identity, the script also expects that each answer is for the client's own user.
///
/// # Errors
/// [`Unwritable`]: the plan is invalid, or contains something that a script cannot express.
pub fn write_script(plan: &Plan, story: &Story) -> Result<String, Unwritable> {
    plan.check()?;
    let plan = canonical(plan);
    if !plan.steps.iter().any(asks) {
        return Err(Unwritable::AsksNothing);
    }
    if plan.steps.len() > limits::ACTIONS as usize {
        return Err(Unwritable::TooManySteps(plan.steps.len()));
    }
    let site = site::site(&plan.topology).map_err(|Inexpressible(why)| Unwritable::Site(why))?;
    let steps = Steps::written(&plan, story.finding.as_ref())?;
    let script = format!("{}\n{site}\n\n{steps}", docstring(story));
    if script.len() as u64 > MAX_SOURCE {
        return Err(Unwritable::TooLong(script.len()));
    }
    Ok(script)
}

/// Returns whether a step asks for something. If so, a script may consist of this step alone.
fn asks(action: &Action) -> bool {
    match action {
        Action::Start { .. } | Action::Crowd(_) => true,
        Action::SendRaw(raw) => !raw.bytes.is_empty(),
        _ => false,
    }
}

/// Returns the docstring with the line end after it, or an empty text if there is nothing to say.
fn docstring(story: &Story) -> String {
    let found = story.finding.as_ref().map(|Finding { requirement, evidence }| {
        let (summary, text) = (&evidence.summary, requirement.text());
        format!("The violation: {summary}. {text} ({}).", requirement.id())
    });
    let paragraphs = story.text.split("\n\n").map(str::to_owned).chain(found);
    let mut paragraphs = paragraphs.map(|text| wrapped(&text)).filter(|text| !text.is_empty()).peekable();
    let title = story.title.split_whitespace().collect::<Vec<_>>().join(" ");
    let title = if title.is_empty() { "A plan.".to_owned() } else { title };
    if paragraphs.peek().is_none() {
        return format!("\"\"\"{}\"\"\"\n", in_docstring(&title));
    }
    let text = paragraphs.collect::<Vec<_>>().join("\n\n");
    format!("\"\"\"{}\n\n{}\n\"\"\"\n", in_docstring(&title), in_docstring(&text))
}

/// Breaks a paragraph into lines.
fn wrapped(text: &str) -> String {
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split_whitespace() {
        let count = word.chars().count();
        if length > 0 && length + 1 + count > WIDTH {
            lines.push('\n');
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines.push_str(word);
        length += count;
    }
    lines
}

/// Escapes the characters that would end a docstring, or would have another meaning in it.
fn in_docstring(text: &str) -> String {
    let text = escape::lines(text);
    let (mut escaped, mut chars) = (String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        let ends = c == '"' && chars.peek().is_none_or(|next| *next == '"');
        if ends || c == '\\' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
