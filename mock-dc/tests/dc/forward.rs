//! Tests of DCs that ask one another, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stickler_auth::logon::{FRAME_PREFIX, LogonReply, LogonRequest, LogonServer, frame_len};
use stickler_auth::status::NtStatus;
use stickler_mock_dc::{Directory, DomainController, serve};
use stickler_model::topology::{DomainSpec, TrustSpec};
use stickler_model::{Clock, Entropy, Env, Journal, Name, What};
use stickler_net::{Listener as _, Net as _, TokioListener, TokioNet};
use stickler_netlogon::{ChannelConfig, ChannelTimeouts, LogonNumbers, Outcome, SecureChannel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, domain};
use crate::server::Noon;

const SECRET: &[u8] = b"machine secret";
const TRUST: &str = "trust-pw";

async fn bind() -> (TokioListener, SocketAddr) {
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Returns the directory of `CORP`, or of the other domain.
fn directory(netbios: &str) -> Directory {
    let (dns, other) =
        (format!("{}.example", netbios.to_lowercase()), if netbios == "CORP" { "PARTNER" } else { "CORP" });
    let password = TRUST.to_owned();
    let trust = TrustSpec { netbios: other.into(), dns: format!("{}.example", other.to_lowercase()), password };
    Directory::new(&DomainSpec { netbios: netbios.into(), dns, trusts: vec![trust], ..domain(Some(3)) })
}

/// Starts a DC, and returns its journal.
fn start(name: &str, listener: TokioListener, dc: DomainController) -> Arc<Journal> {
    let clock: Arc<dyn Clock> = Arc::new(Noon);
    let journal = Journal::new(Arc::clone(&clock));
    let env = Env { name: Name::from(name), clock, entropy: Entropy::new(1, name), journal: Arc::clone(&journal) };
    TokioNet.spawn(serve(TokioNet, listener, env, Arc::new(dc)));
    journal
}

/// Returns the channel of the member `iis1`.
fn member(dc: SocketAddr) -> SecureChannel {
    let timeouts = ChannelTimeouts {
        connect: Duration::from_secs(5),
        reply: Duration::from_secs(5),
        queue: ChannelTimeouts::QUEUE,
    };
    let config = ChannelConfig {
        machine: "IIS1".into(),
        secret: SECRET.into(),
        controllers: vec![dc],
        timeouts,
        max_concurrent_api: 10,
    };
    SecureChannel::new(&TokioNet, &config, &Arc::new(LogonNumbers::default()))
}

/// Starts a DC of `CORP` to which `iis1` is joined, and which knows a partner at this address.
async fn corp(partner: SocketAddr) -> (SecureChannel, Arc<Journal>) {
    let (listener, address) = bind().await;
    let dc = DomainController::new(directory("CORP")).with_trusted("PARTNER", vec![partner]);
    dc.join(&Name::from("iis1"), SECRET);
    (member(address), start("dc", listener, dc))
}

fn paula() -> LogonRequest {
    Client { domain: "PARTNER", ..Client::alice() }.request()
}

async fn ask(channel: &SecureChannel, request: &LogonRequest) -> LogonReply {
    let Outcome { reply, .. } = channel.logon(request).await.expect("the tasks run");
    reply
}

fn noted(journal: &Journal) -> Vec<(&'static str, u32)> {
    let note = |what| match what {
        What::DcLogon { status, .. } => Some(("decided", status)),
        What::DcPassedOn { status, .. } => Some(("passed", status)),
        _ => None,
    };
    journal.take().into_iter().filter_map(|event| note(event.what)).collect()
}

/// Starts a DC of the partner that gives this reply to every request, after it has checked who asks.
async fn that_says(reply: LogonReply) -> SocketAddr {
    let (listener, address) = bind().await;
    TokioNet.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut channel = LogonServer::new("dc.corp.example", TRUST.as_bytes());
            while stream.read_u64().await.is_ok() {
                let mut prefix = [0; FRAME_PREFIX];
                stream.read_exact(&mut prefix).await.unwrap();
                let mut frame = vec![0; frame_len(prefix).unwrap()];
                stream.read_exact(&mut frame).await.unwrap();
                assert_eq!(channel.decode_request(&frame).unwrap().hops, 1);
                stream.write_all(&channel.encode_reply(&reply).unwrap()).await.unwrap();
            }
        }
    });
    address
}

