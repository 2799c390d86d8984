//! Reports of the command as other programs read them: `--report FORMAT=FILE`, `--format json`.
//!
//! If Perl's `TAP::Parser` and Python's `jsonschema` and `xmlschema` are installed, they read the reports. With
//! `STICKLER_REQUIRE_VALIDATORS=1`, they have to be installed (`.ci/run formats`). `reports/junit-10.xsd` is the schema
//! of Jenkins's xUnit plugin, under the licence that it names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use stickler_report::json::{Line, Runs};
use tempfile::TempDir;

/// A script that prints a text that breaks formats, and whose only expectation fails with another one.
const HOSTILE: &str = r#""""Text that breaks formats."""
site(backends = 1)
alice = curl("alice")
print("]]> <!-- \x1b[31m ::error::owned %0A # SKIP")
expect(alice.get("/").status == 404, "]]></failure>\r\n::error::owned%0A\nnot ok 9 # SKIP \x1b[2J\u202e")
"#;

/// Creates a folder with scripts: one with a hostile name and text, one that is wrong, and one that passes.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a, b: 100%#1.star", HOSTILE);
    write("broken.star", "\"\"\"Wrong.\"\"\"\nsite(backends = 1)\ncurl(\"alice\")\nalcie.get(\"/\")\n");
    write("fine.star", "\"\"\"Fine.\"\"\"\nsite(backends = 1)\ncurl(\"alice\").get(\"/\").expect(status = 200)\n");
    folder
}

fn stickler(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the command starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports").join(name)
}

fn schema(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas").join(name)
}

/// Returns the output of another program about a report; `None` if the program is missing.
fn other(program: &str, arguments: &[&Path]) -> Option<String> {
    let required = std::env::var_os("STICKLER_REQUIRE_VALIDATORS").is_some_and(|value| value == "1");
    let output = Command::new(program).args(arguments).output().ok();
    match output {
        Some(output) if output.status.success() => Some(stdout(&output)),
        Some(output) if output.status.code() == Some(77) && !required => None,
        None if !required => None,
        Some(output) => panic!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
        None => panic!("{program} is missing, and STICKLER_REQUIRE_VALIDATORS=1"),
    }
}

fn validate(kind: &str, file: &Path, schema: &Path) {
    if other("python3", &[&beside("validate.py"), Path::new(kind), file, schema]).is_none() {
        eprintln!("skipped: nothing here validates {kind}");
    }
}

