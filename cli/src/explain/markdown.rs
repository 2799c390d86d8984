//! Profiles, mechanisms, requirements, defects and scenarios as pages of the book (`book/src/reference`). Links to the
//! other pages are relative to the folder of a page's kind. A scenario has no separate page: it is a section of its group's
//! page.

use std::fmt::Write as _;
use std::iter;

use stickler_catalogue::explanation::{Cure, Explanation, Statement};
use stickler_catalogue::profile::{Assumption, Mark, Sentence};
use stickler_catalogue::{Defect, Mechanism, Profile, defect, defects, explanation, mechanisms};
use stickler_model::escape;
use stickler_oracle::{Requirement, Severity};
use stickler_report::cures;
use stickler_scenarios::{Case, catches};

use super::known::{self, command, marked};

/// The maximum number of characters of a line that can be broken.
const WIDTH: usize = 150;

/// Returns the page of a profile: how the product treats connections, the sources of that, and the cures in this
/// product.
pub(super) fn profile(profile: &Profile) -> String {
    let Profile { name, product, versions, config, notes, .. } = profile;
    let mut text =
        format!("# {name}\n\n**{} {}**: `{}`\n", escaped(product), escaped(versions), config.replace('`', "'"));
    treatment(&mut text, profile, true);
    for note in notes {
        let _ = writeln!(text, "\n**Note:** {}", one_line(note));
    }
    let described = profile.describe();
    let assumed: Vec<_> = described.assumptions().collect();
    if !assumed.is_empty() {
        text.push_str("\n## What is not known\n\n| value | taken to be | why |\n|---|---|---|\n");
    }
    for Assumption { what, value, why } in assumed {
        let _ = writeln!(text, "| `{what}` | `{value}` | {} |", one_line(why));
    }
    cures_of_product(&mut text, product);
    text.push_str("\n## Try it\n\n```sh\n");
    let _ =
        writeln!(text, "stickler matrix {name}                     # which requirements it keeps, in the simulation");
    let _ = writeln!(text, "stickler run identity --balancer {name}    # the scenarios in which users change");
    if profile.program.is_some() {
        let _ = writeln!(text, "stickler compare {name}                    # the profile beside the product itself");
    }
    let _ = writeln!(text, "stickler explain {name} --format toml      # to begin a profile of your own with\n```");
    for (index, (source, evidence)) in described.sources.iter().enumerate() {
        let _ = writeln!(text, "\n[^{}]: {} ({evidence})", index + 1, linked(source));
    }
    wrapped(&text)
}

/// Returns the page of a mechanism: its behaviour, its defects and those that can be put on it, and the violations that
/// are expected of it.
pub(super) fn mechanism(mechanism: &Mechanism, cases: &[Case]) -> String {
    let Mechanism { name, summary, defects: put_on, .. } = mechanism;
    let id = mechanism.id.as_ref().map(|id| format!("**{id}.** ")).unwrap_or_default();
    let mut text = format!("# {name}\n\n{id}{}.\n", sentence(summary));
    if let Ok(profile) = Profile::of_mechanism(mechanism) {
        treatment(&mut text, &profile, false);
    }
    for defect in put_on.iter().filter_map(|id| defect::find(id).ok()) {
        let Defect { id, name, summary, source, .. } = defect;
        let _ = writeln!(text, "\n## With the defect {id} ({name})\n\n{}. {}", sentence(summary), sourced(source));
        caught(&mut text, defect);
    }
    let expected = known::violates(mechanism, cases);
    if expected.is_empty() {
        if put_on.is_empty() {
            text.push_str(
                "\n## What it violates\n\nNo scenario in which the site is sound expects a violation of it.\n",
            );
        }
    } else {
        text.push_str("\n## What it is expected to violate\n\n");
    }
    for (requirement, cases) in expected {
        let links = cases.into_iter().map(|(case, certain)| marked(&scenario_link(case), certain));
        let _ = writeln!(text, "* {}, in {}", requirement_link(requirement), links.collect::<Vec<_>>().join(", "));
    }
    let fitting = defects().iter().filter(|defect| put_on.is_empty() && defect.sits_on().contains(&&**name));
    let fitting: Vec<String> = fitting.map(|defect| defect_link(defect.id)).collect();
    if !fitting.is_empty() {
        let _ = writeln!(text, "\n## Defects that can be put on it\n\n{}", fitting.join(", "));
    }
    let _ = writeln!(text, "\n## Try it\n\n```sh\nstickler run identity handshake --balancer {name}\n```");
    wrapped(&text)
}

