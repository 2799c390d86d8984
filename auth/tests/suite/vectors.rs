//! Tests against byte-exact vectors: MS-NLMP section 4.2, a captured SPNEGO exchange, curl's Negotiate, a channel
//! binding.

use crate::common::{Vector, hex, unhex};
use stickler_auth::FileTime;
use stickler_auth::channel_binding::{ChannelBinding, gss_channel_bindings};
use stickler_auth::http::{self, Scheme, TokenKind};
use stickler_auth::logon::LogonRequest;
use stickler_auth::ntlm::authenticate::{Authenticate, PayloadOrder};
use stickler_auth::ntlm::av::AvPairs;
use stickler_auth::ntlm::challenge::Challenge;
use stickler_auth::ntlm::crypto::{self, Ntowfv2};
use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig, Nonces};
use stickler_auth::ntlm::negotiate::Negotiate;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::response::{NtResponse, encode_blob};
use stickler_auth::ntlm::session::{Direction, SessionSecurity, extended_seal_key, sign_key};
use stickler_auth::ntlm::text::utf16le;
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, Proof, StoredSecret};

/// Asserts that `$actual` equals the field `$name` of the vector.
macro_rules! expect {
    ($vector:expr, $name:expr, $actual:expr) => {
        assert_eq!(hex($actual.as_ref()), $vector.text($name), "{}", $name)
    };
}

fn flags(vector: &Vector) -> NegotiateFlags {
    NegotiateFlags(u32::from_str_radix(vector.text("ChallengeFlags"), 16).unwrap())
}

fn request(vector: &Vector, challenge: [u8; 8], nt: &[u8], lm: &[u8]) -> LogonRequest {
    LogonRequest {
        user: vector.text("User").into(),
        logon_domain: vector.text("UserDom").into(),
        challenge,
        nt_response: nt.to_vec(),
        lm_response: lm.to_vec(),
        ..LogonRequest::default()
    }
}

#[test]
fn ntlmv1_hashes_responses_and_keys_are_those_of_ms_nlmp_4_2_2() {
    let v = Vector::load("ntlmv1");
    let challenge = v.array("ServerChallenge");
    let nt_hash = crypto::ntowf_v1(v.text("Passwd"));
    let lm_hash = crypto::lmowf_v1(v.text("Passwd")).unwrap();
    expect!(v, "NTOWFv1", nt_hash);
    expect!(v, "LMOWFv1", lm_hash);
    let nt = crypto::v1_response(&nt_hash, &challenge);
    let lm = crypto::v1_response(&lm_hash, &challenge);
    expect!(v, "NtChallengeResponse", nt);
    expect!(v, "LmChallengeResponse", lm);
    let base = crypto::v1_session_base_key(&nt_hash);
    expect!(v, "SessionBaseKey", base);

    let random = v.array("RandomSessionKey");
    let lm_key = lm_hash[..8].try_into().unwrap();
    let key = |flags| crypto::v1_key_exchange_key(flags, &base, &lm_key, &lm, &challenge);
    let plain = flags(&v) - NegotiateFlags::LM_KEY;
    expect!(v, "EncryptedRandomSessionKey", crypto::exchange_session_key(&key(plain), &random));
    let with_lm_key = key(plain | NegotiateFlags::LM_KEY);
    expect!(v, "KeyExchangeKey_LM_KEY", with_lm_key);
    expect!(v, "EncryptedRandomSessionKey_LM_KEY", crypto::exchange_session_key(&with_lm_key, &random));
    let non_nt = key(plain | NegotiateFlags::REQUEST_NON_NT_SESSION_KEY);
    expect!(v, "EncryptedRandomSessionKey_NON_NT", crypto::exchange_session_key(&non_nt, &random));
}

#[test]
fn ntlmv1_seal_and_signature_are_those_of_ms_nlmp_4_2_2_4() {
    let v = Vector::load("ntlmv1");
    let session_key = v.array("RandomSessionKey");
    let mut client = SessionSecurity::new(flags(&v), &session_key, Direction::ClientToServer);
    let mut message = utf16le("Plaintext");
    let signature = client.seal(&mut message);
    expect!(v, "Seal_Data", message);
    // The signature consists of the version, RandomPad (which Windows sets to zero, unlike the sample), the checksum
    // and the sequence number.
    let expected = format!("0100000000000000{}{}", v.text("Seal_Checksum"), v.text("Seal_SeqNum"));
    assert_eq!(hex(&signature), expected);
    let mut server = SessionSecurity::new(flags(&v), &session_key, Direction::ClientToServer);
    assert!(server.unseal(&mut message, &signature));
    assert_eq!(message, utf16le("Plaintext"));
}