#[test]
fn every_format_has_every_run_whatever_its_text_and_a_wrong_script_is_an_error() {
    let folder = folder();
    let file = |name: &str| folder.path().join(name);
    let formats = ["junit=r.xml", "tap=r.tap", "github=r.github", "json=r.json", "jsonl=r.jsonl"];
    let reports = formats.iter().flat_map(|format| ["--report", format]);
    let arguments: Vec<&str> =
        ["run", ".", "--balancer", "l4-nat", "-b", "shared-pool"].into_iter().chain(reports).collect();
    let output = stickler(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2), "a script is wrong: {}", stdout(&output));
    assert!(
        stdout(&output).contains("6 runs, 2 as expected, 2 not as expected, 2 not performed to the end"),
        "{}",
        stdout(&output)
    );

    let runs: Runs = serde_json::from_str(&fs::read_to_string(file("r.json")).unwrap()).unwrap();
    assert_eq!((runs.format, runs.runs.len(), runs.complete), (1, 6, true));
    let broken = runs.runs.iter().find(|run| run.scenario == "broken").unwrap();
    let error = broken.error.as_ref().unwrap();
    assert_eq!((&*error.file, error.line, error.column), ("./broken.star", 4, 1));
    let failed = runs.runs.iter().find(|run| run.scenario.starts_with("a, b")).unwrap();
    assert!(
        failed.failures[0].message.contains("]]></failure>\r\n::error::owned%0A\nnot ok 9 # SKIP \u{1b}[2J\u{202e}")
    );
    let [mistake] = &runs.errors[..] else { panic!("one mistake, whatever the balancers: {:?}", runs.errors) };
    let place = mistake.place.as_ref().unwrap();
    assert_eq!((&*place.file, place.line, place.column), ("./broken.star", Some(4), Some(1)));
    assert!(mistake.message.contains("alcie"), "{mistake:?}");
    validate("json", &file("r.json"), &schema("run.json"));

    let lines = fs::read_to_string(file("r.jsonl")).unwrap();
    let lines: Vec<Line> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let Some((Line::Head(_), Line::End(tail))) = lines.first().zip(lines.last()) else { panic!("{lines:?}") };
    assert!(tail.complete && tail.errors == runs.errors, "{tail:?}");
    assert_eq!(lines[1..7], runs.runs.iter().map(|run| Line::Run(Box::new(run.clone()))).collect::<Vec<_>>()[..]);
    validate("jsonl", &file("r.jsonl"), &schema("run-line.json"));

    let junit = fs::read_to_string(file("r.xml")).unwrap();
    assert!(junit.contains("<testsuites name=\"stickler\" tests=\"6\" failures=\"2\" errors=\"2\">"), "{junit}");
    assert!(
        junit.contains("<testsuite name=\"shared-pool\" tests=\"3\" skipped=\"0\" errors=\"1\" failures=\"1\" time="),
        "{junit}"
    );
    validate("junit", &file("r.xml"), &beside("junit-10.xsd"));

    let github = fs::read_to_string(file("r.github")).unwrap();
    assert_eq!(github.lines().count(), 4, "{github}");
    let first = "::error file=./a%2C b%3A 100%25#1.star,line=5,endLine=5,col=1,endColumn=106,title=a%2C b%3A 100%25#1 over l4-nat::";
    assert!(github.starts_with(first), "{github}");
    assert!(
        github.contains("::error file=./broken.star,line=4,endLine=4,col=1,endColumn=6,title=broken over l4-nat::"),
        "{github}"
    );

    let tap = fs::read_to_string(file("r.tap")).unwrap();
    assert!(tap.contains("\nnot ok 1 - l4-nat: a, b: 100%\\#1\n"), "{tap}");
    if let Some(points) = other("perl", &[&beside("points.pl"), &file("r.tap")]) {
        let points: Vec<&str> = points.lines().collect();
        assert_eq!(points.len(), 12, "{points:?}");
        assert_eq!(points[..2], ["1|not ok|- l4-nat: a, b: 100%\\#1|", "  fail"]);
        assert_eq!(points[5], "  error", "{points:?}");
        assert!(points[8].starts_with("5|ok|- l4-nat: fine"), "{points:?}");
    }
}

