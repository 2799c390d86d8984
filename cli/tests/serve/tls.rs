//! Tests of curl over TLS, with passthrough and with termination at the balancer.

use std::process::Command;

use crate::kerberos::{Realm, assert_alice};
use crate::served::{Served, is_missing};

/// The paths through a balancer: the balancer, and the TLS that it uses towards the servers.
const WAYS: [(&str, &str); 4] =
    [("l4-nat", "own"), ("pin-on-401", "own"), ("pin-on-401", "same"), ("pin-on-401", "plain")];

/// Starts a site with TLS and a KDC.
fn realm(balancer: &str, servers: u32, upstream: &str, more: &[&str]) -> Option<Realm> {
    Realm::of(|conf| Served::secure(balancer, servers, upstream, &[conf, more].concat()))
}

/// Returns the exit code of curl and its whole output.
fn verbose(served: &Served, arguments: &[&str], trusts: &Served) -> (Option<i32>, String) {
    let mut curl = Command::new("curl");
    trusts.introduce(&mut curl);
    curl.args(["--silent", "--verbose", "--noproxy", "*", "--max-time", "20"]).args(arguments).arg(&served.url);
    let output = curl.output().expect("curl starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn curl_logs_on_with_a_password_whether_tls_is_passed_on_or_ended() {
    if is_missing(&["curl"]) {
        return;
    }
    for way @ (balancer, upstream) in WAYS {
        let served = Served::secure(balancer, 2, upstream, &[]);
        assert_alice(served.alice(&[]), &format!("{way:?}"));
        let (status, body) = served.alice(&["--data-binary", "a body of 24 bytes here."]);
        assert!(status == "200" && body.contains(r#""length":24"#), "{way:?}: {body}");
        assert_eq!(served.curl(&[]).0, "401", "{way:?}: nobody's credentials");
        assert_eq!(served.curl(&["--ntlm", "-u", "CORP\\alice:wrong"]).0, "401", "{way:?}: a wrong password");
        let secure = served.servers.iter().filter(|url| url.starts_with("https://")).count();
        assert_eq!(secure, if upstream == "plain" { 0 } else { 2 }, "{way:?}");
    }
}

#[test]
fn curl_logs_on_with_a_ticket_whether_tls_is_passed_on_or_ended() {
    for way @ (balancer, upstream) in WAYS {
        let Some(realm) = realm(balancer, 2, upstream, &[]) else { return };
        assert_alice(realm.negotiate(&[]), &format!("{way:?}"));
    }
}

#[test]
fn the_servers_certificate_is_met_through_passthrough_and_the_sites_where_tls_ends() {
    if is_missing(&["curl"]) {
        return;
    }
    for (balancer, name) in [("l4-nat", "iis1"), ("pin-on-401", "localhost")] {
        let served = Served::secure(balancer, 1, "own", &[]);
        let (code, said) = verbose(&served, &[], &served);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("subject: CN={name}\n")), "{balancer}: {said}");
    }
}

#[test]
fn curl_refuses_a_site_of_an_authority_that_it_was_not_told_of() {
    if is_missing(&["curl"]) {
        return;
    }
    let stranger = Served::secure("l4-nat", 1, "own", &[]);
    for balancer in ["l4-nat", "pin-on-401"] {
        let served = Served::secure(balancer, 1, "own", &[]);
        let (code, said) = verbose(&served, &["--ntlm", "-u", "CORP\\alice:Alice-Pa55word"], &stranger);
        // The code is CURLE_PEER_FAILED_VERIFICATION.
        assert!(code == Some(60) && !said.contains("Authorization"), "{balancer}: {code:?} {said}");
    }
}

/// curl 7.88 sends no channel binding, so passthrough makes no difference to it.
#[test]
fn curl_gets_past_extended_protection_that_allows_tokens_without_a_binding_and_not_past_one_that_requires_it() {
    for (balancer, upstream) in [("l4-nat", "own"), ("pin-on-401", "own"), ("pin-on-401", "same")] {
        for (checking, status) in [("none", "200"), ("allow", "200"), ("require", "401")] {
            let Some(realm) = realm(balancer, 1, upstream, &["--token-checking", checking]) else { return };
            let got = (realm.served.alice(&[]).0, realm.negotiate(&[]).0);
            assert_eq!(got, (status.to_owned(), status.to_owned()), "{balancer}, {upstream}, {checking}");
        }
    }
}

/// If TLS ends in front of a server, the flag `Proxy` makes the server check the name of the service in the client's
/// token. curl's ticket contains one, and its NTLM messages do not.
#[test]
fn behind_termination_the_name_of_the_service_is_required_in_place_of_the_binding() {
    for (upstream, flags, ticket) in [
        ("plain", &["Proxy", "AllowDotlessSpn"][..], "200"),
        ("own", &["Proxy", "AllowDotlessSpn"], "200"),
        ("own", &["proxy"], "401"),
    ] {
        let flags: Vec<&str> = flags.iter().flat_map(|flag| ["--protection-flag", flag]).collect();
        let more = [&["--token-checking", "require"], flags.as_slice()].concat();
        let Some(realm) = realm("pin-on-401", 1, upstream, &more) else { return };
        assert_eq!((realm.negotiate(&[]).0.as_str(), realm.served.alice(&[]).0.as_str()), (ticket, "401"), "{more:?}");
    }
}

/// Returns the HTTP versions of the answers, with their status, in order.
fn answers(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("< HTTP/")).map(str::trim).collect()
}

