//! Tests of the DC's rules: compatibility levels, nil domain, the names inside an NTLMv2 response.

use std::sync::Arc;

use stickler_auth::logon::LogonRequest;
use stickler_auth::ntlm::acceptor::Step;
use stickler_auth::ntlm::crypto::{Ntowfv2, lmowf_v1, ntowf_v1, v1_response};
use stickler_auth::ntlm::initiator::Credentials;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, Proof, SessionKeys, StoredSecret, check_target_info};
use stickler_auth::status::NtStatus;

use crate::common::{DOMAIN, NOW, PASSWORD, SERVER_CHALLENGE, USER, challenged, client, messages, server};

/// Returns the question that the server asks the DC when a client of that profile and name logs on.
fn request(profile: NtlmProfile, user: &str, domain: &str) -> LogonRequest {
    let config = Arc::new(server());
    let mut client = client(profile);
    client.credentials = Credentials::new(user, domain, PASSWORD);
    let sent = messages(&client, &config);
    let (mut acceptor, _) = challenged(&config, None, &sent.negotiate);
    match acceptor.accept(&sent.authenticate, SERVER_CHALLENGE, NOW) {
        Step::NeedLogon(request) => request,
        other => panic!("no logon: {other:?}"),
    }
}

fn verify(request: &LogonRequest, level: u8) -> Result<Proof, NtStatus> {
    StoredSecret::from_password(PASSWORD, true)
        .verify(request, LmCompatibilityLevel::from_level(level))
        .map(|SessionKeys { proof, .. }| proof)
}

/// Returns a request with the given responses.
fn bare(nt_response: Vec<u8>, lm_response: Vec<u8>) -> LogonRequest {
    LogonRequest {
        user: USER.into(),
        logon_domain: DOMAIN.into(),
        challenge: SERVER_CHALLENGE,
        nt_response,
        lm_response,
        ..LogonRequest::default()
    }
}

#[test]
fn each_level_takes_what_it_should() {
    let wrong = Err(NtStatus::WRONG_PASSWORD);
    let lm_only = v1_response(&lmowf_v1(PASSWORD).unwrap(), &SERVER_CHALLENGE).to_vec();
    let lm_v2 = Ntowfv2::new(&ntowf_v1(PASSWORD), USER, DOMAIN).lm_v2_response(&SERVER_CHALLENGE, &[3; 8]).to_vec();
    for (name, request, at_3, at_4, at_5) in [
        (
            "NTLMv2",
            request(NtlmProfile::browser(), USER, DOMAIN),
            Ok(Proof::NtlmV2),
            Ok(Proof::NtlmV2),
            Ok(Proof::NtlmV2),
        ),
        (
            "NTLM2 session",
            request(NtlmProfile::ntlm2_session(), USER, DOMAIN),
            Ok(Proof::NtlmV1),
            Ok(Proof::NtlmV1),
            wrong,
        ),
        ("NTLMv1", request(NtlmProfile::ntlm_v1(), USER, DOMAIN), Ok(Proof::NtlmV1), Ok(Proof::NtlmV1), wrong),
        ("LM", bare(vec![], lm_only.clone()), Ok(Proof::Lm), wrong, wrong),
        ("LM beside a wrong NT", bare(vec![9; 24], lm_only), Ok(Proof::Lm), wrong, wrong),
        ("LMv2", bare(vec![], lm_v2.clone()), Ok(Proof::LmV2), Ok(Proof::LmV2), Ok(Proof::LmV2)),
        ("LMv2 beside a wrong NTLMv2", bare(vec![9; 60], lm_v2), Ok(Proof::LmV2), Ok(Proof::LmV2), Ok(Proof::LmV2)),
    ] {
        for (level, expected) in [(0, at_3), (3, at_3), (4, at_4), (5, at_5), (9, at_5)] {
            assert_eq!(verify(&request, level), expected, "{name} at level {level}");
        }
    }
}

