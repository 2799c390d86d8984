//! Identity leaks are reported at once, behind a balancer of this project and behind one that somebody else runs.
#![expect(clippy::disallowed_methods, reason = "a real balancer is started, and waited for")]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::served::{Served, is_missing, status_and_body};

/// A real nginx that keeps connections to one server, and uses them for every client.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    fn start(server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, address) = (folder.path().display().to_string(), free());
        let configuration = format!(
            "daemon off;\nworker_processes 1;\npid {path}/pid;\nerror_log {path}/error.log;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path {path}/body;\nproxy_temp_path {path}/proxy;\nfastcgi_temp_path {path}/f;\n\
             uwsgi_temp_path {path}/u;\nscgi_temp_path {path}/s;\nupstream site {{ server {server}; keepalive 8; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://site; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; }} }}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(folder.path().join("error.log")).arg("-c").arg(&file);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { process, address, _folder: folder };
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        nginx
    }

    /// Returns the status of a request by the real curl.
    fn curl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args(arguments).arg(format!("http://{}/", self.address));
        status_and_body(command).0
    }

    /// Returns the status of a request that has only a query.
    fn get(&self, query: &str) -> String {
        let mut command = Command::new("curl");
        command.arg(format!("http://{}/{query}", self.address));
        status_and_body(command).0
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The workers end with their master, but only if that ends by itself.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// Returns an address on which nobody listens.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const ALICE: [&str; 3] = ["--ntlm", "-u", "CORP\\alice:Alice-Pa55word"];
const BOB: [&str; 2] = ["-H", "x-stickler-user: bob"];
const NOBODY: [&str; 2] = ["-H", "x-stickler-user: -"];

#[test]
fn bob_who_is_served_as_alice_by_a_real_nginx_is_told_of_at_once() {
    if is_missing(&["curl"]) || is_missing(&["nginx"]) {
        return;
    }
    let backend = free();
    let mut served = Served::start("l4-nat", 1, &["--servers", &backend.to_string()]);
    assert_eq!(served.servers, [format!("http://{backend}/")]);
    let nginx = Nginx::start(backend);
    assert_eq!(nginx.curl(&ALICE), "200");
    assert_eq!(nginx.curl(&[]), "200", "nobody knows who that was");
    assert_eq!(nginx.curl(&BOB), "200");
    // Nothing else was printed before, and the line is printed while the site is served.
    assert_eq!(served.line(), "LEAK: bob was served as alice (ID-1): iis1, connection 1, request 4");
    let evidence: Vec<String> = (0..5).map(|_| served.line()).collect();
    for (line, seen) in evidence.iter().zip([
        "accepts connection 1 from 127.0.0.1:",
        "request 2: answers a request without id with 200 0 0, processed as CORP\\alice",
        "request 4: receives no credentials",
        "request 4: the sender says that it is \"bob\"",
        "request 4: answers a request without id with 200 0 0, processed as CORP\\alice",
    ]) {
        assert!(line.contains(seen), "{line}");
    }
    assert_eq!(nginx.curl(&NOBODY), "200");
    assert_eq!(nginx.get("?x-stickler-user=carol"), "200", "as a browser says it");
    assert_eq!(nginx.get("?x-stickler-user=CORP%5Calice"), "200", "what is encoded is no name");
    let (code, rest) = served.interrupt();
    assert_eq!(code, Some(1));
    assert!(rest.starts_with("LEAK: somebody without credentials was served as alice (ID-2)"), "{rest}");
    let verdict = "users are mixed up, in 3 of 3 requests that said who sent them: somebody without credentials was served as alice, \
                   once; bob was served as alice, once; carol was served as alice, once\nstopped";
    assert!(rest.ends_with(verdict), "{rest}");
}

#[test]
fn who_is_kept_apart_is_not_accused_and_the_verdict_has_its_number() {
    if is_missing(&["curl"]) {
        return;
    }
    let served = Served::start("pin-on-401", 1, &[]);
    assert_eq!(served.alice(&["-H", "x-stickler-user: alice"]).0, "200");
    for name in [&BOB, &NOBODY] {
        assert_eq!(served.curl(name).0, "401");
    }
    let (code, rest) = served.interrupt();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.starts_with("inconclusive: no identity leak in 2 requests of 2 clients"), "{rest}");
    assert!(rest.ends_with("; 4 of 4 requests said who sent them\nstopped"), "{rest}");
}

#[test]
fn who_says_nothing_is_not_judged_and_who_says_wrong_is_not_believed() {
    if is_missing(&["curl"]) {
        return;
    }
    let served = Served::start("shared-pool", 1, &[]);
    assert_eq!(served.alice(&[]).0, "200");
    assert_eq!(served.curl(&[]).0, "200", "the leak that nobody can prove");
    let (code, rest) = served.interrupt();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.starts_with("no verdict: none of 3 requests said who sent it"), "{rest}");
    let served = Served::start("shared-pool", 1, &[]);
    assert_eq!(served.alice(&BOB).0, "200");
    assert_eq!(served.curl(&BOB).0, "200");
    let (code, rest) = served.interrupt();
    assert!(
        rest.starts_with("NOTE: a client that claims to be bob (x-stickler-user) has logged on as CORP\\alice"),
        "{rest}"
    );
    assert!(code == Some(0) && !rest.contains("LEAK"), "{rest}");
}

#[test]
fn programs_get_an_object_per_line() {
    if is_missing(&["curl"]) {
        return;
    }
    let [front_end, backend, dc, kdc] = [free(), free(), free(), free()];
    let port = |address: SocketAddr| address.port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickler"));
    command.args(["serve", "--format", "json", "--balancer", "shared-pool", "--site", "anonymous-after-user", "--log"]);
    command.args(["--port", &port(front_end), "--servers", &backend.to_string()]);
    command.args(["--dc-port", &port(dc), "--kdc-port", &port(kdc)]);
    let mut served = Served::of(command);
    let site: serde_json::Value = serde_json::from_str(&served.line()).unwrap();
    let site = &site["site"];
    assert_eq!(site["front_end"], format!("http://{front_end}/"));
    assert_eq!(
        site["servers"],
        serde_json::json!([{"name": "iis1", "url": format!("http://{backend}/")}]),
        "the scenario has one"
    );
    assert_eq!((&site["dc"], &site["kdc"]), (&dc.to_string().into(), &kdc.to_string().into()));
    served.url = format!("http://{front_end}/");
    served.alice(&[]);
    served.curl(&BOB);
    let (code, rest) = served.interrupt();
    assert_eq!(code, Some(1), "{rest}");
    let lines: Vec<serde_json::Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<&String> = lines.iter().flat_map(|line| line.as_object().unwrap().keys()).collect();
    assert_eq!(keys.iter().filter(|key| **key == "leak").count(), 1, "{rest}");
    assert!(keys.iter().any(|key| *key == "log"), "{rest}");
    let verdict = &lines.last().unwrap()["verdict"];
    assert_eq!((&verdict["conclusion"], &verdict["leaked"]), (&"leaks".into(), &1.into()), "{rest}");
}
