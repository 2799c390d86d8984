//! Tests of the AP exchange: a token from MIT, round trips of every encryption type, and each refusal.

use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::kerberos::ap::{
    self, AcceptorConfig, Initiator, InitiatorConfig, InitiatorError, Refusal, ReplayCache,
};
use stickler_auth::kerberos::crypto::{Etype, Key};
use stickler_auth::kerberos::gss::{GssFlags, Sender, TokenId, frame, unframe};
use stickler_auth::kerberos::keys::{Keytab, KeytabEntry, KeytabError, LongTermKey, ServiceKeys};
use stickler_auth::kerberos::message::{ApReq, EncryptedData, KrbError, flags};
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::kerberos::{Credential, KerberosTime, Principal, PrincipalName};
use stickler_auth::ntlm::acceptor::TokenChecking;
use stickler_auth::status::SecStatus;

use crate::common::{NOW, Vector, hex};
use crate::realm::{SERVICE, accept, ap_nonces, stray_key, ticket_and_server};

const MINUTE: u64 = 60 * FileTime::TICKS_PER_SECOND;

fn start(config: &InitiatorConfig, ticket: &Credential) -> (Vec<u8>, Initiator) {
    Initiator::start(config, ticket, ap_nonces(3), NOW)
}

fn code(server: &AcceptorConfig, token: &[u8], now: FileTime) -> (Option<KrbErrorCode>, Vec<u8>) {
    let rejected = ap::accept(server, None, token, ap_nonces(9), now, &mut ReplayCache::default()).unwrap_err();
    (rejected.refusal.krb_error(), rejected.token)
}

#[test]
fn an_ap_req_of_mit_is_verified_with_its_binding_and_answered() {
    let v = Vector::load("krb_raw_krb5_mutual_cbt");
    let salt = v.text("service_salt").as_bytes();
    let key = Key::from_password(Etype::Aes256Sha1, v.text("service_password"), salt, None).unwrap();
    assert_eq!(hex(key.as_bytes()), v.text("service_key_etype18"));
    let (_, message) = unframe(&v.bytes("token")).map(|(id, message)| (id, message.to_vec())).unwrap();
    let (request, ticket) = ApReq::decode(&message).unwrap();
    assert_eq!(hex(&key.decrypt(2, ticket.enc_part.cipher).unwrap()), v.text("EncTicketPart"));
    let session = Key::new(Etype::Aes256Sha1, &v.bytes("session_key")).unwrap();
    assert_eq!(hex(&session.decrypt(11, request.authenticator.cipher).unwrap()), v.text("Authenticator"));
    assert_eq!(request.encode(), message, "what is decoded encodes to the same");

    let mut server = AcceptorConfig::new(ServiceKeys::new(&[LongTermKey { kvno: 1, key }]));
    server.channel_binding = TokenChecking::Require;
    server.service_name = TokenChecking::Require;
    server.service_names = vec!["http/APP.corp.example".into()];
    let binding = ChannelBinding(v.array("authenticator_Bnd"));
    // The token was made at 2026-11-22 02:10:13.
    let now = KerberosTime(1_795_313_413).file_time();
    let mut replays = ReplayCache::default();
    let token = v.bytes("token");
    let done = ap::accept(&server, Some(binding), &token, ap_nonces(1), now, &mut replays).unwrap();
    assert_eq!(done.client.to_string(), "alice@CORP.EXAMPLE");
    assert_eq!(done.server.to_string(), "HTTP/app.corp.example@CORP.EXAMPLE");
    assert!(done.channel_bound && done.reply.is_some() && done.gss_flags.contains(GssFlags::MUTUAL));
    assert_eq!(done.end_time.to_string(), "20261123020802Z");

    let again = ap::accept(&server, Some(binding), &token, ap_nonces(2), now, &mut replays).unwrap_err();
    assert_eq!(again.refusal, Refusal::Kerberos(KrbErrorCode::REPEAT));
    let elsewhere = ap::accept(&server, Some(binding), &token, ap_nonces(2), now, &mut ReplayCache::default());
    assert!(elsewhere.is_ok(), "another host has another cache");
    let other = Some(ChannelBinding([9; 16]));
    let bad = ap::accept(&server, other, &token, ap_nonces(2), now, &mut ReplayCache::default()).unwrap_err();
    assert_eq!((bad.refusal.sec_status(), bad.token.len()), (SecStatus::BAD_BINDINGS, 0));
}