/// Returns the reply of the partner's DC to a successful logon.
fn vouched() -> LogonReply {
    directory("PARTNER")
        .logon(
            &Client { domain: "PARTNER", machine_domain: "PARTNER", ..Client::alice() }.request(),
            crate::client::NOW,
        )
        .reply
}

#[tokio::test]
async fn a_logon_goes_along_the_trust_and_its_session_key_comes_back() {
    let (listener, address) = bind().await;
    let partner = start("dc-partner", listener, DomainController::new(directory("PARTNER")));
    let (channel, journal) = corp(address).await;
    let (request, key) = Client { domain: "PARTNER", ..Client::alice() }.logon_request();
    let reply = ask(&channel, &request).await;
    assert_eq!((reply.status, reply.domain.as_str()), (NtStatus::SUCCESS, "PARTNER"));
    assert_ne!(key, [0; 16]);
    assert_ne!(reply.session_base_key, [0; 16]);
    let wrong = Client { domain: "PARTNER", password: "guess", ..Client::alice() }.request();
    assert_eq!(ask(&channel, &wrong).await.status, NtStatus::WRONG_PASSWORD);
    assert_eq!(noted(&journal), [("passed", 0), ("passed", 0xC000_006A)]);
    assert_eq!(noted(&partner), [("decided", 0), ("decided", 0xC000_006A)]);
}

#[tokio::test]
async fn a_partner_is_believed_about_its_own_users_and_groups_alone() {
    let good = vouched();
    assert!(good.status.is_success() && good.sids.len() == 2);
    let with = |change: fn(&mut LogonReply)| {
        let mut reply = good.clone();
        change(&mut reply);
        reply
    };
    for (reply, status, sids) in [
        (good.clone(), NtStatus::SUCCESS, 2),
        // The group Domain Admins of another domain is removed.
        (with(|reply| reply.sids.push("S-1-5-21-1-0-0-512".into())), NtStatus::SUCCESS, 2),
        // A SID whose text only begins with the domain's SID belongs to another domain.
        (
            with(|reply| {
                let sid = reply.sids[1].replace("-0-0-", "-0-01-");
                reply.sids.push(sid);
            }),
            NtStatus::SUCCESS,
            2,
        ),
        (with(|reply| reply.domain = "CORP".into()), NtStatus::DOMAIN_TRUST_INCONSISTENT, 0),
        (with(|reply| reply.domain.clear()), NtStatus::DOMAIN_TRUST_INCONSISTENT, 0),
        (with(|reply| reply.sids[0] = "S-1-5-21-1-0-0-1000".into()), NtStatus::DOMAIN_TRUST_INCONSISTENT, 0),
        (with(|reply| reply.sids.clear()), NtStatus::DOMAIN_TRUST_INCONSISTENT, 0),
        (LogonReply::refused(NtStatus::ACCOUNT_LOCKED_OUT, true), NtStatus::ACCOUNT_LOCKED_OUT, 0),
        (LogonReply::refused(NtStatus::NO_SUCH_USER, false), NtStatus::NO_SUCH_USER, 0),
    ] {
        let (channel, journal) = corp(that_says(reply).await).await;
        let reply = ask(&channel, &paula()).await;
        assert_eq!((reply.status, reply.sids.len(), reply.authoritative), (status, sids, true));
        assert_eq!(reply.session_base_key == [0; 16], !status.is_success(), "no key without a user");
        assert_eq!(noted(&journal), [("passed", status.0)]);
    }
}

