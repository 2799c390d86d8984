//! The client's side of the TGS exchange (RFC 4120 3.3).

use super::as_exchange::{credential, options, refused};
use super::{ClientConfig, ClientError, Nonces};
use crate::FileTime;
use crate::kerberos::crypto::Key;
use crate::kerberos::message::{
    ApReq, Authenticator, EncKdcRepPart, EncryptedData, Exchange, KdcRep, KdcReq, KdcReqBody, KrbError, PaData, Typed,
};
use crate::kerberos::{Credential, KerberosTime, Principal, PrincipalName, usage};

/// A client that has sent a TGS-REQ.
#[derive(Clone, Debug)]
pub struct TgsExchange {
    client: Principal,
    server: PrincipalName,
    key: Key,
    nonce: u32,
}

impl TgsExchange {
    /// Returns a TGS-REQ that turns `tgt` into a ticket for `server`, and the state that waits for the reply. The
    /// request goes to the KDC that `tgt` is for. `extra` are options beyond those of `config`, such as
    /// [`FORWARDED`](crate::kerberos::message::flags::FORWARDED).
    pub fn start(
        config: &ClientConfig,
        tgt: &Credential,
        server: &PrincipalName,
        extra: u32,
        nonces: Nonces,
        now: FileTime,
    ) -> (Vec<u8>, Self) {
        let realm = tgt.server.name.krbtgt_realm().unwrap_or(&tgt.server.realm);
        let body = KdcReqBody {
            options: options(config) | extra,
            cname: None,
            realm,
            sname: Some(server.clone()),
            till: KerberosTime(0),
            rtime: None,
            nonce: nonces.nonce(),
            etypes: config.etypes.iter().map(|etype| etype.number()).collect(),
        }
        .encode();
        let subkey = Key::from_random(tgt.key.etype(), &nonces.subkey);
        let checksum = tgt.key.checksum(usage::TGS_REQ_CHECKSUM, &[&body]);
        let (ctime, cusec) = KerberosTime::split(now);
        let authenticator = Authenticator {
            crealm: &tgt.client.realm,
            cname: tgt.client.name.clone(),
            checksum: Some(Typed { kind: tgt.key.etype().checksum_type(), value: &checksum }),
            ctime,
            cusec,
            subkey: Some(Typed::of_key(&subkey)),
            seq_number: None,
        };
        let cipher = tgt.key.encrypt(usage::TGS_REQ_AUTHENTICATOR, &nonces.confounder, &authenticator.encode());
        let authenticator = EncryptedData { etype: tgt.key.etype().number(), kvno: None, cipher: &cipher };
        let message = ApReq { options: 0, ticket: &tgt.ticket, authenticator }.encode();
        let padata = vec![PaData { kind: PaData::TGS_REQ, value: &message }];
        let request = KdcReq { exchange: Exchange::Tgs, padata, raw_body: &body }.encode();
        let waiting = Self { client: tgt.client.clone(), server: server.clone(), key: subkey, nonce: nonces.nonce() };
        (request, waiting)
    }

    /// Returns the credential in the KDC's reply. The credential is for the requested service or, as a referral, for
    /// the ticket-granting service of another realm.
    ///
    /// # Errors
    /// The reply is a KRB-ERROR, is encrypted with another key, or answers another request.
    pub fn finish(&self, reply: &[u8]) -> Result<Credential, ClientError> {
        if let Ok(error) = KrbError::decode(reply) {
            return Err(refused(&error));
        }
        let (reply, ticket) = KdcRep::decode(reply, Exchange::Tgs)?;
        let plain = self.key.decrypt(usage::TGS_REP_SUBKEY, reply.enc_part.cipher)?;
        let part = EncKdcRepPart::decode(&plain)?;
        let client = Principal::new(reply.cname.clone(), reply.crealm);
        if client != self.client {
            return Err(ClientError::OtherRequest("client"));
        }
        let referral = part.sname.krbtgt_realm().is_some();
        if part.sname != ticket.sname || !(referral || part.sname.matches(&self.server)) {
            return Err(ClientError::OtherRequest("service"));
        }
        credential(client, reply.ticket, &part, self.nonce)
    }
}
