//! Tests of `kinit` and `kvno` with Stickler's KDC, which runs on the runtime's worker while a test waits for them.

use stickler_mock_dc::AccountState;
use stickler_model::{Topology, What};
use stickler_wire::{Options, Site, krb5_conf};

use crate::domain::{Dc, WEB, corp, named, partner};
use crate::tools::{Desk, Said};

const CLIENTS: [&str; 3] = ["kinit", "kvno", "klist"];
const TGS: &str = "krbtgt/CORP.EXAMPLE";

fn assert_says(said: &Said, ok: bool, words: &str) {
    assert!(said.ok == ok && said.text.contains(words), "not {words:?}: {said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn kinit_and_kvno_get_tickets_that_a_key_table_of_ours_opens() {
    let dc = Dc::start(&corp(), 0);
    let Some(desk) = Desk::new(&CLIENTS, &dc.kdc.krb5_conf()) else { return };
    assert_says(&desk.kinit(&["-f", "-r", "2d", "alice"], "alice-pw"), true, "Password for alice@CORP.EXAMPLE");
    let table = desk.write("svc-web.keytab", &dc.kdc.keytab("svc-web").unwrap());
    // With -k, kvno decrypts the ticket with the table's key.
    let said = desk.run("kvno", &["-k", &table.display().to_string(), WEB], "");
    assert_says(&said, true, "kvno = 2, keytab entry valid");
    assert_says(&desk.run("klist", &["-e", "-f"], ""), true, "aes256-cts-hmac-sha1-96");
    let tgs = || TGS.to_owned();
    assert_eq!(dc.noted(), [(tgs(), 25), (tgs(), 0), (WEB.to_owned(), 0)]);
    assert_says(&desk.kinit(&["-R"], ""), true, "");
    assert_says(&desk.run("klist", &["-k", "-e", &table.display().to_string()], ""), true, "HTTP/localhost@CORP");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_table_of_ours_serves_kinit_for_users_and_machines() {
    let dc = Dc::start(&corp(), 0);
    dc.controller.join(&"iis1".into(), b"secret");
    let Some(desk) = Desk::new(&CLIENTS, &dc.kdc.krb5_conf()) else { return };
    for account in ["svc-web", "iis1$"] {
        let table = desk.write("keytab", &dc.kdc.keytab(account).unwrap()).display().to_string();
        assert_says(&desk.kinit(&["-k", "-t", &table, account], ""), true, "");
    }
    assert_says(
        &desk.run("kvno", &["HTTP/iis1.corp.example", "host/iis1"], ""),
        true,
        "host/iis1@CORP.EXAMPLE: kvno = 2",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn wrong_passwords_lock_the_account_and_kinit_says_so() {
    let dc = Dc::start(&corp(), 0);
    let Some(desk) = Desk::new(&CLIENTS, &dc.kdc.krb5_conf()) else { return };
    for _ in 0..3 {
        assert_says(&desk.kinit(&["alice"], "wrong"), false, "Password incorrect");
    }
    assert_eq!(dc.controller.directory().bad_count("alice"), Some(3));
    assert_says(&desk.kinit(&["alice"], "alice-pw"), false, "credentials have been revoked");
    dc.controller.directory().unlock("alice");
    assert_says(&desk.kinit(&["alice"], "alice-pw"), true, "");
    assert_eq!(dc.controller.directory().bad_count("alice"), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn unknown_users_services_and_accounts_that_may_not_log_on_are_refused() {
    let dc = Dc::start(&corp(), 0);
    let Some(desk) = Desk::new(&CLIENTS, &dc.kdc.krb5_conf()) else { return };
    assert_says(&desk.kinit(&["mallory"], "pw"), false, "Client 'mallory@CORP.EXAMPLE' not found");
    assert_says(&desk.kinit(&["ALICE@CORP.EXAMPLE"], "alice-pw"), true, "");
    assert_says(&desk.run("kvno", &["HTTP/nowhere"], ""), false, "not found in Kerberos database");
    *dc.controller.directory().account_mut("alice").unwrap() =
        AccountState { must_change: true, ..AccountState::default() };
    dc.noted();
    // It learns that the password has expired, and asks for the service that changes it, which does not exist.
    assert_says(&desk.kinit(&["alice"], "alice-pw"), false, "Server not found");
    let expired = [25, 23, 7].map(|error| (if error == 7 { "kadmin/changepw" } else { TGS }.to_owned(), error));
    assert_eq!(dc.noted(), expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn names_are_canonical_where_kinit_asks_for_it() {
    let dc = Dc::start(&corp(), 0);
    let Some(desk) = Desk::new(&CLIENTS, &dc.kdc.krb5_conf()) else { return };
    for arguments in [&["-C", "ALICE"][..], &["-E", "alice@corp.example"]] {
        assert_says(&desk.kinit(arguments, "alice-pw"), true, "");
        assert_says(&desk.run("klist", &[], ""), true, "Default principal: alice@CORP.EXAMPLE");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn clocks_that_differ_are_refused_and_a_client_may_follow_the_kdcs() {
    let dc = Dc::start(&corp(), 600);
    let conf = dc.kdc.krb5_conf();
    let strict = conf.replacen("[libdefaults]", "[libdefaults]\n kdc_timesync = 0", 1);
    let Some(desk) = Desk::new(&CLIENTS, &strict) else { return };
    assert_says(&desk.kinit(&["alice"], "alice-pw"), false, "Clock skew too great");
    assert_eq!(dc.noted().last(), Some(&(TGS.to_owned(), 37)));
    assert_eq!(dc.controller.directory().bad_count("alice"), Some(0));
    desk.write("krb5.conf", conf.as_bytes());
    assert_says(&desk.kinit(&["alice"], "alice-pw"), true, "");
    assert_says(&desk.run("kvno", &[WEB], ""), true, "kvno = 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_too_long_for_udp_comes_over_tcp() {
    // The machine's name is so long that its ticket does not fit into a datagram.
    let name = "n".repeat(1000);
    let dc = Dc::start(&corp(), 0);
    dc.controller.join(&name.as_str().into(), b"secret");
    let Some(desk) = Desk::new(&CLIENTS, &dc.kdc.krb5_conf()) else { return };
    let udp = dc.kdc.krb5_conf().replacen("[libdefaults]", "[libdefaults]\n udp_preference_limit = 32700", 1);
    desk.write("krb5.conf", udp.as_bytes());
    assert_says(&desk.kinit(&["alice"], "alice-pw"), true, "");
    let service = format!("HTTP/{name}");
    assert_says(&desk.run("kvno", &[&service], ""), true, "kvno = 2");
    assert_eq!(dc.noted()[2..], [(service.clone(), 52), (service, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_follows_a_referral_to_the_trusted_realm() {
    let (corp, partner) = (Dc::start(&corp(), 0), Dc::start(&partner(), 0));
    partner.controller.join(&"web".into(), b"secret");
    let conf = krb5_conf(&corp.kdc, &[&partner.kdc]);
    let Some(desk) = Desk::new(&CLIENTS, &conf) else { return };
    assert_says(&desk.kinit(&["alice"], "alice-pw"), true, "");
    let service = "HTTP/web.partner.example";
    // First the client knows the realm, and asks its KDC for the way. Then it does not, and is referred.
    let known = format!("{service}@PARTNER.EXAMPLE");
    assert_says(&desk.run("kvno", &[&known], ""), true, "kvno = 2");
    assert_eq!(corp.noted().last(), Some(&("krbtgt/PARTNER.EXAMPLE".to_owned(), 0)));
    assert_says(&desk.kinit(&["alice"], "alice-pw"), true, "");
    partner.noted();
    assert_says(&desk.run("kvno", &[service], ""), true, "kvno = 2");
    assert_eq!(corp.noted().last(), Some(&(service.to_owned(), 0)));
    assert_eq!(partner.noted(), [(service.to_owned(), 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_site_has_a_kdc() {
    let topology = Topology { domain: corp(), ..Topology::default() };
    let (events, seen) = std::sync::mpsc::channel();
    let options = Options {
        events: Box::new(move |event| drop(events.send(event))),
        ..Options::new(topology, named("shared-pool"))
    };
    let site = Site::start(options).unwrap();
    let Some(desk) = Desk::new(&CLIENTS, &site.kdc.krb5_conf()) else { return };
    assert_says(&desk.kinit(&["alice"], "alice-pw"), true, "");
    assert_says(&desk.run("kvno", &[WEB], ""), true, "kvno = 2");
    assert_eq!(seen.try_iter().filter(|event| matches!(event.what, What::DcTicket { .. })).count(), 3);
}
