//! Tests of SPNEGO: captured tokens byte for byte, every way through a negotiation, and each refusal.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::der::{Fault, Writer, tag};
use stickler_auth::http::{Scheme, TokenKind, format_token, parse_authorization, token_kind};
use stickler_auth::kerberos::ap::{self, ReplayCache};
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::keys::ServiceKeys;
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::ntlm;
use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_auth::ntlm::initiator::Credentials;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::session::{Direction, SessionSecurity};
use stickler_auth::spnego::token::{NegState, NegTokenInit, NegTokenResp, Token, encode_init, mech_types_der};
use stickler_auth::spnego::{
    Acceptor, AcceptorConfig, Authenticated, Established, Identity, Initiator, InitiatorConfig, InitiatorError,
    InitiatorNonces, InitiatorStep, KerberosOffer, Mechanism, Nonces, Package, Refusal, Rejected, Step,
};
use stickler_auth::status::SecStatus;

use crate::common::{DOMAIN, Directory, NONCES, NOW, SERVER_CHALLENGE, USER, Vector, client, hex, server};
use crate::realm::{ap_nonces, stray_key, ticket_and_server};

pub(crate) fn nonces() -> Nonces {
    Nonces { server_challenge: SERVER_CHALLENGE, kerberos: ap_nonces(9) }
}

pub(crate) fn initiator_nonces() -> InitiatorNonces {
    InitiatorNonces { kerberos: ap_nonces(3), ntlm: NONCES }
}

/// Returns a server with both packages, and the offers of a client for both.
fn both(etype: Etype) -> (AcceptorConfig, Arc<KerberosOffer>, Arc<ntlm::initiator::InitiatorConfig>) {
    let (credential, kerberos) = ticket_and_server(etype);
    let config = AcceptorConfig { ntlm: Some(Arc::new(server())), kerberos: Some(Arc::new(kerberos)) };
    let offer = KerberosOffer { config: ap::InitiatorConfig::default(), credential };
    (config, Arc::new(offer), Arc::new(client(NtlmProfile::windows())))
}

/// The results of both sides, and the number of tokens that the client sent.
struct Outcome {
    server: Result<Authenticated, Rejected>,
    client: Result<Option<Established>, InitiatorError>,
    sent: u32,
}

/// Carries tokens until one side ends. `change` may alter each of the client's tokens.
fn negotiate(
    acceptor: AcceptorConfig,
    initiator: InitiatorConfig,
    change: impl Fn(u32, Vec<u8>) -> Vec<u8>,
) -> Outcome {
    let mut acceptor = Acceptor::new(acceptor, None);
    let mut initiator = Initiator::new(initiator);
    let mut replays = ReplayCache::default();
    let mut directory = Directory::new();
    let mut token = initiator.start(initiator_nonces(), NOW).unwrap();
    for sent in 1..10 {
        let mut step = acceptor.accept(&change(sent, token), nonces(), NOW, &mut replays);
        if let Step::NeedLogon(request) = &step {
            assert!(acceptor.is_pending());
            step = acceptor.resume(&directory.logon(request));
        }
        let answer = match step {
            Step::Continue(answer) => answer,
            Step::Authenticated(done) => {
                assert!(!acceptor.is_pending());
                let client = match done.token.as_slice() {
                    [] => initiator.finish_without_token().map(Some),
                    last => match initiator.step(last, initiator_nonces(), NOW) {
                        Ok(InitiatorStep::Done(established)) => Ok(Some(established)),
                        Ok(InitiatorStep::Continue(_)) => panic!("the client would go on"),
                        Err(error) => Err(error),
                    },
                };
                return Outcome { server: Ok(*done), client, sent };
            }
            Step::Refused(rejected) => return Outcome { server: Err(*rejected), client: Ok(None), sent },
            Step::NeedLogon(_) => panic!("asked twice"),
        };
        token = match initiator.step(&answer, initiator_nonces(), NOW) {
            Ok(InitiatorStep::Continue(token)) => token,
            Ok(InitiatorStep::Done(_)) => panic!("the server expects more"),
            Err(error) => {
                let rejected = Rejected { refusal: Refusal::NoToken, token: vec![], recoverable: false };
                return Outcome { server: Err(rejected), client: Err(error), sent };
            }
        };
    }
    panic!("no end of tokens")
}

