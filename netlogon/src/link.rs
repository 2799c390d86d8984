//! The link to one DC: a connection that is opened when it is first needed, and on which logons are pipelined.
//!
//! One task owns the connection. Requests that arrive while others are in flight are sent together; replies arrive in
//! order.
//!
//! If the connection of a logon breaks before the reply arrives, the logon is sent once more on a new connection, as
//! Netlogon does: the DC may have been restarted since the last logon.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, BytesMut};
use stickler_auth::logon::{FRAME_PREFIX, LogonClient, LogonError, LogonReply, LogonRequest, frame_len};
use stickler_auth::status::NtStatus;
use stickler_net::{Net, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{ChannelConfig, LogonNumbers, MAX_IN_FLIGHT};

/// The maximum number of times that a logon is sent.
const MAX_TRIES: u8 = 2;

/// The capacity that is requested for each read, in bytes.
const READ_SIZE: usize = 16 * 1024;

/// A handle on the link's task, which ends when the handle is dropped.
pub(crate) struct Link {
    asks: mpsc::Sender<Ask>,
}

/// The result of a logon at one DC.
pub(crate) struct LinkReply {
    pub(crate) number: u64,
    pub(crate) result: Result<LogonReply, NoReply>,
}

/// The reason why there is no reply from a DC.
#[derive(Clone, Copy)]
pub(crate) enum NoReply {
    /// The DC cannot be reached, or is silent.
    Unreachable,
    /// The DC denies the channel.
    Denied(NtStatus),
    /// The reply was not made with this machine's secret.
    BadReply,
    /// The request does not fit into a frame. A genuine request would fit.
    TooLong,
}

/// A logon that is not answered yet.
struct Ask {
    request: LogonRequest,
    answer: oneshot::Sender<LinkReply>,
    tries: u8,
}

/// A logon that was sent.
struct InFlight {
    ask: Ask,
    number: u64,
    deadline: Instant,
}

/// The reason why a conversation with the DC ended.
#[derive(Debug, thiserror::Error)]
enum Ending {
    #[error("the caller no longer waits for the answer")]
    Unused,
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the DC did not answer in time")]
    Silent,
    #[error("{0}")]
    Frame(#[from] LogonError),
}

impl Link {
    /// Starts the task on `net`.
    pub(crate) fn new<N: Net>(
        net: &N,
        config: &ChannelConfig,
        address: SocketAddr,
        numbers: Arc<LogonNumbers>,
    ) -> Self {
        let (asks, queue) = mpsc::channel(MAX_IN_FLIGHT);
        let task =
            Task { config: config.clone(), address, numbers, backlog: VecDeque::new(), in_flight: VecDeque::new() };
        net.spawn(task.run(net.clone(), queue));
        Self { asks }
    }

    /// Asks the DC. Returns `None` if the task has ended together with its host.
    pub(crate) async fn logon(&self, request: LogonRequest) -> Option<LinkReply> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask { request, answer, tries: 0 }).await.ok()?;
        answered.await.ok()
    }
}

/// The task's state.
struct Task {
    config: ChannelConfig,
    address: SocketAddr,
    numbers: Arc<LogonNumbers>,
    /// Logons to be sent, for the first time or again.
    backlog: VecDeque<Ask>,
    /// Logons that were sent, in the order of their replies.
    in_flight: VecDeque<InFlight>,
}

impl Task {
    async fn run<N: Net>(mut self, net: N, mut queue: mpsc::Receiver<Ask>) {
        loop {
            if self.backlog.is_empty() {
                let Some(ask) = queue.recv().await else { return };
                self.backlog.push_back(ask);
            }
            let ending = match timeout(self.config.timeouts.connect, net.connect(self.address)).await {
                Ok(Ok(stream)) => match self.converse(stream, &mut queue).await {
                    Err(ending) => ending,
                },
                Ok(Err(error)) => self.unreachable(&mut queue, Ending::Broken(error)),
                Err(_) => self.unreachable(&mut queue, Ending::Silent),
            };
            if self.end_conversation(&ending) {
                return;
            }
        }
    }

