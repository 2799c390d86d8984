//! Tests of a client together with a KDC: pre-authentication, tickets, referrals, and each refusal.

use std::sync::Arc;

use stickler_auth::FileTime;
use stickler_auth::kerberos::ap::{AcceptorConfig, Initiator, InitiatorConfig};
use stickler_auth::kerberos::client::{Acquire, ClientConfig, ClientError, CredentialCache, Secret, Step, TgsExchange};
use stickler_auth::kerberos::crypto::{Etype, Key};
use stickler_auth::kerberos::kdc::{Account, Lookup};
use stickler_auth::kerberos::keys::ServiceKeys;
use stickler_auth::kerberos::message::{
    ApReq, Authenticator, EncKdcRepPart, EncryptedData, Exchange, KdcRep, KdcReq, KdcReqBody, KrbError, PaData, Typed,
    flags,
};
use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::kerberos::{KerberosTime, Principal, PrincipalName, usage};
use stickler_auth::status::NtStatus;

use crate::common::{NOW, PASSWORD};
use crate::realm::{PARTNER, REALM, Realm, SERVICE, accept, account, acquire, ap_nonces, carry, client, client_nonces};

const ALL: [Etype; 5] = Etype::ALL;

fn one(etypes: &[Etype]) -> [Realm; 1] {
    [Realm::new(REALM, etypes)]
}

fn ask(realms: &mut [Realm], config: &ClientConfig, service: &str) -> Result<KrbErrorCode, ClientError> {
    match acquire(realms, config, service, &mut CredentialCache::default()) {
        Err(ClientError::Refused { code, .. }) => Ok(code),
        Err(error) => Err(error),
        Ok(ticket) => panic!("a ticket: {ticket:?}"),
    }
}

#[test]
fn a_password_becomes_a_service_ticket_in_three_requests() {
    for etype in ALL {
        let mut realms = one(&[etype]);
        let mut cache = CredentialCache::default();
        let ticket = acquire(&mut realms, &client(PASSWORD, &[etype]), SERVICE, &mut cache).unwrap();
        assert_eq!(ticket.client.to_string(), "alice@CORP.EXAMPLE");
        assert_eq!(ticket.server.to_string(), "HTTP/app.corp.example@CORP.EXAMPLE");
        assert_eq!(ticket.key.etype(), etype);
        assert_eq!(ticket.end_time, KerberosTime::from_file_time(NOW).plus(36_000));
        let wanted = flags::FORWARDABLE | flags::PRE_AUTHENT | flags::RENEWABLE;
        assert_eq!(ticket.flags, wanted);
        let results: Vec<_> = realms[0].log.iter().map(|outcome| (outcome.exchange, outcome.result.err())).collect();
        let (first, third) = (Some(Exchange::As), Some(Exchange::Tgs));
        assert_eq!(results, [(first, Some(KrbErrorCode::PREAUTH_REQUIRED)), (first, None), (third, None)]);
        // The second time, the ticket comes from the cache alone.
        acquire(&mut realms, &client(PASSWORD, &[etype]), SERVICE, &mut cache).unwrap();
        assert_eq!(realms[0].log.len(), 3);
    }
}

#[test]
fn a_wrong_password_is_told_and_counted_once() {
    for etype in ALL {
        let mut realms = one(&[etype]);
        let code = ask(&mut realms, &client("wrong", &[etype]), SERVICE);
        assert_eq!(code, Ok(KrbErrorCode::PREAUTH_FAILED));
        let failed: Vec<_> =
            realms[0].log.iter().filter(|each| each.result == Err(KrbErrorCode::PREAUTH_FAILED)).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].client.as_ref().unwrap().to_string(), "alice@CORP.EXAMPLE");
    }
}

#[test]
fn names_that_the_directory_does_not_know_are_refused() {
    let mut realms = one(&ALL);
    let mut nobody = client(PASSWORD, &ALL);
    nobody.client.name = PrincipalName::user("nobody");
    assert_eq!(ask(&mut realms, &nobody, SERVICE), Ok(KrbErrorCode::C_PRINCIPAL_UNKNOWN));
    let alice = client(PASSWORD, &ALL);
    assert_eq!(ask(&mut realms, &alice, "HTTP/10.0.0.1"), Ok(KrbErrorCode::S_PRINCIPAL_UNKNOWN));
    realms[0].services.insert("HTTP/twice".into(), Lookup::Duplicate);
    assert_eq!(ask(&mut realms, &alice, "HTTP/twice"), Ok(KrbErrorCode::PRINCIPAL_NOT_UNIQUE));
}

