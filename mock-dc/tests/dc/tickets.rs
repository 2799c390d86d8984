//! Tests of the KDC's decisions: names, states, counts, trusts.

use stickler_auth::FileTime;
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::kdc::KdcConfig;
use stickler_auth::kerberos::keys::ServiceKeys;
use stickler_auth::kerberos::message::{EtypeInfo2Entry, KrbError, PaData, flags};
use stickler_auth::kerberos::status::KrbErrorCode as Code;
use stickler_auth::kerberos::{Principal, PrincipalName};
use stickler_auth::status::NtStatus;
use stickler_mock_dc::{AccountState, LogonHours};

use crate::client::{Client, NOW};
use crate::realm::{
    Kdc, PARTNER, REALM, WEB, accepts, alice, client, first_request, refusal, service, ticket, ticket_at, with_rc4,
};

/// Requests a ticket from the KDC of one realm.
fn ticket_of(kdc: &mut Kdc, service: &str) -> stickler_auth::kerberos::Credential {
    ticket(std::slice::from_mut(kdc), &alice(), service).unwrap()
}

fn principal(name: &str, realm: &str) -> Principal {
    Principal::new(PrincipalName::user(name), realm)
}

#[test]
fn a_ticket_opens_with_the_keys_of_the_account_that_has_the_name() {
    let mut kdc = Kdc::corp(None);
    for (service, account, other) in
        [(WEB, "svc-web", "iis1$"), ("http/IIS1", "IIS1$", "svc-web"), ("HOST/iis1.corp.example", "iis1$", "alice")]
    {
        let ticket = ticket_of(&mut kdc, service);
        let keys = |account| kdc.directory.service_keys(account).unwrap();
        assert_eq!(accepts(keys(account), &ticket).unwrap(), principal("alice", REALM), "{service}");
        let refused = accepts(keys(other), &ticket).unwrap_err();
        assert_eq!(refused.krb_error(), Some(Code::MODIFIED), "{service} with the keys of {other}");
    }
}

#[test]
fn a_request_is_told_as_the_directory_spells_it() {
    let mut kdc = Kdc::corp(None);
    ticket(std::slice::from_mut(&mut kdc), &client("ALICE", "alice-pw"), WEB).unwrap();
    assert_eq!(kdc.errors(), [25, 0, 0]);
    let seen = |index: usize| (kdc.log[index].client.as_ref().unwrap().as_str(), kdc.log[index].service.as_str());
    assert_eq!(seen(1), ("CORP\\alice", "krbtgt/CORP.EXAMPLE"));
    assert_eq!(seen(2), ("CORP\\alice", WEB));
    assert_eq!(kdc.log[2].result, Ok(Etype::Aes256Sha1));
}

#[test]
fn a_client_is_found_by_every_name_it_has() {
    let mut kdc = Kdc::corp(None);
    for name in ["Alice", "alice@corp.example", "ALICE@CORP", "alice@CORP.EXAMPLE"] {
        let ticket = ticket(std::slice::from_mut(&mut kdc), &client(name, "alice-pw"), WEB).unwrap();
        assert_eq!(ticket.client, principal("alice", REALM), "{name}");
    }
    // A machine logs on with its secret, and may omit the dollar sign.
    for name in ["iis1$", "IIS1"] {
        let ticket = ticket(std::slice::from_mut(&mut kdc), &client(name, "736563726574"), WEB).unwrap();
        assert_eq!(ticket.client, principal("iis1$", REALM), "{name}");
    }
}

#[test]
fn users_and_machines_have_the_salts_of_windows() {
    let mut kdc = Kdc::corp(None);
    for (name, salt) in [("bob", "CORP.EXAMPLEBob"), ("iis1$", "CORP.EXAMPLEhostiis1.corp.example")] {
        let request = first_request(name);
        let message = kdc.answer(&request, NOW);
        let error = KrbError::decode(&message).unwrap();
        let methods = PaData::decode_list(error.e_data.unwrap()).unwrap();
        let info = methods.iter().find(|method| method.kind == PaData::ETYPE_INFO2).unwrap();
        let entries = EtypeInfo2Entry::decode_list(info.value).unwrap();
        assert_eq!(entries[0].salt, Some(salt));
        assert_eq!((entries.len(), entries[0].etype), (3, 18));
    }
}

