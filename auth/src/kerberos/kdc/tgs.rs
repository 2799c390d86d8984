//! The ticket-granting service, which turns a ticket into another one (RFC 4120 3.3, RFC 6806 8).

use std::sync::Arc;

use super::issue::{Grant, ReplyKey};
use super::{Account, Failure, Kdc, Lookup, Reply, required, same_realm, session_key, wants};
use crate::kerberos::ap::{check_times, open_ticket};
use crate::kerberos::crypto::Key;
use crate::kerberos::keys::ServiceKeys;
use crate::kerberos::message::{
    ApReq, Authenticator, EncTicketPart, Exchange, KdcReq, KdcReqBody, PaData, Ticket, flags,
};
use crate::kerberos::status::KrbErrorCode;
use crate::kerberos::{KerberosTime, Principal, PrincipalName, usage};

/// The service of a ticket: its account, its name in the ticket, and whether it is another realm's KDC.
struct Service {
    account: Arc<Account>,
    name: PrincipalName,
    referral: bool,
}

/// The contents of the presented ticket and its authenticator after their verification.
struct Presented {
    client: Principal,
    flags: u32,
    auth_time: KerberosTime,
    end_time: KerberosTime,
    renew_till: Option<KerberosTime>,
    session: Key,
    subkey: Option<Key>,
}

