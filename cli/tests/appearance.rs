//! Tests of the features that every command has: Ctrl-C, colours, progress, `stickler.toml`, completions, man pages and
//! the examples of --help.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use stickler_report::json::Line;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
    command.args(arguments).current_dir(folder).env("XDG_STATE_HOME", folder.join("state")).env_remove("NO_COLOR");
    command
}

fn stickler(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the command starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(unix)]
#[test]
fn whoever_interrupts_sees_what_is_known_and_the_exit_code_is_130() {
    use std::io::{BufRead as _, BufReader};

    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "lone-one-backend",
        "-b",
        "l4-nat",
        "--repeat",
        "100000",
        "-j",
        "2",
        "--report",
        "jsonl=-",
        "--report",
        "tap=r.tap",
        "--report",
        "junit=r.xml",
        "--report",
        "github=r.txt",
        "--report",
        "html=r.html",
    ];
    let mut child = command(folder.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Vec<Line> = lines.by_ref().take(3).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(
        matches!(&first[..], [Line::Head(_), Line::Run(_), Line::Run(_)]),
        "runs are written while others are made"
    );
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let last: Line = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    assert!(matches!(last, Line::End(tail) if !tail.complete));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(
        stderr(&output).contains(" of 100000 runs were not made: the command was interrupted"),
        "{}",
        stderr(&output)
    );
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("r.tap").contains("\nBail out! "));
    let junit = read("r.xml");
    assert!(junit.contains("errors=\"1\"") && junit.contains("message=\"not made: the command was interrupted\""));
    assert!(
        read("r.txt").starts_with("::error title=every requested run was made over stickler::"),
        "{}",
        read("r.txt")
    );
    let page = read("r.html");
    assert!(page.contains("This report is incomplete.") && page.contains(" of 100000 runs were not made"));
    let cells = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
    assert!(cells.contains("<td class=\"o\">") && !cells.contains("<td class=\"k\">"), "nothing is known to be kept");
}

/// Runs a command until it has said something about its progress, and interrupts it.
#[cfg(unix)]
fn interrupted(folder: &Path, arguments: &[&str]) -> Output {
    use std::io::Read as _;

    let mut child = command(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Without a terminal, progress is told every few seconds.
    let first = child.stderr.as_mut().unwrap().read(&mut [0; 1]).unwrap();
    assert_eq!(first, 1);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    child.wait_with_output().unwrap()
}

#[cfg(unix)]
#[test]
fn an_interrupted_matrix_calls_nothing_kept_and_is_no_earlier_report_of_what_it_did_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let all = ["matrix", "--mechanisms", "--repeat", "20"];
    let reports = ["--report", "html=m.html", "--report", "json=m.json"];
    let output = interrupted(folder.path(), &[&all[..], &reports].concat());
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.starts_with("INCOMPLETE: ") && told.contains(" runs were not made"), "{told}");
    assert!(told.contains("open: nothing violates it so far, but runs are missing."), "{told}");
    let rows = told.lines().filter(|line| line.starts_with(" l4-") || line.starts_with(" pin-"));
    assert!(
        rows.clone().count() > 3 && !rows.clone().any(|row| row.contains(" yes ") || row.contains(" ok ")),
        "{told}"
    );
    let page = fs::read_to_string(folder.path().join("m.html")).unwrap();
    assert!(page.contains("This report is incomplete.") && !page.contains("<td class=\"k\">"));
    let args = [
        "matrix",
        "--mechanisms",
        "--scenario",
        "anonymous-after-user",
        "--since",
        "m.json",
        "--report",
        "html=s.html",
    ];
    assert!(stickler(folder.path(), &args).status.success());
    let page = fs::read_to_string(folder.path().join("s.html")).unwrap();
    assert!(page.contains("The earlier report is incomplete") && !page.contains("<h3>Worse"));
}

