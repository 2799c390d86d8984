//! The workspace keeps its architecture: dependencies go to lower levels only, pure crates stay pure, and there is one
//! binary (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The level of each folder; a crate may depend on crates of lower levels only.
const LEVELS: [(&str, u8); 25] = [
    ("model", 0),
    ("net", 0),
    ("auth", 0),
    ("tls", 1),
    ("http1", 1),
    ("oracle", 1),
    ("lb-core", 1),
    ("netlogon", 1),
    ("mock-client", 2),
    ("mock-dc", 2),
    ("mock-iis", 2),
    ("lb-proxy", 2),
    ("catalogue", 2),
    ("runner", 2),
    ("site", 3),
    ("hunt", 3),
    ("advisor", 3),
    ("wire", 4),
    ("sim", 4),
    ("report", 5),
    ("scenarios", 5),
    ("benches", 6),
    ("conformance", 6),
    ("cli", 6),
    ("example-balancer", 7),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("cli/ lies in the workspace").to_owned()
}

fn manifest(path: &Path) -> toml::Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the dependencies that are part of the product, by folder.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let workspace = manifest(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().expect("members are a list");
    members
        .iter()
        .map(|member| {
            let folder = member.as_str().expect("a member is a folder").to_owned();
            let table = manifest(&root().join(&folder).join("Cargo.toml"));
            let names = table
                .get("dependencies")
                .and_then(toml::Value::as_table)
                .map_or_else(Vec::new, |t| t.keys().cloned().collect());
            (folder, names)
        })
        .collect()
}

fn own(dependency: &str) -> Option<&str> {
    dependency.strip_prefix("stickler-")
}

#[test]
fn arrows_go_down_only() {
    let levels: BTreeMap<_, _> = LEVELS.into_iter().collect();
    for (folder, names) in dependencies() {
        let level = levels
            .get(folder.as_str())
            .unwrap_or_else(|| panic!("{folder} has no level: add it here and to ARCHITECTURE.md"));
        for below in names.iter().filter_map(|name| own(name)) {
            assert!(levels[below] < *level, "{folder} must not depend on {below}");
        }
    }
}

/// The crates that a crate of decisions must not reach, not even through its dependencies: runtimes, sockets, HTTP
/// machinery, TLS, clocks and sources of randomness.
const IMPURE: [&str; 18] = [
    "chrono",
    "getrandom",
    "h2",
    "hyper",
    "hyper-util",
    "jiff",
    "mio",
    "rand",
    "ring",
    "rustls",
    "socket2",
    "stickler-lb-proxy",
    "stickler-net",
    "stickler-tls",
    "time",
    "tokio",
    "tokio-rustls",
    "turmoil-net",
];

/// Returns every package from which this folder's crate is built, including itself, as cargo resolves them for this
/// crate alone.
fn closure(folder: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let package = format!("stickler-{folder}");
    let tree = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", &package])
        .current_dir(root())
        .output()
        .expect("cargo, which built this test, can be started");
    assert!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("names of packages are ASCII");
    let names: BTreeSet<String> = text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.contains(&package), "cargo tree names {package} itself");
    names
}

#[test]
fn pure_crates_reach_no_runtime_socket_clock_or_tls() {
    for folder in ["auth", "oracle", "model", "lb-core", "catalogue"] {
        let reached = closure(folder);
        for banned in IMPURE {
            assert!(!reached.contains(banned), "{folder} is pure: it must not reach {banned}");
        }
    }
    assert!(closure("site").contains("mio"), "the tree is read to its depths");
}

/// The author of a balancer can build the conformance suite without the script language.
#[test]
fn the_conformance_suite_is_built_without_starlark() {
    let reached = closure("conformance");
    assert!(!reached.contains("starlark"), "the suite plays recorded plans");
    assert!(reached.len() <= 200, "the suite is built from {} packages", reached.len());
}

#[test]
fn who_wants_a_network_gets_no_tls() {
    let reached = closure("net");
    for banned in ["rustls", "ring", "p256", "rcgen", "x25519-dalek"] {
        assert!(!reached.contains(banned), "net must not reach {banned}: TLS is a crate of its own");
    }
}

