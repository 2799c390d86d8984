//! Tests of `stickler hunt` and `stickler merge` from a user's point of view.

#![expect(clippy::disallowed_methods, reason = "real processes are started and waited for")]

#[cfg(unix)]
mod peers;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn stickler(folder: &Path, arguments: &str) -> Output {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    Command::new(env!("CARGO_BIN_EXE_stickler")).current_dir(folder).args(arguments).output().expect("it starts")
}

/// Runs the command, and returns its exit code and the text of both streams.
fn ends(folder: &Path, arguments: &str) -> (Option<i32>, String) {
    let output = stickler(folder, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// Returns every file below a folder, except for the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder_of) = open.pop() {
        for entry in fs::read_dir(&folder_of).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|name| name != "lock") {
                files.insert(path.strip_prefix(folder).unwrap().display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_leak_is_found_shrunk_and_its_script_fails_in_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = ends(folder.path(), "hunt --balancer pin-on-authorization+B5 --undeclared --runs 60 --out out");
    assert_eq!(code, Some(1), "{text}");
    let line = text.lines().find(|line| line.contains("finding.star")).expect("there is a script");
    let command = line.split("stickler ").nth(1).unwrap().to_owned();
    let (code, text) = ends(folder.path(), &command);
    assert_eq!(code, Some(1), "{command}\n{text}");
    // The plan shows the same without the script.
    let path = command.split_whitespace().nth(1).unwrap().replace("finding.star", "short.jsonl");
    let (code, text) = ends(folder.path(), &format!("replay {path}"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("equal"), "{text}");
}

#[test]
fn nothing_is_found_over_a_sound_path() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = ends(folder.path(), "hunt --balancer l4-nat --runs 40");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0 findings in 40 runs"), "{text}");
    let (_, json) = ends(folder.path(), "hunt --balancer l4-nat --runs 40 --format json");
    let document: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((document["runs"].as_u64(), document["format"].as_u64()), (Some(40), Some(1)));
}

#[test]
fn shards_give_the_bytes_of_one_hunt_whichever_way_they_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let hunt = "hunt --balancer shared-pool --balancer pin-on-401+B6 --balancer l4-nat --runs 90 --seed 7 --no-shrink";
    // The hunt has three balancers and units of thirty runs.
    assert_eq!(ends(folder.path(), &format!("{hunt} --out whole -j 2")).0, Some(1));
    for shard in 1..=3 {
        let (code, text) = ends(folder.path(), &format!("{hunt} --out part-{shard} --shard {shard}/3 -j 1"));
        assert!(matches!(code, Some(0 | 1)), "{text}");
    }
    // A shard that runs twice makes no difference.
    let before = files(&folder.path().join("part-1"));
    ends(folder.path(), &format!("{hunt} --out part-1 --shard 1/3 -j 1"));
    assert_eq!(before, files(&folder.path().join("part-1")));
    let (code, text) = ends(folder.path(), "merge part-3 part-1 part-2 part-1 --out all --no-shrink");
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(files(&folder.path().join("whole")), files(&folder.path().join("all")));
    // A merged folder can be extended later, and missing runs are reported.
    let (_, text) = ends(folder.path(), "merge part-2 --out again --no-shrink");
    assert!(text.contains("60 of 90 runs are missing"), "{text}");
    ends(folder.path(), "merge part-1 part-3 --out again --no-shrink");
    assert_eq!(files(&folder.path().join("whole")), files(&folder.path().join("again")));
}

#[test]
fn what_is_shrunk_is_merged_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let hunt = "hunt --balancer pin-on-401+B6 --undeclared --runs 20";
    ends(folder.path(), &format!("{hunt} --out whole"));
    ends(folder.path(), &format!("{hunt} --out part --no-shrink"));
    ends(folder.path(), "merge part --out all");
    ends(folder.path(), "merge whole --out same --no-shrink");
    assert_eq!(files(&folder.path().join("whole")), files(&folder.path().join("all")));
    assert_eq!(files(&folder.path().join("whole")), files(&folder.path().join("same")));
}

