//! Tests of TLS between two ends in memory.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use stickler_net::Stream;
use stickler_tls::{Authority, ClientTls, Random, Secured, ServerTls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

/// An end in memory, which keeps everything that is written to it.
#[derive(Debug)]
struct End {
    pipe: DuplexStream,
    written: Arc<Mutex<Vec<u8>>>,
}

fn ends() -> (End, End) {
    let (left, right) = duplex(1 << 16);
    let end = |pipe| End { pipe, written: Arc::default() };
    (end(left), end(right))
}

impl Stream for End {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([192, 0, 2, 1], 443)))
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([192, 0, 2, 2], 50_000)))
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(context, buffer)
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.pipe).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.written.lock().unwrap().extend_from_slice(&bytes[..count]);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.as_mut().poll_write(context, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

/// Returns SplitMix64 (Steele, Lea, Flood 2014) as a source of randomness, which is sufficient for tests.
fn seeded(seed: u64) -> Random {
    let state = Mutex::new(seed);
    Arc::new(move |buffer: &mut [u8]| {
        let mut state = state.lock().unwrap();
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
        }
    })
}

/// Returns a server called www.stickler.test, and a client that trusts its authority.
fn pair(seed: u64, server_http2: bool, client_http2: bool) -> (ServerTls, ClientTls) {
    let authority = Authority::new(seeded(seed));
    let certified = authority.issue(&["www.stickler.test", "192.0.2.1"]).unwrap();
    let server = ServerTls::new(&certified, server_http2, seeded(seed + 1));
    (server, ClientTls::new(&authority, client_http2, seeded(seed + 2)))
}

async fn meet(
    server: &ServerTls,
    client: &ClientTls,
    name: &str,
) -> (io::Result<Secured<End>>, io::Result<Secured<End>>) {
    let (near, far) = ends();
    tokio::join!(server.accept(near), client.connect(name, far))
}

async fn met(seed: u64) -> (Secured<End>, Secured<End>) {
    let (server, client) = pair(seed, false, false);
    let (server, client) = meet(&server, &client, "www.stickler.test").await;
    (server.unwrap(), client.unwrap())
}

/// Returns all bytes of a short conversation: those of the server, and those of the client.
async fn conversation(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let (mut server, mut client) = met(seed).await;
    client.write_all(b"ping").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"ping");
    server.write_all(b"pong").await.unwrap();
    server.shutdown().await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"pong");
    let bytes = |end: &Secured<End>| end.get_ref().written.lock().unwrap().clone();
    (bytes(&server), bytes(&client))
}

#[tokio::test]
async fn one_seed_gives_the_same_bytes_on_the_wire_and_another_seed_gives_others() {
    let first = conversation(7).await;
    assert_eq!(first, conversation(7).await);
    let other = conversation(8).await;
    assert_ne!(first.0, other.0);
    assert_ne!(first.1, other.1);
    assert!(!first.1.windows(4).any(|window| window == b"ping"), "it is encrypted");
}

#[test]
fn an_authority_issues_the_same_from_one_seed_and_never_the_same_twice() {
    let issue = |seed| {
        let authority = Authority::new(seeded(seed));
        let one = authority.issue(&["a.test"]).unwrap().pem().unwrap();
        (authority.pem(), one, authority.issue(&["a.test"]).unwrap().pem().unwrap())
    };
    let (root, one, two) = issue(1);
    assert_eq!(issue(1), (root.clone(), one.clone(), two.clone()));
    assert_ne!(one, two);
    assert_ne!(issue(2).0, root);
    assert!(!root.contains("PRIVATE KEY"), "the authority keeps its key");
    assert!(one.contains("BEGIN CERTIFICATE") && one.contains("BEGIN PRIVATE KEY"));
}

#[test]
fn a_name_beyond_ascii_is_refused() {
    let error = Authority::new(seeded(1)).issue(&["wäb.test"]).unwrap_err();
    assert!(error.to_string().starts_with("no certificate for wäb.test: "), "{error}");
}

