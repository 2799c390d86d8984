//! The authentication service, which turns a password into a ticket-granting ticket (RFC 4120 3.1).

use std::sync::Arc;

use super::issue::{Grant, ReplyKey};
use super::{Account, Failure, Kdc, Lookup, Reply, required, same_realm, session_key, wants};
use crate::FileTime;
use crate::kerberos::crypto::{DEFAULT_ITERATIONS_SHA1, DEFAULT_ITERATIONS_SHA2, Etype};
use crate::kerberos::keys::LongTermKey;
use crate::kerberos::message::{
    EncryptedData, EtypeInfo2Entry, Exchange, KdcReq, KdcReqBody, PaData, PaEncTsEnc, flags,
};
use crate::kerberos::status::KrbErrorCode;
use crate::kerberos::{Principal, PrincipalName, usage};
use crate::status::NtStatus;

impl Kdc<'_> {
    /// Answers an AS-REQ. Sets `client` to the name that the directory has for the client.
    pub(super) fn authentication_service(
        &self,
        request: &KdcReq<'_>,
        body: &KdcReqBody<'_>,
        client: &mut Option<Principal>,
    ) -> Reply {
        let asked = required(body.cname.as_ref(), KrbErrorCode::C_PRINCIPAL_UNKNOWN)?;
        let server = required(body.sname.as_ref(), KrbErrorCode::S_PRINCIPAL_UNKNOWN)?;
        if !same_realm(body.realm, &self.config.realm) {
            return Err(KrbErrorCode::C_PRINCIPAL_UNKNOWN.into());
        }
        let account = self.client(asked)?;
        // The ticket names the client as the request does, unless the client asks for its canonical name (RFC 6806 6).
        let canonical = wants(body, flags::CANONICALIZE) || asked.kind == PrincipalName::ENTERPRISE;
        let name = if canonical { account.name.clone() } else { asked.clone() };
        let principal = client.insert(Principal::new(name, &self.config.realm)).clone();
        if !account.status.is_success() && !needs_password(account.status) {
            return Err(Failure::of_account(account.status));
        }
        let service = self.initial_service(server)?;
        let key = self.preauthenticate(request, body, &account)?;
        if needs_password(account.status) {
            return Err(Failure::of_account(account.status));
        }
        let session = session_key(*self, &body.etypes, &service)?;
        let times = self.times(body, self.time(), None, None)?;
        let mut ticket_flags = flags::INITIAL;
        ticket_flags |= if key.proven { flags::PRE_AUTHENT } else { 0 };
        ticket_flags |= if times.renew_till.is_some() { flags::RENEWABLE } else { 0 };
        if wants(body, flags::FORWARDABLE) && account.forwardable {
            ticket_flags |= flags::FORWARDABLE;
        }
        let grant = Grant {
            exchange: Exchange::As,
            client: &principal,
            server,
            service: &service,
            session,
            flags: ticket_flags,
            times,
            nonce: body.nonce,
            referral: false,
            groups: 0,
        };
        let reply_key = ReplyKey { key: key.key.key, kvno: Some(key.key.kvno), usage: usage::AS_REP };
        let info = etype_info(&account, [key.key.key.etype()].into_iter());
        self.issue(&grant, &reply_key, vec![PaData { kind: PaData::ETYPE_INFO2, value: &info }])
    }

    fn client(&self, name: &PrincipalName) -> Result<Arc<Account>, Failure> {
        match self.principals.client(name) {
            Lookup::Found(account) => Ok(account),
            Lookup::Referral(realm) => Err(Failure { realm: Some(realm), ..Failure::from(KrbErrorCode::WRONG_REALM) }),
            Lookup::Duplicate => Err(KrbErrorCode::PRINCIPAL_NOT_UNIQUE.into()),
            Lookup::Unknown => Err(KrbErrorCode::C_PRINCIPAL_UNKNOWN.into()),
        }
    }

    /// Returns the service of an initial ticket, which is normally the ticket-granting service itself.
    fn initial_service(&self, name: &PrincipalName) -> Result<Arc<Account>, Failure> {
        if name.krbtgt_realm().is_some_and(|realm| same_realm(realm, &self.config.realm)) {
            return Ok(self.principals.krbtgt());
        }
        match self.principals.service(name) {
            Lookup::Found(account) => Ok(account),
            Lookup::Duplicate => Err(KrbErrorCode::PRINCIPAL_NOT_UNIQUE.into()),
            Lookup::Referral(_) | Lookup::Unknown => Err(KrbErrorCode::S_PRINCIPAL_UNKNOWN.into()),
        }
    }

    /// Returns the client's key for the reply, after an encrypted timestamp has proved that the client has it.
    fn preauthenticate<'a>(
        &self,
        request: &KdcReq<'_>,
        body: &KdcReqBody<'_>,
        account: &'a Account,
    ) -> Result<ClientKey<'a>, Failure> {
        let common = || {
            let asked = body.etypes.iter().filter_map(|number| Etype::from_number(*number));
            asked.filter(|etype| self.config.etypes.contains(etype) && account.key(*etype).is_some())
        };
        let preferred = common().next().ok_or(KrbErrorCode::ETYPE_NOSUPP)?;
        let timestamp = request.padata.iter().find(|data| data.kind == PaData::ENC_TIMESTAMP);
        let Some(timestamp) = timestamp else {
            if account.preauth_required {
                return Err(preauth_error(KrbErrorCode::PREAUTH_REQUIRED, account, common()));
            }
            let key = account.key(preferred).ok_or(KrbErrorCode::ETYPE_NOSUPP)?;
            return Ok(ClientKey { key, proven: false });
        };
        let failed = || preauth_error(KrbErrorCode::PREAUTH_FAILED, account, common());
        let sent = EncryptedData::decode(timestamp.value).map_err(|_| failed())?;
        let etype = common().find(|etype| etype.number() == sent.etype).ok_or(KrbErrorCode::ETYPE_NOSUPP)?;
        let key = account.key(etype).ok_or(KrbErrorCode::ETYPE_NOSUPP)?;
        let plain = key.key.decrypt(usage::PA_ENC_TIMESTAMP, sent.cipher).map_err(|_| failed())?;
        let PaEncTsEnc { time, micros } = PaEncTsEnc::decode(&plain).map_err(|_| failed())?;
        let clock = time.file_time().0.saturating_add(u64::from(micros) * 10);
        if clock.abs_diff(self.now.0) > self.config.max_skew.saturating_mul(FileTime::TICKS_PER_SECOND) {
            return Err(KrbErrorCode::SKEW.into());
        }
        Ok(ClientKey { key, proven: true })
    }
}