#[test]
fn every_encryption_type_makes_the_round_trip_with_mutual_authentication_and_mics() {
    for etype in Etype::ALL {
        let (ticket, server) = ticket_and_server(etype);
        for (mutual, subkey, own) in
            [(true, true, true), (true, true, false), (true, false, true), (false, true, true), (false, false, false)]
        {
            let config = InitiatorConfig { mutual, subkey, ..InitiatorConfig::default() };
            let server = AcceptorConfig { subkey: own, ..server.clone() };
            let (token, waiting) = start(&config, &ticket);
            let done = accept(&server, &token).unwrap();
            assert_eq!(done.client.to_string(), "alice@CORP.EXAMPLE");
            assert_eq!((done.ticket_etype, done.kvno, done.reply.is_some()), (etype, 2, mutual));
            let context = match &done.reply {
                Some(reply) => waiting.finish(reply).unwrap().context,
                None => waiting.context(),
            };
            assert_eq!(context, done.context);
            for sender in [Sender::Initiator, Sender::Acceptor] {
                let mic = context.mic(sender, b"message");
                assert!(done.context.verify_mic(sender, b"message", &mic));
                assert!(!done.context.verify_mic(sender, b"massage", &mic));
                let other = if sender == Sender::Initiator { Sender::Acceptor } else { Sender::Initiator };
                assert!(!done.context.verify_mic(other, b"message", &mic), "a MIC is not reflected");
                for at in 0..mic.len() {
                    let mut changed = mic.clone();
                    changed[at] ^= 1;
                    assert!(!done.context.verify_mic(sender, b"message", &changed), "{etype} byte {at}");
                }
            }
        }
    }
}

#[test]
fn extended_protection_follows_the_table() {
    use TokenChecking::{Allow, None as Never, Require};
    let (ticket, server) = ticket_and_server(Etype::Aes256Sha1);
    let (ours, other) = (ChannelBinding([1; 16]), ChannelBinding([2; 16]));
    for (checking, sent, outcome) in [
        (Never, None, Some(false)),
        (Never, Some(other), Some(false)),
        (Allow, None, Some(false)),
        (Allow, Some(ours), Some(true)),
        (Allow, Some(other), None),
        (Require, None, None),
        (Require, Some(ours), Some(true)),
        (Require, Some(other), None),
    ] {
        let config = InitiatorConfig { channel_binding: sent, ..InitiatorConfig::default() };
        let server = AcceptorConfig { channel_binding: checking, ..server.clone() };
        let (token, _) = start(&config, &ticket);
        let result = ap::accept(&server, Some(ours), &token, ap_nonces(9), NOW, &mut ReplayCache::default());
        assert_eq!(result.as_ref().ok().map(|done| done.channel_bound), outcome, "{checking:?} {sent:?}");
        if let Err(rejected) = result {
            assert_eq!(rejected.refusal, Refusal::BadBindings);
        }
    }
    // Without the checksum there is nothing to check, which Require does not accept.
    let config = InitiatorConfig { checksum: false, channel_binding: Some(ours), ..InitiatorConfig::default() };
    let (token, _) = start(&config, &ticket);
    for (checking, good) in [(Never, true), (Allow, true), (Require, false)] {
        let server = AcceptorConfig { channel_binding: checking, ..server.clone() };
        let result = ap::accept(&server, Some(ours), &token, ap_nonces(9), NOW, &mut ReplayCache::default());
        assert_eq!(result.is_ok(), good, "{checking:?}");
    }
}

#[test]
fn a_ticket_for_another_name_is_refused_where_names_are_checked() {
    let (ticket, mut server) = ticket_and_server(Etype::Aes128Sha1);
    server.service_name = TokenChecking::Allow;
    server.service_names = vec!["HTTP/other".into()];
    let rejected = accept(&server, &start(&InitiatorConfig::default(), &ticket).0).unwrap_err();
    assert_eq!(rejected.refusal, Refusal::ServiceName(SERVICE.into()));
    server.service_names.push(SERVICE.to_uppercase());
    assert!(accept(&server, &start(&InitiatorConfig::default(), &ticket).0).is_ok());
}

