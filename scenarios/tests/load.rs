//! Scripts that load files of their folder.

mod double;
mod folder;

use std::fs;
use std::path::{Path, PathBuf};

use stickler_model::BalancerSpec;
use stickler_runner::Run;
use stickler_scenarios::{Scenario, run, select};

fn play(path: &Path) -> Run {
    run(&Scenario::load(path).unwrap(), &BalancerSpec::named("l4-nat"), 7, &double::arm())
}

/// Returns the error of `a.star`, without the path of the folder.
fn error(name: &str, files: &[(&str, &str)]) -> String {
    let folder = folder::folder("load", name, files);
    let run = play(&folder.join("a.star"));
    let error = run.error().map(ToString::to_string).unwrap_or_default();
    error.replace(&format!("{}/", folder.display()), "").lines().next().unwrap_or_default().to_owned()
}

#[test]
fn functions_and_values_of_other_files_are_those_of_the_script() {
    let folder = folder::folder(
        "load",
        "shared",
        &[
            (
                "a.star",
                "load(\"lib.star\", \"WEB\", \"everybody\", two = \"TWO\")\nsite(authentication = WEB, backends = two)\n\
                 users = everybody([\"alice\", \"bob\"])\nusers[0].get(\"/\").expect(status = 200)\n",
            ),
            (
                "lib.star",
                "load(\"more/inner.star\", \"add\")\nTWO = 2\nWEB = windows_authentication(single_request = True)\neverybody = add\n",
            ),
            ("more/inner.star", "def add(names):\n    return [curl(name) for name in names]\n"),
        ],
    );
    let run = play(&folder.join("a.star"));
    assert_eq!((run.error(), &run.failures[..]), (None, &[][..]));
    let trace = run.trace.unwrap();
    assert!(trace.header.topology.servers[0].site.single_request);
    assert_eq!(trace.actions().count(), 4, "two clients, a request and a wait");
}

#[test]
fn a_mistake_and_an_expectation_in_a_loaded_file_have_their_place_there() {
    let lib = "def ask(client):\n    client.get(\"/\").expect(status = 404)\n    client.gett(\"/\")\n";
    let folder = folder::folder(
        "load",
        "places",
        &[("a.star", "load(\"lib.star\", \"ask\")\nask(curl(\"alice\"))\n"), ("lib.star", lib)],
    );
    let run = play(&folder.join("a.star"));
    let error = run.error().unwrap();
    assert_eq!((error.file.as_str(), error.line, error.column), (folder.join("lib.star").to_str().unwrap(), 3, 5));
    assert_eq!(error.line_text, "    client.gett(\"/\")");
    let failure = &run.failures[0];
    assert_eq!((failure.file.as_str(), failure.line, failure.column), (error.file.as_str(), 2, 28));
    assert_eq!(failure.actual.as_deref(), Some("200"));
    assert!(run.trace.is_some(), "what was seen until then is kept");
}

#[test]
fn a_loaded_file_may_be_wrong_and_says_where() {
    let main = "load(\"lib.star\", \"x\")\nprint(x)\ncurl(\"alice\").get(\"/\")\n";
    assert!(error("syntax", &[("a.star", main), ("lib.star", "x = = 1\n")]).starts_with("lib.star:1:5: "));
    assert!(
        error("evaluated", &[("a.star", main), ("lib.star", "x = 1\ny = x + \"\"\n")]).starts_with("lib.star:2:5: ")
    );
    assert!(error("lacks", &[("a.star", main), ("lib.star", "y = 1\n")]).starts_with("a.star:1:"));
    let acts = error("acts", &[("a.star", main), ("lib.star", "x = 1\ncurl(\"alice\")\n")]);
    assert!(acts.starts_with("lib.star:2:1: a loaded file may only define"), "{acts}");
    let late = error("site", &[("a.star", main), ("lib.star", "x = 1\nsite(backends = 1)\n")]);
    assert!(late.starts_with("lib.star:2:1: a loaded file may only define"), "{late}");
    let deep = error("deep", &[("a.star", main), ("lib.star", &format!("x = {}1\n", "-".repeat(5_000)))]);
    assert!(deep.starts_with("lib.star:1:") && deep.contains("brackets"), "{deep}");
}

#[test]
fn files_that_load_one_another_are_an_error_that_names_the_whole_circle() {
    let files = [
        ("a.star", "load(\"b.star\", \"b\")\nprint(b)\n"),
        ("b.star", "load(\"sub/c.star\", \"c\")\nb = c\n"),
        ("sub/c.star", "load(\"d.star\", \"d\")\nc = d\n"),
        ("sub/d.star", "load(\"c.star\", \"c\")\nd = c\n"),
    ];
    let said = error("circle", &files);
    assert_eq!(said, "sub/d.star:1:6: these files load one another in a circle: sub/c.star, sub/d.star, sub/c.star");
    let own = error("itself", &[("a.star", "load(\"a.star\", \"x\")\nprint(x)\n")]);
    assert_eq!(own, "a.star:1:6: these files load one another in a circle: a.star, a.star");
}

