//! Tests every decoder with mutated messages. A decoder succeeds or fails, but never panics, and a decoded message can
//! be encoded again.
//!
//! `STICKLER_FUZZ=<executions>` sets the number of executions for each decoder; the default is a few thousand.

use std::hint::black_box;
use std::sync::Arc;

use stickler_auth::der::{Reader, tag};
use stickler_auth::http::{parse_authorization, parse_challenges, token_kind};
use stickler_auth::kerberos::ap::{self, ReplayCache};
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::gss::{GssChecksum, unframe};
use stickler_auth::kerberos::keys::Keytab;
use stickler_auth::kerberos::message::{
    ApRep, ApReq, Authenticator, EncApRepPart, EncKdcRepPart, EncKrbCredPart, EncTicketPart, EtypeInfo2Entry, Exchange,
    KdcRep, KdcReq, KrbCred, KrbError, PaData, PaEncTsEnc, Ticket,
};
use stickler_auth::logon::{FRAME_PREFIX, LogonClient, LogonRequest, LogonServer};
use stickler_auth::ntlm::authenticate::Authenticate;
use stickler_auth::ntlm::av::AvPairs;
use stickler_auth::ntlm::challenge::Challenge;
use stickler_auth::ntlm::negotiate::Negotiate;
use stickler_auth::ntlm::response::NtResponse;
use stickler_auth::spnego::token::Token;
use stickler_auth::spnego::{Acceptor, AcceptorConfig};

use crate::common::{NOW, Vector, server};
use crate::realm::{REALM, Realm, ticket_and_server};
use crate::samples::Samples;
use crate::spnego::nonces;

/// The generator SplitMix64, which gives the same mutations on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Changes `bytes`. Most changes are small, so most of the decoder is reached.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let value = random.next() as u8;
        match random.below(8) {
            _ if bytes.is_empty() => bytes.push(value),
            0 | 1 => bytes[at] ^= 1 << (value & 7),
            2 => bytes[at] = value,
            // These bytes have a meaning as a length or a tag.
            3 => bytes[at] = [0x00, 0x7F, 0x80, 0x81, 0x84, 0xFF, 0x30, 0xA0][usize::from(value & 7)],
            4 => bytes.truncate(at),
            5 => bytes.insert(at, value),
            6 => {
                bytes.remove(at);
            }
            _ => {
                let from = random.below(other.len());
                let end = (from + usize::from(value & 31)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
}

fn executions(default: u64) -> u64 {
    std::env::var("STICKLER_FUZZ").ok().map_or(default, |value| value.parse().expect("STICKLER_FUZZ is a number"))
}

/// Runs `decode` on mutants of `seeds`, and returns the number of mutants that it accepted.
fn fuzz(name: &str, default: u64, seeds: &[Vec<u8>], mut decode: impl FnMut(&[u8]) -> bool) {
    let mut random = Random(name.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())));
    assert!(seeds.iter().any(|seed| decode(seed)), "{name}: no seed is accepted");
    let executions = executions(default);
    let mut accepted = 0_u64;
    let mut bytes = Vec::new();
    for _ in 0..executions {
        bytes.clear();
        bytes.extend_from_slice(&seeds[random.below(seeds.len())]);
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut random, &mut bytes, other);
        accepted += u64::from(decode(&bytes));
    }
    eprintln!("{name}: {executions} executions, {accepted} accepted");
}

/// Decodes with `$type::decode`. A decoded message must encode, and decode to the same value.
macro_rules! round_trip {
    ($name:literal, $seeds:expr, $decode:expr, $encode:expr) => {
        fuzz($name, 5_000, $seeds, |bytes| {
            let Ok(decoded) = $decode(bytes) else { return false };
            let again = $encode(&decoded);
            assert_eq!($decode(&again).as_ref(), Ok(&decoded), "{}: {bytes:02x?}", $name);
            true
        })
    };
}