#[test]
fn wrong_arguments_are_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, says) in [
        ("hunt --shard 5/4", "a part is I/N, with I from 1 to N"),
        ("hunt --shard 0/4", "a part is I/N"),
        ("hunt --shard 4", "a part is I/N"),
        ("hunt --runs 0", "--runs"),
        ("hunt --for 10", "for example 90s"),
        ("hunt --for 0s", "a hunt needs a time above zero"),
        ("hunt --for 1m --runs 3", "cannot be used with"),
        ("hunt --balancer pin-on-402", "pin-on-401"),
        ("hunt --corpus nowhere", "nowhere"),
        ("merge --out all", "required"),
        ("merge nowhere --out all", "nowhere"),
    ] {
        let (code, text) = ends(folder.path(), arguments);
        assert_eq!(code, Some(2), "{arguments}\n{text}");
        assert!(text.contains(says), "{arguments}\n{text}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_folder_of_something_else_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let hunt = |more: &str| ends(folder.path(), &format!("hunt --balancer l4-nat --runs 4 --out out {more}"));
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "years of work").unwrap();
    let (code, text) = hunt("");
    assert!(code == Some(2) && text.contains("no hunt has written"), "{text}");
    fs::remove_file(out.join("thesis.txt")).unwrap();
    assert_eq!(hunt("").0, Some(0));
    let there = files(&out);
    for (more, says) in
        [("--seed 3", "its `seed` is 0, but this hunt has 3"), ("--no-guidance", "its `guidance` is true")]
    {
        let (code, text) = hunt(more);
        assert!(code == Some(2) && text.contains(says), "{text}");
    }
    // This is a second hunt in the same folder.
    let lock = fs::File::options().write(true).open(out.join("lock")).unwrap();
    lock.lock().unwrap();
    let (code, text) = hunt("");
    assert!(code == Some(2) && text.contains("another process is hunting in this folder"), "{text}");
    assert_eq!(there, files(&out));
}

/// A path of a file, the change of its text, and the message about the changed file.
type Edit<'a> = (String, &'a dyn Fn(&str) -> String, &'a str);

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let hunt = "hunt --balancer shared-pool --runs 12 --no-shrink --out out";
    assert_eq!(ends(folder.path(), hunt).0, Some(1));
    let out = folder.path().join("out");
    let whole = files(&out);
    let path = |suffix: &str| whole.keys().find(|path| path.ends_with(suffix)).expect("there is one").clone();
    let edits: [Edit<'_>; 6] = [
        ("state.json".into(), &|text| text[..text.len() / 2].to_owned(), "cut off"),
        ("state.json".into(), &|text| text.replacen("12", "99999", 1), "no hunt has units"),
        (
            "hunt.json".into(),
            &|text| text.replacen("\"generator\": 2", "\"generator\": 0", 1),
            "the folder has generator 0",
        ),
        (path("finding.json"), &|_| "{}".to_owned(), "edited"),
        (path("found.jsonl"), &|text| text.lines().next().unwrap_or_default().to_owned(), "found.jsonl"),
        (path(".jsonl"), &|_| "garbage".to_owned(), ".jsonl"),
    ];
    for (name, edit, says) in edits {
        let file = out.join(&name);
        fs::write(&file, edit(&String::from_utf8_lossy(&whole[&name]))).unwrap();
        let edited = files(&out);
        for command in [hunt, "merge out --out other --no-shrink"] {
            let (code, text) = ends(folder.path(), command);
            assert!(code == Some(2) && text.contains(says), "{name}: {command}\n{text}");
        }
        assert_eq!(edited, files(&out));
        fs::write(&file, &whole[&name]).unwrap();
    }
    for (lost, says) in [("findings", "findings that the hunt recorded"), ("corpus", "is missing")] {
        fs::rename(out.join(lost), folder.path().join("lost")).unwrap();
        for command in [hunt, "merge out --out other --no-shrink"] {
            let (code, text) = ends(folder.path(), command);
            assert!(code == Some(2) && text.contains(says), "{lost}: {command}\n{text}");
        }
        fs::rename(folder.path().join("lost"), out.join(lost)).unwrap();
    }
    // These shards have different seeds.
    ends(folder.path(), "hunt --balancer shared-pool --runs 12 --no-shrink --seed 1 --out one");
    let (code, text) = ends(folder.path(), "merge out one --out other");
    assert!(
        code == Some(2) && text.contains("belong to different hunts: `seed` is 0 in the first, and 1 in the other"),
        "{text}"
    );
    assert!(!folder.path().join("other").exists());
}