#[test]
fn names_that_nobody_has_are_refused() {
    let mut kdc = Kdc::corp(None);
    for nobody in ["mallory", "mallory@corp.example", "alice@elsewhere.example", "krbtgt", ""] {
        let config = client(nobody, "pw");
        assert_eq!(refusal(&mut kdc, &config, WEB), (Code::C_PRINCIPAL_UNKNOWN, None), "{nobody}");
    }
    for nothing in ["HTTP/nowhere", "HTTP/10.0.0.1", "HTTP", "alice", "ldap/iis1", "HTTP/www.elsewhere.example"] {
        assert_eq!(refusal(&mut kdc, &alice(), nothing), (Code::S_PRINCIPAL_UNKNOWN, None), "{nothing}");
    }
    assert_eq!(kdc.log[0].client.as_ref().unwrap().as_str(), "CORP.EXAMPLE\\mallory");
}

#[test]
fn a_service_may_be_asked_for_by_its_account_and_a_plain_user_may_not() {
    let mut kdc = Kdc::corp(None);
    let by_account = ticket_of(&mut kdc, "svc-web");
    accepts(kdc.directory.service_keys("svc-web").unwrap(), &by_account).unwrap();
    assert_eq!(refusal(&mut kdc, &alice(), "Bob").0, Code::S_PRINCIPAL_UNKNOWN);
}

#[test]
fn a_service_without_an_account_is_unknown_until_there_is_one() {
    let mut kdc = Kdc::corp(None);
    kdc.directory.add_service(&service("iis2$", &["HTTP/app"]));
    assert_eq!(refusal(&mut kdc, &alice(), "HTTP/app").0, Code::S_PRINCIPAL_UNKNOWN);
    kdc.directory.add_machine("IIS2", b"later");
    ticket_of(&mut kdc, "HTTP/app");
}

#[test]
fn a_duplicate_is_refused_at_registration_or_reported_and_no_ticket_is_issued() {
    let mut kdc = Kdc::corp(None);
    let refused = kdc.directory.register_spn("http/WWW.corp.example", "iis1$").unwrap_err();
    assert_eq!(refused.accounts, ["svc-web", "iis1$"]);
    kdc.directory.register_spn(WEB, "SVC-WEB").unwrap();
    assert!(kdc.directory.duplicate_spns().is_empty());
    ticket_of(&mut kdc, WEB);

    kdc.directory.add_service(&service("iis1$", &[WEB]));
    assert_eq!(kdc.directory.duplicate_spns(), [stickler_mock_dc::DuplicateSpn { spn: WEB.into(), ..refused }]);
    assert_eq!(refusal(&mut kdc, &alice(), WEB), (Code::PRINCIPAL_NOT_UNIQUE, None));
    assert!(kdc.directory.remove_spn(WEB, "svc-web"));
    accepts(kdc.directory.service_keys("iis1$").unwrap(), &ticket_of(&mut kdc, WEB)).unwrap();
}

#[test]
fn an_account_that_may_not_log_on_is_refused_with_the_status_of_windows() {
    type Change = fn(&mut AccountState);
    let cases: [(Change, Code, NtStatus); 7] = [
        (|s| s.enabled = false, Code::CLIENT_REVOKED, NtStatus::ACCOUNT_DISABLED),
        (|s| s.locked_out = true, Code::CLIENT_REVOKED, NtStatus::ACCOUNT_LOCKED_OUT),
        (|s| s.expires = Some(NOW), Code::CLIENT_REVOKED, NtStatus::ACCOUNT_EXPIRED),
        (|s| s.hours = LogonHours::NEVER, Code::CLIENT_REVOKED, NtStatus::INVALID_LOGON_HOURS),
        (|s| s.password_expires = Some(NOW), Code::KEY_EXPIRED, NtStatus::PASSWORD_EXPIRED),
        (|s| s.must_change = true, Code::KEY_EXPIRED, NtStatus::PASSWORD_MUST_CHANGE),
        (|s| s.workstations.push("PC1".into()), Code::POLICY, NtStatus::INVALID_WORKSTATION),
    ];
    for (change, code, status) in cases {
        let mut kdc = Kdc::corp(None);
        change(kdc.directory.account_mut("alice").unwrap());
        assert_eq!(refusal(&mut kdc, &alice(), WEB), (code, Some(status)));
        assert_eq!(kdc.directory.bad_count("alice"), Some(0));
    }
}