#[test]
fn der_is_walked_or_refused() {
    fn walk(mut r: Reader<'_>) -> bool {
        while let Some(next) = r.peek() {
            let inner = if next & 0x20 == 0 { r.any().is_ok() } else { r.nested(next).is_ok_and(walk) };
            if !inner {
                return false;
            }
        }
        r.finish().is_ok()
    }
    let seeds = Samples::new().all();
    fuzz("DER", 20_000, &seeds, |bytes| walk(Reader::new(bytes)));
    fuzz("DER values", 20_000, &[vec![2, 1, 5, 3, 2, 0, 1], vec![0x18, 1, 0, 0x1B, 1, 65]], |bytes| {
        let mut r = Reader::new(bytes);
        let mut any = false;
        while let Some(next) = r.peek() {
            let read = match next {
                tag::INTEGER => r.integer().is_ok(),
                tag::BIT_STRING => r.flags().is_ok(),
                tag::GENERAL_STRING => r.string().is_ok(),
                _ => r.any().is_ok(),
            };
            if !read {
                return false;
            }
            any = true;
        }
        any
    });
}

#[test]
fn messages_of_the_ap_exchange_decode_or_fail() {
    let s = Samples::new();
    let mit = Vector::load("krb_raw_krb5_mutual_cbt");
    round_trip!("Ticket", &[s.ticket], Ticket::decode, Ticket::encode);
    let parts = [s.enc_ticket_part, mit.bytes("EncTicketPart")];
    round_trip!("EncTicketPart", &parts, EncTicketPart::decode, EncTicketPart::encode);
    let authenticators = [s.authenticator, mit.bytes("Authenticator")];
    round_trip!("Authenticator", &authenticators, Authenticator::decode, Authenticator::encode);
    round_trip!("AP-REQ", &[s.ap_req], |bytes| ApReq::decode(bytes).map(|(request, _)| request), ApReq::encode);
    round_trip!("AP-REP", &[s.ap_rep], ApRep::decode, ApRep::encode);
    round_trip!("EncAPRepPart", &[s.enc_ap_rep_part], EncApRepPart::decode, EncApRepPart::encode);
    round_trip!("KRB-CRED", &[s.krb_cred], KrbCred::decode, KrbCred::encode);
    round_trip!("EncKrbCredPart", &[s.enc_krb_cred_part], EncKrbCredPart::decode, EncKrbCredPart::encode);
    let checksums = [vec![16, 0, 0, 0], [&[16, 0, 0, 0][..], &[7; 16], &[1, 0, 0, 0, 1, 0, 2, 0, 9, 9]].concat()];
    fuzz("GSS checksum", 5_000, &checksums, |bytes| GssChecksum::decode(bytes).is_some());
    fuzz("GSS token", 5_000, &[s.ap_req_token, mit.bytes("token")], |bytes| {
        unframe(bytes).is_some_and(|(_, message)| ApReq::decode(message).is_ok())
    });
}

#[test]
fn messages_of_a_kdc_decode_or_fail() {
    let s = Samples::new();
    round_trip!(
        "KDC-REQ",
        &[s.as_req, s.tgs_req],
        |bytes| KdcReq::decode(bytes).map(|(request, _)| request),
        KdcReq::encode
    );
    for (exchange, seed) in [(Exchange::As, s.as_rep), (Exchange::Tgs, s.tgs_rep)] {
        round_trip!(
            "KDC-REP",
            &[seed],
            |bytes| KdcRep::decode(bytes, exchange).map(|(reply, _)| reply),
            KdcRep::encode
        );
    }
    round_trip!("EncKDCRepPart", &[s.enc_kdc_rep_part], EncKdcRepPart::decode, |part: &EncKdcRepPart<'_>| {
        part.encode(Exchange::Tgs)
    });
    round_trip!("KRB-ERROR", &[s.error], KrbError::decode, KrbError::encode);
    round_trip!("METHOD-DATA", &[s.padata], PaData::decode_list, |list: &Vec<PaData<'_>>| PaData::encode_list(list));
    let encode = |list: &Vec<EtypeInfo2Entry<'_>>| EtypeInfo2Entry::encode_list(list);
    round_trip!("ETYPE-INFO2", &[s.etype_info], EtypeInfo2Entry::decode_list, encode);
    round_trip!("PA-ENC-TS-ENC", &[s.timestamp], PaEncTsEnc::decode, PaEncTsEnc::encode);
    round_trip!("key table", &[s.keytab], Keytab::decode, Keytab::encode);
}