#[test]
fn an_account_that_may_not_log_on_is_refused_with_its_status() {
    for (status, code) in [
        (NtStatus::ACCOUNT_DISABLED, KrbErrorCode::CLIENT_REVOKED),
        (NtStatus::ACCOUNT_LOCKED_OUT, KrbErrorCode::CLIENT_REVOKED),
        (NtStatus::ACCOUNT_EXPIRED, KrbErrorCode::CLIENT_REVOKED),
        (NtStatus::PASSWORD_EXPIRED, KrbErrorCode::KEY_EXPIRED),
        (NtStatus::PASSWORD_MUST_CHANGE, KrbErrorCode::KEY_EXPIRED),
        (NtStatus::INVALID_WORKSTATION, KrbErrorCode::POLICY),
    ] {
        let mut realms = one(&ALL);
        realms[0].clients.get_mut("alice").unwrap().status = status;
        let refused = acquire(&mut realms, &client(PASSWORD, &ALL), SERVICE, &mut CredentialCache::default());
        assert_eq!(refused, Err(ClientError::Refused { code, status: Some(status) }));
    }
    // A client that does not know the password does not learn that it has expired.
    let mut realms = one(&ALL);
    realms[0].clients.get_mut("alice").unwrap().status = NtStatus::PASSWORD_EXPIRED;
    assert_eq!(ask(&mut realms, &client("wrong", &ALL), SERVICE), Ok(KrbErrorCode::PREAUTH_FAILED));
}

#[test]
fn encryption_types_in_common_are_needed_and_the_strongest_is_taken() {
    let mut realms = one(&[Etype::Aes256Sha1, Etype::Rc4Hmac]);
    let ticket = acquire(&mut realms, &client(PASSWORD, &ALL), SERVICE, &mut CredentialCache::default()).unwrap();
    assert_eq!(ticket.key.etype(), Etype::Aes256Sha1);
    let only = client(PASSWORD, &[Etype::Rc4Hmac]);
    let ticket = acquire(&mut realms, &only, SERVICE, &mut CredentialCache::default()).unwrap();
    assert_eq!(ticket.key.etype(), Etype::Rc4Hmac);
    let issued = realms[0].log.last().unwrap().result.unwrap();
    assert_eq!(issued.ticket_etype, Etype::Aes256Sha1, "the ticket is the service's business");
    let other = client(PASSWORD, &[Etype::Aes128Sha256]);
    assert_eq!(ask(&mut realms, &other, SERVICE), Ok(KrbErrorCode::ETYPE_NOSUPP));
}

#[test]
fn a_client_with_a_wrong_clock_learns_the_right_one() {
    let ahead = FileTime(NOW.0 + 3600 * FileTime::TICKS_PER_SECOND);
    let mut realms = one(&[Etype::Aes256Sha1]);
    let config = Arc::new(client(PASSWORD, &[Etype::Aes256Sha1]));
    let mut cache = CredentialCache::default();
    let service = PrincipalName::parse(SERVICE);
    let (acquire, step) = Acquire::service(config, service, &cache, client_nonces(1), NOW);
    let ticket = carry(&mut realms, acquire, step, &mut cache, ahead).unwrap();
    assert_eq!(ticket.auth_time, KerberosTime::from_file_time(ahead));
    let codes: Vec<_> = realms[0].log.iter().map(|outcome| outcome.result.err()).collect();
    assert_eq!(codes, [Some(KrbErrorCode::PREAUTH_REQUIRED), Some(KrbErrorCode::SKEW), None, None]);
}

