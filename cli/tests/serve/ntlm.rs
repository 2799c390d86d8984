//! Tests of `curl --ntlm`.

use crate::served::{Served, is_missing};

#[test]
fn curl_logs_on_through_what_keeps_a_connection() {
    if is_missing(&["curl"]) {
        return;
    }
    for balancer in ["l4-nat", "pin-on-401"] {
        let served = Served::start(balancer, 2, &[]);
        let (status, body) = served.alice(&[]);
        assert_eq!(status, "200", "{balancer}: {body}");
        assert!(body.contains(r#""user":"CORP\\alice""#), "{balancer}: {body}");
        let (status, body) = served.alice(&["--data-binary", "a body of 24 bytes here."]);
        assert_eq!(status, "200", "{balancer}: {body}");
        assert!(body.contains(r#""length":24"#), "{balancer}: {body}");
        assert_eq!(served.curl(&[]).0, "401", "{balancer}: nobody's credentials");
        assert_eq!(served.curl(&["--ntlm", "-u", "CORP\\alice:wrong"]).0, "401", "{balancer}: a wrong password");
    }
}

#[test]
fn a_workgroup_takes_its_servers_own_accounts() {
    if is_missing(&["curl"]) {
        return;
    }
    let served =
        Served::start("l4-nat", 1, &["--workgroup", "--account", "iis1/alice:Secret", "--account", "zoe:Zoe-1"]);
    let (status, body) = served.curl(&["--ntlm", "-u", "alice:Secret"]);
    assert!(status == "200" && body.contains(r#""user":"IIS1\\alice""#), "{status} {body}");
    let (status, body) = served.curl(&["--ntlm", "-u", "CORP\\zoe:Zoe-1"]);
    assert!(status == "200" && body.contains(r#""user":"IIS1\\zoe""#), "{status} {body}");
    assert_eq!(served.alice(&[]).0, "401", "that was her password");
}

#[test]
fn curl_fails_through_a_connection_for_each_request() {
    if is_missing(&["curl"]) {
        return;
    }
    assert_eq!(Served::start("close-per-request", 1, &[]).alice(&[]).0, "401");
}

#[test]
fn through_a_shared_pool_a_curl_without_credentials_is_served_as_alice() {
    if is_missing(&["curl"]) {
        return;
    }
    let served = Served::start("shared-pool", 1, &[]);
    assert_eq!(served.curl(&[]).0, "401", "before alice came");
    assert_eq!(served.alice(&[]).0, "200");
    let (status, body) = served.curl(&[]);
    assert_eq!(status, "200", "{body}");
    assert!(body.contains(r#""user":"CORP\\alice""#), "{body}");
}