#[test]
fn an_older_key_still_decrypts_and_a_strange_one_says_modified() {
    for etype in Etype::ALL {
        let (ticket, server) = ticket_and_server(etype);
        let (token, waiting) = start(&InitiatorConfig::default(), &ticket);
        let good = accept(&server, &token).unwrap();
        assert_eq!(good.kvno, 2);
        let realm = crate::realm::Realm::new(crate::realm::REALM, &[etype]);
        let mut keys = realm.service_keys();
        keys.push(stray_key(etype, 3));
        let rolled = AcceptorConfig::new(ServiceKeys::new(&keys));
        assert_eq!(accept(&rolled, &token).unwrap().kvno, 2, "the key before the last");

        let machine = AcceptorConfig::new(ServiceKeys::new(&[stray_key(etype, 3)]));
        let (code, reply) = code(&machine, &token, NOW);
        assert_eq!(code, Some(KrbErrorCode::MODIFIED));
        let error = waiting.finish(&reply).unwrap_err();
        assert!(
            matches!(error, InitiatorError::Refused { code: KrbErrorCode::MODIFIED, server_time } if server_time.0 / 10 == NOW.0 / 10)
        );
    }
}

#[test]
fn a_server_without_a_fitting_key_says_so() {
    let (ticket, _) = ticket_and_server(Etype::Aes256Sha1);
    let (token, _) = start(&InitiatorConfig::default(), &ticket);
    let empty = AcceptorConfig::new(ServiceKeys::from_keytab(&Keytab::default(), None));
    assert_eq!(code(&empty, &token, NOW).0, Some(KrbErrorCode::NOKEY));
    let other = AcceptorConfig::new(ServiceKeys::new(&[stray_key(Etype::Rc4Hmac, 1)]));
    assert_eq!(code(&other, &token, NOW).0, Some(KrbErrorCode::ETYPE_NOSUPP));
}

#[test]
fn clocks_are_checked_and_the_client_learns_the_servers() {
    let (ticket, server) = ticket_and_server(Etype::Aes256Sha1);
    for (by, good) in [(4, true), (5, true), (6, false)] {
        for now in [FileTime(NOW.0 + by * MINUTE), FileTime(NOW.0 - by * MINUTE)] {
            let (token, waiting) = start(&InitiatorConfig::default(), &ticket);
            let result = ap::accept(&server, None, &token, ap_nonces(9), now, &mut ReplayCache::default());
            assert_eq!(result.is_ok(), good, "{by} minutes");
            let Err(rejected) = result else { continue };
            assert_eq!(rejected.refusal.sec_status(), SecStatus::TIME_SKEW);
            let Err(InitiatorError::Refused { code: KrbErrorCode::SKEW, server_time }) =
                waiting.finish(&rejected.token)
            else {
                panic!("the client is told")
            };
            if now < NOW {
                // According to the server's clock, the ticket is not valid before tomorrow.
                continue;
            }
            let (token, _) = Initiator::start(&InitiatorConfig::default(), &ticket, ap_nonces(4), server_time);
            let again = ap::accept(&server, None, &token, ap_nonces(9), now, &mut ReplayCache::default());
            assert!(again.is_ok(), "with the server's clock");
        }
    }
}

#[test]
fn a_ticket_holds_from_its_start_to_its_end() {
    let (ticket, server) = ticket_and_server(Etype::Aes128Sha256);
    for (time, expected) in [
        (ticket.end_time.minus(10), None),
        (ticket.end_time.plus(299), None),
        (ticket.end_time.plus(301), Some(KrbErrorCode::TKT_EXPIRED)),
        (ticket.start_time.minus(299), None),
        (ticket.start_time.minus(302), Some(KrbErrorCode::TKT_NYV)),
    ] {
        let now = time.file_time();
        let (token, _) = Initiator::start(&InitiatorConfig::default(), &ticket, ap_nonces(4), now);
        let result = ap::accept(&server, None, &token, ap_nonces(9), now, &mut ReplayCache::default());
        assert_eq!(result.err().and_then(|rejected| rejected.refusal.krb_error()), expected, "{time}");
    }
}

