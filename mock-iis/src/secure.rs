//! TLS on the connections of a site.

use std::io;

use stickler_model::event::Closed;
use stickler_model::payload::BodyHasher;
use stickler_model::{Env, What};
use stickler_net::Stream;
use stickler_tls::Secured;
use tokio::time::timeout;

use crate::WebSite;

/// Carries out the TLS handshake on the connection with this number and records it. Returns the plain stream if the
/// site has no TLS. The handshake may take as long as a request's head.
///
/// # Errors
/// The error is the way in which the connection ended.
pub(crate) async fn secure<S: Stream>(site: &WebSite, env: &Env, number: u32, stream: S) -> Result<Secured<S>, Closed> {
    let Some(tls) = &site.tls else { return Ok(Secured::Plain(stream)) };
    let secured = timeout(site.limits.idle, tls.accept(stream)).await.map_err(|_| Closed::Here)?;
    let secured = secured.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => Closed::ByPeer,
        io::ErrorKind::InvalidData => Closed::Here,
        _ => Closed::Broken,
    })?;
    let mut hasher = BodyHasher::default();
    hasher.update(tls.certificate());
    env.record(What::ServerSecured { connection: number, certificate: hasher.finish().1 });
    Ok(secured)
}