#[test]
fn a_run_that_stops_at_the_first_failure_says_how_many_runs_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["run", "my.star", "-b", "l4-nat", "-b", "shared-pool", "--repeat", "3", "--fail-fast"];
    fs::write(folder.path().join("my.star"), "curl(\"alice\").get(\"/\").expect(status = 500)\n").unwrap();
    let reports = ["-j", "1", "--report", "junit=r.xml", "--report", "html=r.html"];
    let output = stickler(folder.path(), &[&arguments[..], &reports].concat());
    let told = stdout(&output);
    assert!(told.contains("INCOMPLETE: 5 of 6 runs were not made: --fail-fast ends after the first run"), "{told}");
    assert!(told.contains("open") || told.contains('!'), "{told}");
    let junit = fs::read_to_string(folder.path().join("r.xml")).unwrap();
    assert!(junit.contains("tests=\"6\"") && junit.contains("errors=\"0\""), "{junit}");
    assert_eq!(junit.matches("not made: --fail-fast").count(), 5, "{junit}");
    assert!(fs::read_to_string(folder.path().join("r.html")).unwrap().contains("(incomplete)</h1>"));
}

#[test]
fn colours_are_for_terminals_unless_somebody_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let coloured = |arguments: &[&str]| {
        let output = stickler(folder.path(), &[&["run", "lone-one-backend", "-b", "l4-nat"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).contains('\u{1b}')
    };
    assert!(!coloured(&[]) && !coloured(&["--color", "auto"]) && !coloured(&["--color=never"]));
    assert!(coloured(&["--color=always"]));
}

#[test]
fn options_of_the_file_hold_where_the_command_line_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stickler.toml");
    fs::write(&file, "[run]\nbalancer = [\"l4-nat\", \"squid\"]\nseed = 7\nformat = \"json\"\n").unwrap();
    let text = stdout(&stickler(folder.path(), &["run", "lone-one-backend"]));
    assert!(text.contains("\"balancer\":\"squid\"") && text.contains("\"seed\":7"), "{text}");
    let text = stdout(&stickler(folder.path(), &["run", "lone-one-backend", "-b", "l4-dsr", "--seed=8"]));
    assert!(
        text.contains("\"balancer\":\"l4-dsr\"") && !text.contains("\"squid\"") && text.contains("\"seed\":8"),
        "{text}"
    );

    fs::write(&file, "[run]\nbalancers = [\"l4-nat\"]\n").unwrap();
    let wrong = stickler(folder.path(), &["list"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        stderr(&wrong).contains("stickler.toml:2:1: `stickler run` has no option `balancers`"),
        "{}",
        stderr(&wrong)
    );
    fs::write(&file, "[run]\nseed = \"seven\"\n").unwrap();
    let wrong = stickler(folder.path(), &["run", "lone-one-backend"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("stickler.toml") && stderr(&wrong).contains("--seed"), "{}", stderr(&wrong));
}

#[test]
fn shells_complete_commands_and_man_pages_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = stdout(&stickler(folder.path(), &["completions", shell]));
        assert!(text.contains("compare") && text.contains("balancer"), "{shell}: {text}");
    }
    let output = stickler(folder.path(), &["man", "pages"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = fs::read_to_string(folder.path().join("pages/stickler-run.1")).unwrap();
    assert!(page.contains("\\-\\-balancer"), "{page}");
}

#[test]
fn every_command_says_its_exit_codes_and_shows_examples() {
    let folder = tempfile::tempdir().unwrap();
    let commands =
        ["run", "replay", "list", "matrix", "compare", "check", "hunt", "merge", "explain", "serve", "completions"];
    for command in commands {
        let help = stdout(&stickler(folder.path(), &[command, "--help"]));
        assert!(help.contains("Exit codes: 0") && help.contains("Examples:\n  stickler "), "{command}: {help}");
    }
}

#[test]
fn examples_that_cost_little_end_well() {
    let folder = tempfile::tempdir().unwrap();
    for example in [
        "run user-after-user --balancer pin-on-401 --evidence",
        "explain ID-1",
        "list --format json",
        "completions bash",
    ] {
        let help = stdout(&stickler(folder.path(), &[example.split(' ').next().unwrap(), "--help"]));
        assert!(help.contains(&format!("  stickler {example}")), "{help}");
        let output = stickler(folder.path(), &example.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(0), "{example}: {}", stderr(&output));
    }
}
