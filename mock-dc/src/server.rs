//! The logon channel on a network, which answers frames with decisions.
//!
//! The asking machine opens one connection and pipelines its logons. Before each frame of [`stickler_auth::logon`], it
//! sends the logon's number (8 bytes, big-endian). The number ties [`stickler_model::What::DcLogon`] to the machine's
//! own event even when connections come and go. It is evidence for a trace, and no decision depends on it. Replies are
//! frames without a number, in the order of the requests. A logon that needs another DC delays the replies behind it,
//! but not their decisions.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use stickler_auth::logon::{LogonError, LogonReply, LogonServer, denial, frame_len};
use stickler_auth::status::NtStatus;
use stickler_model::{Env, Name};
use stickler_net::{Net, Stream, next_connection};
use stickler_netlogon::{MAX_IN_FLIGHT, NUMBER, REQUEST_PREFIX};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};

use crate::DomainController;
use crate::directory::Asker;
use crate::forward::{Pending, Question, Service};

/// The time that a frame may take to arrive once it has begun, and that the peer may take to accept a reply.
const FRAME_LIMIT: Duration = Duration::from_secs(10);

/// The capacity that is requested for each read, in bytes. It is sufficient for about thirty logons.
const READ_SIZE: usize = 16 * 1024;

/// Serves logon channels until the task is dropped, or the listener has failed permanently.
pub async fn serve<N: Net>(net: N, listener: N::Listener, env: Env, dc: Arc<DomainController>) {
    let service = Arc::new(Service::new(net.clone(), env, dc));
    while let Some((stream, _)) = next_connection(&listener).await {
        let service = Arc::clone(&service);
        net.spawn(async move {
            // The reason for an error is visible at the other end, where the server logs that no DC answered.
            let _ = serve_channel(stream, &service).await;
        });
    }
}

/// The reason why a channel was closed.
#[derive(Debug, thiserror::Error)]
enum ChannelError {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] LogonError),
    #[error("the machine {0:?} is not joined to the domain")]
    UnknownMachine(String),
    #[error("the member did not complete a frame, or did not read a reply, within {FRAME_LIMIT:?}")]
    TooSlow(#[from] tokio::time::error::Elapsed),
    #[error("a logon was abandoned because this host is shutting down")]
    GivenUp,
}

async fn serve_channel<N: Net>(mut stream: impl Stream, service: &Arc<Service<N>>) -> Result<(), ChannelError> {
    let (mut input, mut output) = (BytesMut::new(), Vec::new());
    let mut channel = Channel { service, asker: None, pending: VecDeque::new() };
    let mut begun = None;
    loop {
        let decided = channel.take(&mut input, &mut output);
        if !output.is_empty() {
            timeout(FRAME_LIMIT, stream.write_all(&output)).await??;
            output.clear();
            begun = None;
        }
        decided?;
        let half_a_frame = !input.is_empty() && !channel.is_full();
        begun = if half_a_frame { begun.or_else(|| Some(Instant::now())) } else { None };
        // This is bounded: while there is room for a logon, less than one frame stays in `input`, and `frame_len`
        // bounds a frame.
        input.reserve(READ_SIZE);
        let read = async {
            let read = stream.read_buf(&mut input);
            match begun {
                None => Ok::<_, ChannelError>(read.await?),
                Some(begun) => Ok(timeout_at(begun + FRAME_LIMIT, read).await??),
            }
        };
        tokio::select! {
            biased;
            reply = oldest(&mut channel.pending) => channel.pending[0] = Pending::Ready(reply?),
            count = read, if channel.pending.len() < MAX_IN_FLIGHT => {
                if count? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// Waits for the oldest reply that is not ready. If there is none, this future never completes.
async fn oldest(pending: &mut VecDeque<Pending>) -> Result<LogonReply, ChannelError> {
    match pending.front_mut() {
        Some(Pending::Later(promise)) => (&mut promise.reply).await.map_err(|_| ChannelError::GivenUp),
        // Replies that were ready have been sent already.
        Some(Pending::Ready(_)) | None => std::future::pending().await,
    }
}

/// The state of one connection. The asking machine is unknown until the first frame has been verified.
struct Channel<'a, N> {
    service: &'a Arc<Service<N>>,
    asker: Option<(Name, Asker, LogonServer)>,
    /// The replies, in the order in which they are sent.
    pending: VecDeque<Pending>,
}

impl<N: Net> Channel<'_, N> {
    fn is_full(&self) -> bool {
        self.pending.len() >= MAX_IN_FLIGHT
    }

    /// Begins to answer the complete frames in `input`, as far as the limit of pending logons allows, and appends the
    /// replies that are due to `output`.
    fn take(&mut self, input: &mut BytesMut, output: &mut Vec<u8>) -> Result<(), ChannelError> {
        self.send(output)?;
        while !self.is_full()
            && let Some(prefix) = input.first_chunk::<REQUEST_PREFIX>()
        {
            let (number, length) = prefix.split_at(NUMBER);
            let number = u64::from_be_bytes(number.try_into().expect("the first part of a prefix"));
            let length = frame_len(length.try_into().expect("the last part of a prefix"))?;
            if input.len() < REQUEST_PREFIX + length {
                break;
            }
            input.advance(REQUEST_PREFIX);
            let question = self.open(number, &input.split_to(length), output)?;
            self.pending.push_back(self.service.ask(question));
            self.send(output)?;
        }
        Ok(())
    }

    /// Appends the ready replies at the front of the queue to `output`.
    fn send(&mut self, output: &mut Vec<u8>) -> Result<(), ChannelError> {
        while let (Some((_, _, channel)), Some(Pending::Ready(reply))) = (&mut self.asker, self.pending.front()) {
            output.extend_from_slice(&channel.encode_reply(reply)?);
            self.pending.pop_front();
        }
        Ok(())
    }

    /// Verifies and decodes a request. If the first request of the connection fails, the asking machine is denied the
    /// channel, and a denial is appended to `output`.
    fn open(&mut self, number: u64, frame: &[u8], output: &mut Vec<u8>) -> Result<Question, ChannelError> {
        if let Some((name, asker, channel)) = &mut self.asker {
            let request = channel.decode_request(frame)?;
            return Ok(Question { server: name.clone(), number, asker: asker.clone(), request });
        }
        let claimed = LogonServer::claimed_machine(frame)?;
        let Some(machine) = self.service.dc.machine(&claimed) else {
            output.extend_from_slice(&denial(NtStatus::NO_TRUST_SAM_ACCOUNT));
            return Err(ChannelError::UnknownMachine(claimed));
        };
        let mut channel = LogonServer::new(&claimed, &machine.secret);
        let request = channel.decode_request(frame).inspect_err(|error| {
            if *error == LogonError::BadMac {
                output.extend_from_slice(&denial(NtStatus::ACCESS_DENIED));
            }
        })?;
        let question = Question { server: machine.name.clone(), number, asker: machine.asker.clone(), request };
        self.asker = Some((machine.name, machine.asker, channel));
        Ok(question)
    }
}
