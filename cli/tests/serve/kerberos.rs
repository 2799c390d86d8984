//! Tests of `kinit` and `curl --negotiate`, with the `krb5.conf` that the command writes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::served::{Served, is_missing, status_and_body};

const PROGRAMS: [&str; 2] = ["curl", "kinit"];
const ALICE: &str = r#""user":"CORP\\alice""#;

/// A site, and a directory with alice's tickets.
pub(crate) struct Realm {
    pub(crate) served: Served,
    desk: TempDir,
}

impl Realm {
    /// Starts a site, and logs alice on. Returns `None` if the programs are not installed.
    fn start(balancer: &str, servers: u32, more: &[&str]) -> Option<Self> {
        Self::of(|conf| Served::start(balancer, servers, &[conf, more].concat()))
    }

    /// Starts a site by `site`, which gets additional arguments, and logs alice on. Returns `None` if the programs are
    /// not installed.
    pub(crate) fn of(site: impl FnOnce(&[&str]) -> Served) -> Option<Self> {
        if is_missing(&PROGRAMS) {
            return None;
        }
        let desk = tempfile::tempdir().expect("a directory");
        let conf = desk.path().join("krb5.conf").display().to_string();
        let realm = Self { served: site(&["--krb5-conf", &conf]), desk };
        realm.kinit("alice@CORP.EXAMPLE", "Alice-Pa55word");
        Some(realm)
    }

    fn kinit(&self, user: &str, password: &str) {
        let mut kinit = self.command("kinit");
        let mut kinit = kinit.arg(user).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("kinit starts");
        writeln!(kinit.stdin.take().expect("stdin is piped"), "{password}").expect("kinit reads");
        assert!(kinit.wait().expect("kinit ends").success(), "kinit {user}");
    }

    /// Returns the command of a program that uses the directory's tickets.
    fn command(&self, program: &str) -> Command {
        let at = |file: &str| self.desk.path().join(file);
        let mut command = Command::new(program);
        command.env("KRB5_CONFIG", at("krb5.conf")).env("KRB5CCNAME", format!("FILE:{}", at("tickets").display()));
        command
    }

    /// Returns the URL of the balancer with the host name of its SPN.
    fn url(&self) -> String {
        self.served.url.replace("127.0.0.1", "localhost")
    }

    /// Returns the status and the body of a request by `curl --negotiate`.
    pub(crate) fn negotiate(&self, more: &[&str]) -> (String, String) {
        self.negotiate_at(&self.url(), more)
    }

    fn negotiate_at(&self, url: &str, more: &[&str]) -> (String, String) {
        let mut curl = self.command("curl");
        self.served.introduce(&mut curl);
        curl.args(["--negotiate", "-u", ":"]).args(more).arg(url);
        status_and_body(curl)
    }

    /// Sends two requests with one curl. Returns which of them carried a token, and what the answers say about
    /// persistence.
    fn two(&self) -> (Vec<bool>, Vec<String>) {
        let mut curl = self.command("curl");
        let output =
            curl.args(["--silent", "--verbose", "--noproxy", "*", "--max-time", "20", "--negotiate", "-u", ":"]);
        let output = output.args([format!("{}one", self.url()), format!("{}two", self.url())]).output();
        let text = String::from_utf8_lossy(&output.expect("curl starts").stderr).into_owned();
        assert_eq!(text.matches("< HTTP/1.1 200").count(), 2, "{text}");
        assert_eq!(text.matches("* Connected to").count(), 1, "{text}");
        let requests = text.split("> GET ").skip(1);
        let tokens = requests.map(|request| request.contains("> Authorization: Negotiate ")).collect();
        let said = text.lines().filter_map(|line| line.strip_prefix("< Persistent-Auth: "));
        (tokens, said.map(|value| value.trim().to_owned()).collect())
    }
}

pub(crate) fn assert_alice((status, body): (String, String), when: &str) {
    assert!(status == "200" && body.contains(ALICE), "{when}: {status} {body}");
}

