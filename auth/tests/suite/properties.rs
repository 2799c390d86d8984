//! Tests that every encoded message decodes to the same value, and that any bytes decode or fail.

use proptest::collection::vec;
use proptest::prelude::*;
use stickler_auth::FileTime;
use stickler_auth::http::{Scheme, format_token, parse_authorization, parse_challenges, token_kind};
use stickler_auth::logon::{FRAME_PREFIX, LogonClient, LogonReply, LogonRequest, LogonServer, frame_len};
use stickler_auth::ntlm::acceptor::{Acceptor, Step};
use stickler_auth::ntlm::authenticate::{Authenticate, PayloadOrder};
use stickler_auth::ntlm::av::{AvId, AvPairs, AvPairsBuf};
use stickler_auth::ntlm::challenge::Challenge;
use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_auth::ntlm::initiator::Initiator;
use stickler_auth::ntlm::negotiate::Negotiate;
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::response::{NtResponse, encode_blob};
use stickler_auth::ntlm::text::Charset;
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, StoredSecret, check_target_info};
use stickler_auth::ntlm::wire::Version;
use stickler_auth::status::NtStatus;

use crate::common::{NONCES, NOW, SERVER_CHALLENGE, client, server};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..60)
}

fn version() -> impl Strategy<Value = Option<Version>> {
    any::<Option<[u8; 8]>>().prop_map(|version| version.map(Version))
}

/// Returns random bytes, some of which begin like NTLM messages.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let message = (1..4_u8, vec(any::<u8>(), 0..200), vec(0..250_u8, 0..4)).prop_map(|(kind, mut rest, small)| {
        // Descriptors with plausible lengths and offsets reach more of the decoder than random bytes do.
        for (at, value) in small.into_iter().enumerate() {
            let start = at * 8;
            if let Some(field) = rest.get_mut(start..start + 8) {
                field.copy_from_slice(&[value / 4, 0, 0, 0, value, 0, 0, 0]);
            }
        }
        [b"NTLMSSP\0".as_slice(), &[kind, 0, 0, 0], &rest].concat()
    });
    prop_oneof![vec(any::<u8>(), 0..300), message]
}

