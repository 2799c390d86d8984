//! Has a logon decided by this DC, by the PDC emulator, or by a DC of a trusted domain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stickler_auth::FileTime;
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::status::NtStatus;
use stickler_model::{Env, Name, Principal, What};
use stickler_net::Net;
use stickler_netlogon::{ChannelConfig, ChannelTimeouts, Outcome, SecureChannel};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::DomainController;
use crate::directory::{Asker, Logon, LogonDecision};

/// The time that another DC may take. The sum is less than the default time that a member waits for a reply (10 s), so
/// the member still receives the outcome.
const TIMEOUTS: ChannelTimeouts =
    ChannelTimeouts { connect: Duration::from_secs(2), reply: Duration::from_secs(5), queue: ChannelTimeouts::QUEUE };

/// The number of channels that a logon may cross after the first: one to the trusted domain, and there one to the PDC
/// emulator.
const MAX_HOPS: u8 = 2;

/// The running process of a DC, shared by its connections.
pub(crate) struct Service<N> {
    net: N,
    env: Env,
    pub(crate) dc: Arc<DomainController>,
    pdc: Option<PeerDc>,
    trusted: Vec<PeerDc>,
}

/// The channel to the DCs of a trusted domain, or to the PDC emulator.
struct PeerDc {
    /// The NetBIOS name of the domain.
    domain: String,
    /// The name under which this DC asks.
    machine: String,
    channel: SecureChannel,
}

/// A logon request as it arrived on a channel.
pub(crate) struct Question {
    /// The machine that asks, by its name in the trace.
    pub(crate) server: Name,
    /// The number that the asking machine gave the logon.
    pub(crate) number: u64,
    pub(crate) asker: Asker,
    pub(crate) request: LogonRequest,
}

/// A reply that is ready or still to come.
pub(crate) enum Pending {
    Ready(LogonReply),
    Later(Promise),
}

/// A reply that a task will send. Dropping the promise aborts the task.
pub(crate) struct Promise {
    pub(crate) reply: oneshot::Receiver<LogonReply>,
    task: AbortHandle,
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<N: Net> Service<N> {
    /// Starts the channels to the other DCs that this one is configured with. They connect at the first logon.
    pub(crate) fn new(net: N, env: Env, dc: Arc<DomainController>) -> Self {
        let directory = dc.directory();
        let peer = |domain: &str, machine: &str, secret: Arc<[u8]>, controllers: Vec<SocketAddr>| {
            let config = ChannelConfig {
                machine: machine.to_owned(),
                secret,
                controllers,
                timeouts: TIMEOUTS,
                max_concurrent_api: dc.max_concurrent_api,
            };
            let channel = SecureChannel::new(&net, &config, &dc.numbers);
            PeerDc { domain: domain.to_owned(), machine: config.machine, channel }
        };
        let pdc = dc
            .pdc
            .as_ref()
            .map(|pdc| peer(&directory.netbios, &pdc.machine, Arc::clone(&pdc.secret), vec![pdc.address]));
        let host = format!("{}.{}", env.name, directory.dns);
        let trusted = dc.trusted.iter().filter_map(|(netbios, controllers)| {
            let trust = directory.trusts.iter().find(|trust| trust.is(netbios))?;
            Some(peer(trust.netbios(), &host, trust.secret().into(), controllers.clone()))
        });
        let trusted = trusted.collect();
        drop(directory);
        Self { net, env, dc, pdc, trusted }
    }

    /// Begins to answer a logon. The reply is ready at once if this DC decides alone and without a delay.
    pub(crate) fn ask(self: &Arc<Self>, question: Question) -> Pending {
        let decision = self.dc.delay.is_zero().then(|| self.decide(&question));
        if let Some(LogonDecision::Decided(logon)) = decision {
            return Pending::Ready(self.record_decided(&question, logon));
        }
        let (answer, reply) = oneshot::channel();
        let service = Arc::clone(self);
        let task = self.net.spawn(async move {
            let decision = if let Some(decision) = decision {
                decision
            } else {
                sleep(service.dc.delay).await;
                service.decide(&question)
            };
            // The connection of the asking machine may be gone.
            let _ = answer.send(service.follow(&question, decision).await);
        });
        Pending::Later(Promise { reply, task })
    }

    fn decide(&self, Question { asker, request, .. }: &Question) -> LogonDecision {
        let asks_pdc = self.pdc.is_some() && request.hops < MAX_HOPS;
        self.dc.directory().decide(request, asker, asks_pdc, FileTime(self.env.clock.filetime()))
    }

    /// Completes a decision, with the help of another DC if it needs one.
    async fn follow(&self, question: &Question, decision: LogonDecision) -> LogonReply {
        match decision {
            LogonDecision::Decided(logon) => self.record_decided(question, logon),
            LogonDecision::Trusted(netbios) => self.ask_trusted(question, &netbios).await,
            LogonDecision::NeedsPdc(logon) => {
                if let Some(pdc) = &self.pdc
                    && let Some(Outcome { number, reply, answered: true }) = pdc.ask(question).await
                {
                    return self.record_forwarded(question, &pdc.domain, number, reply);
                }
                // The PDC emulator does not answer, so this DC's own decision is final.
                let logon = self.dc.directory().count_wrong_password(logon);
                self.record_decided(question, logon)
            }
        }
    }

    /// Asks a DC of a trusted domain, and accepts only those parts of its reply that this domain may vouch for.
    async fn ask_trusted(&self, question: &Question, netbios: &str) -> LogonReply {
        let outcome = match self.trusted.iter().find(|peer| peer.domain.eq_ignore_ascii_case(netbios)) {
            Some(peer) => peer.ask(question).await,
            None => None,
        };
        let no_dc = || (0, LogonReply::refused(NtStatus::NO_LOGON_SERVERS, true));
        let (number, reply) = outcome.map_or_else(no_dc, |outcome| (outcome.number, outcome.reply));
        let reply = match self.dc.directory().trusts.iter().find(|trust| trust.is(netbios)) {
            Some(trust) => trust.filter(reply),
            None => LogonReply::refused(NtStatus::NO_SUCH_DOMAIN, true),
        };
        self.record_forwarded(question, netbios, number, reply)
    }

    fn record_decided(&self, Question { server, number, .. }: &Question, logon: Logon) -> LogonReply {
        self.env.record(What::DcLogon {
            server: server.clone(),
            logon: *number,
            account: logon.account,
            status: logon.reply.status.0,
            bad_count: logon.bad_count,
        });
        logon.reply
    }

    fn record_forwarded(&self, question: &Question, to: &str, passed: u64, reply: LogonReply) -> LogonReply {
        let Question { server, number, request, .. } = question;
        self.env.record(What::DcPassedOn {
            server: server.clone(),
            logon: *number,
            account: Principal::new(&request.logon_domain, &request.user),
            to: to.to_owned(),
            passed,
            status: reply.status.0,
        });
        reply
    }
}

impl PeerDc {
    /// Forwards a logon. Returns `None` if this host is shutting down.
    async fn ask(&self, Question { request, .. }: &Question) -> Option<Outcome> {
        let request = LogonRequest {
            channel_machine: self.machine.clone(),
            hops: request.hops.saturating_add(1),
            ..request.clone()
        };
        self.channel.logon(&request).await
    }
}
