//! Tests that run files are read back as they were written, and that errors in them name the line.

use std::time::Duration;

use stickler_model::event::{Closed, Decided};
use stickler_model::trace::Promises;
use stickler_model::{
    Action, ClientSpec, Event, Header, Identity, Name, Principal, Profile, RequestId, RequestSpec, Time, TokenId,
    Trace, What, standard,
};
use stickler_model::{BalancerSpec, Payload, Piece, Plan, RawSpec, Topology, World, WorldError};
use stickler_oracle::{Cited, Evidence, Failure, Grade, Party, Requirement, Verdict};

use super::*;
use crate::{Arm, Deviation, End, Ending, Expected, Run, Source};

/// Returns a run that has every kind of line.
fn run() -> Run {
    let identity = Identity { principal: Principal::new("CORP", "alice"), password: "x".into() };
    let actions = [
        Action::AddClient(ClientSpec::new("alice".into(), Profile::BROWSER, Some(identity))),
        Action::MakeToken { id: TokenId(1), client: "alice".into() },
        Action::Start { id: RequestId(4), request: RequestSpec::new("alice".into(), "GET", "/") },
        Action::Await(RequestId(4)),
    ];
    let event = |by: &str, what| Event { at: Time(1_500), by: Name::from(by), what };
    let mut events: Vec<Event> = actions.into_iter().map(|action| event("world", What::Action(action))).collect();
    events.push(event("iis1", What::ServerClosed { connection: 1, how: Closed::ByPeer }));
    events.push(event(
        "lb",
        What::Decision {
            downstream: 1,
            upstream: None,
            backend: Some("iis1".into()),
            request: Some(RequestId(4)),
            decision: Decided::CloseDownstream,
        },
    ));
    let balancer = BalancerSpec::named("pin-on-401+B6");
    let promises = Promises { persistence: Some(Duration::from_mins(1)), ..Promises::default() };
    let evidence = vec![Evidence {
        fault: Party::Balancer,
        failure: Failure::WrongUser,
        about: vec![Cited::Request { client: "alice".into(), id: RequestId(4) }],
        summary: "it leaks".into(),
        events: vec![4],
    }];
    Run {
        source: Source { scenario: "lone".into(), path: "scripts/lone.star".into() },
        arm: "sim".into(),
        balancer: balancer.clone(),
        seed: 7,
        trace: Some(Trace { header: Header { seed: 7, balancer, topology: standard::site(1), promises }, events }),
        verdicts: vec![Verdict { requirement: Requirement::Id1, grade: Grade::Violated, exercised: 2, evidence }],
        failures: vec![Diagnostic::new("lone.star", "x = 1\n", 0..1, "wrong".into(), Some("2".into()))],
        printed: vec!["one\ntwo".into()],
        end: End::Complete,
        expected: Expected {
            grades: [(Requirement::Id1, vec![Grade::Ok])].into(),
            script: None,
            reason: Some("because".into()),
        },
    }
}

fn written(run: &Run) -> String {
    let mut text = Vec::new();
    assert!(write(run, &mut text).unwrap());
    String::from_utf8(text).unwrap()
}

fn read(text: &str) -> Result<(Reader<&[u8]>, Vec<Event>), FileError> {
    let mut reader = Reader::new(text.as_bytes(), "x.jsonl")?;
    let mut events = Vec::new();
    while let Some(event) = reader.next_event()? {
        events.push(event);
    }
    Ok((reader, events))
}

