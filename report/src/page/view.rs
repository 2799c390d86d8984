//! Converts the model of a page to the values of its template.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, HtmlEscape, Value, escape_formatter};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use stickler_catalogue::explanation;
use stickler_model::escape;
use stickler_oracle::{Requirement, Severity};

use super::{Cell, Finding, Mark, Page, Row, Sort};
use crate::{cures, diagram};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The maximum number of examples up to which a page shows all of them open.
const FEW: usize = 6;

#[derive(Serialize)]
struct View<'a> {
    policy: String,
    css: &'static str,
    /// The style of diagrams; empty if the page has no diagram.
    diagram_css: &'static str,
    js: &'static str,
    version: &'static str,
    title: &'a str,
    incomplete: Option<&'a str>,
    lead: &'a [String],
    facts: Vec<FactView<'a>>,
    notes: &'a [String],
    caption: &'a str,
    heading: &'static str,
    balancers: (&'static str, &'static str),
    evidence: &'static str,
    remedy: &'static str,
    is_comparison: bool,
    since: &'a [String],
    changes: Option<Vec<ChangeView<'a>>>,
    problems: Vec<ProblemView<'a>>,
    marks: Vec<MarkView>,
    products: Vec<Product<'a>>,
    groups: Vec<Group<'a>>,
    rows: Vec<RowView<'a>>,
    /// The meaning of a cell without a sign.
    blank: &'static str,
    requirements: Vec<RequirementView<'a>>,
    few: bool,
}

#[derive(Serialize)]
struct FactView<'a> {
    count: usize,
    of: usize,
    text: &'a str,
    bad: bool,
    /// The share of the total in percent.
    share: usize,
}

#[derive(Serialize)]
struct ChangeView<'a> {
    heading: &'a str,
    entries: Vec<EntryView<'a>>,
}

#[derive(Serialize)]
struct EntryView<'a> {
    row: Option<usize>,
    name: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct ProblemView<'a> {
    what: &'a str,
    place: &'a str,
    text: &'a str,
    replay: &'a str,
}

#[derive(Serialize)]
struct MarkView {
    class: &'static str,
    name: &'static str,
    meaning: &'static str,
}

/// The rows of a product, for the choice of a balancer.
#[derive(Serialize)]
struct Product<'a> {
    name: &'a str,
    rows: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    at: usize,
    name: &'a str,
}

/// A group of columns under one heading.
#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    heads: Vec<Head<'a>>,
}

#[derive(Serialize)]
struct Head<'a> {
    name: &'a str,
    id: Option<&'static str>,
}

#[derive(Serialize)]
struct RowView<'a> {
    at: usize,
    name: &'a str,
    product: &'a str,
    config: &'a str,
    cells: Vec<CellView<'a>>,
    told: &'a str,
    broken: Vec<Broken>,
    again: &'a str,
    cures: Vec<CureView>,
}

#[derive(Serialize)]
struct CellView<'a> {
    class: &'static str,
    word: &'a str,
    finding: Option<usize>,
}

#[derive(Serialize)]
struct Broken {
    id: &'static str,
    finding: usize,
    count: usize,
}

#[derive(Serialize)]
struct CureView {
    text: &'static str,
    source: &'static str,
    ids: Vec<&'static str>,
}

#[derive(Serialize)]
struct RequirementView<'a> {
    id: &'static str,
    text: &'static str,
    source: &'static str,
    severity: &'static str,
    told: String,
    means: &'static str,
    log: &'static str,
    cures: Vec<CureView>,
    findings: Vec<FindingView<'a>>,
}

#[derive(Serialize)]
struct FindingView<'a> {
    at: usize,
    class: &'static str,
    rows: Vec<usize>,
    summary: &'a str,
    place: &'a str,
    diagram: Option<&'a str>,
    lines: Vec<&'a str>,
    reason: Option<&'a str>,
    /// The command that shows the finding again, in three parts: the text before the balancer's name, the name, and the
    /// text after it.
    before: &'a str,
    name: &'a str,
    after: &'a str,
    seen: Vec<Named<'a>>,
}

