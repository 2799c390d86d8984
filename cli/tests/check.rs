//! Tests of `stickler check`: operators' own configurations over the real products. A product that is not installed is
//! left out, unless `STICKLER_REQUIRE_PEERS=1`.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "real processes are started and looked for")]

mod peers;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;
use tempfile::TempDir;

/// The haproxy.cfg that Debian ships, with a farm.
const HAPROXY: &str = "global
\tlog /dev/log\tlocal0
\tchroot /var/lib/haproxy
\tstats socket /run/haproxy/admin.sock mode 660 level admin expose-fd listeners
\tuser haproxy
\tgroup haproxy
\tdaemon

defaults
\tlog\tglobal
\tmode\thttp
\toption\thttplog
        timeout connect 5000
        timeout client  50000
        timeout server  50000

frontend www
    bind *:80
    default_backend iis

backend iis
    balance roundrobin
    server web1 10.0.0.11:80 check
    server web2 10.0.0.12:80 check
";

const NGINX: &str = "events {}
http {
    upstream iis {
        server 10.0.0.11:80;
        server 10.0.0.12:80;
        keepalive 16;
    }
    server {
        listen 80;
        location / {
            proxy_pass http://iis;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }
    }
}
";

/// A folder with a configuration, and one for temporary files beside it.
struct Place {
    folder: TempDir,
    file: &'static str,
}

impl Place {
    fn new(file: &'static str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder, file }
    }

    /// Returns the command that checks the file.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
        command.arg("check").arg(self.file).args(arguments).current_dir(self.folder.path());
        command.env("TMPDIR", self.folder.path().join("tmp")).env("NO_COLOR", "1");
        command
    }

    /// Runs the command, and asserts that none of its temporary files is left.
    fn check(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(fs::read_dir(self.folder.path().join("tmp")).unwrap().count(), 0, "run folders are removed");
        output
    }

    /// Runs the command, and returns its document and its exit code.
    fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.check(&[&["--format", "json"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")),
            output.status.code().unwrap(),
        )
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Returns whether a product is installed. If it is missing and required, the test fails.
fn has(program: &str) -> bool {
    peers::needed(program).is_some()
}

/// Returns the requirements that are violated according to a judgement.
fn violated(judgement: &Value) -> Vec<&str> {
    let requirements = judgement["requirements"].as_array().unwrap().iter();
    requirements.filter(|one| one["violated"] != 0).map(|one| one["id"].as_str().unwrap()).collect()
}

#[test]
fn a_stock_haproxy_leaks_by_tickets_that_are_sent_at_once_and_one_line_cures_it() {
    if !has("haproxy") {
        return;
    }
    let place = Place::new("haproxy.cfg", HAPROXY);
    let (document, code) = place.json(&["--write", "fixed.cfg"]);
    let site = &document["sites"][0];
    assert_eq!(code, 1, "{document}");
    assert!(violated(&site["real"]).contains(&"ID-1"), "{}", site["real"]);
    assert!(!violated(&site["real"]).contains(&"HS-1"), "users can log on: {}", site["real"]);
    let remedy = &site["remedies"][0];
    assert_eq!((&remedy["cures"], &remedy["cost"]), (&true.into(), &Value::Array(Vec::new())), "{remedy}");
    let fixed = fs::read_to_string(place.folder.path().join("fixed.cfg")).unwrap();
    assert_eq!(fixed, HAPROXY.replace("backend iis\n    balance", "backend iis\n    http-reuse never\n    balance"));
}

#[test]
fn an_nginx_that_keeps_connections_serves_one_user_as_another_and_a_stream_cures_it() {
    if !has("nginx") {
        return;
    }
    let (document, code) = Place::new("nginx.conf", NGINX).json(&[]);
    let site = &document["sites"][0];
    assert_eq!(code, 1, "{document}");
    assert!(violated(&site["real"]).contains(&"ID-1"), "{}", site["real"]);
    let remedy = &site["remedies"][0];
    assert!(remedy["diff"].as_str().unwrap().contains("+stream {"), "{remedy}");
    assert_eq!(remedy["cures"], true, "{remedy}");
}

#[test]
fn a_sound_configuration_is_clean_and_says_in_how_many_requests() {
    if !has("haproxy") {
        return;
    }
    let sound = HAPROXY.replace("backend iis\n", "backend iis\n    http-reuse never\n");
    let output = Place::new("haproxy.cfg", &sound).check(&[]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("The real product: CLEAN") && said.contains("would be missed with p ="), "{said}");
}

#[test]
fn only_reading_starts_nothing_and_is_never_well_where_something_was_not_read() {
    let unread = HAPROXY
        .replace("balance roundrobin", "balance rdp-cookie")
        .replace("backend iis\n", "backend iis\n    http-reuse never\n");
    let output = Place::new("haproxy.cfg", &unread).check(&["--static"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.lines().next().unwrap().contains("Nothing was run"), "{text}");
    let expected = "    haproxy.cfg:24:5: [why]\n         |\n      24 |     balance rdp-cookie\n         |     ^^^^^^^^^^^^^^^^^^\n";
    let (before, after) = expected.split_once("[why]").unwrap();
    assert!(
        text.contains(before) && text.contains(after) && text.contains("which requests have this parameter"),
        "{text}"
    );
    let read = unread.replace("balance rdp-cookie", "balance leastconn");
    assert_eq!(Place::new("haproxy.cfg", &read).check(&["--static"]).status.code(), Some(0));
    assert_eq!(Place::new("haproxy.cfg", HAPROXY).check(&["--static"]).status.code(), Some(1));
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    for (file, text, arguments, code, expected) in [
        ("haproxy.cfg", "frontend\n", &[][..], 2, "haproxy.cfg:1:1: a frontend needs a name"),
        (
            "nginx.conf",
            "events {}\nhttp {\n  include nginx.conf;\n}\n",
            &[][..],
            2,
            "nginx.conf:3:3: nginx.conf includes itself",
        ),
        (
            "nginx.conf",
            "events {}\nhttp {\n  include none.conf;\n}\n",
            &["--static"][..],
            2,
            "nginx.conf:3:3: none.conf: ",
        ),
        ("nginx.conf", "events {}\nhttp {\n", &[][..], 2, "nginx.conf:3:1: a `}` is missing"),
        ("x.cfg", "nothing that is known\n", &[][..], 2, "the product cannot be determined: name it with --product"),
        ("haproxy.cfg", "defaults\n  mode http\n", &[][..], 3, "it has no site"),
        (
            "haproxy.cfg",
            HAPROXY,
            &["--site", "nobody"][..],
            3,
            "there is no site with this name; there are: backend iis, behind frontend www",
        ),
    ] {
        let output = Place::new(file, text).check(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_product_that_refuses_the_file_is_quoted() {
    if !has("haproxy") {
        return;
    }
    let refused = HAPROXY.replace("balance roundrobin", "balance by-chance");
    let output = Place::new("haproxy.cfg", &refused).check(&[]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("parsing [haproxy.cfg:22] : balance only supports"), "{said}");
}

/// Creates a folder with two configuration files, and files that HAProxy ignores in a folder.
fn folder(second: &str) -> Place {
    let (first, _) = HAPROXY.split_once("frontend www").unwrap();
    let place = Place::new("conf.d/10-defaults.cfg", first);
    for (name, text) in [("20-site.cfg", second), (".hidden.cfg", "nonsense\n"), ("notes.txt", "nonsense\n")] {
        fs::write(place.folder.path().join("conf.d").join(name), text).unwrap();
    }
    place
}

#[test]
fn a_folder_of_haproxys_is_one_configuration_and_each_line_has_its_file() {
    let (_, second) = HAPROXY.split_once("frontend www").unwrap();
    let second = format!("frontend www{second}");
    let mut place = folder(&second);
    let first = std::mem::replace(&mut place.file, "conf.d");
    let (document, code) = place.json(&["--static"]);
    assert_eq!(code, 1, "{document}");
    let facts = document["sites"][0]["facts"].as_array().unwrap();
    let at = |key: &str| facts.iter().find(|fact| fact["key"] == key).map(|fact| fact["at"].clone());
    let range = |file: &str, line: u32, (column, end): (u32, u32)| {
        Some(serde_json::json!({ "file": file, "line": line, "column": column, "end_line": line, "end_column": end }))
    };
    assert_eq!(at("client_idle"), range("conf.d/10-defaults.cfg", 14, (9, 30)), "{facts:#?}");
    assert_eq!(at("check.interval"), range("conf.d/20-site.cfg", 7, (5, 35)), "{facts:#?}");
    // These are the same files, given by their names and in the wrong order.
    place.file = first;
    assert_eq!(place.json(&["--static", "conf.d/20-site.cfg"]).1, 1);
    place.file = "conf.d/20-site.cfg";
    let (document, _) = place.json(&["--static", first]);
    assert_eq!(document["sites"][0]["like"], "haproxy-tcp", "no defaults stand above: {document}");
}

#[test]
fn several_files_of_another_product_are_refused() {
    let place = Place::new("nginx.conf", NGINX);
    let output = place.check(&["--static", "nginx.conf"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("HAProxy alone reads several files"), "{}", said(&output));
}

#[test]
fn what_haproxy_refuses_in_one_of_several_files_has_its_place_there() {
    if !has("haproxy") {
        return;
    }
    let (_, second) = HAPROXY.split_once("frontend www").unwrap();
    let mut place = folder(&format!("frontend www{second}").replace("balance roundrobin", "balance by-chance"));
    place.file = "conf.d";
    let output = place.check(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("parsing [conf.d/20-site.cfg:6] : balance only"), "{}", said(&output));
}

/// A configuration of Envoy with a pool for each client's connection, and with hosts that take turns: the legs of a
/// handshake go to different hosts.
const ENVOY: &str = include_str!("../../advisor/tests/configurations/envoy/per-downstream-round-robin.yaml");

#[test]
fn a_farm_is_judged_with_as_many_servers_as_it_has() {
    let (head, rest) = ENVOY.split_once("      - priority: 1\n").unwrap();
    let (_, tail) = rest.split_once("  - name: other\n").unwrap();
    let two = format!("{head}  - name: other\n{tail}");
    let one: String = two.split_inclusive('\n').filter(|line| !line.contains("10.1.0.12")).collect();
    for (text, servers) in [(two, 2), (one, 1)] {
        let site = &Place::new("envoy.yaml", &text).json(&["--static"]).0["sites"][0];
        assert_eq!(site["servers"], servers);
        let simulated = &site["simulated"];
        assert_eq!(violated(simulated).contains(&"HS-2"), servers > 1, "{simulated}");
        assert_eq!(violated(simulated).is_empty(), servers == 1, "{simulated}");
        let tested: Vec<&Value> = simulated["requirements"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert!(["HS-4", "HS-5", "ID-1"].iter().all(|id| tested.contains(&&Value::from(*id))), "{tested:?}");
        assert_eq!(simulated["not_performed"], Value::Array(Vec::new()));
    }
}

#[test]
fn a_file_of_thousands_of_lines_is_read() {
    let mut text = HAPROXY.to_owned();
    for number in 0..2_000 {
        let (high, low) = (number / 250, number % 250);
        writeln!(text, "backend farm{number}\n    balance leastconn\n    server s 10.1.{high}.{low}:80").unwrap();
    }
    let (document, code) = Place::new("haproxy.cfg", &text).json(&["--static"]);
    assert_eq!((code, document["sites"].as_array().unwrap().len()), (1, 1));
}

/// A HAProxy that an operator runs, and that is ended with the test.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_haproxy_that_runs_with_the_same_file_keeps_its_socket_its_pid_file_and_its_traffic() {
    if !has("haproxy") {
        return;
    }
    let place = Place::new("haproxy.cfg", "");
    let own = place.folder.path();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let socket = own.join("admin.sock");
    let text = format!(
        "global\n    stats socket {} level admin\n    pidfile {}\ndefaults\n    mode http\n    timeout connect 1s\n    timeout client 9s\n    timeout server 9s\n\
         listen site\n    bind 127.0.0.1:{port}\n    http-reuse never\n    monitor-uri /alive\n    server a 127.0.0.1:1\n",
        socket.display(),
        own.join("haproxy.pid").display()
    );
    fs::write(own.join("haproxy.cfg"), text).unwrap();
    fs::write(own.join("haproxy.pid"), "4711\n").unwrap();
    let started = Command::new("/usr/sbin/haproxy")
        .args(["-db", "-f"])
        .arg(own.join("haproxy.cfg"))
        .stderr(Stdio::null())
        .spawn();
    let beside = Beside(started.unwrap());
    let is_alive = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /alive HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains(" 200 ").then_some(())
    };
    let until = Instant::now() + Duration::from_secs(10);
    while is_alive().is_none() {
        assert!(Instant::now() < until, "it starts");
        thread::sleep(Duration::from_millis(20));
    }
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(&socket);
    let output = place.check(&["--no-namespace"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(is_alive(), Some(()), "its traffic passes");
    assert_eq!(inode(&socket), before, "its socket is the same");
    assert_eq!(fs::read_to_string(own.join("haproxy.pid")).unwrap(), "4711\n");
    drop(beside);
}