#[test]
fn keys_known_beforehand_need_no_password_and_no_first_refusal() {
    let mut realms = one(&[Etype::Aes256Sha1]);
    let key = realms[0].clients["alice"].keys[0].key;
    let mut config = client("", &[Etype::Aes256Sha1]);
    config.secret = Secret::Keys(vec![key]);
    config.preauth_at_once = true;
    acquire(&mut realms, &config, SERVICE, &mut CredentialCache::default()).unwrap();
    assert_eq!(realms[0].log.len(), 2);
    config.secret = Secret::Keys(vec![]);
    config.preauth_at_once = false;
    let refused = acquire(&mut realms, &config, SERVICE, &mut CredentialCache::default());
    assert_eq!(refused, Err(ClientError::NoEtype));
}

#[test]
fn an_account_without_preauthentication_gets_its_ticket_at_once() {
    let mut realms = one(&[Etype::Aes128Sha1]);
    realms[0].clients.get_mut("alice").unwrap().preauth_required = false;
    let config = client(PASSWORD, &[Etype::Aes128Sha1]);
    let ticket = acquire(&mut realms, &config, SERVICE, &mut CredentialCache::default()).unwrap();
    assert_eq!(ticket.flags & flags::PRE_AUTHENT, 0);
    assert_eq!(realms[0].log.len(), 2);
}

#[test]
fn names_are_corrected_where_the_client_lets_them() {
    for (name, canonicalize, expected) in [
        (PrincipalName::user("ALICE"), true, "alice"),
        (PrincipalName::user("ALICE"), false, "ALICE"),
        (PrincipalName::enterprise("alice@corp.example"), true, "alice"),
    ] {
        let mut realms = one(&[Etype::Aes256Sha1]);
        let mut config = client(PASSWORD, &[Etype::Aes256Sha1]);
        config.client.name = name;
        config.canonicalize = canonicalize;
        let ticket = acquire(&mut realms, &config, SERVICE, &mut CredentialCache::default()).unwrap();
        assert_eq!(ticket.client.name.to_string(), expected);
    }
}

/// Returns two realms that trust each other. The service `HTTP/partner` is in the other realm.
fn trusting() -> [Realm; 2] {
    let etypes = [Etype::Aes256Sha1];
    let [mut home] = one(&etypes);
    let mut partner = Realm::new(PARTNER, &etypes);
    let trust = Arc::new(account(REALM, &format!("krbtgt/{PARTNER}"), "trust-secret", &etypes));
    home.trusts.insert(PARTNER.into(), Arc::clone(&trust));
    partner.trusts.insert(REALM.into(), trust);
    home.services.insert("HTTP/partner".into(), Lookup::Referral(PARTNER.into()));
    let service = account(PARTNER, "HTTP/partner", "partner-service", &etypes);
    partner.services.insert("HTTP/partner".into(), Lookup::Found(Arc::new(service)));
    partner.clients.insert("bob".into(), account(PARTNER, "bob", "bob-pw", &etypes));
    [home, partner]
}

#[test]
fn a_service_of_a_trusted_realm_is_reached_by_referral() {
    let mut realms = trusting();
    let mut cache = CredentialCache::default();
    let config = client(PASSWORD, &[Etype::Aes256Sha1]);
    let ticket = acquire(&mut realms, &config, "HTTP/partner", &mut cache).unwrap();
    assert_eq!(ticket.client.to_string(), "alice@CORP.EXAMPLE");
    assert_eq!(ticket.server.to_string(), "HTTP/partner@PARTNER.EXAMPLE");
    assert!(realms[0].log.last().unwrap().result.unwrap().referral);
    let Lookup::Found(service) = &realms[1].services["HTTP/partner"] else { panic!() };
    let server = AcceptorConfig::new(ServiceKeys::new(&service.keys));
    let (token, _) = Initiator::start(&InitiatorConfig::default(), &ticket, ap_nonces(1), NOW);
    assert_eq!(accept(&server, &token).unwrap().client.to_string(), "alice@CORP.EXAMPLE");
    // A client that accepts no referrals asks for the other realm's TGT itself.
    let strict = ClientConfig { canonicalize: false, ..config };
    assert_eq!(ask(&mut realms, &strict, "HTTP/partner"), Ok(KrbErrorCode::S_PRINCIPAL_UNKNOWN));
    let tgt = acquire(&mut realms, &strict, &format!("krbtgt/{PARTNER}"), &mut CredentialCache::default()).unwrap();
    assert_eq!(tgt.server.to_string(), "krbtgt/PARTNER.EXAMPLE@CORP.EXAMPLE");
}

