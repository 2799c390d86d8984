//! Tests of the initiator together with the acceptor, and of each rule of the acceptor separately.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::acceptor::{Acceptor, AcceptorConfig, Authenticated, Refusal, Step, TokenChecking};
use stickler_auth::ntlm::authenticate::{Authenticate, PayloadOrder};
use stickler_auth::ntlm::challenge::Challenge;
use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig};
use stickler_auth::ntlm::negotiate::Negotiate;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::wire::DecodeError;
use stickler_auth::status::{BadPasswordCode, NtStatus, SecStatus};

use crate::common::{
    DOMAIN, Directory, NONCES, NOW, PASSWORD, SERVER_CHALLENGE, USER, challenged, client, finish, messages, server,
};

const BINDING: ChannelBinding = ChannelBinding([7; 16]);

fn profiles() -> Vec<(&'static str, NtlmProfile)> {
    vec![
        ("curl", NtlmProfile::curl()),
        ("browser", NtlmProfile::browser()),
        ("windows", NtlmProfile::windows()),
        ("ntlm2_session", NtlmProfile::ntlm2_session()),
        ("ntlm_v1", NtlmProfile::ntlm_v1()),
    ]
}

/// Performs a whole handshake, and returns its outcome and the client's session key.
fn run(
    client: &InitiatorConfig,
    server: AcceptorConfig,
    binding: Option<ChannelBinding>,
) -> (Result<Authenticated, Refusal>, [u8; 16]) {
    let server = Arc::new(server);
    let (negotiate, initiator) = Initiator::new(client.clone()).negotiate();
    let (acceptor, challenge) = challenged(&server, binding, &negotiate);
    let (message, done) = initiator.authenticate(&challenge, NONCES, NOW).unwrap();
    (finish(acceptor, &message, &mut Directory::new()), done.session_key())
}

#[test]
fn every_profile_authenticates_and_both_sides_share_the_session_key() {
    for (name, profile) in profiles() {
        let with_mic = matches!(name, "browser" | "windows");
        let workstation = profile.workstation.clone();
        let (outcome, key) = run(&client(profile), server(), None);
        let done = outcome.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!((done.user.as_str(), done.domain.as_str()), ("alice", DOMAIN), "{name}");
        assert_eq!(done.workstation, workstation, "{name}");
        assert_eq!(done.session_key, key, "{name}");
        assert_eq!(done.mic, with_mic, "{name}");
        assert!(!done.anonymous && !done.guest, "{name}");
    }
}

#[test]
fn every_profile_is_refused_with_a_wrong_password() {
    for (name, profile) in profiles() {
        let mut config = client(profile);
        config.credentials = Credentials::new(USER, DOMAIN, "Passw0rd?");
        let refusal = run(&config, server(), None).0.unwrap_err();
        assert_eq!(refusal, Refusal::Logon(NtStatus::WRONG_PASSWORD), "{name}");
        assert_eq!(refusal.sc_win32_status(BadPasswordCode::Win32), 1326);
        assert_eq!(refusal.sc_win32_status(BadPasswordCode::Sspi), 0x8009_030C);
    }
}

#[test]
fn lm_key_and_non_nt_session_keys_are_agreed_without_extended_session_security() {
    for extra in [NegotiateFlags::default(), NegotiateFlags::REQUEST_NON_NT_SESSION_KEY] {
        for lm_key in [NegotiateFlags::LM_KEY, NegotiateFlags::default()] {
            let mut profile = NtlmProfile::ntlm_v1();
            profile.flags = (profile.flags - NegotiateFlags::LM_KEY) | lm_key | extra;
            let (outcome, key) = run(&client(profile), server(), None);
            assert_eq!(outcome.unwrap().session_key, key, "{extra:?} {lm_key:?}");
        }
    }
}

#[test]
fn the_challenge_follows_the_client_and_the_configuration() {
    let config = Arc::new(server());
    let flags_for = |config: &Arc<AcceptorConfig>, flags| {
        let negotiate = Negotiate { flags: NegotiateFlags(flags), ..Negotiate::default() };
        let (_, raw) = challenged(config, None, &negotiate.encode());
        let challenge = Challenge::decode(&raw).unwrap();
        let pairs = challenge.av_pairs().unwrap();
        let ids: Vec<u16> = pairs.iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids, [2, 1, 4, 3, 5, 7], "the order of Windows");
        assert_eq!(pairs.timestamp(), Some(NOW));
        (challenge.flags, challenge.target_name.to_vec())
    };
    let (flags, target) = flags_for(&config, 0x0008_8206);
    assert_eq!(
        flags,
        NegotiateFlags(0x0289_8206),
        "curl gets OEM and a domain, and the version, which it did not ask for"
    );
    assert_eq!(target, b"CORP");
    let (flags, target) = flags_for(&config, 0xE208_8297);
    assert_eq!(flags, NegotiateFlags(0xE289_8215), "Unicode wins, ESS suppresses LM_KEY");
    assert_eq!(target, b"C\0O\0R\0P\0");
    let alone = Arc::new(AcceptorConfig { joined: false, ..server() });
    let (flags, target) = flags_for(&alone, 0x0008_8206);
    assert_eq!(flags, NegotiateFlags(0x028A_8206), "a machine of its own is a server");
    assert_eq!(target, b"WEB1");
}