/// Reads a whole file that is not valid, and returns the error.
fn wrong(text: &str) -> String {
    match read(text).and_then(|(reader, _)| reader.finish()) {
        Ok(_) => panic!("this file makes sense:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_was_written_is_read_back() {
    let run = run();
    let text = written(&run);
    let (reader, events) = read(&text).unwrap();
    let trace = run.trace.as_ref().unwrap();
    assert_eq!((&reader.source, &reader.arm, &reader.plan), (&run.source, &run.arm, &trace.plan()));
    assert_eq!((reader.promises.as_ref(), &events), (Some(&trace.header.promises), &trace.events));
    let results = reader.finish().unwrap();
    let verdicts = run.verdicts.iter().map(RecordedVerdict::of).collect();
    assert_eq!(results, Results { verdicts, expected: run.expected });
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failure: Diagnostic = serde_json::from_value(lines[14]["failure"].clone()).unwrap();
    assert_eq!((&failure, &lines[15]["printed"]), (&run.failures[0], &run.printed[0].as_str().into()));
}

#[test]
fn a_plan_alone_is_a_file_too() {
    let plan = run().trace.unwrap().plan();
    let mut text = Vec::new();
    write_plan(&plan, &Source::default(), "sim", &mut text).unwrap();
    let (reader, events) = read(std::str::from_utf8(&text).unwrap()).unwrap();
    assert_eq!((&reader.plan, reader.promises.is_none(), events.len()), (&plan, true, 0));
    assert_eq!(reader.finish().unwrap(), Results::default());
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_noticed() {
    let text = written(&run());
    for length in 1..text.len() - 1 {
        let error = wrong(&text[..length]);
        let in_format = length <= "{\"format\":".len();
        assert!(error.ends_with("it was cut off") || (in_format && error.contains("not a run file")), "{error}");
    }
}

#[test]
fn a_whole_file_may_lack_its_last_line_end() {
    let text = written(&run());
    let without = text.strip_suffix('\n').unwrap();
    assert!(read(without).and_then(|(reader, _)| reader.finish()).is_ok());
    let misspelled = without.replacen("\"steps\":4", "\"steps\":\"4\"", 1);
    assert!(wrong(&misspelled).starts_with("x.jsonl:17: the line is malformed at column "), "{}", wrong(&misspelled));
    let (before, _) = without.rsplit_once('\n').unwrap();
    assert_eq!(wrong(before), "x.jsonl:16: the file ends without its last line (`end`): it was cut off");
}

#[test]
fn an_edited_record_is_noticed_at_its_line_wherever_it_was_edited() {
    let text = written(&run());
    for (line, from, to, kind) in [
        (1, "\"seed\":7", "\"seed\":8", "head"),
        (1, "\"scenario\":\"lone\"", "\"scenario\":\"tone\"", "head"),
        (6, "\"secs\":60", "\"secs\":61", "promises"),
        (13, "it leaks", "it streams", "verdict"),
        (14, "\"ID-1\":[\"ok\"]", "\"ID-1\":[\"violated\"]", "expected"),
        (14, "because", "why not", "expected"),
        (15, "\"message\":\"wrong\"", "\"message\":\"fine\"", "failure"),
        (16, "one\\ntwo", "three", "printed"),
        (17, "\"complete\"", "{\"skipped\":\"x\"}", "end"),
    ] {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert!(lines[line - 1].contains(from), "{}", lines[line - 1]);
        lines[line - 1] = lines[line - 1].replacen(from, to, 1);
        let said = wrong(&lines.join("\n"));
        let start = format!("x.jsonl:{line}: the line does not agree with the digest of `{kind}`");
        assert!(said.starts_with(&start), "{said}");
    }
    let step = text.replacen("\"path\":\"/\"", "\"path\":\"/x\"", 1);
    let said = wrong(&step);
    assert!(said.starts_with("x.jsonl:2: the lines `step` from here to line 5 do not agree"), "{said}");
    let lost: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"expected\"")).collect();
    assert!(wrong(&lost.join("\n")).starts_with("x.jsonl:16: the line does not agree with the digest of `expected`"));
    // Other ends of lines are no edit, and without digests nothing can be said.
    assert!(read(&text.replace('\n', "\r\n")).and_then(|(reader, _)| reader.finish()).is_ok());
    let (above, digests) = text.split_once(",\"digests\":").unwrap();
    assert!(digests.ends_with("}}}\n"));
    let undigested = format!("{}}}}}\n", above.replacen("\"seed\":7", "\"seed\":8", 1));
    let (reader, _) = read(&undigested).unwrap();
    assert_eq!(reader.plan.seed, 8);
    reader.finish().unwrap();
}

#[test]
fn another_format_is_named() {
    let text = written(&run()).replacen("\"format\":1", "\"format\":2", 1);
    assert_eq!(wrong(&text), "x.jsonl:1: the file has format 2, but this version of Stickler reads format 1");
    assert!(
        wrong("site()\n").starts_with("x.jsonl:1: this is not a run file: its first line is not the head of one (")
    );
    assert!(wrong("").starts_with("x.jsonl:1: this is not a run file"));
}

#[test]
fn a_step_that_makes_no_sense_is_shown_with_its_line() {
    let text = written(&run());
    let twice = text.replacen("{\"step\":{\"await\":4}}\n", "{\"step\":{\"await\":4}}\n{\"step\":{\"await\":4}}\n", 1);
    assert_eq!(
        wrong(&twice),
        "x.jsonl:6: the step is not valid: an earlier step already waits for `r4`: a request has only one answer"
    );
    let unknown = text.replacen("{\"step\":{\"await\":4}}", "{\"step\":{\"await\":5}}", 1);
    assert_eq!(wrong(&unknown), "x.jsonl:5: the step is not valid: `r5` does not exist: no step creates it");
}

#[test]
fn lines_that_are_malformed_or_misplaced_are_shown_with_their_number() {
    let text = written(&run());
    let lines: Vec<&str> = text.lines().collect();
    let broken = text.replacen("{\"printed\"", "{\"print\"", 1);
    let said = wrong(&broken);
    assert!(said.starts_with("x.jsonl:16: the line is malformed at column 8: unknown variant `print`"), "{said}");
    assert!(!said.contains(" at line "), "the place is said once: {said}");
    let mut swapped = lines.clone();
    swapped.swap(14, 15);
    let misplaced = format!("{}\n", swapped.join("\n"));
    assert!(wrong(&misplaced).contains("cannot be here"), "{}", wrong(&misplaced));
    let step_below = format!("{text}{}\n", lines[1]);
    assert!(wrong(&step_below).contains("the file continues after `end`"), "{}", wrong(&step_below));
    let fewer = text.replacen(&format!("{}\n", lines[10]), "", 1);
    assert!(wrong(&fewer).contains("the last line counts 6 events, but the file has 5"), "{}", wrong(&fewer));
}

#[test]
fn a_line_without_end_is_given_up() {
    let long = format!("{{\"format\":1,\"stickler\":\"{}", "x".repeat(MAX_LINE + 10));
    assert_eq!(wrong(&long), format!("x.jsonl:1: the line is longer than {MAX_LINE} bytes, the limit of a run file"));
}

#[test]
fn a_plan_with_a_million_steps_is_refused_at_the_first_one_too_many() {
    let text = written(&run());
    let head = text.lines().next().unwrap();
    let mut many = format!("{head}\n");
    for _ in 0..=stickler_model::plan::MAX_STEPS {
        many.push_str("{\"step\":{\"advance\":{\"secs\":0,\"nanos\":1}}}\n");
    }
    assert_eq!(wrong(&many), "x.jsonl:100002: a plan can have at most 100000 steps");
}

#[test]
fn an_expected_outcome_decides_how_a_run_ended() {
    let run = run();
    let Ending::NotAsExpected(deviations) = run.ending() else { panic!("ID-1 was to be kept") };
    assert!(matches!(
        deviations[..],
        [Deviation::Grade { requirement: Requirement::Id1, .. }, Deviation::Script { .. }]
    ));
}

/// Returns a file that contains a plan alone.
fn plan_file(steps: Vec<Action>) -> String {
    let plan = Plan { steps, ..run().trace.unwrap().plan() };
    let mut text = Vec::new();
    write_plan(&plan, &Source::default(), "sim", &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn alice() -> Action {
    Action::AddClient(ClientSpec::new("alice".into(), Profile::BROWSER, None))
}

fn send(bytes: Vec<Piece>) -> Action {
    Action::SendRaw(RawSpec { client: "alice".into(), bytes, patience: Duration::from_secs(1) })
}

fn post(id: u32, body: Payload) -> Action {
    Action::Start { id: RequestId(id), request: RequestSpec { body, ..RequestSpec::new("alice".into(), "POST", "/") } }
}

#[test]
fn the_longest_that_a_step_may_hold_is_read_back() {
    use stickler_model::bounds::{MAX_PIECES, MAX_TEXT};
    // Each byte has six in JSON.
    let long = || "\u{7f}".repeat(MAX_TEXT);
    let many = vec![Piece::Token(TokenId(1)); MAX_PIECES];
    let token = Action::MakeToken { id: TokenId(1), client: "alice".into() };
    let user = Identity { principal: Principal::new("A", "b"), password: "c".into() };
    let steps = vec![
        alice(),
        send(vec![Piece::Text(long())]),
        send(vec![Piece::Bytes(vec![0xff; MAX_TEXT])]),
        post(1, Payload::Text(long())),
        Action::SwitchUser("alice".into(), user),
        token,
        send(many),
    ];
    let text = plan_file(steps.clone());
    let (reader, _) = read(&text).unwrap();
    assert_eq!(reader.plan.steps, steps);
}

#[test]
fn evidence_of_every_request_of_a_long_run_is_read_back() {
    let mut run = run();
    let about: Vec<Cited> =
        (0..24_000).map(|id| Cited::Request { client: "alice".into(), id: RequestId(id) }).collect();
    let one = run.verdicts[0].evidence[0].clone();
    let of_all = Evidence { about, events: (0..24_000).collect(), ..one.clone() };
    run.verdicts[0].evidence = [vec![of_all], vec![one; 23_999]].concat();
    run.failures[0].message = "\u{7f}".repeat(5_000_000);
    run.failures[0].actual = Some("\u{7f}".repeat(5_000_000));
    run.printed[0] = "\u{7f}".repeat(5_000_000);
    run.end = End::Failed(Box::new(run.failures[0].clone()));
    let text = written(&run);
    let (reader, _) = read(&text).unwrap();
    let verdicts = reader.finish().unwrap().verdicts;
    assert_eq!(verdicts, [RecordedVerdict::of(&run.verdicts[0])]);
    assert_eq!((verdicts[0].evidence.len(), verdicts[0].left_out), (100, 3 * 23_900));
}

#[test]
fn a_line_that_could_not_be_read_back_is_not_written() {
    let mut run = run();
    run.source.path = "x".repeat(MAX_LINE);
    let error = write(&run, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("8388608 are the most"), "{error}");
}

#[test]
fn what_takes_more_memory_than_a_plan_may_is_refused_at_its_line() {
    let text = plan_file(vec![alice(), send(vec![Piece::Text("x".into())])]);
    let pieces = text.replacen("{\"text\":\"x\"}", &vec!["{\"text\":\"\"}"; 340_000].join(","), 1);
    let said = wrong(&pieces);
    assert!(
        said.starts_with("x.jsonl:3: the step is not valid: raw bytes can consist of at most 1000 pieces"),
        "{said}"
    );
    let steps = (1..=70).map(|id| post(id, Payload::Text("x".repeat(1 << 20))));
    let said = wrong(&plan_file(std::iter::once(alice()).chain(steps).collect()));
    assert!(
        said.starts_with("x.jsonl:66: the step is not valid: the steps of a plan can hold at most 67108864 bytes"),
        "{said}"
    );
    let text = written(&run());
    let events = text.replacen("\"events\":[4]", &format!("\"events\":[{}]", vec!["1"; 2_000_000].join(",")), 1);
    assert!(
        wrong(&events).starts_with("x.jsonl:13: a verdict has at most 100 pieces of evidence"),
        "{}",
        wrong(&events)
    );
    let verdict = text.lines().nth(12).unwrap();
    let twice = text.replacen(verdict, &format!("{verdict}\n{verdict}"), 1);
    assert_eq!(wrong(&twice), "x.jsonl:14: the file already has a verdict on ID-1, in a line above");
}

#[test]
fn what_no_plan_may_ask_for_is_refused_at_its_line() {
    let get = || RequestSpec::new("alice".into(), "GET", "/");
    let start = |request| Action::Start { id: RequestId(1), request };
    let fields = vec![("X".to_owned(), "y".to_owned()); 30_000];
    let client = |name: &str| Action::AddClient(ClientSpec::new(name.into(), Profile::BROWSER, None));
    let patience = Action::SendRaw(RawSpec { client: "alice".into(), bytes: Vec::new(), patience: Duration::MAX });
    for (step, why) in [
        (start(RequestSpec { headers: fields, ..get() }), "a request can have at most 1000 header fields"),
        (start(RequestSpec { method: "G T".into(), ..get() }), "`G T` is not a valid method"),
        (start(RequestSpec { path: "x".into(), ..get() }), "`x` is not a path"),
        (start(RequestSpec { body: Payload::Bytes(u64::MAX), ..get() }), "a body can have at most 1073741824 bytes"),
        (Action::Advance(Duration::MAX), "the time to pass is "),
        (client("a b"), "`a b` is not a valid name"),
        (patience, "`patience` is "),
    ] {
        let said = wrong(&plan_file(vec![alice(), step, Action::Advance(Duration::ZERO)]));
        assert!(said.starts_with(&format!("x.jsonl:3: the step is not valid: {why}")), "{said}");
    }
    let many = (1..=10_001).map(|id| post(id, Payload::Empty));
    let said = wrong(&plan_file(std::iter::once(alice()).chain(many).collect()));
    assert!(said.starts_with("x.jsonl:10003: the step is not valid: 10000 requests are already under way"), "{said}");
}

#[test]
fn a_topology_that_makes_no_sense_is_refused_in_the_first_line() {
    let head = |topology: Topology| {
        let plan = Plan { topology, ..run().trace.unwrap().plan() };
        let mut text = Vec::new();
        write_plan(&plan, &Source::default(), "sim", &mut text).unwrap();
        wrong(std::str::from_utf8(&text).unwrap())
    };
    assert!(
        head(Topology::default()).starts_with("x.jsonl:1: the topology is not valid: a site must have from 1 to 64")
    );
    assert!(
        head(standard::site(65)).starts_with("x.jsonl:1: the topology is not valid: a site must have from 1 to 64")
    );
    let mut twice = standard::site(2);
    twice.servers[1].name = "iis1".into();
    assert_eq!(head(twice), "x.jsonl:1: the topology is not valid: two hosts are called `iis1`: rename one of them");
}

#[test]
fn unknown_fields_are_refused_in_every_line() {
    let text = written(&run());
    read(&text).and_then(|(reader, _)| reader.finish()).unwrap();
    for (line, (at, more)) in [
        (1, ("\"servers\":[{", "\"surplus\":1,")),
        (1, ("\"domain\":{", "\"surplus\":1,")),
        (2, ("\"add_client\":{", "\"surplus\":1,")),
        (4, ("\"request\":{", "\"surplus\":1,")),
        (6, ("\"promises\":{", "\"surplus\":1,")),
        (7, ("\"event\":{", "\"surplus\":1,")),
        (12, ("\"decision\":{", "\"surplus\":1,")),
        (13, ("\"verdict\":{", "\"surplus\":1,")),
        (13, ("\"evidence\":[{", "\"surplus\":1,")),
        (14, ("\"expected\":{", "\"surplus\":1,")),
        (15, ("\"failure\":{", "\"surplus\":1,")),
        (17, ("\"end\":{", "\"surplus\":1,")),
    ] {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let before = lines[line - 1].clone();
        lines[line - 1] = before.replacen(at, &format!("{at}{more}"), 1);
        assert_ne!(lines[line - 1], before, "`{at}` is in line {line}: {before}");
        let said = wrong(&format!("{}\n", lines.join("\n")));
        assert!(
            said.starts_with(&format!("x.jsonl:{line}: the line is malformed at column ")) && said.contains("surplus"),
            "{said}"
        );
    }
}

/// An arm that builds no world, for plans that are refused before.
struct NoWorlds;

impl Arm for NoWorlds {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn build(&self, _: Topology, _: &BalancerSpec, _: u64) -> Result<Box<dyn World>, WorldError> {
        Err(WorldError::Unsupported("there are no worlds".into()))
    }

    fn build_control(&self, _: Topology, _: u64) -> Result<Box<dyn World>, WorldError> {
        Err(WorldError::Unsupported("there are no worlds".into()))
    }
}

#[test]
fn a_file_of_another_arm_or_without_steps_is_not_performed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jsonl");
    let replayed = |text: String| {
        std::fs::write(&path, text).unwrap();
        let arm = |name: &str| (name == "sim").then_some(&NoWorlds as &dyn Arm);
        replay(&path, &arm).map(|replay| replay.run.end).map_err(|error| error.to_string())
    };
    assert_eq!(replayed(plan_file(vec![alice()])), Ok(End::Skipped("there are no worlds".into())));
    let other = replayed(plan_file(vec![alice()]).replacen("\"arm\":\"sim\"", "\"arm\":\"wire\"", 1)).unwrap_err();
    assert!(other.ends_with("x.jsonl:1: the file was recorded by the arm `wire`, which is not available"), "{other}");
    let empty = replayed(plan_file(Vec::new())).unwrap_err();
    assert!(empty.contains("x.jsonl:1: the plan has no steps"), "{empty}");
}

#[test]
fn a_file_that_cannot_be_opened_has_no_line() {
    let error = Reader::open(std::path::Path::new("no/such.jsonl")).err().unwrap().to_string();
    assert!(error.starts_with("no/such.jsonl: the file cannot be opened: "), "{error}");
}

/// A file whose head is followed by the same line without an end.
struct Endless {
    head: Vec<u8>,
    line: Vec<u8>,
    at: usize,
}

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = std::io::Read::read(&mut std::io::BufRead::fill_buf(self)?, buffer)?;
        std::io::BufRead::consume(self, count);
        Ok(count)
    }
}

