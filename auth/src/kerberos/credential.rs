//! A ticket together with the secrets of its holder.

use super::crypto::Key;
use super::message::{EncKrbCredPart, EncryptedData, KrbCred, KrbCredInfo, Ticket, Typed};
use super::name::Principal;
use super::time::KerberosTime;
use super::usage;
use crate::kerberos::crypto::Confounder;

/// A ticket with its session key: a client's credential for one service, or a TGT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The client that holds the ticket.
    pub client: Principal,
    /// The service that the ticket is for. Its realm is the one that issued the ticket.
    pub server: Principal,
    /// The session key of the ticket.
    pub key: Key,
    /// The ticket in DER.
    pub ticket: Vec<u8>,
    /// The ticket flags, see [`super::message::flags`].
    pub flags: u32,
    /// The time at which the client authenticated.
    pub auth_time: KerberosTime,
    /// The start of the ticket's validity.
    pub start_time: KerberosTime,
    /// The end of the ticket's validity.
    pub end_time: KerberosTime,
    /// The time until which the ticket can be renewed.
    pub renew_till: Option<KerberosTime>,
}

impl Credential {
    /// Returns whether the ticket is valid at `now`, a time of the client's own clock.
    pub fn holds_at(&self, now: KerberosTime) -> bool {
        now < self.end_time
    }

    /// Returns a KRB-CRED that passes this credential to anybody who knows `key` (RFC 4120 3.6).
    pub fn to_krb_cred(&self, key: &Key, confounder: &Confounder) -> Vec<u8> {
        let info = KrbCredInfo {
            key: Typed::of_key(&self.key),
            crealm: &self.client.realm,
            cname: self.client.name.clone(),
            flags: self.flags,
            end_time: self.end_time,
            srealm: &self.server.realm,
            sname: self.server.name.clone(),
        };
        let plain = EncKrbCredPart { tickets: vec![info] }.encode();
        let cipher = key.encrypt(usage::KRB_CRED, confounder, &plain);
        let enc_part = EncryptedData { etype: key.etype().number(), kvno: None, cipher: &cipher };
        KrbCred { tickets: vec![&self.ticket], enc_part }.encode()
    }

    /// Returns the first credential of a KRB-CRED, or `None` if it is malformed or encrypted with another key.
    pub fn from_krb_cred(bytes: &[u8], key: &Key) -> Option<Self> {
        let cred = KrbCred::decode(bytes).ok()?;
        let ticket = *cred.tickets.first()?;
        Ticket::decode(ticket).ok()?;
        let plain = key.decrypt(usage::KRB_CRED, cred.enc_part.cipher).ok()?;
        let part = EncKrbCredPart::decode(&plain).ok()?;
        let info = part.tickets.first()?;
        Some(Self {
            client: Principal::new(info.cname.clone(), info.crealm),
            server: Principal::new(info.sname.clone(), info.srealm),
            key: info.key.key().ok()?,
            ticket: ticket.to_vec(),
            flags: info.flags,
            auth_time: KerberosTime::default(),
            start_time: KerberosTime::default(),
            end_time: info.end_time,
            renew_till: None,
        })
    }
}
