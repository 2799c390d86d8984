//! The client's side of the AS exchange (RFC 4120 3.1).

use std::sync::Arc;

use super::{ClientConfig, ClientError, Nonces, Secret};
use crate::FileTime;
use crate::der::{Reader, tag};
use crate::kerberos::crypto::{Etype, Key};
use crate::kerberos::message::{
    EncKdcRepPart, EncryptedData, EtypeInfo2Entry, Exchange, KdcRep, KdcReq, KdcReqBody, KrbError, PaData, PaEncTsEnc,
    flags,
};
use crate::kerberos::status::{KrbErrorCode, extended_status};
use crate::kerberos::{Credential, KerberosTime, Principal, PrincipalName, keys, usage};

/// The maximum number of requests in one exchange. It is sufficient for a plain request, a pre-authenticated one, one
/// with the KDC's clock, and one in another realm.
const MAX_REQUESTS: u32 = 5;

/// The state of an AS exchange.
pub(super) struct AsExchange {
    config: Arc<ClientConfig>,
    /// The realm that is asked. It is the client's, unless the client's KDC names another.
    pub(super) realm: String,
    /// The key of the timestamp, once it is known.
    key: Option<Key>,
    /// The difference between the KDC's clock and the client's in ticks, once an error has shown it.
    offset: i64,
    nonce: u32,
    /// The time of the last request by the client's clock.
    sent: FileTime,
    requests: u32,
}

/// The consequence of a reply.
pub(super) enum AsStep {
    /// The client asks again, with the information from the error.
    Again,
    /// The exchange gave a TGT. The number is the time by which the KDC's clock is ahead, in ticks.
    Done(Box<Credential>, i64),
}