#[test]
fn who_does_not_know_the_password_does_not_learn_that_it_expired() {
    let mut kdc = Kdc::corp(None);
    kdc.directory.account_mut("alice").unwrap().must_change = true;
    assert_eq!(refusal(&mut kdc, &client("alice", "wrong"), WEB).0, Code::PREAUTH_FAILED);
}

#[test]
fn bad_preauthentications_lock_the_account_for_kerberos_and_for_ntlm() {
    let mut kdc = Kdc::corp(Some(3));
    for failed in 1..=3 {
        assert_eq!(refusal(&mut kdc, &client("alice@corp.example", "wrong"), WEB).0, Code::PREAUTH_FAILED);
        assert_eq!(kdc.directory.bad_count("alice"), Some(failed));
        assert_eq!(kdc.log.last().unwrap().bad_count, failed);
    }
    assert_eq!(refusal(&mut kdc, &alice(), WEB), (Code::CLIENT_REVOKED, Some(NtStatus::ACCOUNT_LOCKED_OUT)));
    let ntlm = |kdc: &mut Kdc| kdc.directory.logon(&Client::alice().request(), NOW).reply.status;
    assert_eq!(ntlm(&mut kdc), NtStatus::ACCOUNT_LOCKED_OUT);
    kdc.directory.unlock("alice");
    assert_eq!(ntlm(&mut kdc), NtStatus::SUCCESS);
}

#[test]
fn ntlm_locks_an_account_for_kerberos_and_either_good_logon_ends_the_count() {
    let mut kdc = Kdc::corp(Some(2));
    let wrong = Client { password: "wrong", ..Client::alice() };
    kdc.directory.logon(&wrong.request(), NOW);
    assert_eq!(kdc.directory.bad_count("alice"), Some(1));
    ticket_of(&mut kdc, WEB);
    assert_eq!(kdc.directory.bad_count("alice"), Some(0));
    kdc.directory.logon(&wrong.request(), NOW);
    kdc.directory.logon(&wrong.request(), NOW);
    assert_eq!(refusal(&mut kdc, &alice(), WEB), (Code::CLIENT_REVOKED, Some(NtStatus::ACCOUNT_LOCKED_OUT)));
}

#[test]
fn a_request_without_preauthentication_counts_nothing() {
    let mut kdc = Kdc::corp(Some(1));
    for _ in 0..3 {
        kdc.answer(&first_request("alice"), NOW);
    }
    kdc.directory.account_mut("alice").unwrap().no_preauth = true;
    kdc.answer(&first_request("alice"), NOW);
    assert_eq!((kdc.errors(), kdc.directory.bad_count("alice")), (vec![25, 25, 25, 0], Some(0)));
}

#[test]
fn clocks_more_than_five_minutes_apart_count_against_nobody() {
    let mut kdc = [Kdc::corp(Some(1))];
    let later = FileTime(NOW.0 + 301 * FileTime::TICKS_PER_SECOND);
    // The client learns the KDC's clock from the error, and tries again with it.
    ticket_at(&mut kdc, &alice(), WEB, later).unwrap();
    assert_eq!(kdc[0].errors(), [25, Code::SKEW.0, 0, 0]);
    assert_eq!(kdc[0].directory.bad_count("alice"), Some(0));
}

#[test]
fn protected_users_have_no_rc4_and_no_ticket_to_forward() {
    let mut kdc = Kdc::corp(None);
    let forwardable = |kdc: &mut Kdc| ticket_of(kdc, WEB).flags & flags::FORWARDABLE != 0;
    assert!(forwardable(&mut kdc));
    assert!(ticket(std::slice::from_mut(&mut kdc), &with_rc4(alice()), WEB).is_ok());
    kdc.directory.account_mut("alice").unwrap().protected = true;
    assert!(!forwardable(&mut kdc));
    assert_eq!(refusal(&mut kdc, &with_rc4(alice()), WEB).0, Code::ETYPE_NOSUPP);
    *kdc.directory.account_mut("alice").unwrap() = AccountState { sensitive: true, ..AccountState::default() };
    assert!(!forwardable(&mut kdc));
}