#[tokio::test]
async fn both_ends_know_the_certificate_and_what_was_agreed_on() {
    for (server_http2, client_http2, agreed) in [(true, true, true), (true, false, false), (false, true, false)] {
        let (server, client) = pair(1, server_http2, client_http2);
        let (at_server, at_client) = meet(&server, &client, "192.0.2.1").await;
        let (at_server, at_client) = (at_server.unwrap(), at_client.unwrap());
        assert_eq!(at_client.certificate(), Some(server.certificate()));
        assert_eq!(at_server.certificate(), Some(server.certificate()));
        assert_eq!((at_server.http2(), at_client.http2()), (agreed, agreed));
        let (_, plain) = meet(&server, &client.http1(), "192.0.2.1").await;
        assert!(!plain.unwrap().http2());
    }
    let plain = Secured::Plain(ends().0);
    assert_eq!((plain.certificate(), plain.http2()), (None, false));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_the_server_hears_of_it() {
    let (server, client) = pair(1, false, false);
    let (at_server, at_client) = meet(&server, &client, "other.stickler.test").await;
    let error = at_client.unwrap_err().to_string();
    assert_eq!(
        error,
        "TLS with other.stickler.test: the certificate is for other names; issue one for this name, or ask for a name \
         that it has"
    );
    let error = at_server.unwrap_err().to_string();
    assert_eq!(error, "TLS with a client: received fatal alert: BadCertificate");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused() {
    let random = seeded(1);
    let authority = Authority::new(random.clone());
    let client = ClientTls::new(&authority, false, random.clone());
    let names = ["www.stickler.test"];
    for (certified, refused) in [(authority.issue(&names), false), (authority.issue_expired(&names), true)] {
        let server = ServerTls::new(&certified.unwrap(), false, random.clone());
        let (_, at_client) = meet(&server, &client, names[0]).await;
        let error = at_client.err().map(|error| error.to_string());
        let said = "TLS with www.stickler.test: the certificate has expired; issue a new one";
        assert_eq!(error.as_deref(), refused.then_some(said));
    }
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_refused() {
    let (server, _) = pair(1, false, false);
    let (_, client) = pair(100, false, false);
    let (at_server, at_client) = meet(&server, &client, "www.stickler.test").await;
    let error = at_client.unwrap_err().to_string();
    assert!(error.contains("not issued by an authority that this client trusts"), "{error}");
    assert!(at_server.is_err());
}

#[tokio::test]
async fn what_is_no_tls_and_what_is_no_name_are_refused_in_words() {
    let (server, client) = pair(1, false, false);
    let (near, mut far) = ends();
    far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = server.accept(near).await.unwrap_err().to_string();
    assert!(error.starts_with("TLS with a client: received corrupt message"), "{error}");

    let error = client.connect("no name", ends().0).await.unwrap_err().to_string();
    assert_eq!(error, "TLS with no name: that is not a valid server name");

    let (near, far) = ends();
    drop(far);
    let error = server.accept(near).await.unwrap_err().to_string();
    assert_eq!(error, "TLS with a client: the peer closed the connection during the handshake");
}

#[tokio::test]
async fn an_end_that_says_no_more_still_hears() {
    let (mut server, mut client) = met(1).await;
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    server.write_all(b"late").await.unwrap();
    server.flush().await.unwrap();
    let mut heard = [0; 4];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"late");
    drop(server);
    // There was no close_notify.
    assert_eq!(client.read(&mut heard).await.unwrap(), 0);
    assert_eq!(client.read(&mut heard).await.unwrap(), 0);
}

#[tokio::test]
async fn a_handshake_that_is_dropped_closes_the_connection_and_leaves_its_like_alone() {
    let (server, client) = pair(1, false, false);
    let (near, mut far) = ends();
    let mut accepting = Box::pin(server.accept(near));
    assert!(polled_once(&mut accepting).is_none());
    drop(accepting);
    assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
    let (at_server, at_client) = meet(&server, &client, "www.stickler.test").await;
    assert!(at_server.is_ok() && at_client.is_ok());
}

fn polled_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn much_data_goes_through_both_ways() {
    let (mut server, mut client) = met(3).await;
    let data: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let send = async {
        writer.write_all(&data).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let receive = reader.read_to_end(&mut back);
    let echo = async {
        let (mut reader, mut writer) = tokio::io::split(&mut server);
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    tokio::join!(send, echo, receive).2.unwrap();
    assert!(back == data);
}
