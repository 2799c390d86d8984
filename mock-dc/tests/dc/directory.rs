//! Tests of the directory's decisions.

use crate::client::{Client, NOW, domain};
use proptest::prelude::*;
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::verify::LmCompatibilityLevel;
use stickler_auth::status::NtStatus;
use stickler_mock_dc::{AccountState, Directory};
use stickler_model::topology::UserSpec;
use stickler_model::{Identity, Principal};

fn status(directory: &mut Directory, client: &Client) -> NtStatus {
    directory.logon(&client.request(), NOW).reply.status
}

#[test]
fn a_good_logon_yields_the_session_key_that_the_client_has() {
    let mut directory = Directory::new(&domain(None)).with_dc_name("dc1");
    // Without key exchange the client's session key is the session base key (MS-NLMP 3.1.5.1.2).
    let (request, key) = Client { profile: NtlmProfile::browser(), ..Client::alice() }.logon_request();
    let logon = directory.logon(&request, NOW);
    let reply = logon.reply;
    assert_eq!((reply.status, reply.session_base_key), (NtStatus::SUCCESS, key));
    assert_eq!(
        (reply.domain.as_str(), reply.effective_name.as_str(), reply.logon_server.as_str()),
        ("CORP", "alice", "DC1")
    );
    assert!(reply.authoritative && reply.sids.len() == 2 && reply.sids[0].ends_with("-1000"));
    assert_eq!((logon.account.as_str(), logon.bad_count), ("CORP\\alice", 0));
}

#[test]
fn every_client_profile_logs_on_at_the_lowest_level() {
    for profile in [
        NtlmProfile::curl(),
        NtlmProfile::browser(),
        NtlmProfile::windows(),
        NtlmProfile::ntlm2_session(),
        NtlmProfile::ntlm_v1(),
    ] {
        let mut directory = Directory::new(&domain(None));
        assert_eq!(status(&mut directory, &Client { profile, ..Client::alice() }), NtStatus::SUCCESS);
    }
}

#[test]
fn a_level_refuses_what_is_weaker() {
    use LmCompatibilityLevel::{RefuseLm, RefuseLmAndNtlm};
    for (profile, level, ok) in [
        (NtlmProfile::ntlm_v1(), RefuseLm, true),
        (NtlmProfile::ntlm_v1(), RefuseLmAndNtlm, false),
        (NtlmProfile::ntlm2_session(), RefuseLmAndNtlm, false),
        (NtlmProfile::curl(), RefuseLmAndNtlm, true),
    ] {
        let mut directory = Directory::new(&domain(None)).with_level(level);
        let client = Client { profile, ..Client::alice() };
        assert_eq!(status(&mut directory, &client).is_success(), ok, "{level:?}");
    }
}

#[test]
fn failed_logons_lock_the_account_until_it_is_unlocked() {
    let mut directory = Directory::new(&domain(Some(3)));
    let (good, bad) = (Client::alice(), Client { password: "guess", ..Client::alice() });
    for count in 1..=3 {
        let logon = directory.logon(&bad.request(), NOW);
        assert_eq!((logon.reply.status, logon.bad_count), (NtStatus::WRONG_PASSWORD, count));
    }
    assert_eq!(status(&mut directory, &good), NtStatus::ACCOUNT_LOCKED_OUT);
    assert_eq!(status(&mut directory, &bad), NtStatus::ACCOUNT_LOCKED_OUT);
    // The response is no longer examined, so the count stays the same.
    assert_eq!(directory.bad_count("ALICE"), Some(3));
    assert_eq!(
        status(&mut directory, &Client { user: "bob", password: "Bob-pw", ..Client::alice() }),
        NtStatus::SUCCESS
    );
    assert!(directory.unlock("Alice") && !directory.unlock("mallory"));
    assert_eq!(status(&mut directory, &good), NtStatus::SUCCESS);
}

#[test]
fn a_disabled_account_is_reported_as_such_whatever_the_password_and_counts_nothing() {
    let mut directory = Directory::new(&domain(Some(1)));
    directory.account_mut("alice").unwrap().enabled = false;
    for password in ["alice-pw", "guess"] {
        assert_eq!(status(&mut directory, &Client { password, ..Client::alice() }), NtStatus::ACCOUNT_DISABLED);
    }
    assert_eq!(directory.bad_count("alice"), Some(0));
}

#[test]
fn names_compare_without_case_and_have_two_forms() {
    let mut directory = Directory::new(&domain(None));
    for (domain, user) in [("corp", "ALICE"), ("CORP.EXAMPLE", "Alice"), ("", "alice"), ("", "alice@corp.example")] {
        let logon = directory.logon(&Client { domain, user, ..Client::alice() }.request(), NOW);
        assert_eq!((logon.reply.status, logon.account.as_str()), (NtStatus::SUCCESS, "CORP\\alice"), "{domain} {user}");
    }
}