/// Returns the page of a requirement: its text, the meaning of its violation, the symptoms, the cures, and the
/// mechanisms that violate it.
pub(super) fn requirement(requirement: Requirement, cases: &[Case]) -> String {
    let severity = match requirement.severity() {
        Severity::Must => "MUST",
        Severity::Should => "SHOULD",
    };
    let (demand, source) = (requirement.text(), sourced(requirement.source()));
    let mut text = format!("# {requirement}\n\n**{}.** ({severity})\n{source}\n", escaped(demand));
    if let Some(Explanation { means, log, cures, .. }) = explanation(requirement.id()) {
        section(&mut text, "What goes wrong", means);
        section(&mut text, "How it shows in the logs of IIS", log);
        text.push_str("\nThree numbers are `sc-status sc-substatus sc-win32-status`.\n\n## What cures it\n\n");
        for cure in cures {
            let _ =
                writeln!(text, "* **{}**: {}", cure.product.as_deref().unwrap_or("Whatever the product"), cured(cure));
        }
    }
    let over = known::violated_by(requirement, cases);
    if !over.is_empty() {
        text.push_str("\n## Mechanisms that violate it\n\nThe number is that of the scenarios that show it.\n\n");
        let over = over.into_iter().map(|(name, count)| format!("{} ({count})", mechanism_link(name)));
        let _ = writeln!(text, "{}", over.collect::<Vec<_>>().join(", "));
    }
    let broken: Vec<_> = known::caught().filter(|(_, catch)| catch.requirement == requirement).collect();
    if !broken.is_empty() {
        text.push_str("\n## Defects that break it\n\n");
    }
    for (Defect { id, summary, .. }, catch) in broken {
        let _ = writeln!(text, "* {}: {}: `{}`", defect_link(id), escaped(summary), command(catch, id));
    }
    wrapped(&text)
}

/// Returns the page of a defect: its effect, the product that had it, the scenarios that catch it, and the mechanisms
/// on which it can be put.
pub(super) fn defect(defect: &Defect) -> String {
    let Defect { id, name, summary, source, .. } = defect;
    let mut text = format!("# {id}: {name}\n\n{}.\n{}\n", sentence(summary), sourced(source));
    text.push_str("\n## What catches it\n");
    caught(&mut text, defect);
    let mut requirements: Vec<Requirement> = catches(id).iter().map(|catch| catch.requirement).collect();
    requirements.dedup();
    text.push_str("\n## How it shows in the logs of IIS\n");
    for requirement in requirements {
        let _ = writeln!(text, "\nAs {}: {}.", requirement_link(requirement), escaped(requirement.text()));
        if let Some(told) = explanation(requirement.id()) {
            let _ = writeln!(text, "\n{}\n{}", escaped(&told.log.text), sourced(&told.log.source));
        }
    }
    let on: Vec<String> = defect.sits_on().into_iter().map(mechanism_link).collect();
    let _ = writeln!(text, "\n## Mechanisms that it can be put on\n\n{}", on.join(", "));
    wrapped(&text)
}

