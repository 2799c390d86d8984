//! Tests of `stickler script` from an author's point of view, and of scripts that consist of several files.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

fn stickler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler")).args(arguments).output().expect("the command starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Creates a folder for the test, with these files.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("script").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the test's folder can be made");
    for (file, text) in files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(path, text).expect("the file can be written");
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the test's path is UTF-8")
}

const RIGHT: &str = "\"\"\"Title.\"\"\"\ncurl(\"alice\").get(\"/\").expect(status = 200)\n";

#[test]
fn a_lint_shows_each_finding_with_its_line_and_ends_with_1() {
    let wrong = folder("lint", &[("a.star", "alice = crul(\"alice\")\nalice.get(\"/\")\ncrash(\"iis3\")\n")]);
    let path = wrong.join("a.star");
    let output = stickler(&["script", "lint", text(&path)]);
    let shown = stdout(&output).replace(text(&wrong), "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        shown.contains("error[unknown-name]: there is no function or variable `crul`\n --> /a.star:1:9\n"),
        "{shown}"
    );
    assert!(shown.contains("1 | alice = crul(\"alice\")\n  |         ^^^^\n"), "{shown}");
    assert!(shown.contains("= help: did you mean `curl`?"), "{shown}");
    assert!(shown.ends_with("2 findings in 1 file\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours where there is no terminal");

    let document: serde_json::Value =
        serde_json::from_str(&stdout(&stickler(&["script", "lint", text(&path), "--format", "json"]))).expect("JSON");
    assert_eq!((&document["format"], &document["command"]), (&1.into(), &"script lint".into()));
    let finding = &document["findings"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&"unknown-name".into(), &"error".into()));
    assert_eq!((&finding["line"], &finding["column"]), (&1.into(), &9.into()));
    assert_eq!((&finding["end_line"], &finding["end_column"]), (&1.into(), &13.into()));

    let right = folder("lint-right", &[("a.star", RIGHT)]);
    let output = stickler(&["script", "lint", text(&right)]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "0 findings in 1 file\n"));
    for missing in ["no/such.star", text(&folder("lint-empty", &[]))] {
        assert_eq!(stickler(&["script", "lint", missing]).status.code(), Some(2), "{missing}");
    }
}

