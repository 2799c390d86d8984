//! Tests the page: its policy, its links, its evidence and its counts.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use stickler_model::event::Leg;
use stickler_model::topology::Provider;
use stickler_model::trace::Promises;
use stickler_model::{BalancerSpec, Event, Header, Name, RequestId, Time, Topology, Trace, What};
use stickler_oracle::{Evidence, Failure, Grade, Party, Requirement, Verdict};
use stickler_report::matrix::{Matrix, Subject};
use stickler_report::missing::Missing;
use stickler_report::page::{About, Fact, Grades, Mark, Page, Sort, Told};
use stickler_report::pretty;
use stickler_report::test_case::TestResult;
use stickler_runner::{Diagnostic, End, Expected, Run, Source};

/// Returns a run with these grades. Every violation occurs at the time `micros`, in microseconds.
fn run(scenario: &str, balancer: &str, grades: &[(Requirement, Grade)], micros: u64) -> Run {
    let what = What::ClientSent { connection: 1, request: RequestId(1), leg: Leg::Anonymous, length: 0 };
    let event = Event { at: Time::default() + Duration::from_micros(micros), by: Name::from("bob"), what };
    let evidence = |requirement: Requirement| Evidence {
        fault: Party::Balancer,
        failure: Failure::WrongUser,
        about: Vec::new(),
        summary: format!("{requirement} is broken"),
        events: vec![0],
    };
    let verdict = |&(requirement, grade): &(Requirement, Grade)| Verdict {
        requirement,
        grade,
        exercised: 1,
        evidence: if grade > Grade::Ok { vec![evidence(requirement)] } else { Vec::new() },
    };
    let spec = BalancerSpec::named(balancer);
    let header =
        Header { seed: 0, balancer: spec.clone(), topology: Topology::default(), promises: Promises::default() };
    Run {
        source: Source { scenario: scenario.into(), path: scenario.into() },
        arm: "sim".into(),
        balancer: spec,
        seed: 0,
        trace: Some(Trace { header, events: vec![event] }),
        verdicts: grades.iter().map(verdict).collect(),
        failures: Vec::new(),
        printed: Vec::new(),
        end: End::Complete,
        expected: Expected::default(),
    }
}

fn subject(name: &str) -> Subject {
    Subject { name: name.into(), product: "HAProxy".into(), config: "its defaults".into() }
}

fn replay(run: &Run) -> String {
    format!("stickler run {} --balancer {} --seed {}", run.source.path, run.balancer, run.seed)
}

fn about() -> About<'static> {
    About { title: "Balancers".into(), place: "in a test", again: &|subject| format!("again {}", subject.name) }
}

use Grade::{NonStrict, Ok, Violated};
use Requirement::{Hs1, Id1, St2};

/// Returns runs over three balancers: one without a violation, and two that show the same violation in the same
/// scenario.
fn runs() -> Vec<Run> {
    vec![
        run("calm", "sound", &[(Hs1, Ok), (Id1, Ok)], 1),
        run("calm", "leaky", &[(Hs1, Ok), (Id1, Violated), (St2, NonStrict)], 1),
        run("other", "leaky", &[(Id1, Violated)], 5),
        run("calm", "leaky-too", &[(Hs1, Violated), (Id1, Violated)], 1),
    ]
}

fn matrix(runs: &[Run]) -> Matrix {
    let mut matrix = Matrix::default();
    for run in runs {
        matrix.add(&subject(&run.balancer.to_string()), Provider::Ntlm, run, &replay(run));
    }
    matrix
}

/// Returns every text between the two marks.
fn between<'a>(page: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    page.split(start).skip(1).filter_map(|rest| rest.split_once(end).map(|(inside, _)| inside)).collect()
}

#[test]
fn the_policy_allows_the_style_and_the_script_of_the_page_by_their_hashes_and_nothing_else() {
    let page = matrix(&runs()).page(&about()).render();
    let [policy] = between(&page, "Content-Security-Policy\" content=\"", "\"")[..] else { panic!("one policy") };
    let policy = policy.replace("&#x27;", "'").replace("&#x2f;", "/");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let (styles, scripts) = (between(&page, "<style>", "</style>"), between(&page, "<script>", "</script>"));
    assert_eq!(scripts.len(), 1);
    for text in styles.into_iter().chain(scripts) {
        assert!(policy.contains(&format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))), "{policy}");
    }
    assert!(
        !page.contains(" style=") && !page.contains(" onclick=") && !page.contains("<link"),
        "nothing else is needed"
    );
}