impl std::io::BufRead for Endless {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let Self { head, line, at } = self;
        Ok(if *at < head.len() { &head[*at..] } else { &line[(*at - head.len()) % line.len()..] })
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

/// Returns what is said about a file that never ends, and how much of it was read.
fn endless(keep: usize, line: &str) -> (String, usize) {
    let head: String = written(&run()).lines().take(keep).flat_map(|line| [line, "\n"]).collect();
    let mut endless = Endless { head: head.into(), line: format!("{line}\n").into(), at: 0 };
    let read = Reader::new(&mut endless, "x.jsonl").and_then(Reader::finish);
    (read.err().unwrap().to_string(), endless.at)
}

#[test]
fn a_file_without_end_is_given_up_at_the_limit_of_events_and_of_bytes() {
    use stickler_model::trace::MAX_EVENTS;

    let (said, _) = endless(6, written(&run()).lines().nth(10).unwrap());
    assert_eq!(said, format!("x.jsonl:{}: a run file can have at most {MAX_EVENTS} events", MAX_EVENTS + 7));
    let printed = format!("{{\"printed\":\"{}\"}}", "x".repeat(MAX_LINE - 100));
    let (said, read) = endless(14, &printed);
    assert!(said.ends_with(": the file is longer than 536870912 bytes, the limit of a run file"), "{said}");
    assert!(read <= MAX_FILE + MAX_LINE, "{read}");
}

#[test]
fn a_file_that_is_too_long_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jsonl");
    // Only the length of the file is over the limit: it has no content.
    std::fs::File::create(&path).unwrap().set_len(MAX_FILE as u64 + 1).unwrap();
    let error = Reader::open(&path).err().unwrap().to_string();
    assert_eq!(error, format!("{}: the file is longer than {MAX_FILE} bytes, the limit of a run file", path.display()));
}