#[test]
fn an_authenticator_of_another_client_or_session_is_refused() {
    let (ticket, server) = ticket_and_server(Etype::Aes256Sha1);
    let mallory = Principal::new(PrincipalName::user("mallory"), &ticket.client.realm);
    let (token, _) = start(&InitiatorConfig::default(), &Credential { client: mallory, ..ticket.clone() });
    assert_eq!(code(&server, &token, NOW).0, Some(KrbErrorCode::BADMATCH));
    let key = Key::from_random(Etype::Aes256Sha1, &[1; 32]);
    let (token, _) = start(&InitiatorConfig::default(), &Credential { key, ..ticket });
    assert_eq!(code(&server, &token, NOW).0, Some(KrbErrorCode::MODIFIED));
}

#[test]
fn what_is_not_an_ap_req_is_an_invalid_token() {
    let (ticket, server) = ticket_and_server(Etype::Aes256Sha1);
    let (token, _) = start(&InitiatorConfig::default(), &ticket);
    let (_, message) = unframe(&token).unwrap();
    let mut behind = token.clone();
    behind.push(0);
    for bad in [vec![], message.to_vec(), frame(TokenId::ApRep, message), frame(TokenId::ApReq, &message[2..]), behind]
    {
        let rejected = accept(&server, &bad).unwrap_err();
        assert_eq!((rejected.refusal.sec_status(), rejected.token), (SecStatus::INVALID_TOKEN, vec![]));
    }
    // In user to user, the ticket would be encrypted with a session key that this server does not have.
    let (request, _) = ApReq::decode(message).unwrap();
    let u2u = ApReq { options: flags::USE_SESSION_KEY, ..request };
    assert_eq!(code(&server, &frame(TokenId::ApReq, &u2u.encode()), NOW).0, Some(KrbErrorCode::NOKEY));
    let unknown = ApReq { authenticator: EncryptedData { cipher: &[], ..request.authenticator }, ..request };
    assert_eq!(code(&server, &frame(TokenId::ApReq, &unknown.encode()), NOW).0, Some(KrbErrorCode::MODIFIED));
}

#[test]
fn every_changed_byte_of_an_ap_req_is_refused_or_changes_nothing() {
    for etype in [Etype::Aes256Sha1, Etype::Aes256Sha384, Etype::Rc4Hmac] {
        let (ticket, server) = ticket_and_server(etype);
        let (token, _) = start(&InitiatorConfig::default(), &ticket);
        let mut changed = token.clone();
        for at in 0..token.len() {
            for bit in [0x01, 0x20, 0x80, 0xFF] {
                changed[at] = token[at] ^ bit;
                if let Ok(done) = accept(&server, &changed) {
                    assert_eq!(done.client.to_string(), "alice@CORP.EXAMPLE", "byte {at}");
                }
            }
            changed[at] = token[at];
            assert!(accept(&server, &token[..at]).is_err(), "{at} bytes");
        }
    }
}

#[test]
fn the_replay_cache_is_bounded_and_forgets() {
    let (ticket, server) = ticket_and_server(Etype::Aes128Sha1);
    let mut replays = ReplayCache::new(3);
    let mut present = |round: u8, now: FileTime| {
        let sent = FileTime(NOW.0 + u64::from(round) * MINUTE / 60);
        let (token, _) = Initiator::start(&InitiatorConfig::default(), &ticket, ap_nonces(round), sent);
        let result = ap::accept(&server, None, &token, ap_nonces(99), now, &mut replays);
        (result.is_ok(), replays.len())
    };
    assert_eq!([present(1, NOW), present(1, NOW)], [(true, 1), (false, 1)]);
    assert_eq!([present(2, NOW), present(3, NOW), present(4, NOW)], [(true, 2), (true, 3), (true, 3)]);
    assert!(!present(4, NOW).0);
    assert!(present(1, NOW).0, "the oldest was forgotten when it was full");
    let later = FileTime(NOW.0 + 5 * MINUTE + 3 * MINUTE / 60);
    assert_eq!(present(4, later), (false, 2), "what the clock refuses by itself is forgotten");
    replays.clear();
    assert!(replays.is_empty());
}