#[test]
fn what_is_wrong_before_the_first_run_is_in_each_report_with_its_place() {
    let folder = folder();
    fs::write(folder.path().join("expected.toml"), "[fine.all]\nID-1 = \"violated\"\n[missing.all]\nID-1 = \"ok\"\n")
        .unwrap();
    let arguments =
        ["run", "fine.star", "--report", "json=r.json", "--report", "junit=r.xml", "--report", "github=r.github"];
    let output = stickler(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let runs: Runs = serde_json::from_str(&text("r.json")).unwrap();
    assert!(!runs.complete && runs.runs.is_empty());
    let place = runs.errors[0].place.as_ref().unwrap();
    assert_eq!((&*place.file, place.column), ("expected.toml", Some(7)), "{:?}", runs.errors);
    validate("json", &folder.path().join("r.json"), &schema("run.json"));
    assert!(text("r.xml").contains("errors=\"1\""), "{}", text("r.xml"));
    assert!(text("r.github").starts_with("::error file=expected.toml,line="), "{}", text("r.github"));
}

#[test]
fn a_report_on_standard_output_stands_there_alone() {
    let folder = folder();
    let output = stickler(folder.path(), &["run", "fine.star", "-b", "l4-nat", "--report", "tap=-"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("TAP version 13\n1..1\nok 1 - l4-nat: fine\n"), "{}", stdout(&output));
    let two = ["run", "fine.star", "--report", "tap=-", "--format", "json"];
    let output = stickler(folder.path(), &two);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("only one report fits on standard output"));
    let output = stickler(folder.path(), &["run", "fine.star", "--report", "xml=-"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("this command writes junit, tap, github, json, jsonl"));
}

#[test]
fn a_report_that_cannot_be_written_costs_no_run() {
    let folder = folder();
    let output = stickler(folder.path(), &["run", "fine.star", "--record", "runs", "--report", "json=no/such/r.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write no/such/r.json"));
    assert!(!folder.path().join("runs").exists());
}

/// What is found too late for a run is in the document of the runs, too.
#[test]
fn what_fails_after_the_runs_is_in_the_document() {
    let folder = folder();
    let errors = |arguments: &[&str]| {
        let output = stickler(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document["errors"].clone()
    };
    let group = "title = \"Sites\"\naccepts = \"NTLM\"\n";
    fs::write(folder.path().join("group.toml"), group).unwrap();
    let matrix = errors(&["matrix", "nginx-1.22", "--scenario", "broken.star", "--format", "json"]);
    assert_eq!(matrix[0]["place"]["line"], 4, "{matrix}");
    fs::create_dir(folder.path().join("kept")).unwrap();
    fs::write(folder.path().join("kept/fine"), "x").unwrap();
    let record = ["run", "fine.star", "broken.star", "-b", "l4-nat", "--record", "kept", "--format", "json"];
    let record = errors(&record);
    assert_eq!((record.as_array().map(Vec::len), &record[0]["place"]["column"]), (Some(2), &1.into()), "{record}");
    assert!(record[1]["message"].as_str().is_some_and(|message| message.contains("cannot write ")), "{record}");
}

/// A report that another one prevents keeps its older content.
#[test]
fn a_refused_report_costs_no_older_one() {
    let folder = folder();
    fs::write(folder.path().join("old.jsonl"), "old").unwrap();
    let arguments = ["run", "fine.star", "--report", "jsonl=old.jsonl", "--report", "json=no/such/r.json"];
    let output = stickler(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_to_string(folder.path().join("old.jsonl")).unwrap(), "old");
}

#[test]
fn seeds_are_cases_of_their_own_and_what_is_skipped_says_why() {
    let folder = folder();
    let script = "\"\"\"Skips.\"\"\"\nsite(backends = 1)\ncurl(\"alice\").get(\"/\")\ncrash(\"lb\")\n";
    fs::write(folder.path().join("skips.star"), script).unwrap();
    let arguments = ["run", "skips.star", "-b", "l4-dsr", "--repeat", "2", "--seed", "7", "--report", "junit=-"];
    let output = stickler(folder.path(), &arguments);
    let junit = stdout(&output);
    assert!(junit.contains("name=\"skips (seed 7)\"") && junit.contains("name=\"skips (seed 8)\""), "{junit}");
    assert_eq!(junit.matches("<skipped message=\"`lb` translates addresses").count(), 2, "{junit}");
    assert_eq!(output.status.code(), Some(3), "nothing was judged");
}

/// Runs a command that writes JSON, and validates the JSON.
fn document(arguments: &[&str], name: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = stickler(folder.path(), arguments);
    let file = folder.path().join("document.json");
    fs::write(&file, &output.stdout).unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(value["format"], 1);
    assert_eq!(value["command"], arguments[0]);
    validate("json", &file, &schema(name));
    value
}

#[test]
fn every_document_follows_its_schema() {
    assert_eq!(document(&["list", "--format", "json"], "list.json")["complete"], true);
    let matrix = document(&["matrix", "nginx-1.22", "--format", "json"], "matrix.json");
    assert_eq!(matrix["rows"][0]["name"], "nginx-1.22");
    let hunt = document(&["hunt", "-b", "shared-pool", "--runs", "20", "--no-shrink", "--format", "json"], "hunt.json");
    assert!(hunt["findings"].as_array().is_some_and(|findings| !findings.is_empty()), "{hunt}");
    let replay = document(&["replay", "no-such.jsonl", "--format", "json"], "replay.json");
    assert_eq!(replay["replays"][0]["outcome"], "wrong", "{replay}");
    assert_eq!(replay["errors"][0]["place"]["file"], "no-such.jsonl", "{replay}");
    let explain = ["explain", "ID-1", "B6", "shared-pool", "nginx-1.22", "anonymous-after-user", "--format", "json"];
    assert_eq!(document(&explain, "explain.json")["explanations"].as_array().map(Vec::len), Some(5));
    let unknown = document(&["explain", "no-such", "--format", "json"], "explain.json");
    assert!(unknown["errors"][0]["message"].as_str().is_some_and(|message| message.contains("no-such")), "{unknown}");
    assert_eq!(document(&["matrix", "no-such", "--format", "json"], "matrix.json")["complete"], false);
}

#[cfg(unix)]
#[test]
fn a_check_and_a_comparison_follow_their_schemas() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.cfg");
    let text = "defaults\n  mode http\n  timeout client 10s\n  timeout connect 1s\n  timeout server 10s\n\
                frontend www\n  bind :80\n  default_backend iis\nbackend iis\n  server iis1 10.0.0.1:80\n  server iis2 10.0.0.2:80\n";
    fs::write(&file, text).unwrap();
    let check = document(&["check", file.to_str().unwrap(), "--static", "--format", "json"], "check.json");
    assert_eq!(check["sites"].as_array().map(Vec::len), Some(1), "{check}");
    let wrong = document(&["check", "no-such.cfg", "--static", "--format", "json"], "check.json");
    assert_eq!((&wrong["complete"], wrong["errors"].as_array().map(Vec::len)), (&false.into(), Some(1)));
    let compare = document(&["compare", "no-such-product", "--format", "json"], "compare.json");
    assert_eq!(compare["errors"].as_array().map(Vec::len), Some(1), "{compare}");
}

#[test]
fn a_finding_of_a_hunt_is_a_case_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let hunt = ["hunt", "-b", "shared-pool", "-b", "l4-nat", "--runs", "40", "--no-shrink", "--report", "tap=-"];
    let output = stickler(folder.path(), &hunt);
    let tap = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(tap.contains("not ok 1 - shared-pool: "), "{tap}");
    assert!(tap.contains(" - l4-nat: nothing found\n"), "{tap}");
}

/// Validates a log against the schema of SARIF 2.1.0, which is in the sources of the crate that writes the log.
fn validate_sarif(file: &Path) {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let registries = home.into_iter().flat_map(|home| entries(home.join("registry/src")));
    let is_it =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("serde-sarif-"));
    match registries.flat_map(entries).find(is_it) {
        Some(sources) => validate("json", file, &sources.join("src/schema.json")),
        None => eprintln!("skipped: the sources of serde-sarif are not where cargo has those of a registry"),
    }
}

