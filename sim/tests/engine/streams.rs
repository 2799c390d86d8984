//! Tests of connections: HTTP at both ends, addresses, large bodies, refusals.

use std::io::ErrorKind;

use stickler_net::{Listener, Net, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{SECOND, at, connect, engine_with_hosts, get, serve};

#[test]
fn http_runs_on_both_ends_and_sees_logical_addresses() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let client = nets[1].clone();
    let answers = engine.run_until(
        async move {
            let mut http = connect(&client, at(1, 80)).await.unwrap();
            (get(&mut http).await.unwrap(), get(&mut http).await.unwrap())
        },
        SECOND,
    );
    let (first, second) = answers.unwrap();
    assert_eq!(first, second, "one connection, one peer");
    assert!(first.starts_with("iis1 10.0.0.2:"), "{first}");
}

#[test]
fn both_ends_agree_on_their_addresses() {
    let (mut engine, nets) = engine_with_hosts(2);
    let (server, client) = (nets[0].clone(), nets[1].clone());
    let (ends, bound) = engine
        .run_until(
            async move {
                let listener = server.bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
                let bound = listener.local_addr().unwrap();
                let (near, accepted) = tokio::join!(client.connect(bound), listener.accept());
                let (near, (far, peer)) = (near.unwrap(), accepted.unwrap());
                assert_eq!(peer, near.local_addr().unwrap());
                let ends = [near.local_addr(), near.peer_addr(), far.local_addr(), far.peer_addr()];
                (ends.map(Result::unwrap), bound)
            },
            SECOND,
        )
        .unwrap();
    assert_eq!(bound.ip(), crate::support::ip(1));
    assert_eq!(ends[0].ip(), crate::support::ip(2));
    assert_eq!((ends[0], ends[1]), (ends[3], ends[2]));
    assert_eq!(ends[1], bound);
}

#[test]
fn nothing_listening_refuses_the_connection() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let client = nets[1].clone();
    let kinds = engine.run_until(
        async move {
            // The ports are one of a listening host, one of its ephemeral range, and one of a host that never listened.
            let mut kinds = Vec::new();
            for server in [at(1, 81), at(1, 50_000), at(2, 80)] {
                kinds.push(client.connect(server).await.unwrap_err().kind());
            }
            kinds
        },
        SECOND,
    );
    assert_eq!(kinds.unwrap(), [ErrorKind::ConnectionRefused; 3]);
}

#[test]
fn addresses_that_cannot_work_are_errors_at_once() {
    let (mut engine, nets) = engine_with_hosts(2);
    let net = nets[0].clone();
    let kinds = engine.run_until(
        async move {
            let _taken = net.bind(at(1, 80)).await.unwrap();
            [
                net.bind(at(1, 80)).await.unwrap_err().kind(),
                net.bind(at(2, 80)).await.unwrap_err().kind(),
                net.connect("127.0.0.1:80".parse().unwrap()).await.unwrap_err().kind(),
                net.connect("[::1]:80".parse().unwrap()).await.unwrap_err().kind(),
                // This is a kernel's address, on which other hosts have sockets.
                net.connect("240.0.0.1:80".parse().unwrap()).await.unwrap_err().kind(),
            ]
        },
        SECOND,
    );
    let unavailable = ErrorKind::AddrNotAvailable;
    assert_eq!(kinds.unwrap(), [ErrorKind::AddrInUse, unavailable, unavailable, unavailable, unavailable]);
}

#[test]
fn ten_mebibytes_both_ways_arrive_whole_though_read_slowly_in_small_pieces() {
    const SIZE: usize = 10 << 20;
    let (mut engine, nets) = engine_with_hosts(2);
    let (server, client) = (nets[0].clone(), nets[1].clone());
    let pattern = |i: usize| (i ^ (i >> 8) ^ (i >> 16)) as u8;
    let (accept, dial) = (server.clone(), client.clone());
    let exchange = async move {
        let listener = accept.bind(at(1, 80)).await.unwrap();
        let (near, far) = tokio::join!(dial.connect(at(1, 80)), listener.accept());
        let whole = [near.unwrap(), far.unwrap().0].map(|stream| async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let send = async move {
                let data: Vec<u8> = (0..SIZE).map(pattern).collect();
                writer.write_all(&data).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let receive = async move {
                let (mut piece, mut seen) = ([0; 4099], 0);
                loop {
                    let n = reader.read(&mut piece).await.unwrap();
                    if n == 0 {
                        return seen;
                    }
                    assert!(piece[..n].iter().zip(seen..).all(|(byte, i)| *byte == pattern(i)));
                    seen += n;
                    if seen % 16 == 0 {
                        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
                    }
                }
            };
            tokio::join!(receive, send).0
        });
        let [near, far] = whole;
        tokio::join!(near, far)
    };
    assert_eq!(engine.run_until(exchange, 600 * SECOND), Ok((SIZE, SIZE)));
}

