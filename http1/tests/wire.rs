//! Tests of a connection over a pipe.

use std::time::Duration;

use stickler_http1::{BodyDecoder, Framing, HeadLimits, Progress, ReadError, RequestHead, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::timeout;

const LIMITS: HeadLimits = HeadLimits { length: 1_024, fields: 20 };

#[tokio::test]
async fn requests_in_a_row_are_read_one_by_one() {
    let (mut client, server) = duplex(16);
    let sending = async move {
        let requests = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\r\nGET /b HTTP/1.1\r\n\r\nGET";
        client.write_all(requests).await.unwrap();
    };
    let reading = async move {
        let (mut wire, mut head) = (Wire::new(server), RequestHead::default());
        assert!(wire.request(&mut head, LIMITS).await.unwrap());
        let (mut decoder, mut body) = (BodyDecoder::new(Framing::of_request(&head).unwrap()), Vec::new());
        while !wire.body(&mut decoder, |data| body.extend_from_slice(data)).await.unwrap() {}
        assert_eq!((head.path(), body.as_slice()), ("/a", b"hello".as_slice()));
        assert!(wire.request(&mut head, LIMITS).await.unwrap());
        assert_eq!(head.path(), "/b");
        let ended = wire.request(&mut head, LIMITS).await;
        assert!(matches!(ended, Err(ReadError::Ended)), "half a request: {ended:?}");
    };
    tokio::join!(sending, reading);
}

#[tokio::test]
async fn a_side_that_ends_between_requests_is_no_error_and_within_a_body_it_is() {
    let (client, server) = duplex(16);
    drop(client);
    assert!(!Wire::new(server).request(&mut RequestHead::default(), LIMITS).await.unwrap());
    let (mut client, server) = duplex(64);
    client.write_all(b"3\r\nab").await.unwrap();
    drop(client);
    let (mut wire, mut decoder) = (Wire::new(server), BodyDecoder::new(Framing::Chunked));
    let error = loop {
        if let Err(error) = wire.body(&mut decoder, |_| ()).await {
            break error;
        }
    };
    assert!(matches!(error, ReadError::Ended), "{error:?}");
}

#[tokio::test]
async fn it_reads_while_it_cannot_write() {
    let (mut peer, stream) = duplex(64);
    let mut wire = Wire::new(stream);
    wire.output().extend_from_slice(&[b'x'; 100]);
    let stuck = timeout(Duration::from_millis(10), wire.progress()).await;
    assert!(stuck.is_err(), "the pipe is full, and nothing comes");
    peer.write_all(b"answer").await.unwrap();
    assert_eq!(wire.progress().await.unwrap(), Progress::Read(6));
    let mut taken = [0; 100];
    let (written, _) = tokio::join!(wire.progress(), peer.read_exact(&mut taken));
    assert_eq!(written.unwrap(), Progress::Written);
    drop(peer);
    wire.output().extend_from_slice(b"more");
    assert_eq!(wire.progress().await.unwrap(), Progress::Unwritable, "nobody reads");
    assert_eq!(wire.progress().await.unwrap(), Progress::Read(0), "but there may be something to read");
}
