//! Upgrades (RFC 9110 7.8): the fields of a request to upgrade that are passed on, and the traffic on both connections
//! after a 101.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use stickler_lb_core::{Protocol, Upgrades};
use stickler_net::Net;
use tokio::io::copy_bidirectional;

use super::lease::Lease;
use super::peer::Peer;

/// The client's side of an upgrade that it has requested.
pub(super) struct Asked {
    to: HeaderValue,
    client: OnUpgrade,
}

impl Asked {
    /// Returns the upgrade that a request asks for, if that is allowed; upgrades exist in HTTP/1.1 only.
    pub(super) fn of(request: &mut http::Request<Incoming>, upgrades: Upgrades, peer: &Peer) -> Option<Self> {
        let is_asked =
            upgrades != Upgrades::Dropped && peer.protocol == Protocol::Http1 && names_upgrade(request.headers());
        let to = request.headers().get(UPGRADE).filter(|_| is_asked).cloned()?;
        Some(Self { to, client: hyper::upgrade::on(request) })
    }

    /// Adds the request to upgrade for the backend. The hop-by-hop fields have been removed by then.
    pub(super) fn put_into(&self, headers: &mut HeaderMap) {
        headers.insert(UPGRADE, self.to.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }

    /// Passes a 101 on. From then on, both connections carry all bytes that arrive until one of them ends. Then the
    /// other is closed, and the upstream connection never serves another request.
    pub(super) fn switch<N: Net>(self, lease: Lease<N>, mut answer: Response<Incoming>, peer: &Peer) -> Response<()> {
        let to = answer.headers().get(UPGRADE).cloned().unwrap_or(self.to);
        let backend = hyper::upgrade::on(&mut answer);
        let client = self.client;
        let carrying = Box::pin(async move {
            // The lease is dropped at the end, which closes the upstream connection.
            let _lease = lease;
            let (Ok(client), Ok(backend)) = tokio::join!(client, backend) else { return };
            let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
            // An error on either side drops both connections, which closes them.
            let _ = copy_bidirectional(&mut client, &mut backend).await;
        });
        peer.upgraded.put(carrying);
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().extend(answer.headers().clone());
        response.headers_mut().insert(UPGRADE, to);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response
    }
}

/// Returns whether `Connection` names `Upgrade`, without which the `Upgrade` field has no meaning.
fn names_upgrade(headers: &HeaderMap) -> bool {
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}
