//! A farm that costs very little.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::{Buf as _, BytesMut};
use stickler_net::{Listener as _, Net as _, TokioNet, next_connection};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::background::Background;

/// The number of bytes of a page.
pub(super) const PAGE: usize = 512;

/// The maximum length of a request's head that is examined, in bytes.
const LONGEST: usize = 64 * 1024;

/// Plain servers on one thread: each answers every request without a body with the same page, and keeps the connection.
#[derive(Debug)]
pub struct Origin {
    addresses: Vec<SocketAddr>,
    _thread: Background,
}

impl Origin {
    /// Starts this number of servers.
    ///
    /// # Panics
    /// The system has no port for a server.
    pub fn start(servers: usize) -> Self {
        let (thread, addresses) = Background::start(async move {
            let mut addresses = Vec::new();
            for _ in 0..servers {
                addresses.push(listen().await.expect("the system has a port"));
            }
            addresses
        });
        Self { addresses, _thread: thread }
    }

    /// Returns the addresses on which they listen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

async fn listen() -> io::Result<SocketAddr> {
    let listener = TokioNet.bind((Ipv4Addr::LOCALHOST, 0).into()).await?;
    let address = listener.local_addr()?;
    let answer: &'static [u8] = answer().leak();
    TokioNet.spawn(async move {
        while let Some((stream, _)) = next_connection(&listener).await {
            TokioNet.spawn(async move {
                // The end of the connection is handled by the client.
                let _ = serve(stream, answer).await;
            });
        }
    });
    Ok(address)
}

fn answer() -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {PAGE}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + PAGE, b'x');
    answer
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(4096);
    while stream.read_buf(&mut input).await? > 0 {
        while let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            input.advance(end + 4);
            stream.write_all(answer).await?;
        }
        if input.len() > LONGEST {
            break;
        }
        input.reserve(1024);
    }
    Ok(())
}