impl AsExchange {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        let realm = config.client.realm.clone();
        let mut exchange = Self { config, realm, key: None, offset: 0, nonce: 0, sent: FileTime(0), requests: 0 };
        if exchange.config.preauth_at_once {
            exchange.key = exchange.key_of(&[]).ok();
        }
        exchange
    }

    /// Returns the next AS-REQ.
    pub(super) fn request(&mut self, nonces: Nonces, now: FileTime) -> Vec<u8> {
        self.requests += 1;
        self.nonce = nonces.nonce();
        self.sent = now;
        let clock = FileTime(now.0.saturating_add_signed(self.offset));
        let config = &self.config;
        let body = KdcReqBody {
            options: options(config),
            cname: Some(config.client.name.clone()),
            realm: &self.realm,
            sname: Some(PrincipalName::krbtgt(&self.realm)),
            till: KerberosTime(0),
            rtime: None,
            nonce: self.nonce,
            etypes: config.etypes.iter().map(|etype| etype.number()).collect(),
        }
        .encode();
        let timestamp = self.key.map(|key| {
            let (time, micros) = KerberosTime::split(clock);
            let plain = PaEncTsEnc { time, micros }.encode();
            let cipher = key.encrypt(usage::PA_ENC_TIMESTAMP, &nonces.confounder, &plain);
            EncryptedData { etype: key.etype().number(), kvno: None, cipher: &cipher }.encode()
        });
        let padata = timestamp.iter().map(|value| PaData { kind: PaData::ENC_TIMESTAMP, value }).collect();
        KdcReq { exchange: Exchange::As, padata, raw_body: &body }.encode()
    }

    /// Takes the KDC's reply.
    pub(super) fn reply(&mut self, reply: &[u8]) -> Result<AsStep, ClientError> {
        if let Ok(error) = KrbError::decode(reply) {
            return self.error(&error).map(|()| AsStep::Again);
        }
        let (reply, ticket) = KdcRep::decode(reply, Exchange::As)?;
        let key = match self.key.filter(|key| key.etype().number() == reply.enc_part.etype) {
            Some(key) => key,
            // Without pre-authentication, the reply says how its key is made.
            None => self.key_of(&reply.padata)?,
        };
        let plain = key.decrypt(usage::AS_REP, reply.enc_part.cipher)?;
        let part = EncKdcRepPart::decode(&plain)?;
        let client = Principal::new(reply.cname.clone(), reply.crealm);
        if !self.config.canonicalize && client.name != self.config.client.name {
            return Err(ClientError::OtherRequest("client"));
        }
        if part.sname != ticket.sname || part.sname.krbtgt_realm() != Some(self.realm.as_str()) {
            return Err(ClientError::OtherRequest("service"));
        }
        let credential = credential(client, reply.ticket, &part, self.nonce)?;
        Ok(AsStep::Done(Box::new(credential), self.offset))
    }

    /// Learns from an error how to ask again. If the error gives no such information, it is returned.
    fn error(&mut self, error: &KrbError<'_>) -> Result<(), ClientError> {
        let refused = Err(refused(error));
        if self.requests >= MAX_REQUESTS {
            return refused;
        }
        match error.code {
            KrbErrorCode::PREAUTH_REQUIRED if self.key.is_none() => {
                let methods = PaData::decode_list(error.e_data.unwrap_or_default())?;
                self.key = Some(self.key_of(&methods)?);
                Ok(())
            }
            KrbErrorCode::SKEW if self.offset == 0 => {
                let theirs = error.stime.file_time().0.saturating_add(u64::from(error.susec) * 10);
                self.offset = theirs.wrapping_sub(self.sent.0).cast_signed();
                Ok(())
            }
            KrbErrorCode::WRONG_REALM => match error.crealm {
                Some(realm) if realm != self.realm => {
                    realm.clone_into(&mut self.realm);
                    self.key = None;
                    Ok(())
                }
                _ => refused,
            },
            _ => refused,
        }
    }

    /// Returns the client's key according to the pre-authentication data, or with the default salt.
    fn key_of(&self, methods: &[PaData<'_>]) -> Result<Key, ClientError> {
        let info = methods.iter().find(|data| data.kind == PaData::ETYPE_INFO2);
        let Some(info) = info else {
            let first = self.config.etypes.first().ok_or(ClientError::NoEtype)?;
            return self.key(*first, None, None);
        };
        for entry in EtypeInfo2Entry::decode_list(info.value)? {
            let etype = Etype::from_number(entry.etype).filter(|etype| self.config.etypes.contains(etype));
            let Some(etype) = etype else { continue };
            // No implementation has parameters whose length is not 4 (RFC 3962 4).
            let params = entry.s2kparams.map(<[u8; 4]>::try_from);
            let iterations = match params {
                None => None,
                Some(Ok(count)) => Some(u32::from_be_bytes(count)),
                Some(Err(_)) => continue,
            };
            if let Ok(key) = self.key(etype, entry.salt, iterations) {
                return Ok(key);
            }
        }
        Err(ClientError::NoEtype)
    }

    fn key(&self, etype: Etype, salt: Option<&str>, iterations: Option<u32>) -> Result<Key, ClientError> {
        match &self.config.secret {
            Secret::Keys(keys) => keys.iter().find(|key| key.etype() == etype).copied().ok_or(ClientError::NoEtype),
            Secret::Password(password) => {
                let default = || keys::user_salt(&self.realm, &self.config.client.name);
                let salt = salt.map_or_else(default, str::to_owned);
                Ok(Key::from_password(etype, password, salt.as_bytes(), iterations)?)
            }
        }
    }
}

/// Returns the options of every request.
pub(super) fn options(config: &ClientConfig) -> u32 {
    let forwardable = if config.forwardable { flags::FORWARDABLE } else { 0 };
    let canonicalize = if config.canonicalize { flags::CANONICALIZE } else { 0 };
    flags::RENEWABLE | flags::RENEWABLE_OK | forwardable | canonicalize
}

/// Returns the error, with the NTSTATUS of a Windows KDC if there is one.
pub(super) fn refused(error: &KrbError<'_>) -> ClientError {
    let status = error.e_data.and_then(|data| {
        let mut r = Reader::new(data).nested(tag::SEQUENCE).ok()?;
        let kind = r.primitive_field::<i32>(1).ok()?;
        let value = r.primitive_field(2).ok()?;
        if kind == PaData::PW_SALT { extended_status(value) } else { None }
    });
    ClientError::Refused { code: error.code, status }
}

/// Returns the credential in a reply, if the reply answers the request with this `nonce`.
pub(super) fn credential(
    client: Principal,
    ticket: &[u8],
    part: &EncKdcRepPart<'_>,
    nonce: u32,
) -> Result<Credential, ClientError> {
    if part.nonce != nonce {
        return Err(ClientError::OtherRequest("nonce"));
    }
    Ok(Credential {
        client,
        server: Principal::new(part.sname.clone(), part.srealm),
        key: part.key.key()?,
        ticket: ticket.to_vec(),
        flags: part.flags,
        auth_time: part.auth_time,
        start_time: part.start_time.unwrap_or(part.auth_time),
        end_time: part.end_time,
        renew_till: part.renew_till,
    })
}