/// A balancer passes the 401 on. A server that wants Windows authentication requires HTTP/1.1 at once (RFC 9113 7).
#[test]
fn an_anonymous_curl_gets_its_401_over_http_2_where_tls_ends_and_over_http_1_1_through_passthrough() {
    if is_missing(&["curl"]) {
        return;
    }
    for (balancer, upstream) in WAYS {
        let served = Served::secure(balancer, 1, upstream, &["--http2"]);
        let (code, said) = verbose(&served, &["--http2"], &served);
        let expected = if balancer == "l4-nat" { "1.1 401 Unauthorized" } else { "2 401" };
        assert_eq!((code, answers(&said)), (Some(0), vec![expected]), "{balancer}, {upstream}: {said}");
        assert_eq!(said.contains("HTTP_1_1_REQUIRED"), balancer == "l4-nat", "{balancer}: {said}");
        let (_, said) = verbose(&served, &["--http1.1"], &served);
        assert_eq!(answers(&said), ["1.1 401 Unauthorized"], "{balancer}, {upstream}: {said}");
    }
}

/// curl 7.88 sends its first leg over HTTP/2. It changes to HTTP/1.1 and begins again if it gets a challenge, and also
/// if the server requires HTTP/1.1.
#[test]
fn curl_asked_for_http_2_and_ntlm_falls_back_to_http_1_1_and_logs_on() {
    if is_missing(&["curl"]) {
        return;
    }
    for (balancer, upstream) in WAYS {
        let served = Served::secure(balancer, 1, upstream, &["--http2"]);
        let (code, said) = verbose(&served, &["--http2", "--ntlm", "-u", "CORP\\alice:Alice-Pa55word"], &served);
        let (first, why) = match balancer {
            "l4-nat" => (&[][..], "Downgrades to HTTP/1.1"),
            _ => (&["2 401"][..], "Forcing HTTP/1.1 for NTLM"),
        };
        let expected = [first, &["1.1 401 Unauthorized", "1.1 200 OK"]].concat();
        assert_eq!((code, answers(&said)), (Some(0), expected), "{balancer}, {upstream}: {said}");
        assert!(said.contains(why), "{balancer}, {upstream}: {said}");
    }
}

/// A ticket that is sent at once gets no 401 if TLS ends at the balancer. The client therefore stays on HTTP/2, and its
/// requests leak as over HTTP/1.1.
#[test]
fn curl_asked_for_http_2_keeps_it_with_a_ticket_where_tls_ends_and_not_through_passthrough() {
    for way @ (balancer, upstream) in WAYS {
        let Some(realm) = realm(balancer, 1, upstream, &["--http2"]) else { return };
        let (version, leaked) = if balancer == "l4-nat" { ("HTTP/1.1 200", "401") } else { ("HTTP/2 200", "200") };
        let answer = realm.negotiate(&["--http2", "--include"]);
        assert!(answer.1.starts_with(version), "{way:?}: {}", answer.1);
        assert_alice(answer, &format!("{way:?}"));
        let nobody = realm.served.curl(&["--http2"]);
        assert_eq!(nobody.0, leaked, "{way:?}: {}", nobody.1);
    }
}
