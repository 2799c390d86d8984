//! The channel to a domain: the choice of the DC that is asked, and of the answer that counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::status::NtStatus;
use stickler_net::Net;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::link::{Link, LinkReply, NoReply};
use crate::{ChannelConfig, LogonNumbers};

/// The channel to a domain. Its tasks end when it is dropped.
///
/// Like Netlogon, the channel uses the same DC as long as it answers. A logon goes to the next DC
/// * if the DC cannot be reached, is silent, or denies the channel; later logons then begin with the next DC as well;
/// * if the DC's answer is not authoritative: "if the Authoritative parameter is FALSE, the client retries the call at
///   a later time or at a different domain controller" (MS-NRPC 3.4.5.3.2).
///
/// An authoritative refusal is final: a wrong password is never presented to a second DC. At most `MaxConcurrentApi`
/// logons are under way at once. This limit protects the DCs. A farm reaches it when many connections authenticate at
/// the same time.
pub struct SecureChannel {
    links: Vec<Link>,
    /// The permits. A logon takes one while it is under way.
    calls: Semaphore,
    /// The maximum time that a logon may wait for a permit.
    queue: Duration,
    /// The index of the DC that receives the next logon.
    current: AtomicUsize,
    numbers: Arc<LogonNumbers>,
}

/// The outcome of a logon.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The number of the logon. The event of the DC that answered has the same number.
    pub number: u64,
    /// The DC's reply, or a refusal that replaces a missing reply: STATUS_NO_LOGON_SERVERS if no DC answers, or if the
    /// logon waited too long for others; STATUS_TRUSTED_RELATIONSHIP_FAILURE or STATUS_NO_TRUST_SAM_ACCOUNT if a DC
    /// denies the channel.
    pub reply: LogonReply,
    /// Whether the reply comes from a DC.
    pub answered: bool,
}

impl SecureChannel {
    /// Starts the channel's tasks on `net`. They connect at the first logon.
    pub fn new<N: Net>(net: &N, config: &ChannelConfig, numbers: &Arc<LogonNumbers>) -> Self {
        let links = config.controllers.iter().map(|address| Link::new(net, config, *address, Arc::clone(numbers)));
        let calls = Semaphore::new(usize::from(config.max_concurrent_api));
        let queue = config.timeouts.queue;
        Self { links: links.collect(), calls, queue, current: AtomicUsize::new(0), numbers: Arc::clone(numbers) }
    }

    /// Asks the domain. Returns `None` if the tasks have ended together with their host.
    ///
    /// The call takes at most the time in the queue plus the sum of the timeouts of all DCs. A DC's reply timeout
    /// counts twice if a connection to it breaks meanwhile.
    pub async fn logon(&self, request: &LogonRequest) -> Option<Outcome> {
        let Ok(Ok(_call)) = timeout(self.queue, self.calls.acquire()).await else { return Some(self.no_controllers()) };
        let (count, first) = (self.links.len(), self.current.load(Ordering::Relaxed));
        let mut best = None;
        for index in (first..first + count).map(|index| index % count) {
            let LinkReply { number, result } = self.links[index].logon(request.clone()).await?;
            let (certainty, reply) = match result {
                Ok(reply) if reply.authoritative || reply.status.is_success() => {
                    return Some(Outcome { number, reply, answered: true });
                }
                Ok(reply) => (Certainty::Unsure, reply),
                // This request cannot be sent to any DC.
                Err(NoReply::TooLong) => {
                    let reply = LogonReply::refused(NtStatus::INVALID_PARAMETER, true);
                    return Some(Outcome { number, reply, answered: false });
                }
                Err(no_reply) => {
                    self.leave(index);
                    refusal(no_reply)
                }
            };
            // The most certain answer counts, or the last one if several are equally certain.
            if best.as_ref().is_none_or(|(max, _)| certainty >= *max) {
                best = Some((certainty, Outcome { number, reply, answered: certainty == Certainty::Unsure }));
            }
        }
        Some(best.map_or_else(|| self.no_controllers(), |(_, outcome)| outcome))
    }

    /// Makes the next logon go to the DC after this one, unless another logon has done that already.
    fn leave(&self, index: usize) {
        let next = (index + 1) % self.links.len();
        let _ = self.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Returns the outcome of a logon if there is no DC to ask.
    fn no_controllers(&self) -> Outcome {
        let (_, reply) = refusal(NoReply::Unreachable);
        Outcome { number: self.numbers.next(), reply, answered: false }
    }
}

/// The certainty of an answer that is not final.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Certainty {
    /// No DC answers.
    Unreachable,
    /// A DC denies the channel.
    Denied,
    /// A DC's answer is not authoritative.
    Unsure,
}

/// Returns the refusal that replaces a missing reply.
fn refusal(no_reply: NoReply) -> (Certainty, LogonReply) {
    let (certainty, status) = match no_reply {
        NoReply::Unreachable | NoReply::TooLong => (Certainty::Unreachable, NtStatus::NO_LOGON_SERVERS),
        // The secrets of the two sides differ. Either side may have noticed this.
        NoReply::BadReply | NoReply::Denied(NtStatus::ACCESS_DENIED) => {
            (Certainty::Denied, NtStatus::TRUSTED_RELATIONSHIP_FAILURE)
        }
        // Anybody on the path can forge a denial. Therefore it never means success or a decision that only a DC may
        // make.
        NoReply::Denied(_) => (Certainty::Denied, NtStatus::NO_TRUST_SAM_ACCOUNT),
    };
    (certainty, LogonReply::refused(status, true))
}