fn unchanged(_: u32, token: Vec<u8>) -> Vec<u8> {
    token
}

fn init(token: &[u8]) -> NegTokenInit<'_> {
    match Token::decode(token).unwrap() {
        Token::Init(init) => init,
        Token::Resp(_) => panic!("a NegTokenResp"),
    }
}

fn resp(token: &[u8]) -> NegTokenResp<'_> {
    match Token::decode(token).unwrap() {
        Token::Resp(resp) => resp,
        Token::Init(_) => panic!("a NegTokenInit"),
    }
}

#[test]
fn oids_are_those_of_the_standards() {
    let v = Vector::load("spnego_oids");
    for (mechanism, name) in [
        (Mechanism::Kerberos, "krb5"),
        (Mechanism::MsKerberos, "ms_krb5"),
        (Mechanism::Ntlm, "ntlm"),
        (Mechanism::NegoEx, "negoex"),
    ] {
        let der = Writer::encode(|w| w.value(tag::OBJECT_IDENTIFIER, mechanism.oid()));
        assert_eq!(hex(&der), v.text(name));
        assert_eq!(Mechanism::from_oid(mechanism.oid()), Some(mechanism));
    }
    let der = Writer::encode(|w| w.value(tag::OBJECT_IDENTIFIER, stickler_auth::spnego::token::SPNEGO_OID));
    assert_eq!(hex(&der), v.text("spnego"));
    assert_eq!(Mechanism::from_oid(&v.bytes("krb5_u2u")[2..]), None);
}

#[test]
fn a_captured_exchange_of_mit_and_pyspnego_decodes_and_encodes_to_the_same_bytes() {
    let v = Vector::load("spnego_ntlm_exchange");
    let mech_types = mech_types_der(&[Mechanism::Ntlm]);
    assert_eq!(hex(&mech_types), v.text("mechTypes_DER_input_to_mechListMIC"));
    let first = v.bytes("neg_token_init");
    let decoded = init(&first);
    assert_eq!(
        (decoded.mech_types_der, decoded.mech_types.as_slice()),
        (mech_types.as_slice(), &[Mechanism::Ntlm.oid()][..])
    );
    assert_eq!(hex(decoded.mech_token.unwrap()), v.text("type1"));
    assert_eq!(encode_init(&mech_types, decoded.mech_token), first);
    assert_eq!(hex(&first), Vector::load("spnego_init_ntlm").text("der"));
    for (name, state, token, mic) in [
        ("neg_token_resp_1", NegState::RequestMic, Some("type2"), None),
        ("neg_token_resp_2", NegState::AcceptIncomplete, Some("type3"), Some("client_mechListMIC")),
        ("neg_token_resp_3", NegState::AcceptCompleted, None, Some("server_mechListMIC")),
    ] {
        let raw = v.bytes(name);
        let decoded = resp(&raw);
        assert_eq!(decoded.state, Some(state), "{name}");
        assert_eq!(decoded.response_token.map(hex).as_deref(), token.map(|token| v.text(token)), "{name}");
        assert_eq!(decoded.mech_list_mic.map(hex).as_deref(), mic.map(|mic| v.text(mic)), "{name}");
        assert_eq!(decoded.encode(), raw, "{name}");
    }
}

#[test]
fn the_captured_client_is_accepted_with_both_mics() {
    // The captured type 3 answers another server's Challenge. Therefore its MICs are checked with the session key
    // directly.
    let v = Vector::load("spnego_ntlm_exchange");
    let key = v.array("ExportedSessionKey");
    let flags = NegotiateFlags(0xE28A_8235);
    let mech_types = v.bytes("mechTypes_DER_input_to_mechListMIC");
    for (direction, name) in
        [(Direction::ClientToServer, "client_mechListMIC"), (Direction::ServerToClient, "server_mechListMIC")]
    {
        let sign = || SessionSecurity::new(flags, &key, direction).sign(&mech_types);
        assert_eq!((hex(&sign()), hex(&sign())), (v.text(name).into(), v.text(name).into()), "rewound");
    }
}

