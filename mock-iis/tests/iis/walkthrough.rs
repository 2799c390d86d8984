//! Tests of the log in the form that operators know.

use std::sync::Arc;

use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_mock_iis::WebSite;
use stickler_mock_iis::codes::LogCodes;
use stickler_mock_iis::log::Entry;
use stickler_model::topology::IisVersion;

use crate::bench::{Bench, Http, Lines, authorization, domain};

/// Returns the log of the requests that `drive` makes to a server of this version.
async fn log_of(version: IisVersion, drive: impl AsyncFnOnce(&mut Http)) -> String {
    let lines = Lines::default();
    let sink = lines.clone();
    let log = Arc::new(move |entry: &Entry| {
        // The operating system chooses the ports.
        let server = ([10, 0, 0, 1], 80).into();
        sink.push(Entry { server, ..entry.clone() }.to_string());
    });
    let change = |site: WebSite| site.with_auth(|auth| auth.codes = LogCodes::of(version)).with_log(log);
    let bench = Bench::with(domain(Some(2)), change).await;
    drive(&mut bench.connect().await).await;
    lines.text()
}

/// Returns `cs-username sc-status sc-substatus sc-win32-status` of each line.
fn columns(log: &str) -> String {
    let pick = |line: &str| {
        let columns: Vec<_> = line.split(' ').collect();
        [&columns[7..8], &columns[10..13]].concat().join(" ")
    };
    log.lines().map(pick).collect::<Vec<_>>().join("\n")
}

async fn alice(http: &mut Http) {
    http.get("").await;
    http.login("alice", "alice-pw").await;
    http.request("GET", "/page?a=b", "", b"").await;
}

#[tokio::test]
async fn the_log_of_iis_6_is_that_of_the_walk_through() {
    insta::assert_snapshot!(log_of(IisVersion::Iis6, alice).await, @r"
    2023-11-14 22:13:20 10.0.0.1 GET / - 80 - 127.0.0.1 raw+1.0 401 2 2148074254 0
    2023-11-14 22:13:20 10.0.0.1 GET / - 80 - 127.0.0.1 raw+1.0 401 1 0 0
    2023-11-14 22:13:20 10.0.0.1 GET / - 80 CORP\alice 127.0.0.1 raw+1.0 200 0 0 0
    2023-11-14 22:13:20 10.0.0.1 GET /page a=b 80 CORP\alice 127.0.0.1 raw+1.0 200 0 0 0
    ");
}

#[tokio::test]
async fn the_log_of_iis_10_has_its_own_codes() {
    insta::assert_snapshot!(log_of(IisVersion::Iis10, alice).await, @r"
    2023-11-14 22:13:20 10.0.0.1 GET / - 80 - 127.0.0.1 raw+1.0 401 2 5 0
    2023-11-14 22:13:20 10.0.0.1 GET / - 80 - 127.0.0.1 raw+1.0 401 1 2148074254 0
    2023-11-14 22:13:20 10.0.0.1 GET / - 80 CORP\alice 127.0.0.1 raw+1.0 200 0 0 0
    2023-11-14 22:13:20 10.0.0.1 GET /page a=b 80 CORP\alice 127.0.0.1 raw+1.0 200 0 0 0
    ");
}

#[tokio::test]
async fn what_goes_wrong_has_its_substatus_and_its_code() {
    async fn failures(http: &mut Http) {
        http.login("eve", "eve-pw").await;
        http.login("mallory", "x").await;
        http.login("alice", "guess").await;
        http.login("alice", "guess").await;
        http.login("alice", "alice-pw").await;
        http.login_as("Negotiate", "ELSEWHERE", "alice", "alice-pw", NtlmProfile::curl()).await;
        http.get(&authorization("NTLM", b"NTLMSSP\0\x03\0\0\0")).await;
        http.get(&authorization("Negotiate", b"\x60\x82\x01\x00")).await;
        http.get("Authorization: NTLM !\r\n").await;
        http.get("Authorization: Basic YTpi\r\n").await;
    }
    insta::assert_snapshot!(columns(&log_of(IisVersion::Iis6, failures).await), @r"
    - 401 1 0
    CORP\eve 401 3 5
    - 401 1 0
    - 401 1 1326
    - 401 1 0
    - 401 1 1326
    - 401 1 0
    - 401 1 1326
    - 401 1 0
    - 401 1 1909
    - 401 1 0
    - 401 1 1326
    - 401 1 2148074248
    - 401 1 2148074248
    - 401 1 2148074248
    - 401 2 2148074254
    ");
    insta::assert_snapshot!(columns(&log_of(IisVersion::Iis10, failures).await), @r"
    - 401 1 2148074254
    CORP\eve 401 3 5
    - 401 1 2148074254
    - 401 1 2148074252
    - 401 1 2148074254
    - 401 1 2148074252
    - 401 1 2148074254
    - 401 1 2148074252
    - 401 1 2148074254
    - 401 1 1909
    - 401 1 2148074254
    - 401 1 2148074252
    - 401 1 2148074248
    - 401 1 2148074248
    - 401 1 2148074248
    - 401 2 5
    ");
}