#[test]
fn curl_logs_on_with_a_ticket_through_what_keeps_a_connection() {
    for balancer in ["l4-nat", "pin-on-401"] {
        let Some(realm) = Realm::start(balancer, 2, &[]) else { return };
        assert_alice(realm.negotiate(&[]), balancer);
        let (status, body) = realm.negotiate(&["--data-binary", "a body of 24 bytes here."]);
        assert!(status == "200" && body.contains(r#""length":24"#), "{balancer}: {body}");
        // This request uses the farm's other name.
        let port = realm.served.url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
        let resolve = format!("www.corp.example:{port}:127.0.0.1");
        assert_alice(
            realm.negotiate_at(&format!("http://www.corp.example:{port}/"), &["--resolve", &resolve]),
            balancer,
        );
        // Alice's password works as well, by the other provider.
        assert_alice(realm.served.alice(&[]), balancer);
    }
}

#[test]
fn a_ticket_authenticates_its_connection_where_that_is_persistent_and_else_its_request() {
    let Some(realm) = Realm::start("l4-nat", 1, &[]) else { return };
    assert_eq!(realm.two(), (vec![true, false], vec!["true".to_owned()]));
    let Some(realm) = Realm::start("l4-nat", 1, &["--persist-non-ntlm", "off"]) else { return };
    assert_eq!(realm.two(), (vec![true, true], vec!["false".to_owned(); 2]));
}

#[test]
fn through_a_shared_pool_a_curl_without_credentials_is_served_as_alice_while_tickets_persist() {
    for (persist, status) in [("on", "200"), ("off", "401")] {
        let Some(realm) = Realm::start("shared-pool", 1, &["--persist-non-ntlm", persist]) else { return };
        assert_eq!(realm.served.curl(&[]).0, "401", "before alice came");
        assert_alice(realm.negotiate(&[]), persist);
        let nobody = realm.served.curl(&[]);
        assert_eq!((nobody.0.as_str(), nobody.1.contains(ALICE)), (status, persist == "on"), "{persist}: {}", nobody.1);
    }
}

/// Pinning waits for a 401. curl sends its ticket at once, so no 401 arrives, and the connection returns to the pool.
#[test]
fn a_ticket_that_comes_at_once_leaks_through_pin_on_401_which_keeps_users_of_ntlm_apart() {
    for (persist, status) in [("on", "200"), ("off", "401")] {
        let Some(realm) = Realm::start("pin-on-401", 1, &["--persist-non-ntlm", persist]) else { return };
        assert_alice(realm.served.alice(&[]), "NTLM");
        assert_eq!(realm.served.curl(&[]).0, "401", "after NTLM");
        assert_alice(realm.negotiate(&[]), "Kerberos");
        let nobody = realm.served.curl(&[]);
        assert_eq!((nobody.0.as_str(), nobody.1.contains(ALICE)), (status, persist == "on"), "{persist}: {}", nobody.1);
    }
}

#[test]
fn a_farm_needs_a_common_account_and_the_pools_key() {
    let Some(alone) = Realm::start("l4-nat", 1, &["--pool-identity", "machine"]) else { return };
    assert_alice(alone.negotiate(&[]), "a machine alone");
    let farm = Realm::start("l4-nat", 2, &["--pool-identity", "machine", "--seed", "1"]).expect("they are installed");
    let mut answers: Vec<String> = (0..2).map(|_| farm.negotiate(&[]).0).collect();
    answers.sort();
    assert_eq!(answers, ["200", "401"], "the names are those of iis1");
    let wrong = Realm::start("l4-nat", 1, &["--app-pool-credentials", "off"]).expect("they are installed");
    assert_eq!(wrong.negotiate(&[]).0, "401", "http.sys has the machine's key alone");
    let user_mode = ["--app-pool-credentials", "off", "--kernel-mode", "off"];
    let right = Realm::start("l4-nat", 1, &user_mode).expect("they are installed");
    assert_alice(right.negotiate(&[]), "the worker process has the pool's");
}

#[test]
fn an_address_is_a_name_of_the_service_only_once_it_is_registered() {
    let Some(realm) = Realm::start("l4-nat", 1, &[]) else { return };
    assert_eq!(realm.negotiate_at(&realm.served.url, &[]).0, "401");
    let realm = Realm::start("l4-nat", 1, &["--spn", "HTTP/127.0.0.1"]).expect("they are installed");
    assert_alice(realm.negotiate_at(&realm.served.url, &[]), "registered");
}

#[test]
fn providers_are_offered_in_the_order_given_and_decide_who_gets_in() {
    let offers = |providers: &[&str]| {
        let more: Vec<&str> = providers.iter().flat_map(|provider| ["--provider", provider]).collect();
        let realm = Realm::start("l4-nat", 1, &more)?;
        let (_, head) = realm.served.curl(&["--include"]);
        let offers = head.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: "));
        let offers: Vec<String> = offers.map(|offer| offer.trim().to_owned()).collect();
        Some((offers.join(", "), realm.negotiate(&[]).0, realm.served.alice(&[]).0))
    };
    for (providers, offered, negotiate, ntlm) in [
        (&[][..], "Negotiate, NTLM", "200", "200"),
        (&["ntlm", "Negotiate"], "NTLM, Negotiate", "200", "200"),
        (&["NTLM"], "NTLM", "401", "200"),
        (&["Negotiate:Kerberos"], "Negotiate", "200", "401"),
        (&["Nego2"], "Nego2", "401", "401"),
    ] {
        let Some(seen) = offers(providers) else { return };
        assert_eq!(seen, (offered.into(), negotiate.into(), ntlm.into()), "{providers:?}");
    }
}