#[test]
fn a_dropped_connect_leaves_no_trace_on_the_next_one() {
    let (mut engine, nets) = engine_with_hosts(2);
    serve(&nets[0], "iis1");
    let client = nets[1].clone();
    let answer = engine.run_until(
        async move {
            let early = tokio::time::timeout(std::time::Duration::ZERO, client.connect(at(1, 80))).await;
            assert!(early.is_err());
            get(&mut connect(&client, at(1, 80)).await.unwrap()).await.unwrap()
        },
        SECOND,
    );
    assert!(answer.unwrap().starts_with("iis1 10.0.0.2:"));
}

#[test]
fn data_for_a_stream_that_was_dropped_meets_a_reset() {
    let (mut engine, nets) = engine_with_hosts(2);
    let (server, client) = (nets[0].clone(), nets[1].clone());
    let kind = engine.run_until(
        async move {
            let listener = server.bind(at(1, 80)).await.unwrap();
            let (near, far) = tokio::join!(client.connect(at(1, 80)), listener.accept());
            drop(near.unwrap());
            let mut far = far.unwrap().0;
            assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0, "FIN");
            far.write_all(b"late").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            far.write_all(b"later").await.unwrap_err().kind()
        },
        SECOND,
    );
    assert_eq!(kind.unwrap(), ErrorKind::ConnectionReset);
}

#[test]
fn a_stream_dropped_with_data_unread_resets_its_peer() {
    let (mut engine, nets) = engine_with_hosts(2);
    let (server, client) = (nets[0].clone(), nets[1].clone());
    let kind = engine.run_until(
        async move {
            let listener = server.bind(at(1, 80)).await.unwrap();
            let (near, far) = tokio::join!(client.connect(at(1, 80)), listener.accept());
            let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
            near.write_all(b"more than is read").await.unwrap();
            assert_eq!(far.read(&mut [0; 4]).await.unwrap(), 4);
            drop(far);
            near.read(&mut [0; 4]).await.unwrap_err().kind()
        },
        SECOND,
    );
    assert_eq!(kind.unwrap(), ErrorKind::ConnectionReset);
}

#[test]
fn a_stream_dropped_while_another_host_is_current_closes_itself_and_nothing_else() {
    // Two kernels number their descriptors in the same way: the clients' streams have the same number.
    let (mut engine, nets) = engine_with_hosts(3);
    let (server, one, two) = (nets[0].clone(), nets[1].clone(), nets[2].clone());
    let read = engine.run_until(
        async move {
            let listener = server.bind(at(1, 80)).await.unwrap();
            let (first, second) = tokio::join!(one.connect(at(1, 80)), two.connect(at(1, 80)));
            let (first, mut second) = (first.unwrap(), second.unwrap());
            let mut accepted = [listener.accept().await.unwrap().0, listener.accept().await.unwrap().0];
            accepted.sort_by_key(|stream| stream.peer_addr().unwrap());
            // The write makes the second host's kernel current, and then the first one's stream is dropped.
            second.write_all(b"x").await.unwrap();
            drop(first);
            let mut byte = [0];
            let [closed, open] = &mut accepted;
            let closed = closed.read(&mut byte).await.unwrap();
            let first_byte = open.read(&mut byte).await.unwrap();
            second.write_all(b"y").await.unwrap();
            (closed, first_byte, open.read(&mut byte).await.unwrap())
        },
        SECOND,
    );
    assert_eq!(read, Ok((0, 1, 1)));
}