#[test]
fn kerberos_in_spnego_takes_one_token_and_proves_the_server() {
    for etype in Etype::ALL {
        let (config, offer, ntlm) = both(etype);
        for (initiator, chosen) in [
            (InitiatorConfig::windows(Some(offer.clone()), Some(ntlm.clone())), Mechanism::MsKerberos),
            (InitiatorConfig::mit(offer.clone()), Mechanism::Kerberos),
        ] {
            let outcome = negotiate(config.clone(), initiator, unchanged);
            let done = outcome.server.unwrap();
            assert_eq!((outcome.sent, done.negotiated), (1, Some(chosen)), "the OID is echoed");
            assert_eq!(resp(&done.token).supported_mech, Some(chosen.oid()));
            assert_eq!(resp(&done.token).state, Some(NegState::AcceptCompleted));
            let Identity::Kerberos(accepted) = done.identity else { panic!("by Kerberos") };
            assert_eq!(accepted.client.to_string(), "alice@CORP.EXAMPLE");
            let established = outcome.client.unwrap().unwrap();
            assert_eq!(established, Established { package: Package::Kerberos, server_proved: true });
        }
    }
}

#[test]
fn ntlm_in_spnego_is_signed_by_both_sides_where_ntlm_has_a_mic() {
    let (config, _, _) = both(Etype::Aes256Sha1);
    // Without SIGN, a signature is a block that proves nothing. This applies to curl and to Chromium's own NTLM.
    for (profile, proved) in [
        (NtlmProfile::windows(), true),
        (NtlmProfile::ntlm2_session(), true),
        (NtlmProfile::ntlm_v1(), true),
        (NtlmProfile::browser(), false),
        (NtlmProfile::curl(), false),
    ] {
        let ntlm = Some(Arc::new(client(profile.clone())));
        let initiator = InitiatorConfig { raw: false, ..InitiatorConfig::windows(None, ntlm) };
        let outcome = negotiate(config.clone(), initiator, unchanged);
        let done = outcome.server.unwrap();
        // The state request-mic asks every client to sign, even if its NTLM has no MIC.
        assert_eq!((outcome.sent, done.mech_list_mic), (2, true), "{profile:?}");
        let Identity::Ntlm(account) = done.identity else { panic!("by NTLM") };
        assert_eq!((account.user.as_str(), account.domain.as_str()), ("alice", DOMAIN));
        let established = outcome.client.unwrap().unwrap();
        assert_eq!(established, Established { package: Package::Ntlm, server_proved: proved }, "{profile:?}");
    }
}

/// Returns a client that asks for no signatures and has no MIC.
fn unsigned() -> NtlmProfile {
    let curl = NtlmProfile::curl();
    NtlmProfile { flags: curl.flags - NegotiateFlags::ALWAYS_SIGN, echo_flags: false, ..curl }
}

#[test]
fn nobody_signs_where_signatures_were_not_negotiated_at_all() {
    let (config, _, _) = both(Etype::Aes256Sha1);
    for mic in [false, true] {
        let ntlm = Some(Arc::new(client(NtlmProfile { mic, ..unsigned() })));
        let initiator = InitiatorConfig { raw: false, ..InitiatorConfig::windows(None, ntlm) };
        let outcome = negotiate(config.clone(), initiator, unchanged);
        let done = outcome.server.unwrap();
        assert_eq!((done.mech_list_mic, outcome.sent), (false, 2));
        let established = Established { package: Package::Ntlm, server_proved: false };
        assert_eq!(outcome.client.unwrap().unwrap(), established);
    }
}

