//! One HTTP/1.1 request on a connection: sends it and reads the answer, which may begin before the request has ended.

use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use stickler_http1::{BodyDecoder, Framing, HeadLimits, Progress, ReadError, ResponseHead, Wire, write};
use stickler_model::Payload;
use stickler_model::agent::EarlyAnswer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

/// The limits on the head of an answer: twice http.sys's own limit for the head of a request, which is 16 KiB.
pub(crate) const HEAD: HeadLimits = HeadLimits { length: 32 * 1024, fields: 100 };

/// The number of bytes of a body that are written at once.
const PIECE: u64 = 16 * 1024;

/// The number of parts per second in which a body with a limited rate is sent.
const PARTS: u64 = 10;

/// The way in which the body of a request is sent.
#[derive(Clone, Copy)]
pub(crate) struct Upload<'a> {
    pub(crate) payload: &'a Payload,
    /// Whether the body is sent in chunks.
    pub(crate) chunked: bool,
    /// The time that the client waits for `100 Continue` before it sends the body; `None` if it does not wait.
    pub(crate) waits: Option<Duration>,
    /// The maximum number of bytes per second; `None` if there is no limit.
    pub(crate) rate: Option<u64>,
    /// The reaction of the client to an answer that arrives before it has sent the whole body.
    pub(crate) early: EarlyAnswer,
    /// Whether the client has credentials with which it would answer a 401.
    pub(crate) answers_401: bool,
    /// Whether a handshake has begun on the connection, or was completed.
    pub(crate) begun: bool,
}

/// The reason why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// There is no valid head of an answer.
    #[error(transparent)]
    NoHead(ReadError),
    /// The body of the answer broke off.
    #[error(transparent)]
    InBody(ReadError),
}

/// A request that is being sent, and its answer.
pub(crate) struct Exchange<'a, S> {
    wire: &'a mut Wire<S>,
    upload: Upload<'a>,
    /// The number of bytes of the payload that were passed to the connection.
    offset: u64,
    /// Whether the whole body was sent.
    sent: bool,
    /// The timer that runs while the body waits.
    pause: Option<Pin<Box<Sleep>>>,
    /// Whether a `100 Continue` ends the pause.
    waits: bool,
    /// Whether the rest of the request is not sent, in which case the connection cannot be used afterwards.
    cut: bool,
}

/// The effect of the exchange on the connection after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request may use the connection.
    Open,
    /// The server ends the connection, or has sent more than the answer.
    Ends,
    /// The client ends the connection, because it has not sent the whole request, or has not read the whole answer.
    Cut,
}