#[test]
fn ntlm2_session_response_and_keys_are_those_of_ms_nlmp_4_2_3() {
    let v = Vector::load("ntlm2_session");
    let server = v.array("ServerChallenge");
    let client: [u8; 8] = v.array("ClientChallenge");
    let nt_hash = crypto::ntowf_v1(v.text("Passwd"));
    let challenge = crypto::ntlm2_session_challenge(&server, &client);
    expect!(v, "DC_LmChallenge", challenge);
    let nt = crypto::v1_response(&nt_hash, &challenge);
    expect!(v, "NtChallengeResponse", nt);
    let mut lm = [0; 24];
    lm[..8].copy_from_slice(&client);
    expect!(v, "LmChallengeResponse", lm);
    let base = crypto::v1_session_base_key(&nt_hash);
    expect!(v, "SessionBaseKey", base);
    let key = crypto::v1_key_exchange_key(flags(&v), &base, &[0; 8], &lm, &server);
    expect!(v, "KeyExchangeKey", key);
    expect!(v, "ClientSealKey_56", extended_seal_key(flags(&v), &key, Direction::ClientToServer));
    expect!(v, "ClientSignKey", sign_key(&key, Direction::ClientToServer));
    let mut message = utf16le("Plaintext");
    let signature = SessionSecurity::new(flags(&v), &key, Direction::ClientToServer).seal(&mut message);
    expect!(v, "Seal_Data", message);
    expect!(v, "Signature", signature);

    let proven = StoredSecret::from_password(v.text("Passwd"), true)
        .verify(&request(&v, challenge, &nt, &lm), LmCompatibilityLevel::RefuseLm);
    assert_eq!(proven.unwrap().proof, Proof::NtlmV1);
}

#[test]
fn ntlmv2_blob_responses_and_keys_are_those_of_ms_nlmp_4_2_4() {
    let v = Vector::load("ntlmv2");
    let server = v.array("ServerChallenge");
    let client = v.array("ClientChallenge");
    let nt_hash = crypto::ntowf_v1(v.text("Passwd"));
    expect!(v, "NTOWFv2", crypto::ntowf_v2(&nt_hash, v.text("User"), v.text("UserDom")));
    let blob = encode_blob(FileTime(0), client, &v.bytes("TargetInfo"));
    expect!(v, "temp", blob);
    let key = Ntowfv2::new(&nt_hash, v.text("User"), v.text("UserDom"));
    let proof = key.proof(&server, &blob);
    expect!(v, "NTProofStr", proof);
    let base = key.session_base_key(&proof);
    expect!(v, "SessionBaseKey", base);
    let lm = key.lm_v2_response(&server, &client);
    expect!(v, "LmChallengeResponse", lm);
    let random = v.array("RandomSessionKey");
    expect!(v, "EncryptedRandomSessionKey", crypto::exchange_session_key(&base, &random));

    let direction = Direction::ClientToServer;
    expect!(v, "ClientSealKey", extended_seal_key(flags(&v), &random, direction));
    expect!(v, "ClientSignKey", sign_key(&random, direction));
    let mut message = utf16le("Plaintext");
    let signature = SessionSecurity::new(flags(&v), &random, direction).seal(&mut message);
    expect!(v, "Seal_Data", message);
    expect!(v, "Signature", signature);
    // This is the checksum before RC4, which a peer without key exchange would send.
    let without = flags(&v) - NegotiateFlags::KEY_EXCH;
    let plain = SessionSecurity::new(without, &random, direction).sign(&utf16le("Plaintext"));
    assert_eq!(hex(&plain[4..12]), v.text("Checksum_plain"));

    let nt = [proof.as_slice(), &blob].concat();
    let mut secret = StoredSecret::from_password(v.text("Passwd"), false);
    let level = LmCompatibilityLevel::RefuseLmAndNtlm;
    for _ in 0..2 {
        let keys = secret.verify(&request(&v, server, &nt, &lm), level).unwrap();
        assert_eq!((keys.session_base_key, keys.proof), (base, Proof::NtlmV2));
    }
    let keys = secret.verify(&request(&v, server, &[], &lm), level).unwrap();
    assert_eq!(keys.proof, Proof::LmV2);
}