/// Returns the section of a scenario: its purpose, the command that runs it, and the violations that are expected in
/// it.
pub(super) fn scenario(case: &Case) -> String {
    let (name, script) = (case.scenario.name(), &case.scenario);
    let mut text = format!("# {name}\n\n**{}**\n\n{}\n", escaped(script.title()), escaped(script.description()));
    let _ = writeln!(text, "\n```sh\nstickler run {name} --balancer NAME --evidence\n```\n");
    let expected = known::violated_in(case);
    if expected.is_empty() {
        text.push_str("No mechanism is expected to violate anything in it.\n");
    } else {
        text.push_str("Expected to be violated, over these mechanisms:\n\n");
    }
    for (requirement, names) in &expected {
        let every = names.len() == mechanisms().len() && names.iter().all(|&(_, certain)| certain);
        let links = names.iter().map(|&(name, certain)| marked(&mechanism_link(name), certain));
        let names = if every { "all of them".to_owned() } else { links.collect::<Vec<_>>().join(", ") };
        let _ = writeln!(text, "* {}: {names}", requirement_link(*requirement));
    }
    if !expected.is_empty() && !case.group.conformance {
        text.push_str("\nFailures in this scenario are not necessarily the balancer's fault.\n");
    }
    for (Defect { id, .. }, catch) in known::caught().filter(|(_, catch)| catch.scenario == name) {
        let (defect, requirement) = (defect_link(id), requirement_link(catch.requirement));
        let _ = writeln!(text, "\nIt catches the defect {defect} by {requirement}: `{}`", command(catch, id));
    }
    wrapped(&text)
}

/// Adds a section about how a profile treats connections, and one about the consequences for NTLM. Sources become
/// footnotes if `with_sources` is set.
fn treatment(text: &mut String, profile: &Profile, with_sources: bool) {
    let described = profile.describe();
    text.push_str("\n## How it treats connections\n\n");
    for Sentence { text: said, marks } in &described.sentences {
        let _ = write!(text, "* {}.", escaped(said));
        for mark in marks.iter().filter(|_| with_sources) {
            match mark {
                Mark::Assumed => text.push_str(" *(in part assumed)*"),
                Mark::Source(number) => {
                    let _ = write!(text, "[^{number}]");
                }
            }
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\n## What that means for NTLM\n\n{}", sentence(&described.meaning));
}

/// Adds the cures in a product, by requirement.
fn cures_of_product(text: &mut String, product: &str) {
    let all: Vec<Requirement> = Requirement::all().collect();
    let cures = cures::over(product, &all);
    if !cures.is_empty() {
        text.push_str("\n## What cures what\n\n");
    }
    for (cure, requirements) in cures {
        let links: Vec<String> = requirements.into_iter().map(requirement_link).collect();
        let _ = writeln!(text, "* {}: {}", links.join(", "), cured(cure));
    }
}

fn section(text: &mut String, title: &str, Statement { text: said, source }: &Statement) {
    let _ = writeln!(text, "\n## {title}\n\n{}\n{}", escaped(said), sourced(source));
}

/// Adds the commands of the scenarios that catch a defect.
fn caught(text: &mut String, defect: &Defect) {
    text.push('\n');
    for catch in catches(defect.id) {
        let _ = writeln!(text, "* {}: `{}`", requirement_link(catch.requirement), command(catch, defect.id));
    }
}

fn cured(Cure { text, source, .. }: &Cure) -> String {
    format!("{}.\n  {}", escaped(text), sourced(source))
}

fn sourced(source: &str) -> String {
    format!("<br><small>Source: {}</small>", linked(source))
}

fn requirement_link(requirement: Requirement) -> String {
    format!("[{requirement}](../requirements/{requirement}.md)")
}

fn mechanism_link(name: &str) -> String {
    format!("[{name}](../mechanisms/{name}.md)")
}

fn defect_link(id: &str) -> String {
    format!("[{id}](../defects/{id}.md)")
}

fn scenario_link(case: &Case) -> String {
    let (name, group) = (case.scenario.name(), &case.group.name);
    format!("[{name}](../scenarios/{group}.md#{name})")
}

/// Returns the text as a sentence of Markdown, with a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    escaped(&(first + letters.as_str()))
}

/// Returns the text with its addresses as links. An address ends at a space, or before the punctuation of the sentence
/// around it.
fn linked(text: &str) -> String {
    let (mut parts, mut plain): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        if !word.starts_with("https://") && !word.starts_with("http://") {
            plain.push(word);
            continue;
        }
        // Code may have several words, so the text between two addresses is escaped as a whole.
        parts.extend((!plain.is_empty()).then(|| escaped(&plain.join(" "))));
        plain.clear();
        let address = word.trim_end_matches([',', ';', ':', '.', ')']);
        parts.push(format!("<{}>{}", escape::line(address), escaped(&word[address.len()..])));
    }
    parts.extend((!plain.is_empty()).then(|| escaped(&plain.join(" "))));
    parts.join(" ")
}