#[test]
fn a_client_without_a_character_set_is_refused() {
    let negotiate = Negotiate { flags: NegotiateFlags::NTLM, ..Negotiate::default() }.encode();
    let step = Acceptor::new(server(), None).accept(&negotiate, SERVER_CHALLENGE, NOW);
    let Step::Refused(refusal) = step else { panic!("{step:?}") };
    assert_eq!(refusal, Refusal::Malformed(DecodeError::NoCharset));
    assert_eq!(refusal.sec_status(), SecStatus::INVALID_TOKEN);
}

#[test]
fn requiring_128_bit_refuses_curl_and_browser_but_not_windows() {
    let strict = || AcceptorConfig { require_128bit: true, ..server() };
    for (name, profile) in profiles() {
        let (negotiate, _) = Initiator::new(client(profile.clone())).negotiate();
        let step = Acceptor::new(strict(), None).accept(&negotiate, SERVER_CHALLENGE, NOW);
        if matches!(name, "curl" | "browser") {
            assert!(matches!(step, Step::Refused(Refusal::Weak)), "{name}: {step:?}");
        } else {
            assert!(run(&client(profile), strict(), None).0.is_ok(), "{name}");
        }
    }
}

#[test]
fn an_anonymous_logon_is_refused_unless_it_is_allowed() {
    let mut config = client(NtlmProfile::windows());
    config.credentials = Credentials::anonymous();
    let refusal = run(&config, server(), None).0.unwrap_err();
    assert_eq!(refusal, Refusal::Anonymous);
    let open = AcceptorConfig { allow_anonymous: true, ..server() };
    let (outcome, key) = run(&config, open, None);
    let done = outcome.unwrap();
    assert!(done.anonymous);
    assert_eq!((done.user.as_str(), done.session_key), ("", key));
}

#[test]
fn an_authenticate_without_a_challenge_is_refused_as_an_invalid_token() {
    let config = Arc::new(server());
    let sent = messages(&client(NtlmProfile::curl()), &config);
    let mut directory = Directory::new();
    let fresh = Acceptor::new(config.clone(), None);
    let refusal = finish(fresh, &sent.authenticate, &mut directory).unwrap_err();
    assert_eq!(refusal, Refusal::NoContext);
    assert_eq!(refusal.sc_win32_status(BadPasswordCode::Win32), 0x8009_0308);
    assert_eq!(directory.asked, 0, "the DC hears nothing of it");
}

#[test]
fn an_authenticate_works_once() {
    let config = Arc::new(server());
    let sent = messages(&client(NtlmProfile::curl()), &config);
    let (mut acceptor, _) = challenged(&config, None, &sent.negotiate);
    let mut directory = Directory::new();
    let Step::NeedLogon(request) = acceptor.accept(&sent.authenticate, SERVER_CHALLENGE, NOW) else {
        panic!("no logon")
    };
    let reply = directory.logon(&request);
    assert!(matches!(acceptor.resume(&reply), Step::Authenticated(_)));
    assert!(!acceptor.is_pending());
    assert!(matches!(acceptor.resume(&reply), Step::Refused(Refusal::UnexpectedReply)));
    let again = finish(acceptor, &sent.authenticate, &mut directory);
    assert_eq!(again, Err(Refusal::NoContext));
}

#[test]
fn a_negotiate_at_any_time_begins_anew() {
    let config = Arc::new(server());
    let sent = messages(&client(NtlmProfile::windows()), &config);
    let (mut acceptor, _) = challenged(&config, None, &sent.negotiate);
    let step = acceptor.accept(&sent.negotiate, [9; 8], NOW);
    let Step::Challenge(second) = step else { panic!("{step:?}") };
    assert_eq!(Challenge::decode(&second).unwrap().server_challenge, [9; 8]);
    // The proof answers the first challenge, which is no longer valid.
    let stale = finish(acceptor, &sent.authenticate, &mut Directory::new());
    assert_eq!(stale, Err(Refusal::Logon(NtStatus::WRONG_PASSWORD)));
}

