//! Carries a logon to its decision: here, at the PDC emulator, or at the DC of a trusted domain.

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
use crate::directory::{Asker, Course, Logon};

/// How long another DC may take. Both together are less than a member waits for a reply by default (10 s), so that it
/// hears what came of it.
const TIMEOUTS: ChannelTimeouts = ChannelTimeouts { connect: Duration::from_secs(2), reply: Duration::from_secs(5) };

/// Channels that a logon crosses after the first: to the trusted domain, and there to the PDC emulator.
const MAX_HOPS: u8 = 2;

/// A DC's running process: what it shares among its connections.
pub(crate) struct Service<N> {
    net: N,
    env: Env,
    pub(crate) dc: Arc<DomainController>,
    pdc: Option<Passage>,
    trusted: Vec<Passage>,
}

/// The way to the DCs of another domain, or to the PDC emulator.
struct Passage {
    /// NetBIOS name of the domain.
    domain: String,
    /// Whom this DC asks as.
    machine: String,
    channel: SecureChannel,
}

/// A logon that somebody asks for.
pub(crate) struct Question {
    /// Who asks, as the trace has it.
    pub(crate) server: Name,
    /// The asker's number of it.
    pub(crate) number: u64,
    pub(crate) asker: Asker,
    pub(crate) request: LogonRequest,
}

/// A reply, or its promise.
pub(crate) enum Pending {
    Ready(LogonReply),
    Later(Promise),
}

/// A reply that comes from a task, which ends when nobody waits any more.
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
    /// Starts the channels to other DCs, where there are any. Nothing is connected yet.
    pub(crate) fn new(net: N, env: Env, dc: Arc<DomainController>) -> Self {
        let directory = dc.directory();
        let passage = |domain: &str, machine: &str, secret: Arc<[u8]>, controllers: Vec<SocketAddr>| {
            let config = ChannelConfig { machine: machine.to_owned(), secret, controllers, timeouts: TIMEOUTS };
            let channel = SecureChannel::new(&net, &config, &dc.numbers);
            Passage { domain: domain.to_owned(), machine: config.machine, channel }
        };
        let pdc = dc
            .pdc
            .as_ref()
            .map(|pdc| passage(&directory.netbios, &pdc.machine, Arc::clone(&pdc.secret), vec![pdc.address]));
        let host = format!("{}.{}", env.name, directory.dns);
        let trusted = dc.trusted.iter().filter_map(|(netbios, controllers)| {
            let trust = directory.trusts.iter().find(|trust| trust.is(netbios))?;
            Some(passage(trust.netbios(), &host, trust.secret().into(), controllers.clone()))
        });
        let trusted = trusted.collect();
        drop(directory);
        Self { net, env, dc, pdc, trusted }
    }

    /// Begins to answer. What this DC decides by itself is decided at once.
    pub(crate) fn ask(self: &Arc<Self>, question: Question) -> Pending {
        let course = self.dc.delay.is_zero().then(|| self.course(&question));
        if let Some(Course::Decided(logon)) = course {
            return Pending::Ready(self.decided(&question, logon));
        }
        let (answer, reply) = oneshot::channel();
        let service = Arc::clone(self);
        let task = self.net.spawn(async move {
            let course = if let Some(course) = course {
                course
            } else {
                sleep(service.dc.delay).await;
                service.course(&question)
            };
            // The asker's connection may be gone.
            let _ = answer.send(service.follow(&question, course).await);
        });
        Pending::Later(Promise { reply, task })
    }

    fn course(&self, Question { asker, request, .. }: &Question) -> Course {
        let asks_pdc = self.pdc.is_some() && request.hops < MAX_HOPS;
        self.dc.directory().course(request, asker, asks_pdc, FileTime(self.env.clock.filetime()))
    }

    async fn follow(&self, question: &Question, course: Course) -> LogonReply {
        match course {
            Course::Decided(logon) => self.decided(question, logon),
            Course::Trusted(netbios) => self.along(question, &netbios).await,
            Course::Doubtful(logon) => {
                if let Some(pdc) = &self.pdc
                    && let Some(Outcome { number, reply, answered: true }) = pdc.pass(question).await
                {
                    return self.passed(question, &pdc.domain, number, reply);
                }
                // Alone, its own word is the last.
                let logon = self.dc.directory().count_wrong_password(logon);
                self.decided(question, logon)
            }
        }
    }

    /// Asks a trusted domain, and believes what its DC may say.
    async fn along(&self, question: &Question, netbios: &str) -> LogonReply {
        let outcome = match self.trusted.iter().find(|passage| passage.domain.eq_ignore_ascii_case(netbios)) {
            Some(passage) => passage.pass(question).await,
            None => None,
        };
        let nobody = || (0, LogonReply::refused(NtStatus::NO_LOGON_SERVERS, true));
        let (number, reply) = outcome.map_or_else(nobody, |outcome| (outcome.number, outcome.reply));
        let reply = match self.dc.directory().trusts.iter().find(|trust| trust.is(netbios)) {
            Some(trust) => trust.filter(reply),
            None => LogonReply::refused(NtStatus::NO_SUCH_DOMAIN, true),
        };
        self.passed(question, netbios, number, reply)
    }

    fn decided(&self, Question { server, number, .. }: &Question, logon: Logon) -> LogonReply {
        self.env.record(What::DcLogon {
            server: server.clone(),
            logon: *number,
            account: logon.account,
            status: logon.reply.status.0,
            bad_count: logon.bad_count,
        });
        logon.reply
    }

    fn passed(&self, question: &Question, to: &str, passed: u64, reply: LogonReply) -> LogonReply {
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

impl Passage {
    /// Asks. `None` where this host is going down.
    async fn pass(&self, Question { request, .. }: &Question) -> Option<Outcome> {
        let request = LogonRequest {
            channel_machine: self.machine.clone(),
            hops: request.hops.saturating_add(1),
            ..request.clone()
        };
        self.channel.logon(&request).await
    }
}