pub(super) fn render(page: &Page) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(|out, state, value| match value.as_str() {
        // A safe value is a part of the program, or was escaped when it was created.
        Some(text) if !value.is_safe() => match escape::lines(text) {
            Cow::Owned(escaped) => escape_formatter(out, state, &Value::from(escaped)),
            Cow::Borrowed(_) => escape_formatter(out, state, value),
        },
        _ => escape_formatter(out, state, value),
    });
    environment.add_filter("rich", |text: &str| Value::from_safe_string(rich(text)));
    let page = environment.template_from_str(PAGE).and_then(|template| template.render(Serde(view(page))));
    page.expect("the template is part of the program, and every name in it is given")
}

fn view(page: &Page) -> View<'_> {
    let tested: BTreeSet<Requirement> = page.rows.iter().flat_map(|row| row.cells.keys().copied()).collect();
    let facts = page.facts.iter().map(|fact| FactView {
        count: fact.count,
        of: fact.of,
        text: &fact.text,
        bad: fact.is_bad && fact.count > 0,
        share: (fact.count * 100).checked_div(fact.of).unwrap_or(0),
    });
    let problems = page.problems.iter().map(|it| ProblemView {
        what: &it.what,
        place: &it.place,
        text: &it.text,
        replay: &it.replay,
    });
    let requirements = tested.iter().map(|&requirement| requirement_view(page, requirement));
    let has_diagram = page.findings.iter().any(|finding| finding.diagram.is_some());
    let diagram_css = if has_diagram { diagram::STYLE } else { "" };
    View {
        policy: policy(diagram_css),
        css: STYLE,
        diagram_css,
        js: SCRIPT,
        version: env!("CARGO_PKG_VERSION"),
        title: &page.title,
        incomplete: page.incomplete.as_deref(),
        lead: &page.lead,
        facts: facts.collect(),
        notes: &page.notes,
        caption: &page.caption,
        heading: page.sort.heading(),
        balancers: page.sort.about_balancers(),
        evidence: page.sort.about_evidence(),
        remedy: page.sort.remedy(),
        is_comparison: page.sort == Sort::Comparison,
        since: &page.since,
        changes: changes(page),
        problems: problems.collect(),
        marks: marks(page),
        products: products(page),
        groups: groups(page, &tested),
        rows: page.rows.iter().enumerate().map(|(at, row)| row_view(page.sort, (at, row), &tested)).collect(),
        blank: page.sort.name(Mark::Untested),
        requirements: requirements.collect(),
        few: page.findings.len() <= FEW,
    }
}

/// Returns the content security policy, which allows only these styles and this script.
fn policy(diagram_css: &str) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let (style, diagram, script) = (hash(STYLE), hash(diagram_css), hash(SCRIPT));
    let diagram = if diagram_css.is_empty() { String::new() } else { format!(" {diagram}") };
    format!("default-src 'none'; style-src {style}{diagram}; script-src {script}; base-uri 'none'; form-action 'none'")
}

fn changes(page: &Page) -> Option<Vec<ChangeView<'_>>> {
    let row = |name: &str| page.rows.iter().position(|row| row.subject.name == name);
    let changes = page.changes.as_ref()?.iter().map(|change| {
        let entries = change.items.iter().map(|(name, text)| EntryView { row: row(name), name, text });
        ChangeView { heading: &change.heading, entries: entries.collect() }
    });
    Some(changes.collect())
}

/// Returns the marks that occur in the table, each with its meaning.
fn marks(page: &Page) -> Vec<MarkView> {
    let tested: BTreeSet<Requirement> = page.rows.iter().flat_map(|row| row.cells.keys().copied()).collect();
    let cells = |row: &Row| {
        let blank = tested.iter().filter(|id| !row.cells.contains_key(id)).map(|_| Mark::Untested);
        row.leading.iter().chain(row.cells.values()).map(|cell| cell.mark).chain(blank).collect::<Vec<_>>()
    };
    let present: BTreeSet<Mark> = page.rows.iter().flat_map(cells).collect();
    let name =
        |mark: &Mark| MarkView { class: class(*mark), name: page.sort.name(*mark), meaning: page.sort.meaning(*mark) };
    present.iter().rev().map(name).collect()
}

const fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Untested => "",
        Mark::Open => "o",
        Mark::Kept => "k",
        Mark::Partly => "s",
        Mark::Violated => "v",
    }
}

fn products(page: &Page) -> Vec<Product<'_>> {
    let mut products: Vec<Product<'_>> = Vec::new();
    for (at, Row { subject, .. }) in page.rows.iter().enumerate() {
        let named = Named { at, name: &subject.name };
        match products.iter_mut().find(|product| product.name == subject.product) {
            Some(product) => product.rows.push(named),
            None => products.push(Product { name: &subject.product, rows: vec![named] }),
        }
    }
    // If each product has one row only, the products are no useful grouping.
    if products.len() == page.rows.len() {
        let rows = products.into_iter().flat_map(|product| product.rows).collect();
        return vec![Product { name: "", rows }];
    }
    products
}

fn groups<'a>(page: &'a Page, tested: &BTreeSet<Requirement>) -> Vec<Group<'a>> {
    let leading = page.leading.iter().map(|(name, heads)| {
        let heads = heads.iter().map(|name| Head { name, id: None }).collect();
        Group { name, heads }
    });
    let mut groups: Vec<Group<'_>> = leading.collect();
    for requirement in tested {
        let name = family(*requirement);
        let head = Head { name: "", id: Some(requirement.id()) };
        match groups.last_mut() {
            Some(last) if last.name == name => last.heads.push(head),
            _ => groups.push(Group { name, heads: vec![head] }),
        }
    }
    groups
}

/// Returns the topic of a family of requirements.
fn family(requirement: Requirement) -> &'static str {
    match requirement.id().get(..2) {
        Some("HS") => "Handshake",
        Some("ID") => "Identity",
        Some("ST") => "Persistence",
        Some("FO") => "Failover",
        Some("HC") => "Health checks",
        Some("TL") => "TLS",
        _ => "Others",
    }
}

fn row_view<'a>(sort: Sort, (at, row): (usize, &'a Row), tested: &BTreeSet<Requirement>) -> RowView<'a> {
    let of = |cell: &'a Cell| CellView { class: class(cell.mark), word: &cell.word, finding: cell.finding };
    let none = || CellView { class: "", word: "", finding: None };
    let cells = tested.iter().map(|id| row.cells.get(id).map_or_else(none, of));
    // What cures a violation does not cure a difference: the product may keep the requirement.
    let is_cured = |cell: &Cell| sort != Sort::Comparison && cell.mark > Mark::Kept;
    let broken: Vec<Requirement> = row.cells.iter().filter(|(_, cell)| is_cured(cell)).map(|(&id, _)| id).collect();
    let with_finding = row
        .cells
        .iter()
        .filter_map(|(id, cell)| Some(Broken { id: id.id(), finding: cell.finding?, count: cell.times }));
    let cures = cures::over(&row.subject.product, &broken).into_iter().map(|(cure, ids)| CureView {
        text: &cure.text,
        source: &cure.source,
        ids: ids.into_iter().map(Requirement::id).collect(),
    });
    RowView {
        at,
        name: &row.subject.name,
        product: &row.subject.product,
        config: &row.subject.config,
        cells: row.leading.iter().map(of).chain(cells).collect(),
        told: &row.told,
        broken: with_finding.collect(),
        again: &row.again,
        cures: cures.collect(),
    }
}