/// Returns the client's second token without its MIC.
fn strip_mic(sent: u32, token: Vec<u8>) -> Vec<u8> {
    if sent == 1 { token } else { NegTokenResp { mech_list_mic: None, ..resp(&token) }.encode() }
}

#[test]
fn a_missing_mic_is_refused_only_where_ntlm_announced_one() {
    let (config, _, _) = both(Etype::Aes256Sha1);
    for (profile, good) in [(NtlmProfile::windows(), false), (NtlmProfile::curl(), true)] {
        let ntlm = Some(Arc::new(client(profile)));
        let initiator = InitiatorConfig { raw: false, ..InitiatorConfig::windows(None, ntlm) };
        let outcome = negotiate(config.clone(), initiator, strip_mic);
        match outcome.server {
            Ok(done) => assert!(good && !done.mech_list_mic),
            Err(rejected) => {
                assert!(!good);
                assert_eq!(rejected.refusal, Refusal::MissingMic);
                assert_eq!(resp(&rejected.token).state, Some(NegState::Reject));
            }
        }
    }
}

#[test]
fn a_changed_list_of_mechanisms_or_mic_is_refused() {
    let (config, _, _) = both(Etype::Aes256Sha1);
    let ntlm = || Some(Arc::new(client(NtlmProfile::windows())));
    let initiator = || InitiatorConfig { raw: false, ..InitiatorConfig::windows(None, ntlm()) };
    // An attacker adds a mechanism to the list on its way.
    let longer = mech_types_der(&[Mechanism::Ntlm, Mechanism::NegoEx]);
    let outcome = negotiate(config.clone(), initiator(), |sent, token| match sent {
        1 => encode_init(&longer, init(&token).mech_token),
        _ => token,
    });
    assert_eq!(outcome.server.unwrap_err().refusal, Refusal::BadMic);
    for at in 0..16 {
        let outcome = negotiate(config.clone(), initiator(), |sent, token| {
            if sent == 1 {
                return token;
            }
            let resp = resp(&token);
            let mut mic = resp.mech_list_mic.unwrap().to_vec();
            mic[at] ^= 1;
            NegTokenResp { mech_list_mic: Some(&mic), ..resp }.encode()
        });
        assert_eq!(outcome.server.unwrap_err().refusal, Refusal::BadMic, "byte {at}");
    }
}

#[test]
fn the_optimistic_token_counts_only_if_its_mechanism_is_chosen() {
    let (config, offer, ntlm) = both(Etype::Aes256Sha1);
    // The client prefers Kerberos, but the server has only NTLM.
    let only = AcceptorConfig { kerberos: None, ..config.clone() };
    let initiator = InitiatorConfig::windows(Some(offer.clone()), Some(ntlm.clone()));
    let outcome = negotiate(only, initiator, unchanged);
    let done = outcome.server.unwrap();
    assert_eq!((done.identity.package(), done.mech_list_mic, outcome.sent), (Package::Ntlm, true, 3));
    assert!(outcome.client.unwrap().unwrap().server_proved);
    // The client prefers NTLM, but the server has only Kerberos, with and without mutual authentication.
    for (mutual, tokens) in [(true, 3), (false, 2)] {
        let only = AcceptorConfig { ntlm: None, ..config.clone() };
        let offer = KerberosOffer {
            config: ap::InitiatorConfig { mutual, ..ap::InitiatorConfig::default() },
            credential: offer.credential.clone(),
        };
        let initiator = InitiatorConfig {
            mechanisms: vec![Mechanism::Ntlm, Mechanism::Kerberos],
            raw: false,
            ..InitiatorConfig::windows(Some(Arc::new(offer)), Some(ntlm.clone()))
        };
        let outcome = negotiate(only, initiator, unchanged);
        let done = outcome.server.unwrap();
        assert_eq!((done.identity.package(), done.mech_list_mic, outcome.sent), (Package::Kerberos, true, tokens));
        assert!(outcome.client.unwrap().unwrap().server_proved);
    }
}