impl Upload<'_> {
    /// Returns the upload of a request without a body.
    pub(crate) fn nothing() -> Self {
        let (chunked, waits, rate) = (false, None, None);
        let (early, answers_401, begun) = (EarlyAnswer::Finishes, false, false);
        Self { payload: &Payload::Empty, chunked, waits, rate, early, answers_401, begun }
    }
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Exchange<'a, S> {
    /// Begins to send a request whose head is in the output of the connection. The start of the body is sent along with
    /// it.
    pub(crate) fn new(wire: &'a mut Wire<S>, upload: Upload<'a>) -> Self {
        let sent = upload.payload.is_empty() && !upload.chunked;
        let pause = upload.waits.filter(|_| !sent).map(|wait| Box::pin(sleep(wait)));
        let mut exchange = Self { wire, upload, offset: 0, sent, waits: pause.is_some(), pause, cut: false };
        if !exchange.sent && exchange.pause.is_none() {
            exchange.next_piece();
        }
        exchange
    }

    /// Reads the head of the final answer.
    ///
    /// # Errors
    /// [`Broken::NoHead`]: there is no valid head.
    pub(crate) async fn head(&mut self, head: &mut ResponseHead) -> Result<(), Broken> {
        let ended = loop {
            while self.wire.take_response(head, HEAD).map_err(|error| Broken::NoHead(error.into()))? {
                if !head.is_interim() {
                    self.answered(head.status());
                    return Ok(());
                }
                if head.status() == 100 && std::mem::take(&mut self.waits) {
                    self.pause = None;
                }
            }
            match self.step().await {
                Ok(true) => {}
                Ok(false) => break ReadError::Ended,
                Err(error) => break error,
            }
        };
        Err(Broken::NoHead(ended))
    }

    /// Reads the body of the answer to its end, or until `data` returns `false`, and sends the rest of the request.
    ///
    /// # Errors
    /// [`Broken::InBody`]: the answer is not complete.
    pub(crate) async fn body(
        mut self,
        head: &ResponseHead,
        head_only: bool,
        mut data: impl FnMut(&[u8]) -> bool,
    ) -> Result<After, Broken> {
        let framing = Framing::of_response(head, head_only).map_err(|error| Broken::InBody(error.into()))?;
        let (mut decoder, mut goes_on, mut ended) = (BodyDecoder::new(framing), true, false);
        loop {
            let read = decoder.decode(self.wire.input(), |part| goes_on = goes_on && data(part));
            read.map_err(|error| Broken::InBody(error.into()))?;
            if !goes_on {
                return Ok(After::Cut);
            }
            if decoder.is_complete() && (ended || self.cut || (self.sent && self.wire.output().is_empty())) {
                break;
            }
            match self.step().await {
                Ok(true) => {}
                // The rest of the request is not needed any more.
                Ok(false) if decoder.end() => ended = true,
                Err(_) if decoder.is_complete() => ended = true,
                Ok(false) => return Err(Broken::InBody(ReadError::Ended)),
                Err(error) => return Err(Broken::InBody(error)),
            }
        }
        let open = head.keeps_alive() && framing != Framing::UntilClose && self.wire.input().is_empty() && !ended;
        Ok(match (self.cut, open) {
            (true, _) => After::Cut,
            (false, true) => After::Open,
            (false, false) => After::Ends,
        })
    }

    /// Handles the head of the final answer. The body may not have been sent completely by then.
    fn answered(&mut self, status: u16) {
        // No `100 Continue` can follow the final answer.
        if std::mem::take(&mut self.waits) {
            self.pause = None;
        }
        if self.sent {
            return;
        }
        let left = self.upload.payload.len() - self.offset;
        let Upload { early, answers_401, begun, .. } = self.upload;
        if early.stops(status, left, answers_401, begun) {
            self.cut = true;
            self.wire.output().clear();
        }
    }

    /// Writes and reads until there is more to process. Returns `false` if the server has ended its side.
    async fn step(&mut self) -> Result<bool, ReadError> {
        if self.wire.output().is_empty() && !self.sent && !self.cut && self.pause.is_none() {
            self.next_piece();
        }
        let progress = match &mut self.pause {
            None => self.wire.progress().await,
            Some(pause) => {
                tokio::select! {
                    biased;
                    progress = self.wire.progress() => progress,
                    () = pause => {
                        (self.pause, self.waits) = (None, false);
                        return Ok(true);
                    }
                }
            }
        };
        match progress {
            Ok(Progress::Read(0)) => Ok(false),
            Ok(Progress::Read(_) | Progress::Written) => Ok(true),
            // Bytes that the server has sent before can still be read (RFC 9112 9.5).
            Ok(Progress::Unwritable) => {
                self.cut = true;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the next part of the body.
    fn next_piece(&mut self) {
        let Upload { payload, chunked, rate, .. } = self.upload;
        let piece = rate.map_or(PIECE, |rate| (rate / PARTS).clamp(1, PIECE));
        let bytes = payload.chunk(self.offset, piece as usize);
        self.offset += bytes.len() as u64;
        let output: &mut BytesMut = self.wire.output();
        if chunked {
            write::chunk(output, &bytes);
        } else {
            output.extend_from_slice(&bytes);
        }
        self.sent = self.offset >= payload.len();
        if self.sent && chunked {
            write::last_chunk(output);
        }
        if let Some(rate) = rate.filter(|_| !self.sent) {
            self.pause =
                Some(Box::pin(sleep(Duration::from_secs(bytes.len() as u64) / rate.clamp(1, u32::MAX.into()) as u32)));
        }
    }
}