#[tokio::test]
async fn a_broken_trust_a_missing_one_and_an_absent_partner_are_told_apart() {
    let (listener, address) = bind().await;
    let mut other = directory("PARTNER");
    other.add_trust(&TrustSpec { netbios: "THIRD".into(), dns: "third.example".into(), password: "x".into() });
    let journal = start("dc-partner", listener, DomainController::new(other));
    let asks = |machine: &str, secret: &str| {
        let timeouts = ChannelTimeouts {
            connect: Duration::from_secs(5),
            reply: Duration::from_secs(5),
            queue: ChannelTimeouts::QUEUE,
        };
        let (machine, secret) = (machine.to_owned(), secret.as_bytes().into());
        let config = ChannelConfig { machine, secret, controllers: vec![address], timeouts, max_concurrent_api: 10 };
        SecureChannel::new(&TokioNet, &config, &Arc::new(LogonNumbers::default()))
    };
    for (machine, secret, status) in [
        ("dc.corp.example", TRUST, NtStatus::SUCCESS),
        ("DC9.CORP.example", TRUST, NtStatus::SUCCESS),
        ("dc.corp.example", "another", NtStatus::TRUSTED_RELATIONSHIP_FAILURE),
        ("dc.third.example", TRUST, NtStatus::TRUSTED_RELATIONSHIP_FAILURE),
        ("dc.fourth.example", TRUST, NtStatus::NO_TRUST_SAM_ACCOUNT),
        ("corp.example", TRUST, NtStatus::NO_TRUST_SAM_ACCOUNT),
        // A response over a trust must be made for a server of the trusted domain itself.
        ("dc.third.example", "x", NtStatus::LOGON_FAILURE),
    ] {
        let request = LogonRequest { channel_machine: machine.into(), ..paula() };
        assert_eq!(ask(&asks(machine, secret), &request).await.status, status, "{machine} {secret}");
    }
    assert_eq!(journal.take().len(), 3, "who has no channel is not heard");
    let (channel, journal) = corp(bind().await.1).await;
    assert_eq!(ask(&channel, &paula()).await.status, NtStatus::NO_LOGON_SERVERS);
    assert_eq!(noted(&journal), [("passed", 0xC000_005E)]);
}

