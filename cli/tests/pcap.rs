//! `--pcap` from a user's point of view, and the files as Wireshark's own dissectors (`tshark`) read them. Without
//! `tshark`, the tests that need it print a note and pass, unless `STICKLER_REQUIRE_PEERS=1`.

mod peers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The filter for bad packets: malformed ones, and those with a wrong checksum. `tshark` verifies checksums only if it
/// is told to.
const BAD: &str = "_ws.malformed || tcp.checksum.status == \"Bad\" || ip.checksum.status == \"Bad\"";

fn stickler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler")).args(arguments).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The packets of a scenario over a balancer, in a separate folder.
struct Captured {
    folder: tempfile::TempDir,
    trace: String,
}

impl Captured {
    fn of(scenario: &str, balancer: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("run.pcapng");
        let output = stickler(&[
            "run",
            scenario,
            "--balancer",
            balancer,
            "--format",
            "json",
            "--pcap",
            file.to_str().expect("it is UTF-8"),
        ]);
        let errors = text(&output.stderr);
        assert!(errors.contains(" packets in ") && file.exists(), "{errors}");
        Self { trace: hash(&output), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("run.pcapng")
    }

    fn keytab(&self) -> PathBuf {
        self.folder.path().join("run.pcapng.keytab")
    }

    /// Returns the fields of all packets that match the filter, one line for each packet.
    fn fields(&self, tshark: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
        let mut command = Command::new(tshark);
        command.arg("-r").arg(self.file()).arg("-K").arg(self.keytab()).args(["-Y", filter, "-T", "fields", "-Nn"]);
        let checks = ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "kerberos.decrypt:TRUE"];
        for preference in checks {
            command.args(["-o", preference]);
        }
        for field in fields {
            command.args(["-e", field]);
        }
        // The Wireshark profile of the user who runs the tests must not be used.
        let output = command.env("HOME", self.folder.path()).output().expect("tshark starts");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(ToOwned::to_owned).collect()
    }

    /// Returns the protocols of all packets, after a check that no packet is bad.
    fn protocols(&self, tshark: &Path) -> BTreeSet<String> {
        let bad = self.fields(tshark, BAD, &["frame.number", "frame.protocols", "_ws.col.Info"]);
        assert_eq!(bad, Vec::<String>::new());
        let lines = self.fields(tshark, "frame", &["frame.protocols"]);
        assert!(lines.len() > 20, "{lines:?}");
        lines.iter().flat_map(|line| line.split(':')).map(ToOwned::to_owned).collect()
    }
}

fn hash(output: &Output) -> String {
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("--format json is JSON");
    document["runs"][0]["trace_hash"].as_str().expect("the run has a trace").to_owned()
}

fn tshark() -> Option<PathBuf> {
    let found = peers::needed("tshark");
    if found.is_none() {
        eprintln!("skipped: tshark is not installed");
    }
    found
}

#[test]
fn a_capture_changes_nothing_and_is_the_same_each_time() {
    let (one, other) = (Captured::of("two-balancers", "pin-on-401"), Captured::of("two-balancers", "pin-on-401"));
    let without = stickler(&["run", "two-balancers", "--balancer", "pin-on-401", "--format", "json"]);
    assert_eq!(one.trace, hash(&without));
    assert_eq!(std::fs::read(one.file()).unwrap(), std::fs::read(other.file()).unwrap());
    assert_eq!(std::fs::read(one.keytab()).unwrap(), std::fs::read(other.keytab()).unwrap());
}

#[test]
fn ntlm_is_dissected_on_every_link_with_the_names_of_the_hosts() {
    let Some(tshark) = tshark() else { return };
    let captured = Captured::of("anonymous-after-user", "pin-on-401");
    let protocols = captured.protocols(&tshark);
    for protocol in ["ip", "tcp", "http", "ntlmssp"] {
        assert!(protocols.contains(protocol), "no {protocol} in {protocols:?}");
    }
    let types = captured.fields(&tshark, "ntlmssp", &["ntlmssp.messagetype"]);
    assert!(
        ["0x00000001", "0x00000002", "0x00000003"].iter().all(|kind| types.iter().any(|it| it == kind)),
        "{types:?}"
    );
    let users = captured.fields(&tshark, "ntlmssp.auth.username", &["ntlmssp.auth.username"]);
    assert!(users.iter().any(|user| user == "alice"), "{users:?}");
    let links: BTreeSet<String> = captured.fields(&tshark, "frame", &["frame.interface_name"]).into_iter().collect();
    let expected = ["dc - iis1", "lb - alice", "lb - iis1", "lb - mallory"].map(String::from);
    assert!(expected.iter().all(|link| links.contains(link)), "{links:?}");
    let hosts: BTreeSet<String> = captured.fields(&tshark, "ntlmssp", &["ip.src_host"]).into_iter().collect();
    assert!(["alice", "lb", "iis1"].iter().all(|host| hosts.contains(*host)), "{hosts:?}");
    // Wireshark examines the sequence numbers of the simulated kernels: lost packets and those out of order would show.
    let strange = "tcp.analysis.retransmission || tcp.analysis.lost_segment || tcp.analysis.out_of_order";
    assert_eq!(captured.fields(&tshark, strange, &["frame.number", "_ws.col.Info"]), Vec::<String>::new());
}