/// The key that encrypts the reply, and whether the client has proved that it has the key.
struct ClientKey<'a> {
    key: &'a LongTermKey,
    proven: bool,
}

/// Returns whether an account's state is disclosed only to a client that knows its password (MS-KILE 3.3.5.7.1).
const fn needs_password(status: NtStatus) -> bool {
    matches!(status, NtStatus::PASSWORD_EXPIRED | NtStatus::PASSWORD_MUST_CHANGE)
}

/// Returns an error that says how to pre-authenticate (RFC 4120 7.5.9: METHOD-DATA as e-data).
fn preauth_error(code: KrbErrorCode, account: &Account, etypes: impl Iterator<Item = Etype>) -> Failure {
    let info = etype_info(account, etypes);
    let methods =
        [PaData { kind: PaData::ETYPE_INFO2, value: &info }, PaData { kind: PaData::ENC_TIMESTAMP, value: &[] }];
    Failure { e_data: Some(PaData::encode_list(&methods)), ..Failure::from(code) }
}

/// Returns ETYPE-INFO2 for these types, which tells the client how to make its keys (RFC 4120 5.2.7.5).
fn etype_info(account: &Account, etypes: impl Iterator<Item = Etype>) -> Vec<u8> {
    let params = |etype: Etype| {
        let default = match etype {
            Etype::Aes128Sha256 | Etype::Aes256Sha384 => DEFAULT_ITERATIONS_SHA2,
            Etype::Aes128Sha1 | Etype::Aes256Sha1 | Etype::Rc4Hmac => DEFAULT_ITERATIONS_SHA1,
        };
        account.iterations.unwrap_or(default).to_be_bytes()
    };
    let types: Vec<(Etype, [u8; 4])> = etypes.map(|etype| (etype, params(etype))).collect();
    let entries: Vec<EtypeInfo2Entry<'_>> = types
        .iter()
        .map(|(etype, params)| {
            // RC4 uses neither salt nor iterations (RFC 4757 2).
            let salted = *etype != Etype::Rc4Hmac;
            EtypeInfo2Entry {
                etype: etype.number(),
                salt: salted.then_some(account.salt.as_str()),
                s2kparams: salted.then_some(params.as_slice()),
            }
        })
        .collect();
    EtypeInfo2Entry::encode_list(&entries)
}
