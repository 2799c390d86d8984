//! Tests, without a network, of the decisions that a DC makes alone and of those that it leaves to another DC.

use stickler_auth::status::NtStatus;
use stickler_mock_dc::{Asker, Directory, Logon, LogonDecision};
use stickler_model::Name;
use stickler_model::topology::{ControllerSpec, DomainSpec, TrustSpec};

use crate::client::{Client, NOW, domain};

/// Returns `CORP`, which trusts `PARTNER`.
fn trusting() -> Directory {
    let trust = TrustSpec { netbios: "PARTNER".into(), dns: "partner.example".into(), password: "trust-pw".into() };
    Directory::new(&DomainSpec { trusts: vec![trust], ..domain(Some(2)) })
}

fn paula() -> Client {
    Client { domain: "PARTNER", user: "paula", password: "paula-pw", ..Client::alice() }
}

fn wrong() -> Client {
    Client { password: "guess", ..Client::alice() }
}

fn decided(decision: LogonDecision) -> Logon {
    match decision {
        LogonDecision::Decided(logon) => logon,
        other => panic!("not decided: {other:?}"),
    }
}

#[test]
fn a_members_logon_for_a_trusted_domain_is_for_that_domain_to_decide() {
    let mut directory = trusting();
    for client in [
        paula(),
        Client { domain: "partner.EXAMPLE", ..paula() },
        Client { domain: "", user: "paula@Partner.Example", ..paula() },
    ] {
        let decision = directory.decide(&client.request(), &Asker::Member, false, NOW);
        assert!(matches!(decision, LogonDecision::Trusted(netbios) if netbios == "PARTNER"));
    }
    for client in [
        Client { domain: "THIRD", ..paula() },
        Client { domain: "", user: "paula", ..paula() },
        Client { domain: "CORP", user: "paula@partner.example", ..paula() },
    ] {
        let logon = decided(directory.decide(&client.request(), &Asker::Member, false, NOW));
        assert_eq!(logon.reply.status, NtStatus::NO_SUCH_USER);
    }
}

#[test]
fn a_response_that_was_made_for_another_server_does_not_leave_the_domain() {
    let mut directory = trusting();
    let mut spliced = paula().request();
    spliced.channel_machine = "IIS2".into();
    let logon = decided(directory.decide(&spliced, &Asker::Member, false, NOW));
    assert_eq!(logon.reply.status, NtStatus::LOGON_FAILURE);
}

#[test]
fn a_logon_along_a_trust_goes_no_further_and_is_for_a_server_of_the_domain_that_asks() {
    let mut partner = Directory::new(&DomainSpec { netbios: "PARTNER".into(), ..domain(None) });
    let third = TrustSpec { netbios: "THIRD".into(), dns: "third.example".into(), password: String::new() };
    partner.add_trust(&third);
    let ours = Client { domain: "PARTNER", ..Client::alice() }.request();
    let asker = Asker::Trusted("CORP".into());
    assert_eq!(decided(partner.decide(&ours, &asker, false, NOW)).reply.status, NtStatus::SUCCESS);
    // The first DC had to check the machine, which is not known here.
    let relayed = stickler_auth::logon::LogonRequest { channel_machine: "dc.corp.example".into(), ..ours.clone() };
    assert_eq!(decided(partner.decide(&relayed, &asker, false, NOW)).reply.status, NtStatus::SUCCESS);
    let stolen = partner.decide(&ours, &Asker::Trusted("OTHER".into()), false, NOW);
    assert_eq!(decided(stolen).reply.status, NtStatus::LOGON_FAILURE);
    let on = Client { domain: "THIRD", ..Client::alice() }.request();
    let refused = decided(partner.decide(&on, &asker, false, NOW)).reply;
    assert_eq!((refused.status, refused.authoritative), (NtStatus::NO_SUCH_USER, false));
    assert_eq!(partner.bad_count("alice"), Some(0));
}

#[test]
fn a_dc_beside_the_pdc_emulator_doubts_a_wrong_password_and_counts_it_only_when_it_stays_alone() {
    let mut directory = trusting();
    let LogonDecision::NeedsPdc(logon) = directory.decide(&wrong().request(), &Asker::Member, true, NOW) else {
        panic!("the PDC emulator may know better")
    };
    assert_eq!((logon.bad_count, directory.bad_count("alice")), (0, Some(0)));
    let logon = directory.count_wrong_password(logon);
    assert_eq!((logon.bad_count, directory.bad_count("alice")), (1, Some(1)));
    assert_eq!((logon.reply.status, logon.reply.authoritative), (NtStatus::WRONG_PASSWORD, true));
    // A response that is right here is accepted, and resets the count.
    assert_eq!(decided(directory.decide(&Client::alice().request(), &Asker::Member, true, NOW)).bad_count, 0);
    // The PDC emulator decides a wrong password itself.
    assert_eq!(decided(directory.decide(&wrong().request(), &Asker::Controller, false, NOW)).bad_count, 1);
}

#[test]
fn a_dc_beside_the_pdc_emulator_is_not_authoritative_for_accounts_that_it_lacks() {
    let spec = domain(None);
    let lacking = ControllerSpec { lacks: vec!["ALICE".into()], ..ControllerSpec::new(Name::from("dc2")) };
    let mut replica = Directory::replica(&spec, &lacking);
    for (asks_pdc, authoritative) in [(true, false), (false, true)] {
        let reply = decided(replica.decide(&Client::alice().request(), &Asker::Member, asks_pdc, NOW)).reply;
        assert_eq!((reply.status, reply.authoritative), (NtStatus::NO_SUCH_USER, authoritative));
    }
}

#[test]
fn a_replica_has_the_rids_of_the_domain_and_the_passwords_of_before() {
    let spec = domain(None);
    let stale = ControllerSpec {
        lacks: vec!["alice".into()],
        outdated: vec!["bob".into()],
        ..ControllerSpec::new(Name::from("dc2"))
    };
    let bob = |password| Client { user: "Bob", password, ..Client::alice() }.request();
    let mut replica = Directory::replica(&spec, &stale);
    assert_eq!(replica.logon(&bob("Bob-pw"), NOW).reply.status, NtStatus::WRONG_PASSWORD);
    let outdated = replica.logon(&bob("Bob-pw of before"), NOW).reply;
    let truth = Directory::new(&spec).logon(&bob("Bob-pw"), NOW).reply;
    assert_eq!((outdated.status, &outdated.sids), (NtStatus::SUCCESS, &truth.sids));
}