#[test]
fn every_link_leads_to_something_of_the_page() {
    let page = matrix(&runs()).page(&about()).render();
    // The script contains patterns of links, which do not count.
    let page = page.split("<script>").next().expect("there is a part before it").to_owned();
    let targets = between(&page, "href=\"#", "\"");
    assert!(targets.len() > 10, "{targets:?}");
    for target in targets {
        assert!(page.contains(&format!("id=\"{target}\"")), "#{target}");
    }
}

#[test]
fn evidence_that_several_balancers_share_stands_once_and_every_violated_cell_has_some() {
    let page = matrix(&runs()).page(&about());
    let shared: Vec<_> = page.findings.iter().filter(|finding| finding.requirement == Id1).collect();
    assert_eq!(shared.len(), 1, "{shared:?}");
    assert_eq!(shared[0].seen.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(shared[0].place, "calm over 2 balancers");
    for row in &page.rows {
        for (requirement, cell) in &row.cells {
            let proof = cell.finding.map(|index| &page.findings[index]);
            assert_eq!(cell.mark > Mark::Kept, proof.is_some(), "{requirement}");
            assert!(proof.is_none_or(|proof| proof.requirement == *requirement), "{requirement}");
        }
        for cell in row.leading.iter().filter(|cell| cell.mark > Mark::Kept) {
            assert!(cell.finding.is_some(), "{cell:?}");
        }
    }
    let html = page.render();
    assert_eq!(html.matches("sends r1 on its connection 1").count(), 3, "once for each requirement");
    assert!(html.contains("<code class=\"run\">stickler run calm --balancer <b>leaky</b> --seed 0</code>"), "{html}");
}

#[test]
fn the_summary_counts_balancers_and_of_one_alone_requirements() {
    let of = |runs: &[Run]| matrix(runs).page(&about()).facts;
    let counts = |facts: Vec<Fact>| facts.into_iter().map(|fact| (fact.count, fact.of, fact.text)).collect::<Vec<_>>();
    let expected = [
        (2, 3, "mix users up".to_owned()),
        (1, 3, "do not let every user log on with NTLM".to_owned()),
        (1, 3, "violate no requirement, in all the runs that were requested".to_owned()),
    ];
    assert_eq!(counts(of(&runs())), expected);
    let one = &runs()[3..];
    assert_eq!(counts(of(one)), [(2, 2, "requirements that were put to the test are violated".to_owned())]);
    let notes = matrix(one).page(&about()).notes;
    assert_eq!(notes, ["Users are mixed up at sites that take NTLM.", "No user can log on with NTLM."]);
}

#[test]
fn a_product_has_its_cure_and_a_sound_one_has_none() {
    let html = matrix(&runs()).page(&about()).render();
    let [sound, leaky, _] = between(&html, "<details class=\"b\"", "</details>")[..] else { panic!("three balancers") };
    assert!(leaky.contains("<code>http-reuse never</code>") && leaky.contains("again leaky"), "{leaky}");
    assert!(!sound.contains("What cures it") && sound.contains("No request was served as another user"), "{sound}");
}

#[test]
fn what_changed_is_told_and_linked() {
    let (before, now) = (matrix(&runs()[..1]), matrix(&runs()));
    let page = now.page(&about()).since(&Grades::of_matrix(&before), &Grades::of_matrix(&now)).render();
    let [changes] = between(&page, "<h2 id=\"changes\">", "</section>")[..] else { panic!("one section") };
    assert!(changes.contains("New balancers (2)") && changes.contains("<a href=\"#b1\">leaky</a>"), "{changes}");
    assert!(
        !now.page(&about()).render().contains("What changed"),
        "without an earlier report there is nothing to compare"
    );
}

#[test]
fn what_did_not_end_as_expected_is_shown_and_what_was_skipped_is_counted() {
    let mut runs = runs();
    runs[0].expected.grades.insert(Id1, vec![Violated]);
    let mistake = Diagnostic::new("calm.star", "x", 0..1, "there is no `x`".into(), None);
    for balancer in ["sound", "leaky"] {
        let end = End::Failed(Box::new(mistake.clone()));
        runs.push(Run { end, ..run("broken", balancer, &[], 1) });
    }
    runs.push(Run { end: End::Skipped("no process".into()), trace: None, ..run("skipped", "sound", &[], 1) });
    let page = Page::of_runs(&matrix(&runs[..4]), &runs, None, &about(), &replay);
    let told: Vec<&str> = page.problems.iter().map(|problem| &*problem.what).collect();
    // The other runs each violate a MUST that no expectation covers.
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(told[0], "ID-1 is ok, expected violated");
    assert_eq!(told[4], "not performed to the end: there is no `x`");
    assert!(page.problems[4].place.ends_with("and 1 more run"), "a mistake of a script is told once");
    assert!(page.notes.iter().any(|note| note == "skipped 1: no process"), "{:?}", page.notes);
}

#[test]
fn a_comparison_marks_what_differs_and_what_is_explained() {
    let told = |row, mark, reason: Option<&str>| Told {
        row,
        requirement: Id1,
        mark,
        summary: "violated in 3 of 10 simulated runs, and in 0 of 3 real ones".into(),
        place: "calm".into(),
        lines: Vec::new(),
        diagram: None,
        reason: reason.map(str::to_owned),
        replay: "stickler compare a --scenario calm".into(),
    };
    let page = Page { sort: Sort::Comparison, title: "Compared".into(), ..Page::default() };
    let found = vec![told(0, Mark::Violated, None), told(0, Mark::Kept, None), told(1, Mark::Partly, Some("a race"))];
    let page = page.with_told(&[subject("a"), subject("b")], found, &|_| "again".into());
    assert_eq!((page.rows[0].cells[&Id1].mark, page.rows[0].cells[&Id1].times), (Mark::Violated, 1));
    assert_eq!(page.rows[1].cells[&Id1].word, "explained");
    let html = page.render();
    assert!(html.contains("Different over 2 of 2 balancers.") && html.contains("Why: a race"), "{html}");
    // The products may keep what differs, so nothing that cures a violation is a remedy.
    assert!(!html.contains("What cures it") && !html.contains("what cures it"), "{html}");
    assert_eq!(html.matches("<h4>What to do</h4>").count(), 2, "{html}");
    let equal = Page { sort: Sort::Comparison, ..Page::default() };
    let html = equal.with_told(&[subject("a")], vec![told(0, Mark::Kept, None)], &|_| "again".into()).render();
    assert!(html.contains("Equal over the only balancer that was put to the test."), "{html}");
    assert!(html.contains("<p>Equal in everything that was compared.</p>"), "{html}");
}

#[test]
fn diagrams_are_drawn_of_one_example_of_each_requirement_first() {
    let mut page = matrix(&runs()).page(&about());
    let mut drawn = Vec::new();
    page.illustrate(|finding| {
        drawn.push(finding.requirement);
        assert_eq!(finding.run, Some(("calm".to_owned(), 0)));
        Some(format!("<svg><title>{}</title></svg>", finding.requirement))
    });
    assert_eq!(drawn, [Id1, Hs1, St2], "identity first");
    assert!(page.render().contains("<svg><title>ID-1</title></svg></figure>"));
    page.illustrate(|finding| Some(if finding.requirement == Id1 { "x".repeat(1 << 20) } else { "small".to_owned() }));
    let kept: Vec<_> = page.findings.iter().map(|finding| finding.diagram.as_deref()).collect();
    assert_eq!(kept, [Some("small"), None, Some("small")], "what would make the page too long is left out");
}

/// No word of a table is broken, whatever the width of the terminal.
#[test]
fn tables_keep_words_whole_at_every_width() {
    let runs = runs();
    for width in [40, 60, 80, 120, 200] {
        for text in [matrix(&runs).text_within(width), pretty::table_within(&runs, width)] {
            for word in ["sound", "leaky-too", "ID-1", "HS-1"] {
                assert!(
                    text.split(|c: char| c.is_whitespace() || ",:;".contains(c)).any(|part| part == word),
                    "{word} at {width}:\n{text}"
                );
            }
        }
        let table = pretty::table_within(&runs, width);
        assert!(table.lines().all(|line| line.chars().count() <= width.into()), "{width}:\n{table}");
    }
}

#[test]
fn a_violated_cell_names_a_scenario_and_a_command() {
    let text = matrix(&runs()).text(false);
    assert!(
        text.contains("ID-1 over leaky, leaky-too: calm\n    stickler run calm --balancer leaky --seed 0\n"),
        "{text}"
    );
    assert!(text.contains("ST-2 over leaky: calm\n"), "{text}");
    assert!(text.contains("* marks a SHOULD") && !text.contains("partly:") && !text.contains("?:"), "{text}");
    let sound = matrix(&runs()[..1]).text(false);
    assert!(!sound.contains("Where each is seen") && !sound.contains("* marks"), "{sound}");
    let legend = pretty::legend(&runs(), None, false, &replay);
    assert!(legend.contains("\n    calm over leaky: stickler run calm --balancer leaky --seed 0\n"), "{legend}");
    assert!(legend.contains("* marks a SHOULD") && legend.contains("- that there was no run"), "{legend}");
}

#[test]
fn what_rests_on_an_incomplete_set_of_runs_does_not_look_kept() {
    let runs = runs();
    let mut whole = matrix(&runs);
    let names = [("calm", "sound", 0), ("other", "sound", 0), ("other", "leaky", 1)];
    let names = names.map(|(scenario, balancer, seed)| (scenario.to_owned(), balancer.to_owned(), seed));
    let missing = Missing::of(7, "the command was interrupted", true, names.into()).expect("three are missing");
    for (balancer, count) in missing.by_balancer() {
        whole.leave_out(&subject(balancer), count);
    }
    let page = Page::of_runs(&whole, &runs, Some(&missing), &about(), &replay);
    assert_eq!(page.incomplete.as_deref(), Some("3 of 7 runs were not made: the command was interrupted."));
    let marks = |row: usize| page.rows[row].leading.iter().chain(page.rows[row].cells.values()).map(|cell| cell.mark);
    assert!(marks(0).all(|mark| mark == Mark::Open), "nothing is kept");
    assert!(marks(1).any(|mark| mark == Mark::Violated) && marks(1).all(|mark| mark != Mark::Kept));
    assert!(marks(2).all(|mark| mark == Mark::Violated), "this balancer has all of its runs");
    assert_eq!(page.facts.last().map(|fact| fact.count), Some(0), "none is known to violate nothing");
    let html = page.render();
    assert!(html.contains("<strong>This report is incomplete.</strong> 3 of 7 runs were not made"), "{html}");
    assert!(html.contains("</span>open: nothing violates it so far, but runs are missing</li>"), "{html}");
    let text = whole.text_within(120);
    let row = text.lines().find(|line| line.starts_with(" sound ")).expect("there is the row");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["sound", "open", "open", "open", "open", "\u{b7}"]);
    assert!(whole.markdown().contains("| open |") && !whole.markdown().contains("| ok |"));
    let table = pretty::table(&runs, Some(&missing), false);
    assert!(table.lines().any(|line| line.starts_with(" calm ") && line.contains(" open ")), "{table}");
    let cases = missing.cases(false);
    assert!(matches!(cases[0].result, TestResult::Error(_)) && cases.len() == 4);
    assert!(cases[1..].iter().all(|case| matches!(case.result, TestResult::Skipped(_))));
}

