//! temporary
#![allow(warnings, clippy::all, clippy::pedantic, missing_docs)]
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;
use stickler_model::topology::*;
use stickler_model::*;
use stickler_net::*;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

#[derive(Clone, Default)]
struct DupNet(Arc<Mutex<HashMap<SocketAddr, mpsc::UnboundedSender<S>>>>);
struct L(tokio::sync::Mutex<mpsc::UnboundedReceiver<S>>, SocketAddr);
struct S(DuplexStream, SocketAddr);
impl AsyncRead for S {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, b: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, b)
    }
}
impl AsyncWrite for S {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, b)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
impl Stream for S {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.1)
    }
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.1)
    }
}
impl Listener for L {
    type Stream = S;
    async fn accept(&self) -> io::Result<(S, SocketAddr)> {
        match self.0.lock().await.recv().await {
            Some(s) => {
                let a = s.1;
                Ok((s, a))
            }
            None => std::future::pending().await,
        }
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.1)
    }
}
impl Net for DupNet {
    type Stream = S;
    type Listener = L;
    async fn connect(&self, peer: SocketAddr) -> io::Result<S> {
        let (a, b) = tokio::io::duplex(65536);
        self.0.lock().unwrap().get(&peer).ok_or(io::ErrorKind::ConnectionRefused)?.send(S(b, peer)).ok();
        Ok(S(a, peer))
    }
    async fn bind(&self, addr: SocketAddr) -> io::Result<L> {
        let (t, r) = mpsc::unbounded_channel();
        self.0.lock().unwrap().insert(addr, t);
        Ok(L(tokio::sync::Mutex::new(r), addr))
    }
    fn spawn(&self, t: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
        tokio::spawn(t).abort_handle()
    }
}
struct C;
impl Clock for C {
    fn now(&self) -> Time {
        Time(0)
    }
    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

async fn client(net: &DupNet, a: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let (s, c) = handshake(TokioIo::new(net.connect(a).await.unwrap())).await.unwrap();
    tokio::spawn(async move {
        let _ = c.await;
    });
    s
}
async fn go(s: &mut SendRequest<Empty<Bytes>>, auth: Option<String>) -> (u16, Option<String>) {
    let mut r = Request::get("/x").header("host", "iis1").header("user-agent", "x").header("x-stickler-request", "r17");
    if let Some(a) = auth {
        r = r.header("authorization", a);
    }
    s.ready().await.unwrap();
    let r = s.send_request(r.body(Empty::new()).unwrap()).await.unwrap();
    let st = r.status().as_u16();
    let w = r.headers().get("www-authenticate").map(|v| v.to_str().unwrap().to_owned());
    r.into_body().collect().await.unwrap();
    (st, w)
}
async fn login(s: &mut SendRequest<Empty<Bytes>>, cfg: &Arc<stickler_auth::ntlm::initiator::InitiatorConfig>) -> u16 {
    use stickler_auth::ntlm::initiator::*;
    let (n, i) = Initiator::new(cfg.clone()).negotiate();
    let (_, w) = go(s, Some(stickler_auth::http::format_token(stickler_auth::http::Scheme::Ntlm, &n))).await;
    let t = stickler_auth::http::parse_authorization(w.unwrap().as_bytes(), 16384).unwrap();
    let (a, _) = i
        .authenticate(
            &t.token,
            Nonces { client_challenge: [1; 8], exported_session_key: [2; 16] },
            stickler_auth::FileTime(133_000_000_000_000_000),
        )
        .unwrap();
    go(s, Some(stickler_auth::http::format_token(stickler_auth::http::Scheme::Ntlm, &a))).await.0
}
#[tokio::test]
async fn perf() {
    let n: usize = std::env::var("N").ok().and_then(|v| v.parse().ok()).unwrap_or(100);
    let net = DupNet::default();
    let (bare, web, dc): (SocketAddr, SocketAddr, SocketAddr) =
        (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 80).into(), ([10, 0, 0, 3], 1).into());
    let clock: Arc<dyn Clock> = Arc::new(C);
    let journal = Journal::new(clock.clone());
    let env =
        |n: &str| Env { name: n.into(), clock: clock.clone(), entropy: Entropy::new(1, n), journal: journal.clone() };
    let domain = DomainSpec {
        netbios: "CORP".into(),
        dns: "corp.example".into(),
        users: vec![UserSpec { name: "alice".into(), password: "pw".into(), forbidden: false }],
        lockout_threshold: None,
    };
    let ctl = stickler_mock_dc::DomainController::new(stickler_mock_dc::Directory::new(&domain));
    ctl.join(&"iis1".into(), b"s");
    let l = net.bind(dc).await.unwrap();
    net.spawn(stickler_mock_dc::serve(net.clone(), l, env("dc"), Arc::new(ctl)));
    let site = stickler_mock_iis::Site::new(
        &ServerSpec { name: "iis1".into(), providers: vec![Provider::Ntlm], version: IisVersion::Iis10 },
        &domain,
        stickler_mock_iis::Accounts::dc(dc, b"s"),
    );
    let l = net.bind(web).await.unwrap();
    net.spawn(stickler_mock_iis::serve(net.clone(), l, env("iis1"), Arc::new(site)));
    let l = net.bind(bare).await.unwrap();
    let net2 = net.clone();
    net.spawn(async move {
        loop {
            let (s, _) = l.accept().await.unwrap();
            net2.spawn(async move {
                let mut b = hyper::server::conn::http1::Builder::new();
                b.auto_date_header(false);
                let _ = b
                    .serve_connection(
                        TokioIo::new(s),
                        hyper::service::service_fn(|_r| async {
                            Ok::<_, std::convert::Infallible>(
                                Response::builder()
                                    .header("content-type", "application/json")
                                    .body(Full::new(Bytes::from_static(&[b'x'; 150])))
                                    .unwrap(),
                            )
                        }),
                    )
                    .await;
            });
        }
    });
    let cfg = Arc::new(stickler_auth::ntlm::initiator::InitiatorConfig {
        profile: stickler_auth::ntlm::profile::Profile::windows(),
        credentials: stickler_auth::ntlm::initiator::Credentials::new("alice", "CORP", "pw"),
        target_name: None,
        channel_binding: None,
    });
    for round in 0..3 {
        for (name, addr, auth) in [("bare", bare, false), ("iis", web, true)] {
            let mut cs = vec![];
            for _ in 0..n {
                let mut c = client(&net, addr).await;
                if auth {
                    assert_eq!(login(&mut c, &cfg).await, 200);
                }
                cs.push(c);
            }
            let per = 200_000 / n;
            let t = Instant::now();
            let hs: Vec<_> = cs
                .into_iter()
                .map(|mut c| {
                    tokio::spawn(async move {
                        for _ in 0..per {
                            assert_eq!(go(&mut c, None).await.0, 200);
                        }
                    })
                })
                .collect();
            for h in hs {
                h.await.unwrap();
            }
            println!("{name} {n}: {:.0}/s", (per * n) as f64 / t.elapsed().as_secs_f64());
            journal.take();
        }
        let mut cs = vec![];
        for _ in 0..n {
            cs.push(client(&net, web).await);
        }
        let per = 30_000 / n;
        let t = Instant::now();
        let hs: Vec<_> = cs
            .into_iter()
            .map(|mut c| {
                let cfg = cfg.clone();
                tokio::spawn(async move {
                    for _ in 0..per {
                        assert_eq!(login(&mut c, &cfg).await, 200);
                    }
                })
            })
            .collect();
        for h in hs {
            h.await.unwrap();
        }
        println!("logins {n}: {:.0}/s", (per * n) as f64 / t.elapsed().as_secs_f64());
        journal.take();
    }
}