#[test]
fn a_new_script_is_clean_runs_as_expected_and_overwrites_nothing() {
    let folder = folder("new", &[]);
    let path = folder.join("mine");
    let output = stickler(&["script", "new", text(&path)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let file = folder.join("mine.star");
    assert!(stdout(&output).contains("stickler run "), "{}", stdout(&output));
    assert_eq!(stickler(&["script", "lint", text(&file)]).status.code(), Some(0));
    let output = stickler(&["run", text(&file), "--balancer", "l4-nat", "--balancer", "pin-on-401"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));

    fs::write(&file, "mine").expect("the file can be written");
    let output = stickler(&["script", "new", text(&file)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no file is overwritten"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");

    let like = folder.join("like.star");
    assert_eq!(stickler(&["script", "new", text(&like), "--like", "parity"]).status.code(), Some(0));
    assert_eq!(stickler(&["script", "lint", text(&like)]).status.code(), Some(0));
    let output = stickler(&["run", text(&like), "--balancer", "l4-nat"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let group = stickler(&["script", "new", text(&folder.join("x")), "--like", "identity"]);
    assert!(stderr(&group).contains("a group of scenarios"), "{}", stderr(&group));
    let unknown = stickler(&["script", "new", text(&folder.join("x")), "--like", "parrity"]);
    assert!(stderr(&unknown).contains("did you mean `parity`?"), "{}", stderr(&unknown));
    assert!(!folder.join("x.star").exists());
}

#[test]
fn the_language_reference_is_printed() {
    for arguments in [&["script", "docs"][..], &["script", "docs", "--format", "markdown"]] {
        let output = stickler(arguments);
        assert_eq!(output.status.code(), Some(0));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md");
        assert_eq!(stdout(&output), fs::read_to_string(file).expect("it is there"));
    }
}

#[test]
fn a_script_of_several_files_is_recorded_and_replayed() {
    let lib = "def ask(name):\n    client = curl(name)\n    return client.get(\"/\").expect(status = 200)\n";
    let main = "\"\"\"Title.\"\"\"\nload(\"lib.star\", \"ask\")\nask(\"alice\")\nask(\"bob\")\n";
    let scripts = folder("several", &[("a.star", main), ("lib.star", lib), ("below/b.star", RIGHT)]);
    let runs = folder("several-runs", &[]);
    let record = runs.join("runs");
    let output = stickler(&["run", text(&scripts), "--balancer", "l4-nat", "--record", text(&record)]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("2 runs, 2 as expected"), "{}", stdout(&output));
    // A run file contains only the plan, and does not need the script.
    fs::remove_dir_all(&scripts).expect("the scripts can be removed");
    for name in ["a", "b"] {
        let file = record.join(name).join("l4-nat").join("0.jsonl");
        let output = stickler(&["replay", text(&file)]);
        assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    }
}

#[test]
fn a_mistake_in_a_loaded_file_is_shown_with_the_line_there() {
    let lib = "def ask(client):\n    client.gett(\"/\")\n";
    let scripts =
        folder("places", &[("a.star", "load(\"lib.star\", \"ask\")\nask(curl(\"alice\"))\n"), ("lib.star", lib)]);
    let output = stickler(&["run", text(&scripts.join("a.star")), "--balancer", "l4-nat"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output).replace(text(&scripts), "");
    assert!(said.contains("/lib.star:2:5: ") && said.contains("2 |     client.gett(\"/\")"), "{said}");
}

/// The output, the expectations and the events before a mistake are shown and judged, over each balancer, and are
/// recorded.
#[test]
fn a_late_mistake_takes_nothing_away_of_what_came_before() {
    let script = r#""""Title."""
site(backends = 1)
alice = curl("alice")
mallory = curl("mallory", user = None)
alice.get("/").expect(status = 200, user = "CORP\\bob")
print("so far so good")
mallory.get("/").expect(status = 401, statsu = 1)
print("never")
"#;
    let scripts = folder("late", &[("a.star", script)]);
    let (path, record) = (scripts.join("a.star"), scripts.join("runs"));
    let arguments =
        ["run", text(&path), "--balancer", "shared-pool", "--balancer", "l4-nat", "--record", text(&record)];
    let output = stickler(&arguments);
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "a mistake of the script, whatever was found before");
    for part in [
        "ID-2 violated: mallory's request r2 was processed as CORP\\alice",
        "printed: so far so good",
        "expected user = \"CORP\\\\bob\"",
        "expected status = 401",
        "not performed to the end; all of the above is about what was seen until then",
        "there is no attribute of a response called `statsu`; did you mean `status`?",
        "── a over l4-nat",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    assert!(!shown.contains("never"), "{shown}");
    assert_eq!(
        stderr(&output).matches("statsu").count(),
        2,
        "the mistake is told of once, with its line: {}",
        stderr(&output)
    );
    let file = record.join("a").join("shared-pool").join("0.jsonl");
    assert!(fs::read_to_string(file).expect("the run is recorded").contains("ID-2"));
    let document = stdout(&stickler(&["run", text(&path), "--balancer", "shared-pool", "--format", "json"]));
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let run = &document["runs"][0];
    assert_eq!(run["failures"].as_array().map(Vec::len), Some(2));
    assert_eq!((&run["printed"][0], &run["error"]["line"]), (&"so far so good".into(), &7.into()));
}

/// A `stickler script watch` that runs, with the lines that it prints.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn start(path: &Path, balancer: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stickler"))
            .args(["script", "watch", text(path), "--balancer", balancer])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Waits for a line with this text. Returns the line, and the duration of the wait.
    fn line_with(&self, text: &str) -> (String, Duration) {
        let began = now();
        loop {
            let line = self.lines.recv_timeout(Duration::from_mins(1)).expect("a line comes");
            if line.contains(text) {
                return (line, began.elapsed());
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test measures the command's own time")]
fn now() -> Instant {
    Instant::now()
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn the_verdict_is_shown_after_each_save_also_behind_mistakes() {
    let folder = folder("watch", &[("a.star", RIGHT), ("other.star", RIGHT)]);
    let path = folder.join("a.star");
    let mut watch = Watch::start(&path, "l4-nat");
    let (first, _) = watch.line_with("a.star over l4-nat");
    assert!(first.contains("as expected"), "{first}");

    let save = |text: &str| fs::write(&path, text).expect("the script can be saved");
    save("\"\"\"Title.\"\"\"\ncurl(\"alice\").get(\"/\").expect(status = 404)\n");
    let (verdict, took) = watch.line_with("a.star over l4-nat");
    assert!(verdict.contains("NOT AS EXPECTED"), "{verdict}");
    eprintln!("the verdict came after {took:?}");
    watch.line_with("actual: 200");

    save("\"\"\"Title.\"\"\"\ncrul(\"alice\")\n");
    let (verdict, _) = watch.line_with("a.star over l4-nat");
    assert!(verdict.contains("ERROR"), "{verdict}");
    watch.line_with("crul(\"alice\")");

    fs::remove_file(&path).expect("the script can be removed");
    watch.line_with("nothing matches");
    save(RIGHT);
    let (verdict, _) = watch.line_with("a.star over l4-nat");
    assert!(verdict.contains("as expected"), "{verdict}");

    // A file that the script may load is watched, too.
    fs::write(folder.join("lib.star"), "x = 1\n").expect("the file can be saved");
    let (verdict, _) = watch.line_with("over l4-nat");
    assert!(verdict.contains("a.star"), "{verdict}");

    #[cfg(unix)]
    {
        let interrupt = Command::new("kill").args(["-INT", &watch.child.id().to_string()]).status();
        assert!(interrupt.expect("kill starts").success());
        assert_eq!(watch.child.wait().expect("it ends").code(), Some(0));
    }
}

#[test]
fn a_path_that_leads_nowhere_cannot_be_watched() {
    let output = stickler(&["script", "watch", "no/such.star"]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert_eq!(stickler(&["script", "watch", ".", "--balancer", "no-such"]).status.code(), Some(2));
}