/// Returns the text in one line, for a list or a table.
fn one_line(text: &str) -> String {
    escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns the text escaped so that Markdown shows it unchanged. Text between backticks stays code.
fn escaped(text: &str) -> String {
    let has_code = text.matches('`').count().is_multiple_of(2);
    let mut out = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        if index > 0 {
            out.push_str(if has_code { "`" } else { "\\`" });
        }
        for c in part.chars() {
            if (index.is_multiple_of(2) || !has_code) && matches!(c, '|' | '*' | '_' | '<' | '[' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}

/// Returns the page with its paragraphs, lists and footnotes broken into lines of at most [`WIDTH`] characters. Tables
/// and code stay unchanged.
fn wrapped(page: &str) -> String {
    let (mut out, mut in_code) = (String::with_capacity(page.len()), false);
    for line in page.lines() {
        in_code ^= line.starts_with("```");
        if in_code || line.starts_with(['|', '#']) {
            out.push_str(line);
        } else {
            wrap(&mut out, line);
        }
        out.push('\n');
    }
    out
}

fn wrap(out: &mut String, line: &str) {
    let indent = if line.starts_with("[^") { 4 } else { 2 * usize::from(line.starts_with(['*', ' '])) };
    let words = line.trim_start();
    let mut width = line.len() - words.len();
    out.push_str(&line[..width]);
    for (index, word) in words.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && width + 1 + length > WIDTH && !opens_a_block(word) {
            out.push('\n');
            out.extend(iter::repeat_n(' ', indent));
            width = indent;
        } else if index > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
}

/// Returns whether Markdown would take a word at the beginning of a line for the beginning of a list, a heading, a
/// quotation, a table or a rule.
fn opens_a_block(word: &str) -> bool {
    let number = word.trim_end_matches(['.', ')']);
    matches!(word, "-" | "+" | "*")
        || word.starts_with(['#', '>', '=', '|', '~'])
        || (number != word && number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_links_and_what_a_sentence_puts_behind_them_stays_behind() {
        assert_eq!(
            linked("measured; https://a.example/x_y#4.2-z, (https://b.example/)"),
            "measured; <https://a.example/x_y#4.2-z>, (https://b.example/)"
        );
        assert_eq!(linked("see `a b`: https://a.example/ `c_d e`"), "see `a b`: <https://a.example/> `c_d e`");
        assert_eq!(linked("https://a.example/: SO_LINGER"), "<https://a.example/>: SO\\_LINGER");
    }

    #[test]
    fn a_long_line_is_broken_where_that_begins_nothing_and_code_and_tables_are_left_alone() {
        let word = "x".repeat(WIDTH - 4);
        assert_eq!(wrapped(&format!("* {word} a b")), format!("* {word} a\n  b\n"));
        assert_eq!(wrapped(&format!("  <br>{word} b")), format!("  <br>{word}\n  b\n"));
        assert_eq!(wrapped(&format!("{word}xx - 1. b")), format!("{word}xx - 1.\nb\n"));
        for whole in [format!("| {word} a b"), format!("```sh\n{word} a b\n```"), format!("# {word} a b")] {
            assert_eq!(wrapped(&whole), format!("{whole}\n"));
        }
    }

    #[test]
    fn what_means_something_to_markdown_is_escaped_outside_of_code_alone() {
        assert_eq!(escaped("CORP\\alice *or* `a_b <c>` [1]"), "CORP\\\\alice \\*or\\* `a_b <c>` \\[1]");
        assert_eq!(escaped("a ` <b>"), "a \\` \\<b>");
        assert_eq!(sentence("a pool | two"), "A pool \\| two");
    }
}