#[test]
fn there_is_no_way_out_of_the_folder() {
    let outside = folder::folder("load", "outside", &[("secret.star", "x = 1\n")]);
    let absolute = outside.join("secret.star").display().to_string();
    for path in ["../outside/secret.star", "sub/../../outside/secret.star", &absolute, "C:x.star", "sub\\x.star", ""] {
        let source = format!("load({path:?}, \"x\")\nprint(x)\n");
        let said = error("way-out", &[("a.star", &source), ("sub/x.star", "x = 1\n")]);
        assert!(said.contains("is not the path of a file below the script's folder"), "{path}: {said}");
    }
    let said = error("missing", &[("a.star", "load(\"no.star\", \"x\")\nprint(x)\n")]);
    assert!(said.starts_with("a.star:1:6: cannot read no.star: "), "{said}");
    let none = Scenario::new("test", "test.star", "load(\"lib.star\", \"x\")\nprint(x)\n").unwrap();
    let run = run(&none, &BalancerSpec::named("l4-nat"), 7, &double::arm());
    assert!(run.error().unwrap().message.contains("no folder"), "{:?}", run.error());
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_and_what_has_no_end_is_not_read() {
    use std::os::unix::fs::symlink;

    let main = "load(\"lib.star\", \"x\")\nprint(x)\ncurl(\"alice\").get(\"/\")\n";
    let below = "load(\"sub/lib.star\", \"x\")\nprint(x)\ncurl(\"alice\").get(\"/\")\n";
    let folder = folder::folder("load", "links", &[("a.star", main), ("b.star", below), ("real/lib.star", "x = 1\n")]);
    symlink(folder.join("real/lib.star"), folder.join("lib.star")).unwrap();
    symlink(folder.join("real"), folder.join("sub")).unwrap();
    for script in ["a.star", "b.star"] {
        let run = play(&folder.join(script));
        assert!(run.error().unwrap().message.contains("is a link, but"), "{script}: {:?}", run.error());
    }
    fs::remove_file(folder.join("lib.star")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.join("lib.star")).status().unwrap().success());
    assert!(play(&folder.join("a.star")).error().unwrap().message.contains("FIFO"));
}

#[test]
fn what_is_loaded_is_bounded_in_number_depth_and_size() {
    let chain: Vec<(String, String)> = (0..12)
        .map(|number| (format!("f{number}.star"), format!("load(\"f{}.star\", \"x\")\nx = 1\n", number + 1)))
        .collect();
    let mut files: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("a.star", "load(\"f0.star\", \"x\")\nprint(x)\n"));
    assert!(error("depth", &files).contains("more than 8 files load one another in a chain"));

    let loads = |count: u32| -> String {
        let lines: Vec<String> =
            (0..count).map(|number| format!("load(\"m{number}.star\", x{number} = \"x\")\n")).collect();
        lines.concat()
    };
    let many = loads(40);
    let named: Vec<String> = (0..40).map(|number| format!("m{number}.star")).collect();
    let mut files: Vec<(&str, &str)> = named.iter().map(|name| (name.as_str(), "x = 1\n")).collect();
    files.push(("a.star", &many));
    assert!(error("number", &files).contains("a script may load at most 32 files"));

    let long = format!("x = 1\n#{}\n", " ".repeat(60_000));
    let ten = loads(10);
    let mut files: Vec<(&str, &str)> = named.iter().take(10).map(|name| (name.as_str(), long.as_str())).collect();
    files.push(("a.star", &ten));
    assert!(error("size", &files).contains("together may have at most 524288 bytes"));
    let too_long = format!("x = 1\n#{}\n", " ".repeat(70_000));
    let said = error("long", &[("a.star", "load(\"lib.star\", \"x\")\nprint(x)\n"), ("lib.star", &too_long)]);
    assert!(said.contains("lib.star is longer than 65536 bytes"), "{said}");
}

#[test]
fn an_endless_loop_in_a_loaded_file_ends_with_its_place() {
    let lib = "def forever():\n    for one in range(100000000):\n        pass\n";
    let main = "load(\"lib.star\", \"forever\")\ncurl(\"alice\").get(\"/\")\nforever()\n";
    let said = error("endless", &[("a.star", main), ("lib.star", lib)]);
    assert!(said.contains("is this loop endless?"), "{said}");
}

#[test]
fn folders_are_walked_and_files_that_are_only_loaded_are_no_scenarios() {
    let script = "\"\"\"Title.\"\"\"\ncurl(\"alice\").get(\"/\")\n";
    let folder = folder::folder(
        "load",
        "walk",
        &[
            ("a.star", script),
            ("lib.star", "x = 1\n"),
            ("_own.star", "x = 1\n"),
            ("lib/b.star", "x = 1\n"),
            ("_own/c.star", "x = 1\n"),
            (".hidden/d.star", "wrong("),
            ("below/deeper/e.star", script),
            ("below/expected.toml", "[f]\nall = { ok = \"HS-1\" }\n"),
            ("below/f.star", script),
        ],
    );
    let names = |path: PathBuf| {
        let cases = select(&[path.display().to_string()], &stickler_catalogue::names()).unwrap();
        cases.iter().map(|case| (case.group.name.clone(), case.scenario.name().to_owned())).collect::<Vec<_>>()
    };
    let pair = |group: &str, name: &str| (group.to_owned(), name.to_owned());
    assert_eq!(names(folder.clone()), [pair("walk", "a"), pair("below", "f"), pair("deeper", "e")]);
    assert_eq!(names(folder.join("below")), [pair("below", "f"), pair("deeper", "e")]);
    // A file of this kind that is given as an argument is run as a scenario.
    assert_eq!(names(folder.join("lib.star")), [pair("walk", "lib")]);
    assert_eq!(names(folder.join("lib")), [pair("lib", "b")]);
    assert!(select(&[folder.join("_own").join("none").display().to_string()], &[]).is_err());
}