#[test]
fn a_balancer_sees_headers_and_no_secrets() {
    for folder in ["lb-core", "lb-proxy", "catalogue"] {
        for name in &dependencies()[folder] {
            let allowed = ["lb-core", "model", "net", "tls"];
            assert!(own(name).is_none_or(|own| allowed.contains(&own)), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn the_oracle_sees_traces_alone() {
    let all = dependencies();
    assert_eq!(all["oracle"].iter().filter_map(|name| own(name)).collect::<Vec<_>>(), ["model"]);
}

#[test]
fn the_arms_do_not_see_each_other() {
    let all = dependencies();
    assert!(!all["sim"].contains(&"stickler-wire".to_owned()));
    assert!(!all["wire"].contains(&"stickler-sim".to_owned()));
}

#[test]
fn the_workspace_has_one_binary_and_no_default_members() {
    let workspace = manifest(&root().join("Cargo.toml"));
    assert!(workspace["workspace"].get("default-members").is_none());
    let binaries: Vec<String> = dependencies()
        .into_keys()
        .filter(|folder| {
            let table = manifest(&root().join(folder).join("Cargo.toml"));
            table.contains_key("bin")
                || root().join(folder).join("src/main.rs").exists()
                || root().join(folder).join("src/bin").exists()
        })
        .collect();
    assert_eq!(binaries, ["cli"]);
}

#[test]
fn the_lints_ban_clocks_rngs_and_sockets() {
    let lints = std::fs::read_to_string(root().join("clippy.toml")).expect("clippy.toml is there");
    for banned in [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "tokio::spawn",
        "tokio::net::TcpStream",
        "std::hash::RandomState",
        "HashMap::iter",
    ] {
        assert!(lints.contains(banned), "clippy.toml must ban {banned}");
    }
}

/// The decision halves of crates that also have a shell contain no task, no socket and no clock. Crates without a shell
/// are proven by their dependencies, above.
#[test]
fn decision_halves_do_no_io() {
    for path in DECISION_HALVES {
        let path = root().join(path);
        for file in rust_files(&path) {
            let text = std::fs::read_to_string(&file).expect("a source file is readable");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for banned in ["tokio::", "hyper::", "stickler_net", "async fn", ".await"] {
                assert!(!code.contains(banned), "{} is a decision half: it must not use {banned}", file.display());
            }
        }
    }
}

/// The files or folders that contain decisions only, in crates that reach a runtime.
const DECISION_HALVES: [&str; 11] = [
    "mock-client/src/agent",
    "mock-client/src/profile.rs",
    "mock-dc/src/account.rs",
    "mock-dc/src/directory.rs",
    "mock-iis/src/app.rs",
    "mock-iis/src/authn",
    "mock-iis/src/codes.rs",
    "mock-iis/src/credentials.rs",
    "mock-iis/src/log.rs",
    "mock-iis/src/sam.rs",
    "report/src",
];

/// The folders of one crate whose files use each other in one direction only.
const WITHOUT_CIRCLES: [&str; 1] = ["lb-proxy/src/proxy"];

#[test]
fn files_use_each_other_in_one_direction() {
    for folder in WITHOUT_CIRCLES {
        let uses: BTreeMap<String, BTreeSet<String>> = rust_files(&root().join(folder))
            .into_iter()
            .map(|file| {
                let text = std::fs::read_to_string(&file).expect("a source file is readable");
                (stem(&file), siblings(&text))
            })
            .collect();
        // A file that uses only files that are left out can be left out itself; a circle never can.
        let mut left = uses.clone();
        loop {
            let done: Vec<String> = left
                .iter()
                .filter(|(_, uses)| !uses.iter().any(|used| left.contains_key(used)))
                .map(|(name, _)| name.clone())
                .collect();
            if done.is_empty() {
                break;
            }
            left.retain(|name, _| !done.contains(name));
        }
        assert!(left.is_empty(), "{folder}: these files form a circle, or depend on one: {:?}", left.keys());
        assert!(uses.values().any(|uses| !uses.is_empty()), "{folder}: the imports were read");
    }
}

fn stem(file: &Path) -> String {
    file.file_stem().and_then(|stem| stem.to_str()).expect("source files have ASCII names").to_owned()
}

/// Returns the sibling files from which a file imports: `use super::name::...`, `use super::{name, ...}`; and `mod` for
/// the folder's own items, which are in `mod.rs`.
fn siblings(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    // A `self::` in `mod.rs` is a `super::` in its files.
    for import in code.replace("self::", "super::").split("super::").skip(1) {
        let list = import.strip_prefix('{').and_then(|list| list.split('}').next()).unwrap_or(import);
        let names = if list.len() == import.len() { vec![list] } else { list.split(',').collect() };
        for name in names {
            let name: String = name.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_file = name.starts_with(|c: char| c.is_ascii_lowercase());
            found.insert(if is_file { name } else { "mod".to_owned() });
        }
    }
    found
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<PathBuf> =
        entries.flat_map(|entry| rust_files(&entry.expect("a folder is readable").path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// A plan is performed, judged and recorded without the script language.
#[test]
fn the_runner_does_not_know_starlark() {
    assert!(closure("runner").iter().all(|package| !package.starts_with("starlark")));
    assert!(closure("scenarios").iter().any(|package| package == "starlark"), "the name is still the right one");
}

#[test]
fn the_list_of_public_crates_is_that_of_the_manifests() {
    let workspace = manifest(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().expect("members are a list");
    let is_public = |package: &toml::Value| package.get("publish").and_then(toml::Value::as_bool).unwrap_or(true);
    let packages = members.iter().map(|member| {
        let folder = member.as_str().expect("a member is a folder");
        manifest(&root().join(folder).join("Cargo.toml"))["package"].clone()
    });
    let public: BTreeSet<String> = packages
        .filter(is_public)
        .map(|package| {
            assert!(package.get("description").is_some(), "{package}");
            package["name"].as_str().expect("a name is a text").to_owned()
        })
        .collect();
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("there is the document");
    let section = text.split("### The crates that are public").nth(1).and_then(|rest| rest.split("\n### ").next());
    let names = section.expect("there is the section").split('`');
    let listed: BTreeSet<String> =
        names.filter(|name| *name == "stickler" || name.starts_with("stickler-")).map(str::to_owned).collect();
    assert_eq!(listed, public);
}