#[test]
fn an_unknown_user_is_final_here_and_an_unknown_domain_is_not() {
    let mut directory = Directory::new(&domain(None));
    let mallory = directory.logon(&Client { user: "mallory", ..Client::alice() }.request(), NOW);
    assert_eq!((mallory.reply.status, mallory.reply.authoritative), (NtStatus::NO_SUCH_USER, true));
    assert_eq!(mallory.account.as_str(), "CORP\\mallory");
    let elsewhere = directory.logon(&Client { domain: "OTHER", ..Client::alice() }.request(), NOW);
    assert_eq!((elsewhere.reply.status, elsewhere.reply.authoritative), (NtStatus::NO_SUCH_USER, false));
}

#[test]
fn a_guest_is_an_unknown_user_of_this_domain_where_guests_are_allowed() {
    let mut directory = Directory::new(&domain(None)).with_guest();
    let guest = directory.logon(&Client { user: "mallory", ..Client::alice() }.request(), NOW).reply;
    assert_eq!(
        (guest.status, guest.user_flags, guest.effective_name.as_str()),
        (NtStatus::SUCCESS, LogonReply::GUEST, "Guest")
    );
    assert_eq!(guest.session_base_key, [0; 16]);
    // A known user with a wrong password is not a guest.
    assert_eq!(status(&mut directory, &Client { password: "guess", ..Client::alice() }), NtStatus::WRONG_PASSWORD);
    assert_eq!(status(&mut directory, &Client { domain: "OTHER", ..Client::alice() }), NtStatus::NO_SUCH_USER);
}

#[test]
fn a_response_made_for_another_machine_or_domain_fails_and_counts_nothing() {
    let mut directory = Directory::new(&domain(Some(1)));
    let mut spliced = Client::alice().request();
    spliced.channel_machine = "IIS2".into();
    assert_eq!(directory.logon(&spliced, NOW).reply.status, NtStatus::LOGON_FAILURE);
    let foreign = Client { machine_domain: "EVIL", ..Client::alice() };
    assert_eq!(status(&mut directory, &foreign), NtStatus::LOGON_FAILURE);
    assert_eq!(directory.bad_count("alice"), Some(0));
}

#[test]
fn a_response_spliced_from_another_handshake_with_the_machine_looks_like_a_wrong_password() {
    let mut directory = Directory::new(&domain(None));
    let mut spliced = Client::alice().request();
    spliced.challenge = *b"76543210";
    assert_eq!(directory.logon(&spliced, NOW).reply.status, NtStatus::WRONG_PASSWORD);
    assert_eq!(directory.bad_count("alice"), Some(1));
}

#[test]
fn protected_users_are_refused_after_a_good_response_only() {
    let mut directory = Directory::new(&domain(None));
    directory.account_mut("alice").unwrap().protected = true;
    assert_eq!(status(&mut directory, &Client { password: "guess", ..Client::alice() }), NtStatus::WRONG_PASSWORD);
    assert_eq!(status(&mut directory, &Client::alice()), NtStatus::ACCOUNT_RESTRICTION);
}

#[test]
fn credentials_are_labelled_without_counting_anything() {
    let mut directory = Directory::new(&domain(Some(1)));
    let accepts = |directory: &Directory, principal: &str, password: &str| {
        let identity = Identity { principal: Principal::parse(principal).unwrap(), password: password.into() };
        directory.would_accept(&identity, NOW)
    };
    assert!(accepts(&directory, "corp\\Alice", "alice-pw"));
    assert!(!accepts(&directory, "CORP\\alice", "Alice-pw"));
    assert!(!accepts(&directory, "CORP\\mallory", "alice-pw"));
    assert!(!accepts(&directory, "OTHER\\alice", "alice-pw"));
    assert_eq!(directory.bad_count("alice"), Some(0));
    // A lockout by failed logons does not make good credentials wrong. A lockout that is set does.
    assert_eq!(status(&mut directory, &Client { password: "guess", ..Client::alice() }), NtStatus::WRONG_PASSWORD);
    assert!(accepts(&directory, "CORP\\alice", "alice-pw"));
    *directory.account_mut("alice").unwrap() = AccountState { locked_out: true, ..AccountState::default() };
    assert!(!accepts(&directory, "CORP\\alice", "alice-pw"));
}

#[test]
fn an_account_added_again_has_its_new_password_and_its_old_rid() {
    let mut directory = Directory::new(&domain(None));
    directory.add_user(&UserSpec::new("ALICE", "new"));
    let logon = directory.logon(&Client { password: "new", ..Client::alice() }.request(), NOW);
    assert!(logon.reply.sids[0].ends_with("-1000"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_count_is_that_of_wrong_responses_since_the_last_good_one(tries in proptest::collection::vec(any::<bool>(), 1..20)) {
        const THRESHOLD: u32 = 4;
        let mut directory = Directory::new(&domain(Some(THRESHOLD)));
        let (good, bad) = (Client::alice().request(), Client { password: "guess", ..Client::alice() }.request());
        let mut count = 0;
        for right in tries {
            let logon = directory.logon(if right { &good } else { &bad }, NOW);
            let expected = match (count < THRESHOLD, right) {
                (false, _) => NtStatus::ACCOUNT_LOCKED_OUT,
                (true, true) => { count = 0; NtStatus::SUCCESS }
                (true, false) => { count += 1; NtStatus::WRONG_PASSWORD }
            };
            prop_assert_eq!((logon.reply.status, logon.bad_count), (expected, count));
        }
    }
}