    /// Moves frames in both directions until the connection is no longer usable.
    async fn converse(&mut self, stream: impl Stream, queue: &mut mpsc::Receiver<Ask>) -> Result<Infallible, Ending> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut client = LogonClient::new(&self.config.machine, &self.config.secret);
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        loop {
            while self.in_flight.len() < MAX_IN_FLIGHT
                && let Some(ask) = self.backlog.pop_front()
            {
                self.send(ask, &mut client, &mut output);
            }
            // This is bounded: less than one frame stays in `input`, and `frame_len` bounds a frame.
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
                    self.backlog.push_back(ask.ok_or(Ending::Unused)?);
                }
                count = writer.write_buf(&mut output), if !output.is_empty() => {
                    if count? == 0 {
                        return Err(io::Error::from(io::ErrorKind::WriteZero).into());
                    }
                }
                () = sleep_until(deadline), if !self.in_flight.is_empty() => return Err(Ending::Silent),
            }
        }
    }

    fn send(&mut self, mut ask: Ask, client: &mut LogonClient, output: &mut BytesMut) {
        match client.encode_request(&ask.request) {
            Ok(frame) => {
                let number = self.numbers.next();
                output.put_u64(number);
                output.put_slice(&frame);
                ask.tries += 1;
                let deadline = Instant::now() + self.config.timeouts.reply;
                self.in_flight.push_back(InFlight { ask, number, deadline });
            }
            // The channel continues without this logon.
            Err(_) => self.refuse(ask, NoReply::TooLong),
        }
    }

    fn receive(&mut self, input: &mut BytesMut, client: &mut LogonClient) -> Result<(), Ending> {
        while let Some(&prefix) = input.first_chunk::<FRAME_PREFIX>() {
            let length = frame_len(prefix)?;
            if input.len() < FRAME_PREFIX + length {
                break;
            }
            input.advance(FRAME_PREFIX);
            let reply = client.decode_reply(&input.split_to(length))?;
            let Some(sent) = self.in_flight.pop_front() else { return Err(LogonError::Kind.into()) };
            // The client of this logon may have disconnected.
            let _ = sent.ask.answer.send(LinkReply { number: sent.number, result: Ok(reply) });
        }
        Ok(())
    }

    /// Answers all waiting logons with a failure, since the connection could not be opened and all of them have waited
    /// for it.
    fn unreachable(&mut self, queue: &mut mpsc::Receiver<Ask>, ending: Ending) -> Ending {
        while let Ok(ask) = queue.try_recv() {
            self.backlog.push_back(ask);
        }
        while let Some(ask) = self.backlog.pop_front() {
            self.refuse(ask, NoReply::Unreachable);
        }
        ending
    }

    /// Puts the logons in flight back into the backlog, or answers them. Returns whether the task is done.
    fn end_conversation(&mut self, ending: &Ending) -> bool {
        while let Some(sent) = self.in_flight.pop_back() {
            let no_reply = match ending {
                Ending::Broken(_) if sent.ask.tries < MAX_TRIES => {
                    self.backlog.push_front(sent.ask);
                    continue;
                }
                Ending::Frame(LogonError::Denied(status)) => NoReply::Denied(*status),
                Ending::Frame(_) => NoReply::BadReply,
                Ending::Broken(_) | Ending::Silent | Ending::Unused => NoReply::Unreachable,
            };
            let _ = sent.ask.answer.send(LinkReply { number: sent.number, result: Err(no_reply) });
        }
        matches!(ending, Ending::Unused)
    }

    fn refuse(&mut self, ask: Ask, no_reply: NoReply) {
        let _ = ask.answer.send(LinkReply { number: self.numbers.next(), result: Err(no_reply) });
    }
}
