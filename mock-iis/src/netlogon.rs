//! The secure channel to the domain controller: one connection, opened when first needed, on which
//! logons are pipelined.
//!
//! One task owns the connection. Requests that come while others are under way travel together;
//! replies come back in order. Before its first frame a connection says which number its first logon
//! has (8 bytes, big-endian), so that the trace can tie the DC's events to the server's.
//!
//! A logon whose connection breaks before the reply is asked once more on a new one, as Netlogon does
//! (the DC may have been restarted since the last logon). After that, and where the DC is out of reach
//! or silent, the answer is STATUS_NO_LOGON_SERVERS.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, BytesMut};
use stickler_auth::logon::{FRAME_PREFIX, LogonClient, LogonError, LogonReply, LogonRequest, frame_len};
use stickler_auth::status::NtStatus;
use stickler_net::Net;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::site::{DcLink, Site};

/// Logons under way at once; more wait their turn.
const MAX_IN_FLIGHT: usize = 128;

/// How often a logon is sent.
const MAX_TRIES: u8 = 2;

/// What a read asks for at a time, in bytes.
const READ_SIZE: usize = 16 * 1024;

/// A handle on the channel's task. The task ends when the last handle is gone.
pub(crate) struct SecureChannel {
    asks: mpsc::Sender<Ask>,
}

/// What came of a logon.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The logon's number on the channel, from 1; the DC's event has the same.
    pub(crate) number: u64,
    /// The DC's reply, or a refusal that stands for the lack of one.
    pub(crate) reply: LogonReply,
}

/// One logon, until it is answered.
struct Ask {
    request: LogonRequest,
    answer: oneshot::Sender<Outcome>,
    tries: u8,
}

/// A logon that was sent.
struct InFlight {
    ask: Ask,
    number: u64,
    deadline: Instant,
}

/// Why a conversation with the DC ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("nobody asks any more")]
    Unused,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the DC did not answer in time")]
    Silent,
    #[error("{0}")]
    Frame(#[from] LogonError),
}

impl SecureChannel {
    /// Starts the task on `net`. Nothing is connected before the first logon.
    pub(crate) fn new<N: Net>(net: &N, link: DcLink, site: Arc<Site>) -> Self {
        let (asks, queue) = mpsc::channel(MAX_IN_FLIGHT);
        let channel = Channel { link, site, backlog: VecDeque::new(), in_flight: VecDeque::new() };
        net.spawn(channel.run(net.clone(), queue));
        Self { asks }
    }

    /// Asks the DC. Never fails: without a DC the reply says so.
    pub(crate) async fn logon(&self, request: LogonRequest) -> Option<Outcome> {
        let (answer, outcome) = oneshot::channel();
        self.asks.send(Ask { request, answer, tries: 0 }).await.ok()?;
        outcome.await.ok()
    }
}

/// The task's state.
struct Channel {
    link: DcLink,
    site: Arc<Site>,
    /// To be sent, again or for the first time.
    backlog: VecDeque<Ask>,
    /// Sent; replies come in this order.
    in_flight: VecDeque<InFlight>,
}

impl Channel {
    async fn run<N: Net>(mut self, net: N, mut queue: mpsc::Receiver<Ask>) {
        loop {
            if self.backlog.is_empty() {
                let Some(ask) = queue.recv().await else { return };
                self.backlog.push_back(ask);
            }
            let lost = match timeout(self.site.limits.connect, net.connect(self.link.address)).await {
                Ok(Ok(stream)) => match self.converse(stream, &mut queue).await {
                    Err(lost) => lost,
                },
                Ok(Err(error)) => self.unreachable(&mut queue, Lost::Broken(error)),
                Err(_) => self.unreachable(&mut queue, Lost::Silent),
            };
            if self.settle(&lost) {
                return;
            }
        }
    }