#[cfg(unix)]
#[test]
fn a_check_writes_its_findings_as_sarif_with_the_lines_that_make_them() {
    let folder = tempfile::tempdir().unwrap();
    let text = "defaults\n  mode http\n  timeout client 10s\n  timeout connect 1s\n  timeout server 10s\n\
                frontend www\n  bind :80\n  default_backend iis\nbackend iis\n  http-reuse always\n  server iis1 10.0.0.1:80\n  server iis2 10.0.0.2:80\n";
    fs::write(folder.path().join("my haproxy.cfg"), text).unwrap();
    let output = stickler(folder.path(), &["check", "my haproxy.cfg", "--static", "--report", "sarif=r.sarif"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let file = folder.path().join("r.sarif");
    let log: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    validate_sarif(&file);
    let run = &log["runs"][0];
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let results = run["results"].as_array().unwrap();
    let leak = results.iter().find(|result| result["ruleId"] == "ID-1").expect("users are mixed up");
    let place = &leak["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "my%20haproxy.cfg");
    let region = serde_json::json!({ "startLine": 10, "startColumn": 3, "endLine": 10, "endColumn": 20 });
    assert_eq!(place["region"], region, "the line that the remedy changes: {leak}");
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rule = &run["tool"]["driver"]["rules"][usize::try_from(leak["ruleIndex"].as_u64().unwrap()).unwrap()];
    assert_eq!(rule["id"], "ID-1");
    assert!(rule["help"]["text"].as_str().is_some_and(|help| help.contains("What cures it:\n- ")), "{rule}");

    let output = stickler(folder.path(), &["check", "no-such.cfg", "--static", "--report", "sarif=r.sarif"]);
    assert_eq!(output.status.code(), Some(2));
    validate_sarif(&file);
    let log: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], false, "{log}");
}

/// Returns the part of a file that a region of SARIF denotes, in code points.
fn denoted(text: &str, region: &Value) -> String {
    let number =
        |key: &str| usize::try_from(region[key].as_u64().unwrap_or_else(|| panic!("{key}: {region}"))).unwrap();
    let position = |line: usize, column: usize| {
        let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
        before + column - 1
    };
    let start = position(number("startLine"), number("startColumn"));
    let end = position(number("endLine"), number("endColumn"));
    text.chars().skip(start).take(end - start).collect()
}

#[cfg(unix)]
#[test]
fn the_regions_of_a_check_are_its_statements_after_tabs_and_other_letters_and_in_included_files() {
    let folder = tempfile::tempdir().unwrap();
    let main = "events {}\nhttp {\n\tinclude farm.conf; # \u{fc}\n}\n";
    let farm = "upstream iis {\n\tserver 10.0.0.11:80; server 10.0.0.12:80;\n\tzone \"\u{1f600}\" 64k; keepalive\n\t\t16; # \u{fc}\n}\n\
                map $http_x $caf\u{e9} {\n}\nserver {\n\tserver_name \"\u{fc}\"; listen 80;\n\tlocation / {\n\
                \t\tset $a \"\u{1f600}\"; proxy_http_version 1.1;\tproxy_set_header Connection \"\";\n\
                \t\tproxy_pass http://iis;\n\t}\n}\n";
    fs::write(folder.path().join("nginx.conf"), main).unwrap();
    fs::write(folder.path().join("farm.conf"), farm).unwrap();
    let output = stickler(folder.path(), &["check", "nginx.conf", "--static", "--report", "sarif=r.sarif"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let file = folder.path().join("r.sarif");
    validate_sarif(&file);
    let log: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let leak = log["runs"][0]["results"].as_array().unwrap().iter().find(|result| result["ruleId"] == "ID-1");
    let leak = leak.unwrap_or_else(|| panic!("{log}"));
    let related = leak["relatedLocations"].as_array().into_iter().flatten();
    let mut found = Vec::new();
    for place in leak["locations"].as_array().unwrap().iter().chain(related).map(|place| &place["physicalLocation"]) {
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        let text = if uri == "farm.conf" { farm } else { main };
        found.push(denoted(text, &place["region"]));
    }
    assert_eq!(found, ["keepalive\n\t\t16", "upstream iis"]);
}

#[test]
fn mistakes_of_scripts_are_sarif_as_well() {
    let folder = folder();
    let output = stickler(folder.path(), &["script", "lint", "broken.star", "--report", "sarif=r.sarif"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let file = folder.path().join("r.sarif");
    validate_sarif(&file);
    let log: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let results = log["runs"][0]["results"].as_array().expect("there are results");
    let unknown = results.iter().find(|result| result["ruleId"] == "unknown-name").unwrap_or_else(|| panic!("{log}"));
    let region = &unknown["locations"][0]["physicalLocation"]["region"];
    let expected =
        serde_json::json!({ "startLine": 4, "startColumn": 1, "endLine": 4, "endColumn": region["endColumn"] });
    assert!(region == &expected && region["endColumn"].as_u64() > Some(1), "{log}");
}

/// A page of runs shows the runs that were not as expected, and a page of a hunt shows its findings. Neither contains
/// markup of a script's own.
#[test]
fn a_page_is_a_report_of_runs_and_of_a_hunt() {
    let folder = folder();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("the page is there");
    let runs = ["run", "a, b: 100%#1.star", "broken.star", "--balancer", "l4-nat", "--report", "html=runs.html"];
    assert_eq!(stickler(folder.path(), &runs).status.code(), Some(2));
    let page = read("runs.html");
    assert!(page.starts_with("<!doctype html>") && page.contains("2 runs, 0 as expected"), "{page}");
    assert!(page.contains("<h2 id=\"problems\">") && page.contains("broken.star"), "{page}");
    assert!(!page.contains("]]></failure>") && page.contains("]]&gt;&lt;&#x2f;failure&gt;"), "{page}");
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'), "nothing hides");

    let hunt = [
        "hunt",
        "--runs",
        "40",
        "--no-shrink",
        "--balancer",
        "shared-pool",
        "--out",
        "h",
        "--report",
        "html=hunt.html",
    ];
    assert_eq!(stickler(folder.path(), &hunt).status.code(), Some(1));
    let page = read("hunt.html");
    assert!(
        page.contains("<h1>What a hunt has found</h1>") && page.contains("stickler replay h&#x2f;findings&#x2f;"),
        "{page}"
    );
}