#[test]
fn tokens_of_spnego_and_ntlm_decode_or_fail() {
    let v = Vector::load("spnego_ntlm_exchange");
    let seeds =
        ["neg_token_init", "neg_token_resp_1", "neg_token_resp_2", "neg_token_resp_3"].map(|name| v.bytes(name));
    fuzz("SPNEGO", 20_000, &seeds, |bytes| {
        black_box(token_kind(bytes));
        match Token::decode(bytes) {
            Ok(Token::Resp(resp)) => {
                assert_eq!(Token::decode(&resp.encode()), Ok(Token::Resp(resp)));
                true
            }
            Ok(Token::Init(_)) => true,
            Err(_) => false,
        }
    });
    let messages = ["type1", "type2", "type3"].map(|name| v.bytes(name));
    fuzz("NTLM Negotiate", 5_000, &messages, |bytes| Negotiate::decode(bytes).is_ok());
    fuzz("NTLM Challenge", 5_000, &messages, |bytes| {
        Challenge::decode(bytes).is_ok_and(|message| message.av_pairs().is_ok_and(|pairs| pairs.iter().count() > 0))
    });
    fuzz("NTLM Authenticate", 5_000, &messages, |bytes| {
        Authenticate::decode(bytes).is_ok_and(|message| NtResponse::decode(message.nt_response).is_ok())
    });
    let info = Challenge::decode(&messages[1]).unwrap().target_info.to_vec();
    fuzz("AV pairs", 5_000, &[info], |bytes| AvPairs::decode(bytes).is_ok());
    let headers = [b"Negotiate dG9rZW4=, NTLM, Basic realm=\"a, b\"".to_vec(), b"Nego2 dG9rZW4=".to_vec()];
    fuzz("headers", 5_000, &headers, |bytes| {
        parse_challenges([bytes], 64).is_ok() | parse_authorization(bytes, 64).is_ok()
    });
}

#[test]
fn pass_through_frames_decode_or_fail() {
    let secret = b"machine secret";
    let channel_machine = "WEB1".into();
    let request = LogonRequest { channel_machine, nt_response: vec![7; 24], ..LogonRequest::default() };
    let frame = LogonClient::new("WEB1", secret).encode_request(&request).unwrap()[FRAME_PREFIX..].to_vec();
    fuzz("logon frame", 5_000, &[frame], |bytes| {
        black_box(LogonServer::claimed_machine(bytes).is_ok());
        LogonServer::new("WEB1", secret).decode_request(bytes).is_ok()
    });
}

#[test]
fn whole_acceptors_and_kdcs_answer_anything() {
    let v = Vector::load("spnego_ntlm_exchange");
    let samples = Samples::new();
    let (_, kerberos) = ticket_and_server(Etype::Aes256Sha1);
    let config = Arc::new(AcceptorConfig { ntlm: Some(Arc::new(server())), kerberos: Some(Arc::new(kerberos)) });
    let mut replays = ReplayCache::new(64);
    let mut acceptor = Acceptor::new(config.clone(), None);
    let tokens = ["neg_token_init", "neg_token_resp_2", "type1", "type3"].map(|name| v.bytes(name));
    let mut tokens = tokens.to_vec();
    tokens.push(samples.ap_req_token.clone());
    // One acceptor gets all tokens, because earlier tokens must not have an effect.
    fuzz("acceptor", 2_000, &tokens, |bytes| {
        acceptor.accept(bytes, nonces(), NOW, &mut replays);
        acceptor.is_pending()
    });
    let offer = ap::InitiatorConfig::default();
    let (_, waiting) = ap::Initiator::start(&offer, &ticket_and_server(Etype::Aes256Sha1).0, nonces().kerberos, NOW);
    fuzz("AP-REP", 2_000, &[samples.ap_req_token.clone(), vec![1]], |bytes| waiting.finish(bytes).is_err());
    let mut realm = Realm::new(REALM, &[Etype::Aes256Sha1]);
    fuzz("KDC", 2_000, &[samples.as_req, samples.tgs_req], |bytes| {
        let answer = realm.answer(bytes, 1, NOW);
        realm.log.clear();
        answer.outcome.result.is_ok()
    });
}