#[test]
fn the_sample_messages_of_ms_nlmp_decode_and_encode_to_the_same_bytes() {
    for id in ["ntlmv1_messages", "ntlmv2_messages"] {
        let v = Vector::load(id);
        let raw = v.bytes("CHALLENGE_MESSAGE");
        let challenge = Challenge::decode(&raw).unwrap();
        assert_eq!(hex(&challenge.server_challenge), "0123456789abcdef");
        assert_eq!(challenge.target_name, utf16le("Server"));
        assert_eq!(format!("{:?}", challenge.version.unwrap()), "6.0.6000 r15");

        let raw = v.bytes("AUTHENTICATE_MESSAGE");
        let message = Authenticate::decode(&raw).unwrap();
        assert_eq!(message.user, utf16le("User"));
        assert_eq!(message.domain, utf16le("Domain"));
        assert_eq!(message.workstation, utf16le("COMPUTER"));
        assert_eq!(message.mic, None, "a 72-byte header has no MIC");
        expect!(v, "AUTHENTICATE_MESSAGE", message.encode(PayloadOrder::NamesFirst));
    }
    let v = Vector::load("ntlmv1_messages");
    let raw = v.bytes("CHALLENGE_MESSAGE");
    expect!(v, "CHALLENGE_MESSAGE", Challenge::decode(&raw).unwrap().encode());
    let v = Vector::load("ntlmv2_messages");
    let raw = v.bytes("CHALLENGE_MESSAGE");
    let challenge = Challenge::decode(&raw).unwrap();
    expect!(v, "CHALLENGE_MESSAGE", challenge.encode());
    let pairs = challenge.av_pairs().unwrap();
    assert_eq!(pairs.nb_domain_name().as_deref(), Some("Domain"));
    assert_eq!(pairs.nb_computer_name().as_deref(), Some("Server"));
    assert_eq!((pairs.timestamp(), pairs.dns_tree_name()), (None, None));
}

#[test]
fn the_initiator_makes_the_authenticate_of_ms_nlmp_4_2_4_3() {
    let v = Vector::load("ntlmv2_messages");
    let values = Vector::load("ntlmv2");
    let mut profile = NtlmProfile::windows();
    profile.flags = NegotiateFlags(0xE280_8235) | NegotiateFlags(0x0008_0000);
    profile.version = Some(stickler_auth::ntlm::wire::Version::new(5, 1, 2600));
    profile.lm = stickler_auth::ntlm::profile::LmRule::Send;
    profile.mic = false;
    profile.extended_protection = false;
    profile.workstation = values.text("Workstation").into();
    let credentials = Credentials::new(values.text("User"), values.text("UserDom"), values.text("Passwd"));
    let config = InitiatorConfig { profile, credentials, target_name: None, channel_binding: None };
    let nonces = Nonces {
        client_challenge: values.array("ClientChallenge"),
        exported_session_key: values.array("RandomSessionKey"),
    };
    let (_, initiator) = Initiator::new(config).negotiate();
    let challenge = v.bytes("CHALLENGE_MESSAGE");
    let (message, done) = initiator.authenticate(&challenge, nonces, FileTime(0)).unwrap();
    expect!(v, "AUTHENTICATE_MESSAGE", message);
    expect!(values, "RandomSessionKey", done.session_key());
}