#[test]
fn two_spliced_handshakes_look_like_a_bad_password_to_the_dc() {
    let config = Arc::new(server());
    let sent = messages(&client(NtlmProfile::curl()), &config);
    let mut acceptor = Acceptor::new(config, None);
    acceptor.accept(&sent.negotiate, [0xEE; 8], NOW);
    let mut directory = Directory::new();
    let spliced = finish(acceptor, &sent.authenticate, &mut directory);
    assert_eq!(spliced, Err(Refusal::Logon(NtStatus::WRONG_PASSWORD)));
    assert_eq!(directory.asked, 1, "it counts as a failed logon");
}

#[test]
fn a_changed_message_breaks_the_mic_even_where_the_response_still_matches() {
    let config = Arc::new(server());
    let (mut negotiate, initiator) = Initiator::new(client(NtlmProfile::windows())).negotiate();
    let (_, challenge) = challenged(&config, None, &negotiate);
    let (authenticate, _) = initiator.authenticate(&challenge, NONCES, NOW).unwrap();
    negotiate[33] ^= 1; // This byte is inside the version, which only the MIC covers.
    let (acceptor, same) = challenged(&config, None, &negotiate);
    assert_eq!(same, challenge);
    let refusal = finish(acceptor, &authenticate, &mut Directory::new()).unwrap_err();
    assert_eq!(refusal, Refusal::Mic);
    assert_eq!(refusal.sec_status(), SecStatus::MESSAGE_ALTERED);
}

#[test]
fn key_exchange_without_a_whole_key_is_an_invalid_token() {
    let config = Arc::new(server());
    let sent = messages(&client(NtlmProfile::ntlm2_session()), &config);
    let mut message = Authenticate::decode(&sent.authenticate).unwrap();
    message.encrypted_session_key = &[1; 15];
    let raw = message.encode(PayloadOrder::NamesFirst);
    let (acceptor, _) = challenged(&config, None, &sent.negotiate);
    let refusal = finish(acceptor, &raw, &mut Directory::new()).unwrap_err();
    assert_eq!(refusal, Refusal::KeyExchange(15));
    assert_eq!(refusal.sec_status(), SecStatus::INVALID_TOKEN);
}

#[test]
fn bytes_72_to_88_are_no_mic_unless_the_response_says_so() {
    // Samba's client has other bytes in this place.
    let mut profile = NtlmProfile::windows();
    profile.mic = false;
    let config = Arc::new(server());
    let sent = messages(&client(profile), &config);
    let mut message = Authenticate::decode(&sent.authenticate).unwrap();
    message.mic = Some([0xEE; 16]);
    let raw = message.encode(PayloadOrder::ResponsesFirst);
    let (acceptor, _) = challenged(&config, None, &sent.negotiate);
    let done = finish(acceptor, &raw, &mut Directory::new()).unwrap();
    assert!(!done.mic);
    assert_eq!(done.session_key, sent.session_key);
}

#[test]
fn channel_bindings_are_checked_as_the_site_says() {
    let outcome = |checking, ours: Option<ChannelBinding>, theirs, profile: NtlmProfile| {
        let mut config = client(profile);
        config.channel_binding = theirs;
        let site = AcceptorConfig { channel_binding: checking, ..server() };
        run(&config, site, ours).0.map(|done| done.channel_bound)
    };
    let bad = Err(Refusal::BadBindings);
    let other = Some(ChannelBinding([8; 16]));
    let ours = Some(BINDING);
    let (none, allow, require) = (TokenChecking::None, TokenChecking::Allow, TokenChecking::Require);
    for (checking, server, client, expected) in [
        (none, ours, other, Ok(false)),
        (allow, ours, ours, Ok(true)),
        (allow, ours, other, bad.clone()),
        (allow, ours, None, Ok(false)), // All bytes are zero: the client has no binding.
        (require, ours, ours, Ok(true)),
        (require, ours, other, bad.clone()),
        (require, ours, None, bad.clone()),
        (require, None, other, Ok(false)), // Without TLS, there is nothing to compare with.
    ] {
        let got = outcome(checking, server, client, NtlmProfile::browser());
        assert_eq!(got, expected, "{checking:?} {server:?} {client:?}");
    }
    assert_eq!(outcome(allow, ours, ours, NtlmProfile::curl()), Ok(false), "curl sends none");
    assert_eq!(outcome(require, ours, ours, NtlmProfile::curl()), bad);
    assert_eq!(outcome(require, ours, ours, NtlmProfile::ntlm2_session()), bad);
    assert_eq!(Refusal::BadBindings.sc_win32_status(BadPasswordCode::Win32), 0x8009_0346);
}

