//! A connection that speaks HTTP/1.1: one request after another.
//!
//! A request is answered as soon as its answer is certain. The rest of the request is then read and dropped, so that
//! the next request can be read, or the connection is closed. IIS does the same: it sends the 401 at once and without
//! `100 Continue`, and then reads the body (recorded, message by message, by a maintainer of .NET: dotnet/corefx, issue
//! 30760, comment of 2018-07-30).

use std::time::Duration;

use stickler_http1::{
    BodyDecoder, Framing, FramingError, HeadError, HeadLimits, ReadError, RequestHead, Version, Wire, write,
};
use stickler_model::event::Closed;
use stickler_model::payload::BodyHasher;
use stickler_net::Stream;
use tokio::time::timeout;

use crate::ServerLimits;
use crate::answer::Answer;
use crate::body::{Received, RequestBody, Unanswered, how};
use crate::exchange::Connection;
use crate::http_sys::Reason;
use crate::sending::{self, Sending};
use crate::web_socket;

/// The maximum number of header fields in a request. http.sys limits their number over HTTP/2 only (Microsoft, KB
/// 5102602). This limit bounds the memory of a request, and a request with more fields is treated as too long.
const MAX_FIELDS: usize = 100;

/// The number of bytes that are read ahead of the request that is being answered.
const AHEAD: usize = 16 * 1024;

/// The time that a client may take to end its side after an answer that closes the connection, if it had not sent all
/// of its request. Without this time, the rest of the request would cause a reset, which could destroy the answer (RFC
/// 9112 9.6). Apache httpd also waits 2 seconds for each part (`SECONDS_TO_LINGER` in `include/http_connection.h` and
/// `server/connection.c`); IIS's own time is not documented.
const LINGER: Duration = Duration::from_secs(2);

type ServerWire<S> = Wire<Sending<S>>;

/// Answers requests until the connection ends, and returns the way in which it ended.
pub(crate) async fn serve(stream: impl Stream, connection: &Connection) -> Closed {
    let limits = connection.site().limits;
    let bounds = HeadLimits { length: connection.site().head_read(), fields: MAX_FIELDS };
    let mut wire = Wire::new(Sending::new(stream, limits.send));
    let mut head = RequestHead::default();
    loop {
        // The time begins at the end of the last answer, so it limits idle connections too.
        let read = timeout(limits.idle, wire.request(&mut head, bounds)).await;
        let served = match read {
            Err(_) => return Closed::Here,
            Ok(Ok(false)) => return Closed::ByPeer,
            Ok(Ok(true)) => match Framing::of_request(&head) {
                Ok(framing) => answer(&mut wire, connection, &head, framing).await,
                Err(error) => refuse(&mut wire, &error.into(), connection).await,
            },
            Ok(Err(error)) => refuse(&mut wire, &error, connection).await,
        };
        if let Err(how) = served {
            return how;
        }
    }
}

/// Answers a request, and reads it to its end.
///
/// # Errors
/// The error is the way in which the connection ended.
async fn answer<S: Stream>(
    wire: &mut ServerWire<S>,
    connection: &Connection,
    head: &RequestHead,
    framing: Framing,
) -> Result<(), Closed> {
    let limits = connection.site().limits;
    let mut body = Body { wire, decoder: BodyDecoder::new(framing), continues: head.expects_continue() };
    let mut answer = match connection.answer(head, false, &mut body).await {
        Ok(answer) => answer,
        Err(Unanswered::BrokenOff(error)) => return refuse(body.wire, &error, connection).await,
        Err(unanswered) => return Err(unanswered.how()),
    };
    answer.closes |= !head.keeps_alive();
    let Body { wire, mut decoder, .. } = body;
    answer.write_head(wire.output(), head.version() == Version::Http10, connection.stamp());
    if answer.status == 101 {
        return Err(web_socket::serve(wire, answer.body.next().unwrap_or_default()).await);
    }
    if head.method() != "HEAD" {
        while let Some(bytes) = answer.body.next() {
            wire.output().extend_from_slice(&bytes);
            flush(wire).await?;
        }
    }
    flush(wire).await?;
    if answer.closes || !drain(wire, &mut decoder, limits).await? {
        return Err(end(wire, &mut decoder, limits).await);
    }
    Ok(())
}