impl Kdc<'_> {
    /// Answers a TGS-REQ. Sets `client` to the client that the presented ticket names.
    pub(super) fn ticket_granting_service(
        &self,
        request: &KdcReq<'_>,
        body: &KdcReqBody<'_>,
        client: &mut Option<Principal>,
    ) -> Reply {
        let presented = self.presented(request)?;
        *client = Some(presented.client.clone());
        let unsupported = flags::ENC_TKT_IN_SKEY | flags::VALIDATE;
        if wants(body, unsupported) || request.padata.iter().any(|data| data.kind == PaData::FOR_USER) {
            return Err(KrbErrorCode::BADOPTION.into());
        }
        let asked = required(body.sname.as_ref(), KrbErrorCode::S_PRINCIPAL_UNKNOWN)?;
        let service = self.service(body, asked)?;
        let session = session_key(*self, &body.etypes, &service.account)?;
        let (ticket_flags, limit) = ticket_flags(body, &presented, self.time())?;
        let times = self.times(body, presented.auth_time, limit, presented.renew_till)?;
        let renewable = presented.flags & flags::RENEWABLE != 0 && times.renew_till.is_some();
        let times = if renewable { times } else { super::issue::Times { renew_till: None, ..times } };
        let delegate = if service.account.ok_as_delegate { flags::OK_AS_DELEGATE } else { 0 };
        let grant = Grant {
            exchange: Exchange::Tgs,
            client: &presented.client,
            server: &service.name,
            service: &service.account,
            session,
            flags: ticket_flags | delegate | if renewable { flags::RENEWABLE } else { 0 },
            times,
            nonce: body.nonce,
            referral: service.referral,
            groups: self.groups(&presented.client, &service),
        };
        let reply_key = match presented.subkey {
            Some(key) => ReplyKey { key, kvno: None, usage: usage::TGS_REP_SUBKEY },
            None => ReplyKey { key: presented.session, kvno: None, usage: usage::TGS_REP_SESSION },
        };
        self.issue(&grant, &reply_key, Vec::new())
    }

    /// Returns the number of groups in a ticket of this client for a service. They are domain local groups, which the
    /// KDC of the service's domain adds when it issues a ticket for the service (MS-KILE 3.3.5.7.3). A ticket-granting
    /// ticket names none.
    fn groups(&self, client: &Principal, service: &Service) -> u16 {
        let ours = same_realm(&client.realm, &self.config.realm);
        if service.referral || !ours || service.name.krbtgt_realm().is_some() {
            return 0;
        }
        match self.principals.client(&client.name) {
            Lookup::Found(account) => account.groups,
            Lookup::Referral(_) | Lookup::Duplicate | Lookup::Unknown => 0,
        }
    }

    /// Verifies the ticket, its authenticator, and the checksum that ties both to the body, if there is a checksum.
    fn presented(&self, request: &KdcReq<'_>) -> Result<Presented, Failure> {
        let data = request.padata.iter().find(|data| data.kind == PaData::TGS_REQ);
        let data = data.ok_or(KrbErrorCode::PADATA_TYPE_NOSUPP)?;
        let (message, ticket) = ApReq::decode(data.value).map_err(|_| KrbErrorCode::MSG_TYPE)?;
        let opened = open_ticket(&self.ticket_keys(&ticket)?, &ticket)?;
        let part = EncTicketPart::decode(&opened.plain).map_err(|_| KrbErrorCode::MODIFIED)?;
        let session = part.key.key().map_err(|_| KrbErrorCode::ETYPE_NOSUPP)?;
        let plain = session
            .decrypt(usage::TGS_REQ_AUTHENTICATOR, message.authenticator.cipher)
            .map_err(|_| KrbErrorCode::MODIFIED)?;
        let authenticator = Authenticator::decode(&plain).map_err(|_| KrbErrorCode::MODIFIED)?;
        if (authenticator.crealm, &authenticator.cname) != (part.crealm, &part.cname) {
            return Err(KrbErrorCode::BADMATCH.into());
        }
        check_times(self.config.max_skew, &part, &authenticator, self.now)?;
        match &authenticator.checksum {
            Some(checksum) if checksum.kind != session.etype().checksum_type() => {
                return Err(KrbErrorCode::INAPP_CKSUM.into());
            }
            Some(checksum)
                if !session.verify_checksum(usage::TGS_REQ_CHECKSUM, &[request.raw_body], checksum.value) =>
            {
                return Err(KrbErrorCode::MODIFIED.into());
            }
            None if self.config.requires_checksum => return Err(KrbErrorCode::INAPP_CKSUM.into()),
            Some(_) | None => {}
        }
        // A trusted realm may name only its own users. Otherwise it could impersonate any user of this realm.
        if !same_realm(ticket.realm, &self.config.realm) && !same_realm(part.crealm, ticket.realm) {
            return Err(KrbErrorCode::POLICY.into());
        }
        let subkey = authenticator.subkey.map(|key| key.key()).transpose();
        Ok(Presented {
            client: Principal::new(part.cname.clone(), part.crealm),
            flags: part.flags,
            auth_time: part.auth_time,
            end_time: part.end_time,
            renew_till: part.renew_till,
            subkey: subkey.map_err(|_| KrbErrorCode::ETYPE_NOSUPP)?,
            session,
        })
    }

    /// Returns the keys that can decrypt a presented ticket: those of this KDC, or those of the trust over which the
    /// ticket came.
    fn ticket_keys(&self, ticket: &Ticket<'_>) -> Result<ServiceKeys, Failure> {
        let ours = ticket.sname.krbtgt_realm().is_some_and(|realm| same_realm(realm, &self.config.realm));
        if !ours {
            return Err(KrbErrorCode::NOT_US.into());
        }
        if same_realm(ticket.realm, &self.config.realm) {
            return Ok(ServiceKeys::new(&self.principals.krbtgt().keys));
        }
        let trust = self.principals.trust(ticket.realm).ok_or(KrbErrorCode::NOT_US)?;
        Ok(ServiceKeys::new(&trust.keys))
    }

    fn service(&self, body: &KdcReqBody<'_>, asked: &PrincipalName) -> Result<Service, Failure> {
        let unknown = || Failure::from(KrbErrorCode::S_PRINCIPAL_UNKNOWN);
        if let Some(realm) = asked.krbtgt_realm() {
            return if same_realm(realm, &self.config.realm) {
                Ok(Service { account: self.principals.krbtgt(), name: asked.clone(), referral: false })
            } else {
                self.refer(realm)
            };
        }
        // A client that accepts no referrals itself determines the realm to ask (RFC 6806 8).
        match self.principals.service(asked) {
            Lookup::Found(account) => Ok(Service { account, name: asked.clone(), referral: false }),
            Lookup::Referral(realm) if wants(body, flags::CANONICALIZE) => self.refer(&realm),
            Lookup::Duplicate => Err(KrbErrorCode::PRINCIPAL_NOT_UNIQUE.into()),
            Lookup::Referral(_) | Lookup::Unknown => Err(unknown()),
        }
    }

    /// Returns a ticket for the ticket-granting service of `realm`, encrypted with the key of the trust.
    fn refer(&self, realm: &str) -> Result<Service, Failure> {
        let account = self.principals.trust(realm).ok_or(KrbErrorCode::S_PRINCIPAL_UNKNOWN)?;
        Ok(Service { account, name: PrincipalName::krbtgt(realm), referral: true })
    }
}

/// Returns the flags of the new ticket and the latest end of its validity. This is the end of the presented ticket,
/// unless the presented ticket is renewed.
fn ticket_flags(
    body: &KdcReqBody<'_>,
    presented: &Presented,
    now: KerberosTime,
) -> Result<(u32, Option<KerberosTime>), Failure> {
    let forwardable = presented.flags & flags::FORWARDABLE != 0;
    let mut out = presented.flags & (flags::PRE_AUTHENT | flags::FORWARDED);
    if wants(body, flags::FORWARDABLE) && forwardable {
        out |= flags::FORWARDABLE;
    }
    if wants(body, flags::FORWARDED) {
        if !forwardable {
            return Err(KrbErrorCode::BADOPTION.into());
        }
        out |= flags::FORWARDED;
    }
    if !wants(body, flags::RENEW) {
        return Ok((out, Some(presented.end_time)));
    }
    let renewable = presented.flags & flags::RENEWABLE != 0;
    match presented.renew_till.filter(|till| renewable && *till > now) {
        Some(till) => Ok((out, Some(till))),
        None => Err(KrbErrorCode::BADOPTION.into()),
    }
}