/// A full disk ends the hunt with a message, and everything that was written before can be read.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_the_folder_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let hunt = "hunt --balancer shared-pool --runs 8 --no-shrink --out out";
    assert_eq!(ends(folder.path(), hunt).0, Some(1));
    let before = files(&folder.path().join("out"));
    std::os::unix::fs::symlink("/dev/full", folder.path().join("out/state.new")).unwrap();
    let (code, text) = ends(folder.path(), hunt);
    assert!(code == Some(2) && text.contains("No space left on device"), "{text}");
    assert_eq!(before, files(&folder.path().join("out")));
}

#[test]
fn a_corpus_is_where_a_hunt_begins() {
    let folder = tempfile::tempdir().unwrap();
    ends(folder.path(), "hunt --balancer l4-nat --runs 30 --out first");
    let (code, text) =
        ends(folder.path(), "hunt --balancer pin-on-401 --undeclared --runs 20 --corpus first --out second");
    assert_eq!(code, Some(0), "{text}");
    let head: serde_json::Value = serde_json::from_slice(&files(&folder.path().join("second"))["hunt.json"]).unwrap();
    assert_eq!(head["corpus"].as_str().map(str::len), Some(64));
    fs::write(folder.path().join("first/corpus/999999-000.jsonl"), "garbage").unwrap();
    let (code, text) = ends(folder.path(), "hunt --balancer l4-nat --runs 2 --corpus first --out third");
    assert!(code == Some(2) && text.contains("999999-000.jsonl"), "{text}");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (code, text) = ends(folder.path(), "hunt --balancer l4-nat --runs 2 --corpus empty --out third");
    assert!(code == Some(2) && text.contains("there is no plan"), "{text}");
    assert!(!folder.path().join("third").exists());
}

#[test]
fn run_files_are_shrunk_too() {
    let folder = tempfile::tempdir().unwrap();
    ends(folder.path(), "run anonymous-after-user --balancer shared-pool --record kept");
    let file = "kept/anonymous-after-user/shared-pool/0.jsonl";
    let (code, text) = ends(folder.path(), &format!("replay --shrink {file} --out short"));
    assert_eq!(code, Some(1), "{text}");
    let script = files(&folder.path().join("short")).into_keys().find(|name| name.contains(".star")).unwrap();
    let (code, text) = ends(folder.path(), &format!("run short/{script} --balancer shared-pool"));
    assert_eq!(code, Some(1), "{text}");
    // No file is overwritten.
    let before = files(&folder.path().join("short"));
    assert_eq!(ends(folder.path(), &format!("replay --shrink {file} --out short")).0, Some(1));
    let after = files(&folder.path().join("short"));
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes) && after.len() == 2 * before.len());
    ends(folder.path(), "run anonymous-after-user --balancer l4-nat --record kept");
    let clean = "kept/anonymous-after-user/l4-nat/0.jsonl";
    let (code, text) = ends(folder.path(), &format!("replay --shrink {clean} --out none"));
    assert!(code == Some(0) && text.contains(&format!("{clean}: the plan shows no failure")), "{text}");
    assert!(!folder.path().join("none").exists());
    // The failure of one plan counts, and the others are named nevertheless.
    let (code, text) = ends(folder.path(), &format!("replay --shrink {clean} {file} --out short"));
    assert!(code == Some(1) && text.contains("the plan shows no failure"), "{text}");
    fs::write(folder.path().join("file"), "x").unwrap();
    let (code, text) = ends(folder.path(), &format!("replay --shrink {file} --out file"));
    assert!(code == Some(2) && text.contains("file exists and is no folder"), "{text}");
}

/// A plan that the arm does not support was not judged, so that nothing is known about it.
#[test]
fn a_plan_that_is_skipped_is_no_plan_without_failures() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("crash.star"), "alice = curl('alice')\nalice.get('/')\n").unwrap();
    ends(folder.path(), "run crash.star --balancer l4-nat --record kept");
    let path = folder.path().join("kept/crash/l4-nat/0.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let steps: Vec<&str> = text.lines().filter(|line| line.starts_with("{\"step\"")).collect();
    let head = text.lines().next().unwrap();
    let last = format!("{{\"end\":{{\"steps\":{},\"events\":0,\"how\":\"complete\"}}}}", steps.len() + 1);
    let plan = format!("{head}\n{}\n{{\"step\":{{\"fault\":{{\"crash\":\"lb\"}}}}}}\n{last}\n", steps.join("\n"));
    fs::write(folder.path().join("plan.jsonl"), plan).unwrap();
    let (code, text) = ends(folder.path(), "replay --shrink plan.jsonl");
    assert!(code == Some(3) && text.contains("plan.jsonl: skipped: "), "{text}");
}