async fn flush<S: Stream>(wire: &mut ServerWire<S>) -> Result<(), Closed> {
    wire.flush().await.map_err(|error| if sending::is_untaken(&error) { Closed::Here } else { Closed::Broken })
}

/// Reads and drops the rest of a request that was answered. Returns `false` if the rest exceeds the limit or is
/// malformed.
///
/// # Errors
/// The error is the way in which the connection ended.
async fn drain<S: Stream>(
    wire: &mut ServerWire<S>,
    decoder: &mut BodyDecoder,
    limits: ServerLimits,
) -> Result<bool, Closed> {
    let mut left = limits.drain;
    while !decoder.is_complete() {
        let mut length = 0;
        match timeout(limits.body, wire.body(decoder, |data| length += data.len() as u64)).await {
            Err(_) => return Err(Closed::Here),
            Ok(Err(error)) if error.is_malformed() => return Ok(false),
            Ok(Err(error)) => return Err(how(&error)),
            Ok(Ok(_)) => {}
        }
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Closes the connection after its last answer. If the client has not sent all of its request, the server first ends
/// its own side, and drops for a while the bytes that still arrive.
async fn end<S: Stream>(wire: &mut ServerWire<S>, decoder: &mut BodyDecoder, limits: ServerLimits) -> Closed {
    let whole = decoder.decode(wire.input(), |_| ()).unwrap_or(false);
    if wire.shutdown().await.is_ok() && !(whole && wire.input().is_empty()) {
        linger(wire, limits).await;
    }
    Closed::Here
}

async fn linger<S: Stream>(wire: &mut ServerWire<S>, limits: ServerLimits) {
    let mut left = limits.drain;
    loop {
        wire.input().clear();
        match timeout(LINGER, wire.fill()).await {
            Ok(Ok(read @ 1..)) if left >= read as u64 => left -= read as u64,
            _ => return,
        }
    }
}

/// Refuses bytes that are not a request, as http.sys does, and closes the connection.
async fn refuse<S: Stream>(wire: &mut ServerWire<S>, error: &ReadError, connection: &Connection) -> Result<(), Closed> {
    if !error.is_malformed() {
        return Err(how(error));
    }
    let reason = match error {
        ReadError::Head(HeadError::TooLong | HeadError::TooManyFields) => Reason::RequestLength,
        ReadError::Framing(FramingError::Coding) => Reason::Coding,
        _ => Reason::Header,
    };
    let mut answer = Answer::http_sys(reason);
    answer.write_head(wire.output(), false, connection.stamp());
    if let Some(page) = answer.body.next() {
        wire.output().extend_from_slice(&page);
    }
    flush(wire).await?;
    if wire.shutdown().await.is_ok() {
        linger(wire, connection.site().limits).await;
    }
    Err(Closed::Here)
}

/// The body of a request.
struct Body<'a, S> {
    wire: &'a mut ServerWire<S>,
    decoder: BodyDecoder,
    /// Whether the client waits for `100 Continue`.
    continues: bool,
}

impl<S: Stream> RequestBody for Body<'_, S> {
    async fn read(&mut self, patience: Duration) -> Result<Received, Unanswered> {
        if self.decoder.is_complete() {
            return Ok(Received::NOTHING);
        }
        // A client that does not wait gets no `100 Continue` (RFC 9110 10.1.1).
        if self.continues && self.wire.input().is_empty() {
            self.wire.output().extend_from_slice(write::CONTINUE);
            flush(self.wire).await.map_err(Unanswered::Gone)?;
        }
        let mut hasher = BodyHasher::default();
        while !timeout(patience, self.wire.body(&mut self.decoder, |data| hasher.update(data))).await?? {}
        Ok(hasher.into())
    }

    fn announced(&self) -> u64 {
        self.decoder.announced().unwrap_or(0)
    }

    async fn gone(&mut self) -> Closed {
        loop {
            if self.wire.input().len() >= AHEAD {
                return std::future::pending().await;
            }
            match self.wire.fill().await {
                Ok(0) => return Closed::ByPeer,
                Ok(_) => {}
                Err(_) => return Closed::Broken,
            }
        }
    }
}