#[test]
fn a_service_trusted_for_delegation_says_so_in_its_tickets() {
    let mut kdc = Kdc::corp(None);
    let trusted = |kdc: &mut Kdc| ticket_of(kdc, WEB).flags & flags::OK_AS_DELEGATE != 0;
    assert!(!trusted(&mut kdc));
    let spec = service("Svc-Web", &[]);
    kdc.directory.add_service(&stickler_model::topology::ServiceSpec { trusted_for_delegation: true, ..spec });
    assert!(trusted(&mut kdc));
}

#[test]
fn a_domain_without_an_encryption_type_refuses_a_client_that_has_no_other() {
    let mut kdc = Kdc::corp(None);
    kdc.directory = kdc.directory.with_kdc(KdcConfig { etypes: vec![Etype::Aes128Sha1], ..KdcConfig::new("IGNORED") });
    assert_eq!(kdc.directory.realm(), REALM);
    assert_eq!(refusal(&mut kdc, &with_rc4(alice()), WEB).0, Code::ETYPE_NOSUPP);
    assert_eq!(ticket_of(&mut kdc, WEB).key.etype(), Etype::Aes128Sha1);
}

#[test]
fn a_client_is_referred_along_a_trust_to_the_service_and_to_its_own_realm() {
    let mut kdcs = [Kdc::corp(None), Kdc::partner()];
    let there = ticket(&mut kdcs, &alice(), "HTTP/web.partner.example").unwrap();
    assert_eq!((there.client.realm.as_str(), there.server.realm.as_str()), (REALM, PARTNER));
    accepts(kdcs[1].directory.service_keys("web$").unwrap(), &there).unwrap();
    assert_eq!((kdcs[0].errors(), kdcs[1].errors()), (vec![25, 0, 0], vec![0]));
    assert_eq!(kdcs[1].log[0].client.as_ref().unwrap().as_str(), "CORP.EXAMPLE\\alice");

    // Bob of PARTNER uses a machine of CORP. Its KDC refers him to his own realm, which refers him back.
    let config = client("bob@partner.example", "Bob-pw");
    let partner = ticket(&mut kdcs, &config, WEB).unwrap();
    assert_eq!(partner.client, principal("Bob", PARTNER));
    assert_eq!(kdcs[0].errors()[3..], [Code::WRONG_REALM.0, 0]);
}

#[test]
fn a_trust_with_different_passwords_is_broken() {
    let mut kdcs = [Kdc::corp(None), Kdc::partner()];
    let spec = stickler_model::topology::DomainSpec {
        netbios: "PARTNER".into(),
        dns: "partner.example".into(),
        ..crate::client::domain(None)
    };
    kdcs[1].directory = stickler_mock_dc::Directory::new(&spec).with_iterations(8);
    kdcs[1].directory.add_trust(&stickler_model::topology::TrustSpec {
        netbios: "CORP".into(),
        dns: "corp.example".into(),
        password: "changed on this side alone".into(),
    });
    ticket(&mut kdcs, &alice(), "HTTP/web.partner.example").unwrap_err();
    assert_eq!(kdcs[1].errors(), [Code::MODIFIED.0]);
}

#[test]
fn a_key_table_has_every_name_of_the_account() {
    let mut kdc = Kdc::corp(None);
    let table = kdc.directory.keytab("iis1$").unwrap();
    let mut names: Vec<String> = table.entries.iter().map(|entry| entry.principal.name.to_string()).collect();
    names.dedup();
    let long = ["HOST/iis1.corp.example", "host/iis1.corp.example", "HTTP/iis1.corp.example"];
    assert_eq!(names, [&["iis1$", "HOST/iis1", "host/iis1", "HTTP/iis1"][..], &long].concat());
    let http = Principal::new(PrincipalName::parse("HTTP/iis1"), REALM);
    let ticket = ticket_of(&mut kdc, "HTTP/iis1");
    accepts(ServiceKeys::from_keytab(&table, Some(&http)), &ticket).unwrap();
    assert!(kdc.directory.keytab("nobody").is_none());
}