#[test]
fn a_user_of_another_realm_is_sent_there() {
    let mut realms = trusting();
    let mut config = client("bob-pw", &[Etype::Aes256Sha1]);
    config.client.name = PrincipalName::enterprise("bob@partner.example");
    let service = PrincipalName::parse("HTTP/partner");
    let mut cache = CredentialCache::default();
    let (acquire, step) = Acquire::service(Arc::new(config), service, &cache, client_nonces(1), NOW);
    let ticket = carry(&mut realms, acquire, step, &mut cache, NOW);
    assert_eq!(realms[0].log[0].result, Err(KrbErrorCode::WRONG_REALM));
    // If the partner does not know the enterprise name, the partner refuses it, and there is no loop.
    assert!(ticket.is_err() || ticket.unwrap().client.to_string() == "bob@PARTNER.EXAMPLE");
}

#[test]
fn referrals_in_a_circle_end() {
    let mut realms = trusting();
    realms[1].services.insert("HTTP/partner".into(), Lookup::Referral(REALM.into()));
    let config = client(PASSWORD, &[Etype::Aes256Sha1]);
    let refused = acquire(&mut realms, &config, "HTTP/partner", &mut CredentialCache::default()).unwrap_err();
    // The referral back is already refused: the partner may not name users of this realm.
    assert_eq!(refused, ClientError::Refused { code: KrbErrorCode::POLICY, status: None });
}

#[test]
fn a_tgt_is_forwarded_only_if_it_may_be() {
    for forwardable in [true, false] {
        let mut realms = one(&[Etype::Aes256Sha1]);
        realms[0].clients.get_mut("alice").unwrap().forwardable = forwardable;
        let config = Arc::new(client(PASSWORD, &[Etype::Aes256Sha1]));
        let mut cache = CredentialCache::default();
        let (acquire, step) = Acquire::forwarded_tgt(config, &cache, client_nonces(1), NOW);
        match carry(&mut realms, acquire, step, &mut cache, NOW) {
            Ok(tgt) => {
                assert!(forwardable && tgt.flags & flags::FORWARDED != 0);
                assert_eq!(tgt.server, Principal::krbtgt(REALM));
                let kept = cache.get(&PrincipalName::krbtgt(REALM), KerberosTime(0)).unwrap();
                assert_eq!(kept.flags & flags::FORWARDED, 0, "the client keeps its own");
            }
            Err(error) => {
                assert!(!forwardable);
                assert_eq!(error, ClientError::Refused { code: KrbErrorCode::BADOPTION, status: None });
            }
        }
    }
}

#[test]
fn services_that_are_trusted_for_delegation_are_marked() {
    let mut realms = one(&[Etype::Aes256Sha1]);
    let trusted = Account { ok_as_delegate: true, ..account(REALM, SERVICE, "x", &[Etype::Aes256Sha1]) };
    realms[0].services.insert(SERVICE.into(), Lookup::Found(Arc::new(trusted)));
    let config = client(PASSWORD, &[Etype::Aes256Sha1]);
    let ticket = acquire(&mut realms, &config, SERVICE, &mut CredentialCache::default()).unwrap();
    assert_ne!(ticket.flags & flags::OK_AS_DELEGATE, 0);
}

/// Returns a TGS request with alice's TGT, the realm, and the TGT's session key.
fn tgs_request(extra: u32) -> (Realm, Vec<u8>, TgsExchange, Key) {
    let [mut realm] = one(&[Etype::Aes256Sha1]);
    let config = client(PASSWORD, &[Etype::Aes256Sha1]);
    let mut cache = CredentialCache::default();
    acquire(std::slice::from_mut(&mut realm), &config, SERVICE, &mut cache).unwrap();
    let tgt = cache.get(&PrincipalName::krbtgt(REALM), KerberosTime(0)).unwrap();
    let (request, waiting) =
        TgsExchange::start(&config, tgt, &PrincipalName::parse(SERVICE), extra, client_nonces(7), NOW);
    (realm, request, waiting, tgt.key)
}