#[test]
fn a_forwarded_ticket_reaches_the_server() {
    let (ticket, server) = ticket_and_server(Etype::Aes256Sha1);
    let config = InitiatorConfig { delegate: Some(ticket.clone()), ..InitiatorConfig::default() };
    let (token, _) = start(&config, &ticket);
    let done = accept(&server, &token).unwrap();
    assert!(done.gss_flags.contains(GssFlags::DELEGATE));
    let delegated = done.delegated.unwrap();
    assert_eq!((delegated.key, &delegated.ticket), (ticket.key, &ticket.ticket));
    assert_eq!((delegated.client, delegated.server), (ticket.client.clone(), ticket.server.clone()));
    let without = accept(&server, &start(&InitiatorConfig::default(), &ticket).0).unwrap();
    assert_eq!(without.delegated, None);
}

#[test]
fn a_client_takes_only_the_answer_to_its_own_request() {
    let (ticket, server) = ticket_and_server(Etype::Aes256Sha1);
    let (token, waiting) = start(&InitiatorConfig::default(), &ticket);
    let reply = accept(&server, &token).unwrap().reply.unwrap();
    let (_, other) = Initiator::start(&InitiatorConfig::default(), &ticket, ap_nonces(5), FileTime(NOW.0 + 10));
    assert_eq!(other.finish(&reply), Err(InitiatorError::OtherRequest));
    assert_eq!(waiting.finish(&token), Err(InitiatorError::NotKerberos));
    for at in 0..reply.len() {
        let mut changed = reply.clone();
        changed[at] ^= 1;
        if let Ok(done) = waiting.finish(&changed) {
            assert_eq!(done.context, waiting.finish(&reply).unwrap().context, "byte {at}");
        }
    }
}

#[test]
fn a_key_table_survives_its_file_and_a_broken_one_is_refused() {
    let entry = |principal: &str, kvno, etype| KeytabEntry {
        principal: Principal::new(PrincipalName::parse(principal), "CORP.EXAMPLE"),
        timestamp: 1_795_313_413,
        key: LongTermKey { kvno, key: Key::from_random(etype, &[kvno as u8; 32]) },
    };
    let entries = vec![
        entry(SERVICE, 1, Etype::Aes256Sha1),
        entry(SERVICE, 300, Etype::Rc4Hmac),
        entry("WEB1$", 2, Etype::Aes128Sha256),
    ];
    let keytab = Keytab { entries };
    let file = keytab.encode();
    assert_eq!(Keytab::decode(&file).unwrap(), keytab);
    // The file has a hole, as after a deletion by ktutil.
    let mut holed = file[..2].to_vec();
    holed.extend_from_slice(&(-4_i32).to_be_bytes());
    holed.extend_from_slice(&[0; 4]);
    holed.extend_from_slice(&file[2..]);
    assert_eq!(Keytab::decode(&holed).unwrap(), keytab);
    for len in 3..file.len() {
        if let Ok(cut) = Keytab::decode(&file[..len]) {
            assert!(cut.entries.len() < keytab.entries.len());
        }
    }
    assert_eq!(Keytab::decode(b"\x05\x01rest"), Err(KeytabError::Version));
    assert_eq!(Keytab::decode(b"\x05\x02\x7f\xff\xff\xff"), Err(KeytabError::Truncated { at: 2 }));
}

#[test]
fn errors_carry_names_and_text_in_any_script() {
    let error = KrbError {
        stime: KerberosTime(951_782_400),
        susec: 999_999,
        code: KrbErrorCode::C_PRINCIPAL_UNKNOWN,
        crealm: Some("STRASSE.EXAMPLE"),
        cname: Some(PrincipalName::user("Weiß Àlvaro 東京")),
        realm: "CORP.EXAMPLE",
        sname: PrincipalName::krbtgt("CORP.EXAMPLE"),
        e_data: Some(&[1, 2, 3]),
    };
    let bytes = error.encode();
    assert_eq!(KrbError::decode(&bytes).unwrap(), error);
    assert_eq!(error.stime.to_string(), "20000229000000Z");
}