    /// Moves frames both ways until the connection is of no more use.
    async fn converse(
        &mut self,
        stream: impl stickler_net::Stream,
        queue: &mut mpsc::Receiver<Ask>,
    ) -> Result<std::convert::Infallible, Lost> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut client = LogonClient::new(&self.site.machine(), &self.link.secret);
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        output.put_u64(self.site.coming_logon());
        loop {
            while self.in_flight.len() < MAX_IN_FLIGHT
                && let Some(ask) = self.backlog.pop_front()
            {
                self.send(ask, &mut client, &mut output);
            }
            // Bounded: less than one frame stays in `input`, and `frame_len` bounds a frame.
            input.reserve(READ_SIZE);
            let deadline = self.in_flight.front().map_or_else(Instant::now, |oldest| oldest.deadline);
            tokio::select! {
                biased;
                count = reader.read_buf(&mut input) => {
                    if count? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    self.receive(&mut input, &mut client)?;
                }
                ask = queue.recv(), if self.in_flight.len() < MAX_IN_FLIGHT => {
                    self.backlog.push_back(ask.ok_or(Lost::Unused)?);
                }
                count = writer.write_buf(&mut output), if !output.is_empty() => {
                    if count? == 0 {
                        return Err(io::Error::from(io::ErrorKind::WriteZero).into());
                    }
                }
                () = sleep_until(deadline), if !self.in_flight.is_empty() => return Err(Lost::Silent),
            }
        }
    }

    fn send(&mut self, mut ask: Ask, client: &mut LogonClient, output: &mut BytesMut) {
        match client.encode_request(&ask.request) {
            Ok(frame) => {
                output.put_slice(&frame);
                ask.tries += 1;
                let (number, deadline) = (self.site.next_logon(), Instant::now() + self.site.limits.logon);
                self.in_flight.push_back(InFlight { ask, number, deadline });
            }
            // Too long for a frame: a genuine request is not, and the channel goes on without it.
            Err(_) => self.refuse(ask, NtStatus::INVALID_PARAMETER),
        }
    }

    fn receive(&mut self, input: &mut BytesMut, client: &mut LogonClient) -> Result<(), Lost> {
        while let Some(&prefix) = input.first_chunk::<FRAME_PREFIX>() {
            let length = frame_len(prefix)?;
            if input.len() < FRAME_PREFIX + length {
                break;
            }
            input.advance(FRAME_PREFIX);
            let reply = client.decode_reply(&input.split_to(length))?;
            let Some(sent) = self.in_flight.pop_front() else { return Err(LogonError::Kind.into()) };
            // The request's connection may be gone; then nobody wants the outcome.
            let _ = sent.ask.answer.send(Outcome { number: sent.number, reply });
        }
        Ok(())
    }

    /// No connection came about: everyone who waits is told, since each has waited as long.
    fn unreachable(&mut self, queue: &mut mpsc::Receiver<Ask>, lost: Lost) -> Lost {
        while let Ok(ask) = queue.try_recv() {
            self.backlog.push_back(ask);
        }
        while let Some(ask) = self.backlog.pop_front() {
            self.refuse(ask, NtStatus::NO_LOGON_SERVERS);
        }
        lost
    }

    /// Puts what was under way back into the backlog, or answers it. Whether the task is done.
    fn settle(&mut self, lost: &Lost) -> bool {
        while let Some(sent) = self.in_flight.pop_back() {
            let status = match lost {
                Lost::Broken(_) if sent.ask.tries < MAX_TRIES => {
                    self.backlog.push_front(sent.ask);
                    continue;
                }
                // The reply was not made with this machine's secret.
                Lost::Frame(_) => NtStatus::TRUSTED_RELATIONSHIP_FAILURE,
                _ => NtStatus::NO_LOGON_SERVERS,
            };
            let reply = LogonReply::refused(status, true);
            let _ = sent.ask.answer.send(Outcome { number: sent.number, reply });
        }
        matches!(lost, Lost::Unused)
    }

    fn refuse(&mut self, ask: Ask, status: NtStatus) {
        let outcome = Outcome { number: self.site.next_logon(), reply: LogonReply::refused(status, true) };
        let _ = ask.answer.send(outcome);
    }
}