#[tokio::test]
async fn logons_behind_one_that_another_dc_decides_are_decided_meanwhile_and_answered_in_order() {
    // The partner accepts connections, and sends nothing until the test ends it.
    let (silent, address) = bind().await;
    let (channel, journal) = corp(address).await;
    let channel = Arc::new(channel);
    let (done, first) = tokio::sync::oneshot::channel();
    let own = Arc::clone(&channel);
    TokioNet.spawn(async move {
        let _ = done.send(ask(&own, &paula()).await);
    });
    let (mut held, _) = silent.accept().await.unwrap();
    assert!(held.read_u64().await.is_ok());
    let own = Arc::clone(&channel);
    let (done, second) = tokio::sync::oneshot::channel();
    TokioNet.spawn(async move {
        let _ = done.send(ask(&own, &Client::alice().request()).await);
    });
    let decided = async {
        loop {
            let noted = noted(&journal);
            if !noted.is_empty() {
                return noted;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert_eq!(decided.await, [("decided", 0)]);
    // Both connections are dropped, since a logon is sent again after its connection breaks.
    drop((held, silent));
    assert_eq!(first.await.unwrap().status, NtStatus::NO_LOGON_SERVERS);
    assert_eq!(second.await.unwrap().status, NtStatus::SUCCESS);
    assert_eq!(noted(&journal), [("passed", 0xC000_005E)]);
}

#[tokio::test]
async fn many_logons_at_a_slow_dc_wait_side_by_side_and_none_is_lost() {
    let (listener, address) = bind().await;
    let dc = DomainController::new(directory("CORP")).with_delay(Duration::from_millis(50));
    dc.join(&Name::from("iis1"), SECRET);
    let journal = start("dc", listener, dc);
    let channel = Arc::new(member(address));
    let replies: Vec<_> = (0..300)
        .map(|at| {
            let (channel, (done, reply)) = (Arc::clone(&channel), tokio::sync::oneshot::channel());
            let request = if at % 3 == 0 { Client { user: "nobody", ..Client::alice() } } else { Client::alice() };
            TokioNet.spawn(async move {
                let _ = done.send(ask(&channel, &request.request()).await.status);
            });
            (at, reply)
        })
        .collect();
    for (at, reply) in replies {
        let expected = if at % 3 == 0 { NtStatus::NO_SUCH_USER } else { NtStatus::SUCCESS };
        assert_eq!(reply.await.unwrap(), expected, "{at}");
    }
    assert_eq!(journal.take().len(), 300);
}

#[tokio::test]
async fn a_logon_whose_asker_has_gone_is_never_decided() {
    let (listener, address) = bind().await;
    let delay = Duration::from_millis(60);
    let dc = DomainController::new(directory("CORP")).with_delay(delay);
    dc.join(&Name::from("iis1"), SECRET);
    let journal = start("dc", listener, dc);
    let channel = member(address);
    let wrong = Client { password: "guess", ..Client::alice() }.request();
    let left = tokio::time::timeout(delay / 3, channel.logon(&wrong)).await;
    assert!(left.is_err());
    // The end of the last handle closes the connection.
    drop(channel);
    tokio::time::sleep(delay * 3).await;
    assert_eq!(noted(&journal), []);
}

#[tokio::test]
async fn a_replica_asks_the_pdc_emulator_about_a_wrong_password_and_both_count_it_once() {
    let (listener, address) = bind().await;
    let pdc = DomainController::new(directory("CORP"));
    pdc.join(&Name::from("iis1"), SECRET);
    let replica = pdc.replica(&Name::from("dc2"), 1, address);
    let of_pdc = start("dc", listener, pdc);
    let (listener, address) = bind().await;
    let of_replica = start("dc2", listener, replica);
    let channel = member(address);
    let wrong = Client { password: "guess", ..Client::alice() }.request();
    for status in [NtStatus::WRONG_PASSWORD, NtStatus::WRONG_PASSWORD, NtStatus::WRONG_PASSWORD] {
        assert_eq!(ask(&channel, &wrong).await.status, status);
    }
    // Three failures lock the account, at this DC as at the other.
    assert_eq!(ask(&channel, &Client::alice().request()).await.status, NtStatus::ACCOUNT_LOCKED_OUT);
    assert_eq!(noted(&of_pdc), [("decided", 0xC000_006A); 3]);
    assert_eq!(
        noted(&of_replica),
        [("passed", 0xC000_006A), ("passed", 0xC000_006A), ("passed", 0xC000_006A), ("decided", 0xC000_0234)]
    );
    // A logon that has crossed enough channels is decided by the DC that it has reached.
    let far = LogonRequest { hops: 2, ..Client { user: "Bob", password: "guess", ..Client::alice() }.request() };
    assert_eq!(ask(&channel, &far).await.status, NtStatus::WRONG_PASSWORD);
    assert_eq!((noted(&of_pdc), noted(&of_replica)), (vec![], vec![("decided", 0xC000_006A)]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_end_a_channel_and_nothing_else(bytes in proptest::collection::vec(any::<u8>(), 0..300), genuine in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (listener, address) = bind().await;
            let dc = DomainController::new(directory("CORP"));
            dc.join(&Name::from("iis1"), SECRET);
            let journal = start("dc", listener, dc);
            let mut stream = TokioNet.connect(address).await.unwrap();
            // The bytes begin like a frame, with a number and the length of the rest.
            let frame = [&7_u64.to_be_bytes()[..], &(bytes.len() as u32).to_be_bytes(), &bytes].concat();
            stream.write_all(if genuine { &frame } else { &bytes }).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(answer.len() <= 50 && journal.take().is_empty());
            assert_eq!(ask(&member(address), &Client::alice().request()).await.status, NtStatus::SUCCESS);
        });
    }
}