#[test]
fn service_names_are_checked_as_the_site_says() {
    let outcome = |checking, name: Option<&str>, profile: NtlmProfile| {
        let mut config = client(profile);
        config.target_name = name.map(Into::into);
        let service_names = vec!["HTTP/web1".into(), "http/WEB1.corp.example".into()];
        let site = AcceptorConfig { service_name: checking, service_names, ..server() };
        run(&config, site, None).0.map(|done| done.target_name)
    };
    let ours = Some("HTTP/web1.CORP.example");
    let refused = |name: &str| Err(Refusal::TargetName(name.into()));
    let (allow, require) = (TokenChecking::Allow, TokenChecking::Require);
    let browser = NtlmProfile::browser;
    assert_eq!(outcome(TokenChecking::None, Some("x/y"), browser()), Ok(Some("x/y".into())));
    assert_eq!(outcome(allow, ours, browser()), Ok(ours.map(Into::into)));
    assert_eq!(outcome(allow, Some("HTTP/web2"), browser()), refused("HTTP/web2"));
    assert_eq!(outcome(allow, None, browser()), Ok(None));
    assert_eq!(outcome(require, None, browser()), refused(""));
    assert_eq!(outcome(require, ours, browser()), Ok(ours.map(Into::into)));
    assert_eq!(outcome(require, ours, NtlmProfile::curl()), refused(""));
}

#[test]
fn a_distant_clock_matters_only_where_it_is_checked() {
    let day = FileTime::TICKS_PER_SECOND * 3600 * 24;
    let outcome = |max_skew, days: u64| {
        let config = Arc::new(AcceptorConfig { max_skew, ..server() });
        let (negotiate, initiator) = Initiator::new(client(NtlmProfile::curl())).negotiate();
        let (acceptor, challenge) = challenged(&config, None, &negotiate);
        let then = FileTime(NOW.0 - days * day).whole_seconds();
        let (message, _) = initiator.authenticate(&challenge, NONCES, then).unwrap();
        finish(acceptor, &message, &mut Directory::new()).map(|done| done.user)
    };
    assert_eq!(outcome(None, 300), Ok("alice".into()));
    assert_eq!(outcome(Some(AcceptorConfig::SKEW_36_HOURS), 1), Ok("alice".into()));
    let refusal = outcome(Some(AcceptorConfig::SKEW_36_HOURS), 2).unwrap_err();
    assert_eq!(refusal.sec_status(), SecStatus::TIME_SKEW);
}

#[test]
fn a_guest_has_no_key_to_check_a_mic_with() {
    let config = Arc::new(server());
    let sent = messages(&client(NtlmProfile::windows()), &config);
    let (mut acceptor, _) = challenged(&config, None, &sent.negotiate);
    assert!(matches!(acceptor.accept(&sent.authenticate, SERVER_CHALLENGE, NOW), Step::NeedLogon(_)));
    let reply = LogonReply { user_flags: LogonReply::GUEST, effective_name: "Guest".into(), ..LogonReply::default() };
    let Step::Authenticated(done) = acceptor.resume(&reply) else { panic!("refused") };
    assert!(done.guest);
    assert_eq!(done.user, "Guest");
}

#[test]
fn names_beyond_ascii_survive_unicode_and_upper_casing() {
    use stickler_auth::ntlm::verify::{LmCompatibilityLevel, StoredSecret};
    let config = Arc::new(server());
    let mut client = client(NtlmProfile::windows());
    client.credentials = Credentials::new("jürgen.groß", "corp", PASSWORD);
    let sent = messages(&client, &config);
    let (mut acceptor, _) = challenged(&config, None, &sent.negotiate);
    let Step::NeedLogon(request) = acceptor.accept(&sent.authenticate, SERVER_CHALLENGE, NOW) else {
        panic!("no logon")
    };
    assert_eq!((request.user.as_str(), request.logon_domain.as_str()), ("jürgen.groß", "corp"));
    let mut secret = StoredSecret::from_password(PASSWORD, false);
    assert!(secret.verify(&request, LmCompatibilityLevel::RefuseLmAndNtlm).is_ok());
}

#[test]
fn nothing_secret_shows_in_debug_output() {
    let config = client(NtlmProfile::windows());
    let sent = messages(&config, &Arc::new(server()));
    let shown = format!("{config:?}");
    assert!(shown.contains(r"Credentials(CORP\Alice)"), "{shown}");
    let (outcome, _) = run(&config, server(), None);
    let shown = format!("{:?}", outcome.unwrap());
    assert!(!shown.contains("session_key"), "{shown}");
    assert!(!sent.challenge.is_empty());
}