#[test]
fn kerberos_is_decrypted_by_the_keys_beside_the_file() {
    let Some(tshark) = tshark() else { return };
    let captured = Captured::of("one-shot", "haproxy-safe");
    let protocols = captured.protocols(&tshark);
    for protocol in ["kerberos", "spnego", "http", "gss-api"] {
        assert!(protocols.contains(protocol), "no {protocol} in {protocols:?}");
    }
    // The parts are a ticket as a server decrypts it, and the answer of the KDC as a client decrypts it.
    for (part, of) in [("kerberos.encTicketPart_element", "http"), ("kerberos.encASRepPart_element", "kerberos")] {
        assert!(!captured.fields(&tshark, &format!("{of} && {part}"), &["frame.number"]).is_empty(), "no {part}");
    }
}

#[test]
fn tls_is_decrypted_by_the_secrets_in_the_file() {
    let Some(tshark) = tshark() else { return };
    let captured = Captured::of("two-balancers", "pin-on-401");
    let protocols = captured.protocols(&tshark);
    assert!(protocols.contains("tls") && protocols.contains("ntlmssp"), "{protocols:?}");
    let links: BTreeSet<String> =
        captured.fields(&tshark, "tls && ntlmssp", &["frame.interface_name"]).into_iter().collect();
    let expected = ["front - alice", "front - lb", "lb - iis1"].map(String::from);
    assert!(expected.iter().all(|link| links.contains(link)), "{links:?}");
}

#[test]
fn a_packet_that_is_passed_on_is_there_on_either_link() {
    let Some(tshark) = tshark() else { return };
    let captured = Captured::of("anonymous-after-user", "l4-source");
    assert!(captured.protocols(&tshark).contains("ntlmssp"));
    let proofs = captured.fields(&tshark, "ntlmssp.messagetype == 3", &["ip.src_host", "ip.dst_host"]);
    assert_eq!(proofs, ["alice\tlb", "lb\tiis1"]);
}

#[test]
fn no_file_is_overwritten_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("run.pcapng");
    let file = file.to_str().expect("the folder's path is UTF-8");
    let run = ["run", "anonymous-after-user", "--balancer", "shared-pool", "--pcap", file];
    for theirs in [file.to_owned(), format!("{file}.keytab")] {
        std::fs::write(&theirs, "theirs").unwrap();
        let output = stickler(&run);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(&format!("{theirs} exists already")), "{}", text(&output.stderr));
        assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "theirs");
        std::fs::remove_file(&theirs).unwrap();
    }
    std::fs::write(file, "theirs").unwrap();
    let output = stickler(&[&run[..], &["--force"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(std::fs::read(file).unwrap().starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "it is no section header block");
}

#[test]
fn what_cannot_be_captured_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("run.pcapng");
    let file = file.to_str().expect("the folder's path is UTF-8");
    let refused = |arguments: &[&str], words: &str| {
        let output = stickler(&[arguments, &["--pcap", file]].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
        assert!(!Path::new(file).exists());
    };
    refused(
        &["run", "parity", "--balancer", "l4-nat", "--balancer", "l4-dsr"],
        "--pcap captures one run, but these are 2",
    );
    refused(&["run", "parity", "--balancer", "l4-nat", "--repeat", "3"], "these are 3");
    refused(&["run", "parity", "--balancer", "l4-nat", "--arm", "wire"], "tcpdump -i lo");
}

#[test]
fn a_recorded_run_is_captured_when_it_is_replayed() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().to_str().expect("the folder's path is UTF-8");
    let ran = Captured::of("anonymous-after-user", "shared-pool");
    stickler(&["run", "anonymous-after-user", "--balancer", "shared-pool", "--record", path]);
    let record = format!("{path}/anonymous-after-user/shared-pool/0.jsonl");
    let file = format!("{path}/again.pcapng");
    let output = stickler(&["replay", &record, "--pcap", &file]);
    assert!(text(&output.stdout).contains("equal, "), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(ran.file()).unwrap());
}
