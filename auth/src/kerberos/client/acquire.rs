//! The acquisition of a ticket: from the cache, or by an AS exchange and by TGS exchanges that follow referrals.

use std::sync::Arc;

use super::as_exchange::{AsExchange, AsStep};
use super::{ClientConfig, ClientError, CredentialCache, Nonces, TgsExchange};
use crate::FileTime;
use crate::kerberos::message::flags;
use crate::kerberos::{Credential, KerberosTime, PrincipalName};

/// The maximum number of realms on the path to a service (Windows follows 10 referrals).
const MAX_REFERRALS: u32 = 10;

/// The acquisition of one ticket. The caller carries the messages to KDCs and the replies back.
pub struct Acquire {
    config: Arc<ClientConfig>,
    service: PrincipalName,
    /// The options of the last request: FORWARDED for a TGT that is passed to a service.
    extra: u32,
    state: State,
    referrals: u32,
    /// The difference between the KDC's clock and the client's, in ticks.
    offset: i64,
}

enum State {
    As(AsExchange),
    Tgs(TgsExchange),
    Done,
}

/// The next step of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The caller sends this request to a KDC of this realm, and passes the reply to [`Acquire::take`].
    Send {
        /// The realm whose KDC is asked.
        realm: String,
        /// The request to send.
        request: Vec<u8>,
    },
    /// The ticket was obtained.
    Done(Box<Credential>),
}

impl Acquire {
    /// Starts to acquire a ticket for `service`. If `cache` holds the ticket, the acquisition is complete at once.
    pub fn service(
        config: Arc<ClientConfig>,
        service: PrincipalName,
        cache: &CredentialCache,
        nonces: Nonces,
        now: FileTime,
    ) -> (Self, Step) {
        let cached = cache.get(&service, KerberosTime::from_file_time(now)).cloned();
        let mut acquire = Self::new(config, service, 0);
        let step = match cached {
            Some(ticket) => Step::Done(Box::new(ticket)),
            None => acquire.first(cache, nonces, now),
        };
        (acquire, step)
    }

    /// Starts to acquire a forwarded TGT, which is passed to a service (see
    /// [`InitiatorConfig::delegate`](crate::kerberos::ap::InitiatorConfig::delegate)).
    pub fn forwarded_tgt(
        config: Arc<ClientConfig>,
        cache: &CredentialCache,
        nonces: Nonces,
        now: FileTime,
    ) -> (Self, Step) {
        let service = PrincipalName::krbtgt(&config.client.realm);
        let mut acquire = Self::new(config, service, flags::FORWARDED);
        let step = acquire.first(cache, nonces, now);
        (acquire, step)
    }

    fn new(config: Arc<ClientConfig>, service: PrincipalName, extra: u32) -> Self {
        Self { config, service, extra, state: State::Done, referrals: 0, offset: 0 }
    }

    /// Takes a KDC's reply, and puts the tickets into `cache`.
    ///
    /// # Errors
    /// The KDC refused, or the reply does not answer the last request.
    pub fn take(
        &mut self,
        reply: &[u8],
        cache: &mut CredentialCache,
        nonces: Nonces,
        now: FileTime,
    ) -> Result<Step, ClientError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Done => Err(ClientError::UnexpectedReply),
            State::As(mut exchange) => match exchange.reply(reply)? {
                AsStep::Again => Ok(self.ask_as(exchange, nonces, now)),
                AsStep::Done(tgt, offset) => {
                    self.offset = offset;
                    cache.insert(tgt.server.name.clone(), (*tgt).clone());
                    if self.extra == 0 && tgt.server.name == self.service {
                        return Ok(Step::Done(tgt));
                    }
                    Ok(self.ask_tgs(&tgt, nonces, now))
                }
            },
            State::Tgs(exchange) => {
                let ticket = exchange.finish(reply)?;
                if self.extra != 0 {
                    return Ok(Step::Done(Box::new(ticket)));
                }
                let referral = ticket.server.name != self.service && ticket.server.name.krbtgt_realm().is_some();
                if !referral {
                    cache.insert(self.service.clone(), ticket.clone());
                    return Ok(Step::Done(Box::new(ticket)));
                }
                self.referrals += 1;
                if self.referrals > MAX_REFERRALS {
                    return Err(ClientError::ReferralLoop);
                }
                cache.insert(ticket.server.name.clone(), ticket.clone());
                Ok(self.ask_tgs(&ticket, nonces, now))
            }
        }
    }

    /// Returns the first request, which uses the TGT of the client's realm or asks for one.
    fn first(&mut self, cache: &CredentialCache, nonces: Nonces, now: FileTime) -> Step {
        let home = PrincipalName::krbtgt(&self.config.client.realm);
        match cache.get(&home, KerberosTime::from_file_time(now)) {
            Some(tgt) => self.ask_tgs(tgt, nonces, now),
            None => self.ask_as(AsExchange::new(Arc::clone(&self.config)), nonces, now),
        }
    }

    fn ask_as(&mut self, mut exchange: AsExchange, nonces: Nonces, now: FileTime) -> Step {
        let request = exchange.request(nonces, now);
        let realm = exchange.realm.clone();
        self.state = State::As(exchange);
        Step::Send { realm, request }
    }

    fn ask_tgs(&mut self, tgt: &Credential, nonces: Nonces, now: FileTime) -> Step {
        let now = FileTime(now.0.saturating_add_signed(self.offset));
        let realm = tgt.server.name.krbtgt_realm().unwrap_or(&tgt.server.realm).to_owned();
        let (request, exchange) = TgsExchange::start(&self.config, tgt, &self.service, self.extra, nonces, now);
        self.state = State::Tgs(exchange);
        Step::Send { realm, request }
    }
}