#[test]
fn mechanisms_that_nobody_knows_are_passed_over() {
    let (config, offer, _) = both(Etype::Aes256Sha1);
    let mechanisms = vec![Mechanism::NegoEx, Mechanism::Kerberos];
    let mut acceptor = Acceptor::new(config, None);
    let first = encode_init(&mech_types_der(&mechanisms), Some(b"NEGOEXTS"));
    let step = acceptor.accept(&first, nonces(), NOW, &mut ReplayCache::default());
    let Step::Continue(answer) = step else { panic!("{step:?}") };
    let answer = resp(&answer);
    assert_eq!((answer.state, answer.supported_mech), (Some(NegState::RequestMic), Some(Mechanism::Kerberos.oid())));
    assert_eq!(answer.response_token, None);
    let (token, _) = ap::Initiator::start(&offer.config, &offer.credential, ap_nonces(1), NOW);
    let token = NegTokenResp { response_token: Some(&token), ..NegTokenResp::default() }.encode();
    let step = acceptor.accept(&token, nonces(), NOW, &mut ReplayCache::default());
    let Step::Continue(answer) = step else { panic!("the MIC is still due: {step:?}") };
    assert!(resp(&answer).mech_list_mic.is_some());
    // Without the MIC, the handshake cannot end.
    let nothing = NegTokenResp { state: Some(NegState::AcceptCompleted), ..NegTokenResp::default() }.encode();
    let step = acceptor.accept(&nothing, nonces(), NOW, &mut ReplayCache::default());
    assert!(matches!(step, Step::Refused(rejected) if rejected.refusal == Refusal::MissingMic));
    assert!(!acceptor.is_pending());
}

#[test]
fn a_client_without_a_mechanism_in_common_is_rejected() {
    let (config, offer, ntlm) = both(Etype::Aes256Sha1);
    let only = AcceptorConfig { ntlm: None, ..config.clone() };
    let initiator = InitiatorConfig { raw: false, ..InitiatorConfig::windows(None, Some(ntlm.clone())) };
    let rejected = negotiate(only.clone(), initiator, unchanged).server.unwrap_err();
    assert_eq!(rejected.refusal, Refusal::NoMechanism);
    assert_eq!(rejected.refusal.sec_status(), SecStatus::UNSUPPORTED_FUNCTION);
    let raw = negotiate(only, InitiatorConfig::windows(None, Some(ntlm)), unchanged).server.unwrap_err();
    assert_eq!((raw.refusal, raw.token.len()), (Refusal::Disabled(Package::Ntlm), 0));
    let only = AcceptorConfig { kerberos: None, ..config };
    let raw = InitiatorConfig { raw: true, ..InitiatorConfig::mit(offer) };
    assert_eq!(negotiate(only, raw, unchanged).server.unwrap_err().refusal, Refusal::Disabled(Package::Kerberos));
}

#[test]
fn raw_tokens_are_answered_raw() {
    let (config, offer, ntlm) = both(Etype::Aes256Sha1);
    let outcome = negotiate(config.clone(), InitiatorConfig::windows(None, Some(ntlm)), |sent, token| {
        let kind = [TokenKind::NtlmNegotiate, TokenKind::NtlmAuthenticate][sent as usize - 1];
        assert_eq!(token_kind(&token), kind);
        token
    });
    let done = outcome.server.unwrap();
    assert_eq!((done.negotiated, done.token.len(), outcome.sent), (None, 0, 2));
    let outcome = negotiate(config, InitiatorConfig { raw: true, ..InitiatorConfig::mit(offer) }, unchanged);
    let done = outcome.server.unwrap();
    assert_eq!((done.negotiated, token_kind(&done.token)), (None, TokenKind::Kerberos));
    assert!(outcome.client.unwrap().unwrap().server_proved);
}