#[test]
fn each_colour_has_one_meaning() {
    let mut runs = runs();
    runs.push(run("should", "mild", &[(Hs1, Ok), (St2, NonStrict)], 1));
    let text = matrix(&runs).text(true);
    let colours = |word: &str| {
        let cells = text.split("\u{1b}[38;5;").skip(1).filter_map(|cell| cell.split_once('m'));
        let of = cells.filter(|(_, cell)| cell.split('\u{1b}').next().is_some_and(|cell| cell.trim() == word));
        of.map(|(colour, _)| colour.to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let one = |word: &str| {
        let found = colours(word);
        assert_eq!(found.len(), 1, "{word}: {found:?}\n{text}");
        found.into_iter().next().expect("there is one")
    };
    let (red, yellow, green) = (one("no"), one("ST-2*"), one("ok"));
    assert!(red != yellow && red != green && yellow != green);
    assert_eq!((one("ID-1"), one("no: NTLM"), one("yes")), (red.clone(), red, green));
    assert_eq!(colours("\u{b7}").len(), 0, "what was not put to the test has no colour");
    assert!(text.contains("Red: a MUST is violated; yellow:"), "{text}");
}

#[test]
fn a_cell_without_a_sign_says_so_to_everybody() {
    let html = matrix(&runs()).page(&about()).render();
    assert!(
        html.contains("<td><i>not tested</i>") && html.contains("<li>no sign: nothing put it to the test</li>"),
        "{html}"
    );
    let [filter] = between(&html, "<select name=\"verdict\">", "</select>")[..] else { panic!("one filter") };
    assert_eq!(filter.matches("value=\"\"").count(), 1, "{filter}");
}