/// The names of everything in a folder, the lock among them.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_refusal_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let hunt = "hunt --balancer l4-nat --runs 4 --no-shrink --out out";
    assert_eq!(ends(folder.path(), hunt).0, Some(0));
    let out = folder.path().join("out");
    // A copy of a folder may lack the lock, which holds nothing.
    fs::remove_file(out.join("lock")).unwrap();
    let there = names(&out);
    let refused = |command: &str, says: &str| {
        let (code, text) = ends(folder.path(), command);
        assert!(code == Some(2) && text.contains(says), "{command}\n{text}");
    };
    refused(&format!("{hunt} --seed 3"), "a different hunt");
    assert_eq!(names(&out), there);
    // This folder is that of the hunt, and cannot be read.
    let state = fs::read(out.join("state.json")).unwrap();
    fs::write(out.join("state.json"), "x").unwrap();
    refused(hunt, "state.json: the file cannot be read");
    assert_eq!(names(&out), there);
    fs::write(out.join("state.json"), state).unwrap();
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/thesis.txt"), "years of work").unwrap();
    refused("merge out --out other", "no hunt has written");
    assert_eq!(names(&folder.path().join("other")), ["thesis.txt"]);
    // Nothing is recorded if there is nothing to run it on.
    refused("run parity --balancer l4-nat --pcap out/state.json --record kept", "exists already");
    refused("run parity --arm wire --target http://no.such.invalid --servers 127.0.0.1:1 --record kept", "invalid");
    assert!(!folder.path().join("kept").exists());
}

#[test]
fn what_is_in_the_way_is_said_with_its_path_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    fs::create_dir(folder.path().join("bad")).unwrap();
    fs::write(folder.path().join("bad/one.jsonl"), "garbage").unwrap();
    let hunt = "hunt --balancer l4-nat --runs 4 --no-shrink";
    assert_eq!(ends(folder.path(), &format!("{hunt} --out whole")).0, Some(0));
    fs::write(folder.path().join("whole/corpus/000000-999.jsonl"), "garbage").unwrap();
    for (command, path, says) in [
        (format!("{hunt} --corpus bad"), "bad/one.jsonl", ":1: this is not a run file"),
        (format!("{hunt} --corpus nowhere"), "nowhere", ": there is no such folder"),
        (format!("{hunt} --corpus file"), "file", ": it is no folder: name the folder of a hunt"),
        (format!("{hunt} --out file"), "file", ": it exists and is no folder: choose another folder"),
        (format!("{hunt} --out file/below"), "file/below", ": file exists and is no folder"),
        ("merge whole --out all".into(), "whole/corpus/000000-999.jsonl", ":1: this is not a run file"),
        ("merge nowhere --out all".into(), "nowhere", ": there is no such folder"),
        ("merge file --out all".into(), "file", ": it is no folder"),
        ("merge bad --out all".into(), "bad", ": no hunt has written this folder"),
        ("run parity --balancer l4-nat --record file".into(), "in file", ": it exists and is no folder"),
        (format!("{hunt} --report json=no/such/r.json"), "cannot write no/such/r.json", ": No such file"),
        ("man file".into(), "into file", ": it exists and is no folder"),
    ] {
        let (code, text) = ends(folder.path(), &command);
        assert_eq!(code, Some(2), "{command}\n{text}");
        assert!(text.contains(&format!("{path}{says}")), "{command}\n{text}");
        assert_eq!(
            text.matches(&format!("{path}: ")).count() + text.matches(&format!("{path}:1: ")).count(),
            1,
            "{text}"
        );
        assert!(!text.contains(".stickler-") && !text.contains("File exists"), "{command}\n{text}");
    }
    for made in ["all", "stickler-hunt", "no"] {
        assert!(!folder.path().join(made).exists(), "{made}");
    }
}

