//! A client's connection that is a tunnel from its first request on ([`Hops::tunnels`](stickler_lb_core::Hops)). The
//! policy is asked about that request, which goes to its backend unchanged. All later bytes pass unread in both
//! directions.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};
use stickler_lb_core::{Failure, Protocol};
use stickler_model::{REQUEST_ID_HEADER, RequestId};
use stickler_net::Net;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::arrival::Arrival;
use super::config::Limits;
use super::lease::Lease;
use super::peer::{Peer, view};
use super::pipelining::head_end;
use super::shell::{CloseSignal, Step};
use super::{headers, upstream};

/// Serves one client's connection until either side ends it.
pub(super) async fn serve<N: Net, S>(arrival: Arrival<N>, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Arrival { registered, client, front, close } = arrival;
    let (proxy, id) = (registered.proxy(), registered.id());
    let limits = &proxy.shell.limits;
    let (parts, read) = match first_request(&mut stream, limits).await {
        Some(Ok(first)) => first,
        Some(Err(status)) => return refuse(&mut stream, status, limits).await,
        None => return,
    };
    if let Some(status) = headers::too_long(&parts, proxy.head) {
        return refuse(&mut stream, status, limits).await;
    }
    let head = Arc::default();
    let peer = Peer { id, client, front, protocol: Protocol::Http1, head, upgraded: Arc::default() };
    let request = parts.headers.get(REQUEST_ID_HEADER).and_then(|value| RequestId::parse(value.as_bytes()));
    let (mut step, _) = proxy.shell.route(id, request, &view(&parts, &peer));
    let mut attempts = 0;
    loop {
        let (at, backend) = match step {
            Step::Open(at, backend) => (at, backend),
            Step::Answer(status) => return refuse(&mut stream, status, limits).await,
            // A policy that makes requests wait, or reuses connections, does not support tunnels.
            Step::Wait(_) => return refuse(&mut stream, StatusCode::SERVICE_UNAVAILABLE, limits).await,
            Step::Send { at, .. } => {
                drop(Lease::new(proxy, at, request));
                return refuse(&mut stream, StatusCode::BAD_GATEWAY, limits).await;
            }
            Step::Close => return,
        };
        let lease = Lease::new(proxy, at, request);
        attempts += 1;
        proxy.traffic(|traffic| traffic.sent(backend, true));
        let kind = match upstream::tunnel(&lease, backend, &peer, stream, read.clone()).await {
            Ok(carried) => {
                proxy.traffic(|traffic| traffic.succeeded(backend));
                return until_end(carried, close, lease).await;
            }
            Err((kind, back)) => {
                stream = back;
                kind
            }
        };
        lease.release();
        proxy.traffic(|traffic| traffic.failed(backend));
        let again = (attempts < limits.attempts).then(|| view(&parts, &peer));
        (step, _) = proxy.shell.failed(at, request, &Failure { kind, attempts, again });
    }
}

/// Waits for the end of the tunnel, or for the signal to close. The upstream connection ends with its lease, and the
/// client's connection with it.
async fn until_end<N: Net>(carried: oneshot::Receiver<()>, close: CloseSignal, _lease: Lease<N>) {
    tokio::select! {
        biased;
        // The tunnel ends when the other side drops the sender.
        _ = carried => {}
        _ = close => {}
    }
}

/// Returns the head of the first request with all bytes that arrived along with it, or the answer to bytes that are not
/// a request. Returns `None` if the client is gone or too slow.
async fn first_request(stream: &mut (impl AsyncRead + Unpin), limits: &Limits) -> Option<First> {
    let mut read = BytesMut::new();
    let first = stream.read_buf(&mut read);
    let first = match limits.idle {
        Some(idle) => timeout(idle, first).await.ok()?,
        None => first.await,
    };
    first.ok().filter(|&read| read > 0)?;
    let end = timeout(limits.request_head, head_end(stream, &mut read, limits.head_bytes)).await.ok()?;
    Some(match end {
        Some(end) => match parse(&read[..end], limits.fields) {
            Some(parts) => Ok((parts, read.freeze())),
            None => Err(StatusCode::BAD_REQUEST),
        },
        None if read.len() >= limits.head_bytes => Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        None => return None,
    })
}

type First = Result<(request::Parts, Bytes), StatusCode>;

fn parse(head: &[u8], most: usize) -> Option<request::Parts> {
    let mut fields = vec![httparse::EMPTY_HEADER; most];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(head).ok().filter(httparse::Status::is_complete)?;
    let mut headers = HeaderMap::new();
    for field in request.headers.iter() {
        headers.append(HeaderName::from_bytes(field.name.as_bytes()).ok()?, HeaderValue::from_bytes(field.value).ok()?);
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    parts.uri = request.path?.parse::<Uri>().ok()?;
    parts.headers = headers;
    Some(parts)
}

/// Answers the request with this status, and sends nothing after it. Bytes that the client still sends are read and
/// dropped, for as long as a head may take. A socket that is closed with unread bytes is reset, and a reset would
/// destroy the answer (RFC 9112 9.6).
async fn refuse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), status: StatusCode, limits: &Limits) {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    if stream.write_all(answer.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok() {
        // The client may be gone already, or may stay for longer than the limit.
        let _ = timeout(limits.request_head, copy(stream, &mut sink())).await;
    }
}
