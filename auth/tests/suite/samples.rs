//! A valid sample of every message, for the tests that mutate and compare messages.

use std::sync::Arc;
use stickler_auth::kerberos::ap::{Initiator, InitiatorConfig};
use stickler_auth::kerberos::client::{Acquire, CredentialCache, Step};
use stickler_auth::kerberos::crypto::Etype;
use stickler_auth::kerberos::gss::unframe;
use stickler_auth::kerberos::keys::{Keytab, KeytabEntry};
use stickler_auth::kerberos::message::{ApRep, ApReq, EtypeInfo2Entry, Exchange, KdcRep, PaData, PaEncTsEnc};
use stickler_auth::kerberos::{KerberosTime, Principal, PrincipalName};

use crate::common::{NOW, PASSWORD, Vector};
use crate::realm::{REALM, Realm, SERVICE, accept, ap_nonces, client, client_nonces, ticket_and_server};

/// The messages that a client exchanges with its KDC and then with a server, with their plaintexts.
pub(crate) struct Samples {
    pub(crate) as_req: Vec<u8>,
    pub(crate) as_rep: Vec<u8>,
    pub(crate) tgs_req: Vec<u8>,
    pub(crate) tgs_rep: Vec<u8>,
    pub(crate) error: Vec<u8>,
    pub(crate) enc_kdc_rep_part: Vec<u8>,
    pub(crate) ap_req_token: Vec<u8>,
    pub(crate) ap_req: Vec<u8>,
    pub(crate) ap_rep: Vec<u8>,
    pub(crate) ticket: Vec<u8>,
    pub(crate) enc_ticket_part: Vec<u8>,
    pub(crate) authenticator: Vec<u8>,
    pub(crate) enc_ap_rep_part: Vec<u8>,
    pub(crate) krb_cred: Vec<u8>,
    pub(crate) enc_krb_cred_part: Vec<u8>,
    pub(crate) padata: Vec<u8>,
    pub(crate) etype_info: Vec<u8>,
    pub(crate) timestamp: Vec<u8>,
    pub(crate) keytab: Vec<u8>,
}

impl Samples {
    pub(crate) fn new() -> Self {
        let etype = Etype::Aes256Sha1;
        let mut realm = Realm::new(REALM, &[etype]);
        let messages = kdc_messages(&mut realm);
        let [(_, error), first, second] = messages.try_into().unwrap();
        let alice = realm.clients["alice"].keys[0].key;
        let (reply, _) = KdcRep::decode(&first.1, Exchange::As).unwrap();
        let enc_kdc_rep_part = alice.decrypt(3, reply.enc_part.cipher).unwrap();

        let (credential, server) = ticket_and_server(etype);
        let config = InitiatorConfig { delegate: Some(credential.clone()), ..InitiatorConfig::default() };
        let (ap_req_token, _) = Initiator::start(&config, &credential, ap_nonces(1), NOW);
        let message = unframe(&ap_req_token).unwrap().1.to_vec();
        let (request, ticket) = ApReq::decode(&message).unwrap();
        let enc_ticket_part = realm.service_keys()[0].key.decrypt(2, ticket.enc_part.cipher).unwrap();
        let authenticator = credential.key.decrypt(11, request.authenticator.cipher).unwrap();
        let reply = accept(&server, &ap_req_token).unwrap().reply.unwrap();
        let ap_rep = unframe(&reply).unwrap().1.to_vec();
        let enc_ap_rep_part = credential.key.decrypt(12, ApRep::decode(&ap_rep).unwrap().enc_part.cipher).unwrap();
        let krb_cred = credential.to_krb_cred(&credential.key, &[5; 16]);
        let cred = stickler_auth::kerberos::message::KrbCred::decode(&krb_cred).unwrap();
        let enc_krb_cred_part = credential.key.decrypt(14, cred.enc_part.cipher).unwrap();
        let info = [EtypeInfo2Entry { etype: 18, salt: Some("SALT"), s2kparams: Some(&[0, 0, 16, 0]) }];
        let etype_info = EtypeInfo2Entry::encode_list(&info);
        let key = realm.service_keys()[0];
        let principal = Principal::new(PrincipalName::parse(SERVICE), REALM);
        let entries = vec![KeytabEntry { principal, timestamp: 7, key }; 2];
        Self {
            padata: PaData::encode_list(&[PaData { kind: PaData::ETYPE_INFO2, value: &etype_info }]),
            timestamp: PaEncTsEnc { time: KerberosTime::from_file_time(NOW), micros: 999_999 }.encode(),
            keytab: Keytab { entries }.encode(),
            ticket: credential.ticket.clone(),
            as_req: first.0,
            as_rep: first.1,
            tgs_req: second.0,
            tgs_rep: second.1,
            error,
            enc_kdc_rep_part,
            ap_req: message,
            ap_req_token,
            ap_rep,
            enc_ticket_part,
            authenticator,
            enc_ap_rep_part,
            krb_cred,
            enc_krb_cred_part,
            etype_info,
        }
    }

    /// Returns all samples, including those that MIT made.
    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        let mit = Vector::load("krb_raw_krb5_mutual_cbt");
        let ours = [
            &self.as_req,
            &self.as_rep,
            &self.tgs_req,
            &self.tgs_rep,
            &self.error,
            &self.enc_kdc_rep_part,
            &self.ap_req_token,
            &self.ap_req,
            &self.ap_rep,
            &self.ticket,
            &self.enc_ticket_part,
            &self.authenticator,
            &self.enc_ap_rep_part,
            &self.krb_cred,
            &self.enc_krb_cred_part,
            &self.padata,
            &self.etype_info,
            &self.timestamp,
            &self.keytab,
        ];
        let theirs = ["token", "EncTicketPart", "Authenticator"].map(|name| mit.bytes(name));
        ours.into_iter().cloned().chain(theirs).collect()
    }
}

/// Returns each request that a client sends to acquire a ticket, with the KDC's answer.
fn kdc_messages(realm: &mut Realm) -> Vec<(Vec<u8>, Vec<u8>)> {
    let config = Arc::new(client(PASSWORD, &[Etype::Aes256Sha1]));
    let mut cache = CredentialCache::default();
    let service = PrincipalName::parse(SERVICE);
    let (mut acquire, mut step) = Acquire::service(config, service, &cache, client_nonces(1), NOW);
    let mut messages = Vec::new();
    while let Step::Send { request, .. } = step {
        let reply = realm.answer(&request, 2, NOW).message;
        step = acquire.take(&reply, &mut cache, client_nonces(3), NOW).unwrap();
        messages.push((request, reply));
    }
    messages
}