#[test]
fn the_folder_that_is_merged_is_not_that_of_the_result() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(ends(folder.path(), "hunt --balancer l4-nat --runs 4 --no-shrink --out q1").0, Some(0));
    assert_eq!(ends(folder.path(), "hunt --balancer l4-nat --runs 4 --no-shrink --out q2").0, Some(0));
    let before = files(folder.path());
    let mut spellings = vec!["q1".to_owned(), "./q1".into(), "q1/".into(), "q2/../q1".into(), "q1/below".into()];
    spellings.push(folder.path().join("q1").to_str().unwrap().to_owned());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("q1", folder.path().join("link")).unwrap();
        spellings.push("link".into());
        spellings.push("link/below/it".into());
    }
    for out in spellings {
        let (code, text) = ends(folder.path(), &format!("merge q2 q1 --out {out} --no-shrink"));
        assert!(code == Some(2) && text.contains(&format!("--out {out} is ")), "{text}");
        assert!(text.contains("choose another folder for the result"), "{text}");
    }
    #[cfg(unix)]
    fs::remove_file(folder.path().join("link")).unwrap();
    assert_eq!(before, files(folder.path()));
    // A folder whose name only begins in the same way is another one.
    assert_eq!(ends(folder.path(), "merge q1 q2 --out q11 --no-shrink").0, Some(0));
}

/// An interrupted hunt keeps its findings, and the same command continues it.
#[cfg(unix)]
#[test]
fn an_interrupted_hunt_goes_on_where_it_was() {
    use std::process::Stdio;
    use std::thread::sleep;
    use std::time::Duration;

    let folder = tempfile::tempdir().unwrap();
    let hunt = "hunt --balancer shared-pool --runs 120 -j 1 --no-shrink --out";
    ends(folder.path(), &format!("{hunt} whole"));
    for signal in ["-INT", "-TERM", "-KILL"] {
        let arguments: Vec<&str> = hunt.split_whitespace().chain(["part"]).collect();
        let mut child = Command::new(env!("CARGO_BIN_EXE_stickler"))
            .current_dir(folder.path())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The hunt is under way as soon as it has findings. The second hunt has them from the beginning.
        while child.try_wait().unwrap().is_none() && !folder.path().join("part/findings").exists() {
            sleep(Duration::from_millis(20));
        }
        sleep(Duration::from_millis(300));
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success() || child.try_wait().unwrap().is_some());
        let code = child.wait().unwrap().code();
        // The later signals may arrive before the command listens.
        assert!(signal != "-INT" || matches!(code, Some(1 | 4)), "{code:?}");
    }
    ends(folder.path(), &format!("{hunt} part"));
    assert_eq!(files(&folder.path().join("whole")), files(&folder.path().join("part")));
}

/// The findings of the hunt are as its page says: each command on the page is followed by its outcome.
#[test]
fn the_findings_of_the_documentation_are_as_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/findings/README.md")).unwrap();
    let commands: Vec<(&str, &str)> =
        page.lines().filter_map(|line| line.strip_prefix("stickler ")?.split_once('#')).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    for (command, says) in commands {
        let (code, text) = ends(root, command);
        let expected = i32::from(says.trim() != "as expected");
        assert_eq!(code, Some(expected), "{command}\n{text}");
        let shown = |id: &str| text.contains(&format!("{id} violated"));
        assert!(expected == 0 || says.split(',').all(|id| shown(id.trim())), "{command}\n{text}");
    }
}

/// Findings in the simulation of a product are also seen on the product itself.
#[cfg(unix)]
#[test]
fn a_leak_that_is_found_in_the_simulation_of_a_product_shows_on_the_product() {
    for (balancer, program) in [("haproxy-safe", "haproxy"), ("nginx-keepalive", "nginx")] {
        if peers::needed(program).is_none() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        // These are the limits of real sockets.
        let without = ["tls", "server-faults", "held-links", "resets", "drains", "dc-faults", "long-times", "jitter"];
        let without = format!("--without {}", without.join(" --without "));
        let (code, text) = ends(folder.path(), &format!("hunt --balancer {balancer} --runs 100 {without} --out out"));
        assert_eq!(code, Some(1), "{text}");
        let leaks: Vec<String> = text
            .split("stickler ")
            .filter(|command| command.starts_with("run ") && command.contains("/id-1-"))
            .map(|command| command.lines().next().unwrap_or_default().to_owned())
            .collect();
        assert!(!leaks.is_empty(), "{text}");
        let shows = |leak: &String| {
            let (code, text) = ends(folder.path(), &format!("{leak} --arm wire"));
            code == Some(1) && text.contains("ID-1")
        };
        assert!(leaks.iter().any(shows), "{balancer}: {leaks:?}");
    }
}