#[test]
fn a_tgs_request_whose_body_was_changed_is_refused() {
    let (mut realm, request, waiting, _) = tgs_request(0);
    let good = realm.answer(&request, 8, NOW);
    assert!(waiting.finish(&good.message).is_ok());
    let (parsed, body) = KdcReq::decode(&request).unwrap();
    let other = KdcReqBody { sname: Some(PrincipalName::krbtgt(REALM)), ..body }.encode();
    let forged = KdcReq { raw_body: &other, ..parsed.clone() }.encode();
    assert_eq!(realm.answer(&forged, 9, NOW).outcome.result, Err(KrbErrorCode::MODIFIED));
    let bare = KdcReq { padata: vec![], ..parsed }.encode();
    assert_eq!(realm.answer(&bare, 9, NOW).outcome.result, Err(KrbErrorCode::PADATA_TYPE_NOSUPP));
    let late = FileTime(NOW.0 + 301 * FileTime::TICKS_PER_SECOND);
    assert_eq!(realm.answer(&request, 9, late).outcome.result, Err(KrbErrorCode::SKEW));
    let (mut realm, request, ..) = tgs_request(flags::ENC_TKT_IN_SKEY);
    assert_eq!(realm.answer(&request, 9, NOW).outcome.result, Err(KrbErrorCode::BADOPTION));
}

/// Returns the request with an authenticator whose checksum was changed. `key` is the session key of its ticket.
fn with_checksum(request: &[u8], key: &Key, checksum: Option<Typed<'_>>) -> Vec<u8> {
    let (parsed, _) = KdcReq::decode(request).unwrap();
    let (message, _) = ApReq::decode(parsed.padata[0].value).unwrap();
    let plain = key.decrypt(usage::TGS_REQ_AUTHENTICATOR, message.authenticator.cipher).unwrap();
    let authenticator = Authenticator { checksum, ..Authenticator::decode(&plain).unwrap() };
    let cipher = key.encrypt(usage::TGS_REQ_AUTHENTICATOR, &[7; 16], &authenticator.encode());
    let authenticator = EncryptedData { cipher: &cipher, ..message.authenticator };
    let message = ApReq { authenticator, ..message }.encode();
    KdcReq { padata: vec![PaData { kind: PaData::TGS_REQ, value: &message }], ..parsed }.encode()
}

#[test]
fn a_request_without_a_checksum_is_taken_as_windows_does_or_refused_as_samba_does() {
    let (mut realm, request, waiting, key) = tgs_request(0);
    let bare = with_checksum(&request, &key, None);
    assert!(waiting.finish(&realm.answer(&bare, 8, NOW).message).is_ok());
    // A checksum that is present must be right, and must have the type that belongs to the key.
    let kind = key.etype().checksum_type();
    let wrong = Typed { kind, value: &[0; 12] };
    for (checksum, code) in [(wrong, KrbErrorCode::MODIFIED), (Typed { kind: 1, ..wrong }, KrbErrorCode::INAPP_CKSUM)] {
        let request = with_checksum(&request, &key, Some(checksum));
        assert_eq!(realm.answer(&request, 9, NOW).outcome.result, Err(code));
    }
    realm.config.requires_checksum = true;
    assert_eq!(realm.answer(&bare, 9, NOW).outcome.result, Err(KrbErrorCode::INAPP_CKSUM));
    assert!(realm.answer(&request, 9, NOW).outcome.result.is_ok());
}

#[test]
fn a_service_ticket_is_no_tgt() {
    let [mut realm] = one(&[Etype::Aes256Sha1]);
    let config = client(PASSWORD, &[Etype::Aes256Sha1]);
    let ticket = acquire(std::slice::from_mut(&mut realm), &config, SERVICE, &mut CredentialCache::default()).unwrap();
    let (request, _) = TgsExchange::start(&config, &ticket, &PrincipalName::parse(SERVICE), 0, client_nonces(7), NOW);
    assert_eq!(realm.answer(&request, 9, NOW).outcome.result, Err(KrbErrorCode::NOT_US));
}