proptest! {
    #[test]
    fn a_negotiate_decodes_to_what_was_encoded(
        flags: u32, domain in bytes(), workstation in bytes(), version in version()
    ) {
        let flags = NegotiateFlags(flags);
        let keep = |flag, bytes| if flags.contains(flag) { bytes } else { vec![] };
        let domain = keep(NegotiateFlags::OEM_DOMAIN_SUPPLIED, domain);
        let workstation = keep(NegotiateFlags::OEM_WORKSTATION_SUPPLIED, workstation);
        let message =
            Negotiate { flags, domain: &domain, workstation: &workstation, version };
        let raw = message.encode();
        prop_assert_eq!(Negotiate::decode(&raw), Ok(message));
    }

    #[test]
    fn a_challenge_decodes_to_what_was_encoded(
        flags: u32, server_challenge: [u8; 8], name in bytes(), info in bytes(),
        version in version()
    ) {
        let flags = NegotiateFlags(flags);
        let info = if flags.contains(NegotiateFlags::TARGET_INFO) { info } else { vec![] };
        let message = Challenge {
            flags, server_challenge, target_name: &name, target_info: &info, version
        };
        let raw = message.encode();
        prop_assert_eq!(Challenge::decode(&raw), Ok(message));
    }

    #[test]
    fn an_authenticate_decodes_to_what_was_encoded(
        flags: u32, fields: [Vec<u8>; 6], version in version(), mic: Option<[u8; 16]>,
        names_first: bool
    ) {
        let [lm, nt, domain, user, workstation, key] = &fields;
        let message = Authenticate {
            lm_response: lm,
            nt_response: nt,
            domain,
            user,
            workstation,
            encrypted_session_key: key,
            flags: NegotiateFlags(flags),
            // A header with room for a MIC always has a version.
            version: version.or(mic.map(|_| Version::default())),
            mic,
        };
        let order =
            if names_first { PayloadOrder::NamesFirst } else { PayloadOrder::ResponsesFirst };
        let raw = message.encode(order);
        prop_assert_eq!(Authenticate::decode(&raw), Ok(message));
    }

    #[test]
    fn av_pairs_and_blobs_keep_order_and_unknown_ids(
        pairs in vec((1_u16.., bytes()), 0..8), time: u64, client_challenge: [u8; 8]
    ) {
        let mut buf = AvPairsBuf::default();
        for (id, value) in &pairs {
            buf.push(AvId(*id), value);
        }
        let encoded = buf.finish();
        let decoded = AvPairs::decode(&encoded).unwrap();
        let got: Vec<_> = decoded.iter().map(|(id, value)| (id.0, value.to_vec())).collect();
        prop_assert_eq!(got, pairs);
        prop_assert_eq!(AvPairsBuf::from_pairs(decoded).finish(), encoded.clone());

        let blob = encode_blob(FileTime(time), client_challenge, &encoded);
        let response = [[3; 16].as_slice(), &blob].concat();
        let Ok(NtResponse::V2(v2)) = NtResponse::decode(&response) else {
            return Err(TestCaseError::fail("not NTLMv2"));
        };
        prop_assert_eq!((v2.timestamp.0, v2.client_challenge), (time, client_challenge));
        prop_assert_eq!((v2.proof, v2.blob, v2.av_pairs), (&[3; 16], &blob[..], decoded));
    }

    #[test]
    fn text_survives_both_character_sets(unicode: String, oem in "[\\u{0}-\\u{ff}]{0,20}") {
        for (charset, text) in [(Charset::Unicode, unicode), (Charset::Oem, oem)] {
            prop_assert_eq!(charset.decode(&charset.encode(&text), "text"), Ok(text));
        }
    }

    #[test]
    fn tokens_survive_their_headers(token in vec(any::<u8>(), 0..300), ntlm: bool) {
        let scheme = if ntlm { Scheme::Ntlm } else { Scheme::Negotiate };
        let value = format_token(scheme, &token);
        prop_assert_eq!(&parse_authorization(value.as_bytes(), 300).unwrap().token, &token);
        let several = format!("Basic realm=\"x\", {value}");
        let found = parse_challenges([several.as_bytes()], 300).unwrap();
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].token, &token);
    }

    #[test]
    fn logon_messages_decode_to_what_was_encoded(
        names: [String; 4], nt in bytes(), lm in bytes(), challenge: [u8; 8],
        parameter_control: u32, hops: u8, status: u32, authoritative: bool,
        key: [u8; 16], lm_key: [u8; 8], user_flags: u32, sids in vec(any::<String>(), 0..4)
    ) {
        let mut client = LogonClient::new("WEB1", b"secret");
        let mut server = LogonServer::new("WEB1", b"secret");
        let [a, b, c, _] = names.clone();
        let request = LogonRequest {
            channel_machine: "WEB1".into(), logon_domain: a, user: b, workstation: c, challenge,
            nt_response: nt, lm_response: lm, parameter_control, hops,
        };
        let frame = client.encode_request(&request).unwrap();
        prop_assert_eq!(server.decode_request(&frame[FRAME_PREFIX..]), Ok(request));
        let [_, b, c, d] = names;
        let reply = LogonReply {
            status: NtStatus(status), authoritative, session_base_key: key, lm_key, user_flags,
            effective_name: b, domain: c, sids, logon_server: d,
        };
        let frame = server.encode_reply(&reply).unwrap();
        prop_assert_eq!(client.decode_reply(&frame[FRAME_PREFIX..]), Ok(reply));
    }

    #[test]
    fn any_bytes_at_all_decode_or_fail(raw in hostile(), secret: [u8; 4]) {
        let _ = Negotiate::decode(&raw);
        let _ = Challenge::decode(&raw).map(|challenge| challenge.av_pairs().is_ok());
        let _ = Authenticate::decode(&raw);
        let _ = AvPairs::decode(&raw).map(|pairs| (pairs.flags(), pairs.target_name()));
        let _ = NtResponse::decode(&raw);
        let _ = token_kind(&raw);
        let _ = parse_authorization(&raw, 100);
        let _ = parse_challenges([&raw[..]], 100);
        let _ = frame_len(secret);
        let _ = LogonServer::claimed_machine(&raw);
        let mut server = LogonServer::new("WEB1", &secret);
        prop_assert!(server.decode_request(&raw).is_err());
        prop_assert!(LogonClient::new("WEB1", &secret).decode_reply(&raw).is_err());
        let request = LogonRequest {
            nt_response: raw.clone(), lm_response: raw.clone(), ..LogonRequest::default()
        };
        let _ = check_target_info(&request, "CORP");
        let verdict = StoredSecret::from_hashes([1; 16], Some([2; 16]))
            .verify(&request, LmCompatibilityLevel::AcceptAll);
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn a_peer_may_send_anything_in_any_order(tokens in vec(hostile(), 1..4)) {
        let config = std::sync::Arc::new(server());
        let mut acceptor = Acceptor::new(config, None);
        for token in &tokens {
            let step = acceptor.accept(token, SERVER_CHALLENGE, NOW);
            prop_assert!(!matches!(step, Step::Authenticated(_)));
            if matches!(step, Step::NeedLogon(_)) {
                let refused = LogonReply::refused(NtStatus::LOGON_FAILURE, true);
                prop_assert!(matches!(acceptor.resume(&refused), Step::Refused(_)));
            }
            let (_, initiator) = Initiator::new(client(NtlmProfile::windows())).negotiate();
            let _ = initiator.authenticate(token, NONCES, NOW);
        }
    }

    #[test]
    fn a_well_formed_authenticate_with_any_content_is_refused_or_asks_the_dc(
        fields: [Vec<u8>; 6], flags: u32, mic: Option<[u8; 16]>
    ) {
        let [lm, nt, domain, user, workstation, key] = &fields;
        let token = Authenticate {
            lm_response: lm, nt_response: nt, domain, user, workstation,
            encrypted_session_key: key, flags: NegotiateFlags(flags), version: None, mic,
        }.encode(PayloadOrder::NamesFirst);
        let negotiate =
            Negotiate { flags: NegotiateFlags(0xE208_8297), ..Negotiate::default() }.encode();
        let mut acceptor = Acceptor::new(server(), None);
        acceptor.accept(&negotiate, SERVER_CHALLENGE, NOW);
        let step = acceptor.accept(&token, SERVER_CHALLENGE, NOW);
        if matches!(step, Step::NeedLogon(_)) {
            // Even a DC that accepts everything cannot make the acceptor panic.
            let yes = LogonReply { authoritative: true, ..LogonReply::default() };
            let _ = acceptor.resume(&yes);
        } else {
            prop_assert!(matches!(step, Step::Refused(_)));
        }
    }
}