fn requirement_view(page: &Page, requirement: Requirement) -> RequirementView<'_> {
    let explained = explanation(requirement.id());
    let tested = || page.rows.iter().filter_map(|row| row.cells.get(&requirement));
    let broken = tested().filter(|cell| cell.mark > Mark::Kept).count();
    let findings = page.findings.iter().enumerate().filter(|(_, finding)| finding.requirement == requirement);
    let (is_must, all) = (requirement.severity() == Severity::Must, tested().count());
    let s = if all == 1 { "" } else { "s" };
    let open = tested().filter(|cell| cell.mark == Mark::Open).count();
    let told = if broken == 0 && open > 0 {
        format!("Open: nothing violates it so far over {all} balancer{s}, but runs are missing over {open} of them.")
    } else if broken == 0 {
        let kept = if page.sort == Sort::Comparison { "Equal" } else { "Kept" };
        let over = if all == 1 { "the only balancer".to_owned() } else { format!("all {all} balancers") };
        let were = if all == 1 { "was" } else { "were" };
        format!("{kept} over {over} that {were} put to the test.")
    } else {
        let what = match (page.sort, is_must) {
            (Sort::Verdicts, true) => "Violated",
            (Sort::Verdicts, false) => "Not followed",
            (Sort::Comparison, _) => "Different",
            (Sort::Hunt, _) => "Found",
        };
        format!("{what} over {broken} of {all} balancer{s}.")
    };
    let cures = cures::of_all(requirement).filter(|_| page.sort != Sort::Comparison);
    let cures = cures.map(|cure| CureView { text: &cure.text, source: &cure.source, ids: Vec::new() });
    RequirementView {
        id: requirement.id(),
        text: requirement.text(),
        source: requirement.source(),
        severity: if is_must { "MUST" } else { "SHOULD" },
        told,
        means: explained.map_or("", |it| &it.means.text),
        log: explained.map_or("", |it| &it.log.text),
        cures: cures.collect(),
        findings: findings.map(|(at, finding)| finding_view(page, at, finding)).collect(),
    }
}

fn finding_view<'a>(page: &'a Page, at: usize, finding: &'a Finding) -> FindingView<'a> {
    let name_of = |row: usize| page.rows.get(row).map_or("", |row| &*row.subject.name);
    let (row, replay) = finding.seen.first().map_or((0, ""), |(row, replay)| (*row, &**replay));
    let name = name_of(row);
    let option = format!("--balancer {name}");
    // The position of the balancer's name in the command, so that another name can replace it.
    let (before, name, after) = match replay.split_once(&option) {
        Some((before, after)) if !name.is_empty() => (&replay[..before.len() + option.len() - name.len()], name, after),
        _ => (replay, "", ""),
    };
    FindingView {
        at,
        class: class(finding.mark),
        rows: finding.seen.iter().map(|&(row, _)| row).collect(),
        summary: &finding.summary,
        place: &finding.place,
        diagram: finding.diagram.as_deref(),
        lines: undented(&finding.lines),
        reason: finding.reason.as_deref(),
        before,
        name,
        after,
        seen: finding.seen.iter().map(|&(row, _)| Named { at: row, name: name_of(row) }).collect(),
    }
}

/// Returns the lines without the spaces with which all of them begin.
fn undented(lines: &[String]) -> Vec<&str> {
    let indent = lines.iter().map(|line| line.len() - line.trim_start_matches(' ').len()).min().unwrap_or(0);
    lines.iter().map(|line| &line[indent..]).collect()
}

/// Returns text as HTML. Text between backticks becomes code, and text that starts with `https://` becomes a link.
fn rich(text: &str) -> String {
    let text = escape::lines(text);
    let mut html = String::with_capacity(text.len() + 32);
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{}</code>", HtmlEscape(part));
            continue;
        }
        let mut rest = part;
        while let Some(start) = rest.find("https://") {
            let url = &rest[start..];
            let url = &url[..url.find([' ', '\n', ';', ',', ')', '"', '\'', '<', '>']).unwrap_or(url.len())];
            let url = url.trim_end_matches([':', '.']);
            let _ = write!(
                html,
                "{}<a href=\"{1}\" rel=\"noreferrer\">{1}</a>",
                HtmlEscape(&rest[..start]),
                HtmlEscape(url)
            );
            rest = &rest[start + url.len()..];
        }
        let _ = write!(html, "{}", HtmlEscape(rest));
    }
    html
}
