//! Uploads by the real curl, of each kind: with a length, in chunks, after `100 Continue`, at a limited rate, and
//! refused early.

use std::io::Write as _;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::served::{Served, is_missing};

/// The result of an upload by curl.
#[derive(Debug)]
struct Uploaded {
    status: String,
    /// The number of bytes of the last body that curl sent.
    sent: u64,
    seconds: f64,
    /// The heads and bodies that curl received.
    text: String,
}

fn file(length: usize) -> NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&vec![b'x'; length]).expect("it takes the bytes");
    file
}

fn upload(url: &str, arguments: &[&str]) -> Uploaded {
    let written = "\n%{http_code} %{size_upload} %{time_total}";
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--noproxy", "*", "--max-time", "60", "--include", "--write-out", written]);
    let output = curl.args(arguments).arg(format!("{url}path")).output().expect("curl starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, last) = text.rsplit_once('\n').expect("curl writes that last");
    let numbers: Vec<&str> = last.split(' ').collect();
    let [status, sent, seconds] = numbers[..] else { panic!("{last}") };
    let (status, text) = (status.to_owned(), text.to_owned());
    Uploaded { status, sent: sent.parse().expect("bytes"), seconds: seconds.parse().expect("seconds"), text }
}

#[test]
fn each_kind_of_upload_arrives_whole_directly_and_through_what_keeps_a_connection() {
    if is_missing(&["curl"]) {
        return;
    }
    let (small, large) = (file(300_000), file(1_500_000));
    let data = |file: &NamedTempFile| format!("@{}", file.path().display());
    let (post, post_large) = (data(&small), data(&large));
    let put = small.path().display().to_string();
    let kinds: [(&str, &[&str], u64); 7] = [
        ("a length", &["--data-binary", &post], 300_000),
        ("a length, by PUT", &["--upload-file", &put], 300_000),
        ("curl's own Expect", &["--data-binary", &post_large], 1_500_000),
        ("Expect", &["--data-binary", &post, "--header", "Expect: 100-continue"], 300_000),
        ("no Expect", &["--data-binary", &post_large, "--header", "Expect:"], 1_500_000),
        ("chunks", &["--data-binary", &post, "--header", "Transfer-Encoding: chunked"], 300_000),
        ("a limited rate", &["--data-binary", &post, "--limit-rate", "300K"], 300_000),
    ];
    for balancer in ["l4-nat", "pin-on-401"] {
        let served = Served::start(balancer, 1, &[]);
        for (kind, arguments, length) in kinds {
            for url in [&served.url, &served.servers[0]] {
                let arguments = [&["--ntlm", "-u", "CORP\\alice:Alice-Pa55word"], arguments].concat();
                let uploaded = upload(url, &arguments);
                assert_eq!(uploaded.status, "200", "{balancer}, {kind}: {uploaded:?}");
                let whole = format!(r#""length":{length},"#);
                assert!(uploaded.text.contains(&whole), "{balancer}, {kind}: {uploaded:?}");
                // The client does not wait for a 100 that never arrives.
                assert!(kind != "Expect" || uploaded.seconds < 0.9, "{balancer}, {kind}: {uploaded:?}");
            }
        }
    }
}

#[test]
fn an_upload_of_nobody_is_refused_from_its_head_and_curl_stops() {
    if is_missing(&["curl"]) {
        return;
    }
    let large = file(3_000_000);
    let data = format!("@{}", large.path().display());
    for balancer in ["l4-nat", "pin-on-401"] {
        let served = Served::start(balancer, 1, &["--provider", "NTLM"]);
        for url in [&served.url, &served.servers[0]] {
            let slow = upload(url, &["--data-binary", &data, "--limit-rate", "100K", "--header", "Expect:"]);
            assert_eq!(slow.status, "401", "{balancer}: {slow:?}");
            assert!(slow.sent < 3_000_000 && slow.seconds < 20.0, "{balancer}: {slow:?}");
        }
        // The server does not ask for a body that it refuses. A balancer in HTTP may ask before it knows.
        for url in [Some(&served.servers[0]), Some(&served.url).filter(|_| balancer == "l4-nat")].into_iter().flatten()
        {
            let waits = upload(url, &["--data-binary", &data, "--expect100-timeout", "30"]);
            assert_eq!((waits.status.as_str(), waits.sent), ("401", 0), "{balancer}: {waits:?}");
            assert!(!waits.text.contains("100 Continue") && waits.seconds < 20.0, "{balancer}: {waits:?}");
            // The fields of IIS, in its order and spelling.
            let fields =
                "Content-Type: text/html\r\nServer: Microsoft-IIS/10.0\r\nWWW-Authenticate: NTLM\r\nX-Powered-By: ";
            assert!(waits.text.contains(fields), "{waits:?}");
        }
    }
}