#[test]
fn a_captured_exchange_decodes_encodes_and_verifies() {
    let v = Vector::load("spnego_ntlm_exchange");
    let (one, two, three) = (v.bytes("type1"), v.bytes("type2"), v.bytes("type3"));
    expect!(v, "type1", Negotiate::decode(&one).unwrap().encode());
    let challenge = Challenge::decode(&two).unwrap();
    expect!(v, "type2", challenge.encode());
    let message = Authenticate::decode(&three).unwrap();
    expect!(v, "type3", message.encode(PayloadOrder::ResponsesFirst));
    expect!(v, "MIC", message.mic.unwrap());
    let NtResponse::V2(response) = NtResponse::decode(message.nt_response).unwrap() else {
        panic!("the exchange is NTLMv2")
    };
    expect!(v, "NTProofStr", response.proof);
    assert_eq!(response.av_pairs.flags(), AvPairs::FLAG_MIC);
    assert_eq!(response.av_pairs.target_name().as_deref(), Some("HTTP/app.corp.example"));
    assert_eq!(response.av_pairs.channel_binding(), None);

    let request = LogonRequest {
        user: v.text("user").into(),
        logon_domain: v.text("domain").into(),
        challenge: challenge.server_challenge,
        nt_response: message.nt_response.to_vec(),
        ..LogonRequest::default()
    };
    let mut secret = StoredSecret::from_password(v.text("password"), false);
    let keys = secret.verify(&request, LmCompatibilityLevel::AcceptAll).unwrap();
    let encrypted = message.encrypted_session_key.try_into().unwrap();
    let session_key = crypto::exchange_session_key(&keys.session_base_key, encrypted);
    expect!(v, "ExportedSessionKey", session_key);
    expect!(v, "MIC", crypto::mic(&session_key, &one, &two, &three).unwrap());
    assert!(crypto::mic_matches(&session_key, &one, &two, &three));

    let mech_types = v.bytes("mechTypes_DER_input_to_mechListMIC");
    for (direction, name) in
        [(Direction::ClientToServer, "client_mechListMIC"), (Direction::ServerToClient, "server_mechListMIC")]
    {
        let mut security = SessionSecurity::new(message.flags, &session_key, direction);
        expect!(v, name, security.sign(&mech_types));
    }
}

#[test]
fn curl_sends_its_own_negotiate_and_authenticate() {
    let v = Vector::load("curl_type3");
    let config = InitiatorConfig {
        profile: NtlmProfile::curl(),
        credentials: Credentials::new(v.text("User"), v.text("UserDom"), v.text("Passwd")),
        target_name: None,
        channel_binding: None,
    };
    let (negotiate, initiator) = Initiator::new(config).negotiate();
    let first = Vector::load("curl_type1");
    expect!(first, "bytes", negotiate);
    let value = http::format_token(Scheme::Ntlm, &negotiate);
    assert_eq!(value, format!("NTLM {}", first.text("base64")));
    let parsed = http::parse_authorization(value.as_bytes(), 64).unwrap();
    assert_eq!((parsed.scheme, parsed.token), (Scheme::Ntlm, negotiate));

    let raw = v.bytes("AUTHENTICATE_MESSAGE");
    let captured = Authenticate::decode(&raw).unwrap();
    assert_eq!((captured.version, captured.mic), (None, None), "a 64-byte header");
    let NtResponse::V2(response) = NtResponse::decode(captured.nt_response).unwrap() else {
        panic!("curl answers with NTLMv2")
    };
    let client_challenge = response.client_challenge;
    let nonces = Nonces { client_challenge, exported_session_key: [0; 16] };
    let now = FileTime(response.timestamp.0 + 9_999_999);
    let challenge = Vector::load("ntlmv2_messages").bytes("CHALLENGE_MESSAGE");
    let (message, _) = initiator.authenticate(&challenge, nonces, now).unwrap();
    expect!(v, "AUTHENTICATE_MESSAGE", message);
}

#[test]
fn a_channel_binding_is_the_md5_that_sspi_and_mit_compute() {
    let v = Vector::load("channel_binding_md5");
    let hash = v.bytes("cert_sha256");
    expect!(v, "gss_channel_bindings", gss_channel_bindings(&hash));
    let binding = ChannelBinding::tls_server_end_point(&hash);
    expect!(v, "MsvAvChannelBindings_and_krb_Bnd", binding.0);
}

#[test]
fn tokens_are_told_apart_by_their_first_bytes() {
    let v = Vector::load("spnego_ntlm_exchange");
    for (name, kind) in [
        ("type1", TokenKind::NtlmNegotiate),
        ("type2", TokenKind::NtlmChallenge),
        ("type3", TokenKind::NtlmAuthenticate),
        ("neg_token_init", TokenKind::Spnego),
        ("neg_token_resp_1", TokenKind::Spnego),
        ("neg_token_resp_2", TokenKind::Spnego),
    ] {
        assert_eq!(http::token_kind(&v.bytes(name)), kind, "{name}");
    }
    let kerberos = unhex("608202c106092a864886f71201020201006e8202b0");
    assert_eq!(http::token_kind(&kerberos), TokenKind::Kerberos);
    for other in ["", "60", "6082", "4e544c4d535350", "4e544c4d5353500004000000", "ff"] {
        assert_eq!(http::token_kind(&unhex(other)), TokenKind::Unknown, "{other}");
    }
}
