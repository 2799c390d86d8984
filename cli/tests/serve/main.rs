//! Tests of `stickler serve` with the real curl: the verdicts are the same on real sockets.

mod bounds;
mod kerberos;
mod live;
mod ntlm;
mod served;
mod tls;
mod uploads;

use std::process::Command;

use served::{Served, is_missing};

#[test]
fn ctrl_c_ends_it_cleanly() {
    let (code, rest) = Served::start("pin-on-401", 2, &[]).interrupt();
    assert_eq!((code, rest.as_str()), (Some(0), "stopped"));
}

#[test]
fn a_name_that_addresses_the_terminal_is_shown_and_does_nothing() {
    if is_missing(&["curl"]) {
        return;
    }
    let served = Served::start("pin-on-401", 1, &["--transcript", "--log"]);
    let (status, _) = served.curl(&["--ntlm", "-u", "CORP\\\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}:x"]);
    assert_eq!(status, "401");
    let (_, rest) = served.interrupt();
    assert!(rest.contains("logon of CORP\\\\u{1b}]0;owned\\u{7}"), "{rest}");
    assert!(rest.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{rest:?}");
}

#[test]
fn a_profile_of_ones_own_is_served() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("served.toml");
    let one = |name: &str| format!("[[profile]]\nname = \"{name}\"\nextends = \"close-per-request\"\n");
    std::fs::write(&file, one("ours")).expect("the test's profile can be written");
    let path = file.to_str().expect("the test's path is UTF-8");
    let served = Served::start("ours", 1, &["--profile", path]);
    if !is_missing(&["curl"]) {
        let (status, _) = served.alice(&[]);
        assert_eq!(status, "401", "what closes between the legs lets nobody in");
    }
    assert_eq!(served.interrupt().0, Some(0));
    std::fs::write(&file, one("ours") + &one("other")).expect("and again");
    let output = Command::new(env!("CARGO_BIN_EXE_stickler")).args(["serve", "--profile", path]).output();
    let output = output.expect("the command starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && error.contains("--balancer has to select one of these: ours, other"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_is_said_and_ends_it() {
    for (arguments, said) in [
        (&["--krb5-conf", "/nowhere/krb5.conf"][..], "cannot write /nowhere/krb5.conf"),
        (&["--provider", "Basic"], "the providers are NTLM, Negotiate, Negotiate:Kerberos, Nego2"),
        (&["--balancer", "nothing"], "nothing"),
        (&["--tls", "--ca-file", "/nowhere/authority.pem"], "cannot write /nowhere/authority.pem"),
        (&["--tls", "--listen", "0.0.0.0"], "TLS is served only on loopback addresses, and 0.0.0.0 is not one"),
        (&["--account", "iis3/alice:x"], "there is no server `iis3`; there are: iis1, iis2"),
        (&["--account", "alice"], "an account is NAME:PASSWORD"),
        (&["--http2"], "--tls"),
        (&["--ca-file", "authority.pem"], "--tls"),
        (&["--site", "identity"], "`identity` has 7 scripts"),
        (&["--site", "crowd", "--iis", "1"], "--iis"),
        (
            &["--site", "crowd", "--servers", "127.0.0.1:1,127.0.0.1:2"],
            "--servers names 2 addresses, but the site has 1 servers",
        ),
        (&["--tls", "--servers", "0.0.0.0:0"], "TLS is served only on loopback addresses, and 0.0.0.0 is not one"),
        (&["--protection-flag", "proxy"], "--token-checking"),
        (
            &["--token-checking", "allow", "--protection-flag", "none"],
            "the flags are Proxy, NoServiceNameCheck, AllowDotlessSpn, ProxyCohosting",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stickler")).arg("serve").args(arguments).output();
        let output = output.expect("the command starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(said), "{output:?}");
    }
}
