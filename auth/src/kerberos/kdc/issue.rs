//! The last part of both exchanges: a ticket, and the reply that carries it.

use super::{Account, Failure, Issued, Kdc, Reply};
use crate::kerberos::crypto::Key;
use crate::kerberos::keys::LongTermKey;
use crate::kerberos::message::{
    EncKdcRepPart, EncTicketPart, EncryptedData, Exchange, KdcRep, KdcReqBody, PaData, Ticket, Typed, flags,
};
use crate::kerberos::pac::{self, Subject};
use crate::kerberos::status::KrbErrorCode;
use crate::kerberos::{KerberosTime, Principal, PrincipalName, usage};

/// The validity of a ticket.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) auth: KerberosTime,
    pub(super) start: KerberosTime,
    pub(super) end: KerberosTime,
    pub(super) renew_till: Option<KerberosTime>,
}

/// The data of a ticket that is to be issued.
pub(super) struct Grant<'a> {
    pub(super) exchange: Exchange,
    pub(super) client: &'a Principal,
    pub(super) server: &'a PrincipalName,
    pub(super) service: &'a Account,
    pub(super) session: Key,
    pub(super) flags: u32,
    pub(super) times: Times,
    pub(super) nonce: u32,
    pub(super) referral: bool,
    /// The number of groups that the PAC of the ticket names; 0 means that the ticket has no PAC.
    pub(super) groups: u16,
}

/// The key that encrypts a reply.
pub(super) struct ReplyKey {
    pub(super) key: Key,
    pub(super) kvno: Option<u32>,
    pub(super) usage: u32,
}

impl Kdc<'_> {
    /// Returns the times of the ticket. They are the times that the client asks for, within the rules and up to
    /// `limit`, the end of the presented ticket.
    pub(super) fn times(
        &self,
        body: &KdcReqBody<'_>,
        auth: KerberosTime,
        limit: Option<KerberosTime>,
        renew_limit: Option<KerberosTime>,
    ) -> Result<Times, Failure> {
        let start = self.time();
        // RFC 4120 3.1.3: a `till` of zero asks for the longest possible time.
        let wanted = |time: KerberosTime| if time.0 == 0 { KerberosTime::MAX } else { time };
        let longest = start.plus(self.config.max_life).min(limit.unwrap_or(KerberosTime::MAX));
        let end = wanted(body.till).min(longest);
        if end <= start {
            return Err(KrbErrorCode::NEVER_VALID.into());
        }
        // RFC 4120 3.1.3: with RENEWABLE-OK alone, the ticket is renewable only up to the end that was asked for.
        let renewal = if super::wants(body, flags::RENEWABLE) {
            Some(wanted(body.rtime.unwrap_or_default()))
        } else {
            Some(wanted(body.till)).filter(|till| super::wants(body, flags::RENEWABLE_OK) && *till > end)
        };
        let latest = start.plus(self.config.max_renew).min(renew_limit.unwrap_or(KerberosTime::MAX));
        let renew_till = renewal.map(|till| till.min(latest));
        Ok(Times { auth, start, end, renew_till: renew_till.filter(|till| *till > end) })
    }

    /// Returns the service's key that encrypts the ticket. Its type is the one that the KDC prefers. The types that the
    /// client supports do not matter, because the client never decrypts the ticket.
    fn ticket_key<'a>(&self, service: &'a Account) -> Result<&'a LongTermKey, Failure> {
        let found = self.config.etypes.iter().find_map(|etype| service.key(*etype));
        found.ok_or(KrbErrorCode::ETYPE_NOSUPP.into())
    }

    /// Returns the reply that carries the ticket.
    pub(super) fn issue(&self, grant: &Grant<'_>, reply_key: &ReplyKey, padata: Vec<PaData<'_>>) -> Reply {
        let ticket_key = self.ticket_key(grant.service)?;
        let ticket = self.ticket(grant, ticket_key);
        let Times { auth, start, end, renew_till } = grant.times;
        let part = EncKdcRepPart {
            key: Typed::of_key(&grant.session),
            nonce: grant.nonce,
            flags: grant.flags,
            auth_time: auth,
            start_time: Some(start),
            end_time: end,
            renew_till,
            srealm: &self.config.realm,
            sname: grant.server.clone(),
        };
        let plain = part.encode(grant.exchange);
        let cipher = reply_key.key.encrypt(reply_key.usage, &self.nonces.reply_confounder, &plain);
        let etype = reply_key.key.etype().number();
        let reply = KdcRep {
            exchange: grant.exchange,
            padata,
            crealm: &grant.client.realm,
            cname: grant.client.name.clone(),
            ticket: &ticket,
            enc_part: EncryptedData { etype, kvno: reply_key.kvno, cipher: &cipher },
        };
        let issued = Issued {
            ticket_etype: ticket_key.key.etype(),
            session_etype: grant.session.etype(),
            flags: grant.flags,
            referral: grant.referral,
        };
        Ok((reply.encode(), issued))
    }

    fn ticket(&self, grant: &Grant<'_>, ticket_key: &LongTermKey) -> Vec<u8> {
        let Times { auth, start, end, renew_till } = grant.times;
        let pac = self.pac(grant, &ticket_key.key);
        let part = EncTicketPart {
            flags: grant.flags,
            key: Typed::of_key(&grant.session),
            crealm: &grant.client.realm,
            cname: grant.client.name.clone(),
            // RFC 4120 3.3.3.2: neither the client's realm nor the server's counts as transited, and
            // trusts here are direct.
            transited: Typed { kind: 1, value: &[] },
            auth_time: auth,
            start_time: Some(start),
            end_time: end,
            renew_till,
            authorization_data: pac.iter().map(|value| pac::relevant(value)).collect(),
        };
        let cipher = ticket_key.key.encrypt(usage::TICKET, &self.nonces.ticket_confounder, &part.encode());
        let etype = ticket_key.key.etype().number();
        let enc_part = EncryptedData { etype, kvno: Some(ticket_key.kvno), cipher: &cipher };
        Ticket { realm: &self.config.realm, sname: grant.server.clone(), enc_part }.encode()
    }

    /// Returns the PAC of a ticket for a user with groups. A KDC whose own account has no key of its types omits the
    /// PAC.
    fn pac(&self, grant: &Grant<'_>, service: &Key) -> Option<Vec<u8>> {
        let krbtgt = (grant.groups > 0).then(|| self.principals.krbtgt())?;
        let krbtgt = self.ticket_key(&krbtgt).ok()?.key;
        let name = grant.client.name.to_string();
        let subject = Subject { name: &name, auth_time: grant.times.auth, groups: grant.groups };
        Some(pac::authorization(&subject, service, &krbtgt))
    }
}