#[test]
fn a_mismatch_is_tried_again_with_an_empty_domain() {
    let mut asked = request(NtlmProfile::windows(), USER, "");
    assert_eq!(asked.logon_domain, "");
    assert_eq!(verify(&asked, 5), Ok(Proof::NtlmV2));
    asked.logon_domain = "WHATEVER".into();
    assert_eq!(verify(&asked, 5), Ok(Proof::NtlmV2));
}

#[test]
fn the_user_counts_in_any_case_and_the_domain_as_it_was_sent() {
    let mut asked = request(NtlmProfile::windows(), "aLiCe", "Corp");
    assert_eq!(verify(&asked, 5), Ok(Proof::NtlmV2));
    asked.user = "ALICE".into();
    assert_eq!(verify(&asked, 5), Ok(Proof::NtlmV2));
    asked.logon_domain = "CORP".into();
    assert_eq!(verify(&asked, 5), Err(NtStatus::WRONG_PASSWORD));
}

#[test]
fn the_cache_changes_no_answer() {
    let mut secret = StoredSecret::from_password(PASSWORD, true);
    let level = LmCompatibilityLevel::RefuseLmAndNtlm;
    // More spellings are used than are kept, twice, with a wrong password in between.
    let spellings = ["alice", "Alice", "ALICE", "aLICE", "alICE", "aliCE"];
    for _ in 0..2 {
        for user in spellings {
            let asked = request(NtlmProfile::windows(), user, DOMAIN);
            assert!(secret.verify(&asked, level).is_ok(), "{user}");
            let mut wrong = asked.clone();
            wrong.nt_response[20] ^= 1;
            assert_eq!(secret.verify(&wrong, level), Err(NtStatus::WRONG_PASSWORD), "{user}");
            wrong.nt_response = asked.nt_response.clone();
            wrong.challenge = [0; 8];
            assert_eq!(secret.verify(&wrong, level), Err(NtStatus::WRONG_PASSWORD), "{user}");
        }
    }
}

#[test]
fn responses_of_odd_lengths_prove_nothing() {
    let whole = request(NtlmProfile::windows(), USER, DOMAIN);
    let secret = StoredSecret::from_password("", true);
    for len in 0..60 {
        let asked = bare(vec![0; len], vec![0; len.min(30)]);
        let outcome = secret.clone().verify(&asked, LmCompatibilityLevel::AcceptAll);
        assert_eq!(outcome, Err(NtStatus::WRONG_PASSWORD), "{len}");
        let cut = bare(whole.nt_response[..len].to_vec(), vec![]);
        assert_eq!(verify(&cut, 0), Err(NtStatus::WRONG_PASSWORD), "{len}");
    }
}

#[test]
fn a_response_made_for_another_server_or_domain_is_refused() {
    let asked = request(NtlmProfile::curl(), USER, DOMAIN);
    assert_eq!(asked.channel_machine, "WEB1");
    assert_eq!(check_target_info(&asked, "corp"), Ok(()));
    assert_eq!(check_target_info(&asked, "OTHER"), Err(NtStatus::LOGON_FAILURE));
    let elsewhere = LogonRequest { channel_machine: "WEB2".into(), ..asked };
    assert_eq!(check_target_info(&elsewhere, "corp"), Err(NtStatus::LOGON_FAILURE));
    let old = request(NtlmProfile::ntlm_v1(), USER, DOMAIN);
    assert_eq!(check_target_info(&old, "OTHER"), Ok(()), "v1 responses name nobody");
}

#[test]
fn a_password_has_an_lm_hash_up_to_14_latin_characters() {
    assert!(lmowf_v1("12345678901234").is_some());
    assert!(lmowf_v1("123456789012345").is_none());
    assert!(lmowf_v1("pass€").is_none());
    assert_eq!(lmowf_v1("SeCrEt"), lmowf_v1("sEcReT"));
}