#[test]
fn a_refused_ticket_is_told_within_spnego_and_a_wrong_clock_can_be_corrected() {
    let (config, offer, ntlm) = both(Etype::Aes256Sha1);
    let stray = ap::AcceptorConfig::new(ServiceKeys::new(&[stray_key(Etype::Aes256Sha1, 5)]));
    let broken = AcceptorConfig { kerberos: Some(Arc::new(stray)), ..config.clone() };
    let windows = InitiatorConfig::windows(Some(offer), Some(ntlm));
    let rejected = negotiate(broken, windows.clone(), unchanged).server.unwrap_err();
    assert_eq!(rejected.refusal, Refusal::Kerberos(ap::Refusal::Kerberos(KrbErrorCode::MODIFIED)));
    assert_eq!((rejected.refusal.sec_status(), rejected.recoverable), (SecStatus::LOGON_DENIED, false));
    let response = resp(&rejected.token);
    assert_eq!(response.state, Some(NegState::Reject));
    let mut initiator = Initiator::new(windows.clone());
    initiator.start(initiator_nonces(), NOW).unwrap();
    let error = initiator.step(&rejected.token, initiator_nonces(), NOW).unwrap_err();
    assert!(matches!(
        error,
        InitiatorError::Kerberos(ap::InitiatorError::Refused { code: KrbErrorCode::MODIFIED, .. })
    ));

    let ahead = FileTime(NOW.0 + 600 * FileTime::TICKS_PER_SECOND);
    let mut replays = ReplayCache::default();
    let mut acceptor = Acceptor::new(config, None);
    let mut initiator = Initiator::new(windows);
    let token = initiator.start(initiator_nonces(), NOW).unwrap();
    let Step::Refused(rejected) = acceptor.accept(&token, nonces(), ahead, &mut replays) else { panic!() };
    assert!(rejected.recoverable && acceptor.is_pending());
    let error = initiator.step(&rejected.token, initiator_nonces(), NOW).unwrap_err();
    let InitiatorError::Kerberos(ap::InitiatorError::Refused { code: KrbErrorCode::SKEW, server_time }) = error else {
        panic!("{error}")
    };
    let offer = ticket_and_server(Etype::Aes256Sha1).0;
    let (again, _) = ap::Initiator::start(&ap::InitiatorConfig::default(), &offer, ap_nonces(4), server_time);
    let token = NegTokenResp { response_token: Some(&again), ..NegTokenResp::default() }.encode();
    assert!(matches!(acceptor.accept(&token, nonces(), ahead, &mut replays), Step::Authenticated(_)));
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_the_dcs_business() {
    let (config, _, _) = both(Etype::Aes256Sha1);
    let mut wrong = client(NtlmProfile::windows());
    wrong.credentials = Credentials::new(USER, DOMAIN, "wrong");
    let initiator = InitiatorConfig { raw: false, ..InitiatorConfig::windows(None, Some(Arc::new(wrong))) };
    let rejected = negotiate(config, initiator, unchanged).server.unwrap_err();
    assert!(matches!(rejected.refusal, Refusal::Ntlm(ntlm::acceptor::Refusal::Logon(_))));
    assert_eq!(rejected.refusal.sec_status(), SecStatus::LOGON_DENIED);
}

#[test]
fn a_continuation_without_a_beginning_is_an_invalid_token() {
    let (config, _, _) = both(Etype::Aes256Sha1);
    let v = Vector::load("spnego_ntlm_exchange");
    let mut acceptor = Acceptor::new(config, None);
    for token in [v.bytes("neg_token_resp_2"), v.bytes("type3"), v.bytes("type2")] {
        let step = acceptor.accept(&token, nonces(), NOW, &mut ReplayCache::default());
        let Step::Refused(rejected) = step else { panic!("{step:?}") };
        assert_eq!((rejected.refusal, rejected.token.len()), (Refusal::NoContext, 0));
    }
    // A SPNEGO token does not continue a raw handshake, and a raw token does not continue a SPNEGO handshake.
    assert!(matches!(
        acceptor.accept(&v.bytes("type1"), nonces(), NOW, &mut ReplayCache::default()),
        Step::Continue(_)
    ));
    let step = acceptor.accept(&v.bytes("neg_token_resp_2"), nonces(), NOW, &mut ReplayCache::default());
    assert!(matches!(step, Step::Refused(_)));
    assert!(matches!(
        acceptor.accept(&v.bytes("neg_token_init"), nonces(), NOW, &mut ReplayCache::default()),
        Step::Continue(_)
    ));
    let step = acceptor.accept(&v.bytes("type3"), nonces(), NOW, &mut ReplayCache::default());
    assert!(matches!(step, Step::Refused(rejected) if rejected.refusal == Refusal::NoContext));
}

#[test]
fn hints_of_windows_and_bare_tokens_are_understood() {
    let mech_types = mech_types_der(&[Mechanism::Kerberos, Mechanism::Ntlm]);
    let inner = |hints: bool| {
        Writer::encode(|w| {
            w.field(0, |w| {
                w.sequence(|w| {
                    w.field(0, |w| w.raw(&mech_types));
                    w.field(1, |w| w.value(tag::BIT_STRING, &[1, 0x60]));
                    if hints {
                        let hint = "not_defined_in_RFC4178@please_ignore";
                        w.field(3, |w| w.sequence(|w| w.field(0, |w| w.string(hint))));
                        w.field(4, |w| w.octets(b"mic"));
                    } else {
                        w.field(3, |w| w.octets(b"mic"));
                    }
                });
            });
        })
    };
    for hints in [true, false] {
        let bare = inner(hints);
        let decoded = init(&bare);
        assert_eq!(decoded.mech_types, [Mechanism::Kerberos.oid(), Mechanism::Ntlm.oid()]);
        assert_eq!((decoded.mech_token, decoded.mech_list_mic), (None, Some(&b"mic"[..])));
    }
    // After a list without a token, the server names its choice and waits.
    let (config, _, _) = both(Etype::Aes256Sha1);
    let mut acceptor = Acceptor::new(config, None);
    let step = acceptor.accept(&encode_init(&mech_types, None), nonces(), NOW, &mut ReplayCache::default());
    let Step::Continue(answer) = step else { panic!("{step:?}") };
    let answer = resp(&answer);
    assert_eq!(
        (answer.state, answer.supported_mech),
        (Some(NegState::AcceptIncomplete), Some(Mechanism::Kerberos.oid()))
    );
}

#[test]
fn malformed_tokens_are_refused_with_the_place() {
    let good = encode_init(&mech_types_der(&[Mechanism::Ntlm]), Some(b"token"));
    assert!(Token::decode(&good).is_ok());
    let fault = |bytes: &[u8]| Token::decode(bytes).unwrap_err();
    for len in 0..good.len() {
        assert_eq!(fault(&good[..len]).fault, Fault::Truncated, "{len} bytes");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!((fault(&longer).fault, fault(&longer).at), (Fault::Trailing, good.len()));
    let mut indefinite = good.clone();
    indefinite[1] = 0x80;
    assert_eq!((fault(&indefinite).fault, fault(&indefinite).at), (Fault::Indefinite, 0));
    let many: Vec<Mechanism> = [Mechanism::NegoEx].repeat(33);
    assert!(matches!(fault(&encode_init(&mech_types_der(&many), None)).fault, Fault::Value(_)));
    assert!(matches!(fault(&vec![0x60; 70_000]).fault, Fault::Value(_)));
    // Endless nesting is refused at the first level that does not have the expected tag.
    let nested = (0..60_u8).fold(vec![0x30, 0], |inner, _| Writer::encode(|w| w.nested(0xA1, |w| w.raw(&inner))));
    assert!(matches!(fault(&nested).fault, Fault::Tag { .. }));
}

#[test]
fn a_client_takes_no_mechanism_that_it_did_not_offer() {
    let (_, offer, ntlm) = both(Etype::Aes256Sha1);
    let answer = |state, mechanism: Mechanism| {
        NegTokenResp { state: Some(state), supported_mech: Some(mechanism.oid()), ..NegTokenResp::default() }.encode()
    };
    let started = |config: InitiatorConfig| {
        let mut initiator = Initiator::new(config);
        initiator.start(initiator_nonces(), NOW).unwrap();
        initiator
    };
    let mut initiator = started(InitiatorConfig::mit(offer.clone()));
    let error = initiator.step(&answer(NegState::RequestMic, Mechanism::Ntlm), initiator_nonces(), NOW);
    assert_eq!(error, Err(InitiatorError::NotOffered));
    let mut initiator = started(InitiatorConfig::windows(Some(offer.clone()), Some(ntlm.clone())));
    let error = initiator.step(&answer(NegState::AcceptCompleted, Mechanism::Ntlm), initiator_nonces(), NOW);
    assert_eq!(error, Err(InitiatorError::Unexpected), "nobody completes what has not begun");
    let mut initiator = started(InitiatorConfig::mit(offer.clone()));
    let error = initiator.step(&answer(NegState::AcceptCompleted, Mechanism::Kerberos), initiator_nonces(), NOW);
    assert_eq!(error, Err(InitiatorError::Unexpected), "mutual authentication was asked for");
    let mut initiator = started(InitiatorConfig::mit(offer));
    let reject = NegTokenResp { state: Some(NegState::Reject), ..NegTokenResp::default() }.encode();
    assert_eq!(initiator.step(&reject, initiator_nonces(), NOW), Err(InitiatorError::Rejected));
    assert_eq!(initiator.step(&reject, initiator_nonces(), NOW), Err(InitiatorError::Unexpected));
    let mut nothing = Initiator::new(InitiatorConfig {
        mechanisms: vec![Mechanism::Kerberos],
        ..InitiatorConfig::windows(None, Some(ntlm))
    });
    assert_eq!(nothing.start(initiator_nonces(), NOW), Err(InitiatorError::NoCredentials));
}

#[test]
fn an_end_without_a_token_is_an_end_only_if_nothing_is_to_be_proved() {
    let (_, offer, ntlm) = both(Etype::Aes256Sha1);
    let started = |config: InitiatorConfig| {
        let mut initiator = Initiator::new(config);
        initiator.start(initiator_nonces(), NOW).unwrap();
        initiator
    };
    assert_eq!(started(InitiatorConfig::mit(offer.clone())).finish_without_token(), Err(InitiatorError::Unexpected));
    let config = ap::InitiatorConfig { mutual: false, ..ap::InitiatorConfig::default() };
    let one_way = Arc::new(KerberosOffer { config, credential: offer.credential.clone() });
    let established = Established { package: Package::Kerberos, server_proved: false };
    assert_eq!(started(InitiatorConfig::mit(one_way)).finish_without_token(), Ok(established));
    // This handshake is signed, and the server has not yet sent its own signature.
    let mut initiator = started(InitiatorConfig { raw: false, ..InitiatorConfig::windows(None, Some(ntlm)) });
    let mut acceptor = Acceptor::new(both(Etype::Aes256Sha1).0, None);
    let mut replays = ReplayCache::default();
    let mut again = Initiator::new(InitiatorConfig {
        raw: false,
        ..InitiatorConfig::windows(None, Some(Arc::new(client(NtlmProfile::windows()))))
    });
    let first = again.start(initiator_nonces(), NOW).unwrap();
    let Step::Continue(challenge) = acceptor.accept(&first, nonces(), NOW, &mut replays) else { panic!() };
    initiator.step(&challenge, initiator_nonces(), NOW).unwrap();
    assert_eq!(initiator.finish_without_token(), Err(InitiatorError::MissingMic));
}

#[test]
fn nego2_is_a_scheme_like_negotiate() {
    let value = format_token(Scheme::Nego2, b"token");
    assert_eq!(value, "Nego2 dG9rZW4=");
    let parsed = parse_authorization(b"nego2 dG9rZW4=", 64).unwrap();
    assert_eq!((parsed.scheme, parsed.token.as_slice()), (Scheme::Nego2, &b"token"[..]));
}