#[test]
fn a_renewable_ticket_is_renewed_within_its_limit() {
    let [mut realm] = one(&[Etype::Aes256Sha1]);
    let config = client(PASSWORD, &[Etype::Aes256Sha1]);
    let mut cache = CredentialCache::default();
    acquire(std::slice::from_mut(&mut realm), &config, SERVICE, &mut cache).unwrap();
    let tgt = cache.get(&PrincipalName::krbtgt(REALM), KerberosTime(0)).unwrap().clone();
    assert_eq!(tgt.renew_till, Some(KerberosTime::from_file_time(NOW).plus(7 * 86_400)));
    let later = FileTime(NOW.0 + 9 * 3600 * FileTime::TICKS_PER_SECOND);
    let (request, waiting) =
        TgsExchange::start(&config, &tgt, &PrincipalName::krbtgt(REALM), flags::RENEW, client_nonces(7), later);
    let renewed = waiting.finish(&realm.answer(&request, 9, later).message).unwrap();
    assert_eq!(renewed.end_time, tgt.end_time.plus(9 * 3600));
    assert_eq!(renewed.renew_till, tgt.renew_till);
}

#[test]
fn renewable_ok_renews_no_longer_than_the_life_asked_for() {
    // MIT's kinit asks for a day and gets ten hours. It refuses a reply that is renewable for a week.
    let [mut realm] = one(&[Etype::Aes256Sha1]);
    realm.clients.get_mut("alice").unwrap().preauth_required = false;
    let (day, now) = (86_400, KerberosTime::from_file_time(NOW));
    for (options, till, expected) in [
        (flags::RENEWABLE_OK, now.plus(day), Some(now.plus(day))),
        (flags::RENEWABLE_OK, now.plus(3600), None),
        (0, now.plus(day), None),
        (flags::RENEWABLE, now.plus(day), Some(now.plus(7 * day))),
    ] {
        let body = KdcReqBody {
            options,
            cname: Some(PrincipalName::user("alice")),
            realm: REALM,
            sname: Some(PrincipalName::krbtgt(REALM)),
            till,
            rtime: None,
            nonce: 1,
            etypes: vec![18],
        }
        .encode();
        let request = KdcReq { exchange: Exchange::As, padata: vec![], raw_body: &body }.encode();
        let reply = realm.answer(&request, 3, NOW).message;
        let (reply, _) = KdcRep::decode(&reply, Exchange::As).unwrap();
        let plain = realm.clients["alice"].keys[0].key.decrypt(3, reply.enc_part.cipher).unwrap();
        let part = EncKdcRepPart::decode(&plain).unwrap();
        assert_eq!(part.renew_till, expected);
        assert_eq!(part.end_time, till.min(now.plus(36_000)));
    }
}

#[test]
fn bytes_that_are_no_request_get_an_error_that_says_so() {
    let [mut realm] = one(&[Etype::Aes256Sha1]);
    for bytes in [&b""[..], b"\x6a\x80", b"GET / HTTP/1.1\r\n\r\n"] {
        let answer = realm.answer(bytes, 1, NOW);
        assert_eq!(answer.outcome.exchange, None);
        assert_eq!(KrbError::decode(&answer.message).unwrap().code, KrbErrorCode::MSG_TYPE);
    }
}

#[test]
fn a_reply_to_another_request_is_refused() {
    let (mut realm, request, waiting, _) = tgs_request(0);
    let reply = realm.answer(&request, 8, NOW).message;
    let (_, _, other, _) = tgs_request(0);
    // Both requests have the same subkey and the same nonce in this test, so the reply fits both.
    assert!(other.finish(&reply).is_ok());
    for at in 0..reply.len() {
        let mut changed = reply.clone();
        changed[at] ^= 1;
        if let Ok(ticket) = waiting.finish(&changed) {
            assert_eq!(ticket.client.to_string(), "alice@CORP.EXAMPLE", "byte {at}");
        }
    }
    let mut cache = CredentialCache::default();
    let config = Arc::new(client(PASSWORD, &[Etype::Aes256Sha1]));
    let (mut acquire, step) = Acquire::service(config, PrincipalName::parse(SERVICE), &cache, client_nonces(1), NOW);
    assert!(matches!(step, Step::Send { .. }));
    assert!(acquire.take(&reply, &mut cache, client_nonces(2), NOW).is_err());
    assert_eq!(acquire.take(&reply, &mut cache, client_nonces(2), NOW), Err(ClientError::UnexpectedReply));
}
