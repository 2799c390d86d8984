//! The channel to a domain: which of its DCs is asked, and whose word counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::status::NtStatus;
use stickler_net::Net;

use crate::link::{Answer, Link, Nothing};
use crate::{ChannelConfig, LogonNumbers};

/// The channel to a domain. Its tasks end when it is dropped.
///
/// It stays with a DC for as long as that answers, as Netlogon does. A logon goes to the next DC
/// * where the DC cannot be reached, is silent, or denies the channel; it is then left for good, until
///   the others have failed in their turn;
/// * where its answer is not authoritative: "if the Authoritative parameter is FALSE, the client retries
///   the call at a later time or at a different domain controller" (MS-NRPC 3.4.5.3.2).
///
/// A refusal that *is* authoritative is final: a wrong password is never shown to a second DC.
pub struct SecureChannel {
    links: Vec<Link>,
    /// Whom the next logon goes to.
    current: AtomicUsize,
    numbers: Arc<LogonNumbers>,
}

/// What came of a logon.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its number; the event of the DC that answered has the same.
    pub number: u64,
    /// The DC's reply, or a refusal that stands for the lack of one: STATUS_NO_LOGON_SERVERS where no DC
    /// answers, STATUS_TRUSTED_RELATIONSHIP_FAILURE or STATUS_NO_TRUST_SAM_ACCOUNT where one denies the channel.
    pub reply: LogonReply,
    /// Whether it is a DC's reply.
    pub answered: bool,
}

impl SecureChannel {
    /// Starts its tasks on `net`. Nothing is connected before the first logon.
    pub fn new<N: Net>(net: &N, config: &ChannelConfig, numbers: &Arc<LogonNumbers>) -> Self {
        let links = config.controllers.iter().map(|address| Link::new(net, config, *address, Arc::clone(numbers)));
        Self { links: links.collect(), current: AtomicUsize::new(0), numbers: Arc::clone(numbers) }
    }

    /// Asks the domain. `None` where the tasks have ended, with the host that they ran on.
    ///
    /// It takes no longer than the sum of the timeouts of all DCs, twice that of a reply where a connection
    /// breaks in between.
    pub async fn logon(&self, request: &LogonRequest) -> Option<Outcome> {
        let (count, first) = (self.links.len(), self.current.load(Ordering::Relaxed));
        let mut best = None;
        for index in (first..first + count).map(|index| index % count) {
            let Answer { number, heard } = self.links[index].logon(request.clone()).await?;
            let (telling, reply) = match heard {
                Ok(reply) if reply.authoritative || reply.status.is_success() => {
                    return Some(Outcome { number, reply, answered: true });
                }
                Ok(reply) => (Telling::Unsure, reply),
                // No DC could be asked that.
                Err(Nothing::TooLong) => {
                    let reply = LogonReply::refused(NtStatus::INVALID_PARAMETER, true);
                    return Some(Outcome { number, reply, answered: false });
                }
                Err(nothing) => {
                    self.leave(index);
                    told(nothing)
                }
            };
            // Of several, what tells most; of equals, the last.
            if best.as_ref().is_none_or(|(most, _)| telling >= *most) {
                best = Some((telling, Outcome { number, reply, answered: telling == Telling::Unsure }));
            }
        }
        Some(best.map_or_else(|| self.nobody(), |(_, outcome)| outcome))
    }

    /// The next logon goes to the DC after this one, unless another logon has already seen to that.
    fn leave(&self, index: usize) {
        let next = (index + 1) % self.links.len();
        let _ = self.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// There is no DC.
    fn nobody(&self) -> Outcome {
        let (_, reply) = told(Nothing::Unreachable);
        Outcome { number: self.numbers.next(), reply, answered: false }
    }
}

/// How much an answer that is not final tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Telling {
    Nobody,
    Denied,
    Unsure,
}

/// What is made of the lack of an answer.
fn told(nothing: Nothing) -> (Telling, LogonReply) {
    let (telling, status) = match nothing {
        Nothing::Unreachable | Nothing::TooLong => (Telling::Nobody, NtStatus::NO_LOGON_SERVERS),
        // The secrets differ: whichever side says so.
        Nothing::BadReply | Nothing::Denied(NtStatus::ACCESS_DENIED) => {
            (Telling::Denied, NtStatus::TRUSTED_RELATIONSHIP_FAILURE)
        }
        // Anybody on the way can write a denial: it never means success, nor what only a DC may say.
        Nothing::Denied(_) => (Telling::Denied, NtStatus::NO_TRUST_SAM_ACCOUNT),
    };
    (telling, LogonReply::refused(status, true))
}
