//! The link to one DC: one connection, opened when first needed, on which logons are pipelined.
//!
//! One task owns the connection. Requests that come while others are under way travel together; replies
//! come back in order.
//!
//! A logon whose connection breaks before the reply is asked once more on a new one, as Netlogon does
//! (the DC may have been restarted since the last logon).

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

/// How often a logon is sent.
const MAX_TRIES: u8 = 2;

/// What a read asks for at a time, in bytes.
const READ_SIZE: usize = 16 * 1024;

/// A handle on the link's task, which ends when the handle is gone.
pub(crate) struct Link {
    asks: mpsc::Sender<Ask>,
}

/// What came of a logon at one DC.
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) heard: Result<LogonReply, Nothing>,
}

/// Why there is no reply.
#[derive(Clone, Copy)]
pub(crate) enum Nothing {
    /// The DC cannot be reached, or is silent.
    Unreachable,
    /// It says that there is no such channel.
    Denied(NtStatus),
    /// Its reply was not made with this machine's secret.
    BadReply,
    /// The request does not fit in a frame, which a genuine one does.
    TooLong,
}

/// One logon, until it is answered.
struct Ask {
    request: LogonRequest,
    answer: oneshot::Sender<Answer>,
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

    /// Asks the DC. `None` where the task has ended, with its host.
    pub(crate) async fn logon(&self, request: LogonRequest) -> Option<Answer> {
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
    /// To be sent, again or for the first time.
    backlog: VecDeque<Ask>,
    /// Sent; replies come in this order.
    in_flight: VecDeque<InFlight>,
}

impl Task {
    async fn run<N: Net>(mut self, net: N, mut queue: mpsc::Receiver<Ask>) {
        loop {
            if self.backlog.is_empty() {
                let Some(ask) = queue.recv().await else { return };
                self.backlog.push_back(ask);
            }
            let lost = match timeout(self.config.timeouts.connect, net.connect(self.address)).await {
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
    async fn converse(&mut self, stream: impl Stream, queue: &mut mpsc::Receiver<Ask>) -> Result<Infallible, Lost> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut client = LogonClient::new(&self.config.machine, &self.config.secret);
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
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
                let number = self.numbers.next();
                output.put_u64(number);
                output.put_slice(&frame);
                ask.tries += 1;
                let deadline = Instant::now() + self.config.timeouts.reply;
                self.in_flight.push_back(InFlight { ask, number, deadline });
            }
            // The channel goes on without it.
            Err(_) => self.refuse(ask, Nothing::TooLong),
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
            // The request's connection may be gone; then nobody wants the answer.
            let _ = sent.ask.answer.send(Answer { number: sent.number, heard: Ok(reply) });
        }
        Ok(())
    }

    /// No connection came about: everyone who waits is told, since each has waited as long.
    fn unreachable(&mut self, queue: &mut mpsc::Receiver<Ask>, lost: Lost) -> Lost {
        while let Ok(ask) = queue.try_recv() {
            self.backlog.push_back(ask);
        }
        while let Some(ask) = self.backlog.pop_front() {
            self.refuse(ask, Nothing::Unreachable);
        }
        lost
    }

    /// Puts what was under way back into the backlog, or answers it. Whether the task is done.
    fn settle(&mut self, lost: &Lost) -> bool {
        while let Some(sent) = self.in_flight.pop_back() {
            let nothing = match lost {
                Lost::Broken(_) if sent.ask.tries < MAX_TRIES => {
                    self.backlog.push_front(sent.ask);
                    continue;
                }
                Lost::Frame(LogonError::Denied(status)) => Nothing::Denied(*status),
                Lost::Frame(_) => Nothing::BadReply,
                Lost::Broken(_) | Lost::Silent | Lost::Unused => Nothing::Unreachable,
            };
            let _ = sent.ask.answer.send(Answer { number: sent.number, heard: Err(nothing) });
        }
        matches!(lost, Lost::Unused)
    }

    fn refuse(&mut self, ask: Ask, nothing: Nothing) {
        let _ = ask.answer.send(Answer { number: self.numbers.next(), heard: Err(nothing) });
    }
}
