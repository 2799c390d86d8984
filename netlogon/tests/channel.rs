//! Tests of a machine's channel to DCs that behave as they are told, over real sockets.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stickler_auth::logon::{FRAME_PREFIX, LogonReply, LogonRequest, LogonServer, denial, frame_len};
use stickler_auth::status::NtStatus;
use stickler_net::{Listener as _, Net as _, TokioNet};
use stickler_netlogon::{ChannelConfig, ChannelTimeouts, LogonNumbers, Outcome, SecureChannel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SECRET: &[u8] = b"machine secret";

/// The behaviour of a DC at a logon.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    /// The DC answers with this status, and says whether it is final.
    Says(NtStatus, bool),
    /// The DC does not answer.
    Waits,
    /// The DC denies the channel.
    Denies(NtStatus),
    /// The DC closes the connection.
    Closes,
    /// The DC answers with a reply that was made with another secret.
    Forges,
    /// The DC answers with a frame that is too long.
    Floods,
}

const GOOD: Does = Does::Says(NtStatus::SUCCESS, true);
const WRONG: Does = Does::Says(NtStatus::WRONG_PASSWORD, true);
const UNSURE: Does = Does::Says(NtStatus::NO_SUCH_USER, false);

/// A DC, and the numbers of the logons that it saw.
#[derive(Clone)]
struct Dc {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    saw: Arc<Mutex<Vec<u64>>>,
}

impl Dc {
    async fn that(does: Does) -> Self {
        let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let dc = Self { address, does: Arc::new(Mutex::new(does)), saw: Arc::default() };
        let own = dc.clone();
        TokioNet.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                TokioNet.spawn(async move { own.serve(stream).await });
            }
        });
        dc
    }

    async fn serve(self, mut stream: impl stickler_net::Stream) {
        let mut channel = LogonServer::new("IIS1", SECRET);
        loop {
            let Ok(number) = stream.read_u64().await else { return };
            let mut prefix = [0; FRAME_PREFIX];
            stream.read_exact(&mut prefix).await.unwrap();
            let mut frame = vec![0; frame_len(prefix).unwrap()];
            stream.read_exact(&mut frame).await.unwrap();
            let request = channel.decode_request(&frame).unwrap();
            self.saw.lock().unwrap().push(number);
            let does = *self.does.lock().unwrap();
            let answer = match does {
                Does::Says(status, authoritative) => {
                    let reply = LogonReply { logon_server: request.user, ..LogonReply::refused(status, authoritative) };
                    channel.encode_reply(&reply).unwrap()
                }
                Does::Waits => continue,
                Does::Denies(status) => denial(status),
                Does::Closes => return,
                Does::Forges => {
                    let mut other = channel.encode_reply(&LogonReply::refused(NtStatus::SUCCESS, true)).unwrap();
                    *other.last_mut().unwrap() ^= 1;
                    other
                }
                Does::Floods => u32::MAX.to_be_bytes().to_vec(),
            };
            stream.write_all(&answer).await.unwrap();
        }
    }

    fn saw(&self) -> Vec<u64> {
        self.saw.lock().unwrap().drain(..).collect()
    }
}

/// Returns an address on which nothing listens.
async fn nowhere() -> SocketAddr {
    TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap().local_addr().unwrap()
}

fn channel(controllers: Vec<SocketAddr>) -> SecureChannel {
    channel_with(controllers, u16::MAX, ChannelTimeouts::QUEUE)
}

fn channel_with(controllers: Vec<SocketAddr>, max_concurrent_api: u16, queue: Duration) -> SecureChannel {
    let timeouts = ChannelTimeouts { connect: Duration::from_secs(5), reply: Duration::from_millis(100), queue };
    let (machine, secret) = ("IIS1".into(), SECRET.into());
    let config = ChannelConfig { machine, secret, controllers, timeouts, max_concurrent_api };
    SecureChannel::new(&TokioNet, &config, &Arc::new(LogonNumbers::default()))
}

async fn ask(channel: &SecureChannel) -> Outcome {
    ask_as(channel, "alice").await
}

async fn ask_as(channel: &SecureChannel, user: &str) -> Outcome {
    let request = LogonRequest { channel_machine: "IIS1".into(), user: user.into(), ..LogonRequest::default() };
    channel.logon(&request).await.expect("the tasks run")
}

/// Returns the number and the status of an outcome, and whether the reply comes from a DC.
fn summary(outcome: &Outcome) -> (u64, NtStatus, bool) {
    (outcome.number, outcome.reply.status, outcome.answered)
}

#[tokio::test]
async fn the_first_dc_is_asked_and_its_word_is_final() {
    let (first, second) = (Dc::that(WRONG).await, Dc::that(GOOD).await);
    let channel = channel(vec![first.address, second.address]);
    assert_eq!(summary(&ask(&channel).await), (1, NtStatus::WRONG_PASSWORD, true));
    assert_eq!((first.saw(), second.saw()), (vec![1], vec![]));
}

#[tokio::test]
async fn a_dc_that_does_not_know_is_asked_first_the_next_time_too() {
    let (first, second) = (Dc::that(UNSURE).await, Dc::that(GOOD).await);
    let channel = channel(vec![first.address, second.address]);
    assert_eq!(summary(&ask(&channel).await), (2, NtStatus::SUCCESS, true));
    assert_eq!(summary(&ask(&channel).await), (4, NtStatus::SUCCESS, true));
    assert_eq!((first.saw(), second.saw()), (vec![1, 3], vec![2, 4]));
}

#[tokio::test]
async fn a_dc_that_fails_in_whatever_way_is_left_until_the_next_one_fails() {
    for does in [Does::Waits, Does::Denies(NtStatus::ACCESS_DENIED), Does::Closes, Does::Forges, Does::Floods] {
        let (first, second) = (Dc::that(does).await, Dc::that(GOOD).await);
        let channel = channel(vec![first.address, second.address]);
        assert_eq!(ask(&channel).await.reply.status, NtStatus::SUCCESS);
        // A DC whose connection breaks is asked a second time.
        assert_eq!(first.saw().len(), if does == Does::Closes { 2 } else { 1 });
        assert_eq!(ask(&channel).await.reply.status, NtStatus::SUCCESS);
        assert_eq!((first.saw().len(), second.saw().len()), (0, 2));
        *first.does.lock().unwrap() = GOOD;
        *second.does.lock().unwrap() = does;
        assert_eq!(ask(&channel).await.reply.status, NtStatus::SUCCESS);
        assert_eq!(first.saw().len(), 1);
    }
}

#[tokio::test]
async fn of_several_dcs_without_a_final_word_the_one_that_tells_most_is_heard() {
    let unsure = Dc::that(UNSURE).await;
    let denies = Dc::that(Does::Denies(NtStatus::ACCESS_DENIED)).await;
    let gone = nowhere().await;
    for (controllers, expected) in [
        (vec![], (NtStatus::NO_LOGON_SERVERS, false)),
        (vec![gone], (NtStatus::NO_LOGON_SERVERS, false)),
        (vec![gone, denies.address], (NtStatus::TRUSTED_RELATIONSHIP_FAILURE, false)),
        (vec![denies.address, gone], (NtStatus::TRUSTED_RELATIONSHIP_FAILURE, false)),
        (vec![denies.address, unsure.address, gone], (NtStatus::NO_SUCH_USER, true)),
    ] {
        let outcome = ask(&channel(controllers)).await;
        assert_eq!((outcome.reply.status, outcome.answered), expected);
        assert_eq!(outcome.reply.authoritative, !outcome.answered);
    }
}

#[tokio::test]
async fn a_denial_is_never_more_than_a_lack_of_trust() {
    for (says, means) in [
        (NtStatus::ACCESS_DENIED, NtStatus::TRUSTED_RELATIONSHIP_FAILURE),
        (NtStatus::NO_TRUST_SAM_ACCOUNT, NtStatus::NO_TRUST_SAM_ACCOUNT),
        (NtStatus::SUCCESS, NtStatus::NO_TRUST_SAM_ACCOUNT),
        (NtStatus::ACCOUNT_LOCKED_OUT, NtStatus::NO_TRUST_SAM_ACCOUNT),
    ] {
        let dc = Dc::that(Does::Denies(says)).await;
        assert_eq!(summary(&ask(&channel(vec![dc.address])).await), (1, means, false));
    }
}

#[tokio::test]
async fn logons_at_once_are_pipelined_and_each_gets_its_own_reply() {
    let dc = Dc::that(GOOD).await;
    let channel = Arc::new(channel(vec![dc.address]));
    let tasks: Vec<_> = (0..300)
        .map(|user| {
            let channel = Arc::clone(&channel);
            let (done, outcome) = tokio::sync::oneshot::channel();
            TokioNet.spawn(async move {
                let _ = done.send(ask_as(&channel, &user.to_string()).await);
            });
            (user, outcome)
        })
        .collect();
    for (user, outcome) in tasks {
        assert_eq!(outcome.await.unwrap().reply.logon_server, user.to_string());
    }
    assert_eq!(dc.saw().len(), 300);
}

/// Sends two logons at the same time.
async fn ask_twice(channel: &SecureChannel) -> (Outcome, Outcome) {
    let (mut first, mut second) = (pin!(ask(channel)), pin!(ask(channel)));
    let mut done = (None, None);
    while done.0.is_none() || done.1.is_none() {
        tokio::select! {
            biased;
            outcome = first.as_mut(), if done.0.is_none() => done.0 = Some(outcome),
            outcome = second.as_mut(), if done.1.is_none() => done.1 = Some(outcome),
        }
    }
    (done.0.unwrap(), done.1.unwrap())
}

#[tokio::test]
async fn as_many_logons_as_may_be_are_under_way_at_once_and_others_wait_for_their_turn() {
    for (max_concurrent_api, seen) in [(2, 2), (1, 1)] {
        let dc = Dc::that(Does::Waits).await;
        // A logon is under way for 100 ms, since no reply comes.
        let channel = channel_with(vec![dc.address], max_concurrent_api, ChannelTimeouts::QUEUE);
        let asking = tokio::time::timeout(Duration::from_millis(50), ask_twice(&channel)).await;
        assert!(asking.is_err());
        assert_eq!(dc.saw().len(), seen);
    }
}

#[tokio::test]
async fn a_logon_that_waits_too_long_for_others_is_refused_and_no_dc_is_asked() {
    let dc = Dc::that(Does::Waits).await;
    let channel = channel_with(vec![dc.address], 1, Duration::from_millis(20));
    let (first, second) = ask_twice(&channel).await;
    assert_eq!(summary(&second), (2, NtStatus::NO_LOGON_SERVERS, false));
    assert_eq!(summary(&first), (1, NtStatus::NO_LOGON_SERVERS, false));
    assert_eq!(dc.saw(), [1]);
}

#[tokio::test]
async fn a_request_that_fits_in_no_frame_is_refused_and_the_channel_goes_on() {
    let (first, second) = (Dc::that(GOOD).await, Dc::that(GOOD).await);
    let channel = channel(vec![first.address, second.address]);
    assert_eq!(summary(&ask_as(&channel, &"x".repeat(70_000)).await), (1, NtStatus::INVALID_PARAMETER, false));
    assert_eq!(summary(&ask(&channel).await), (2, NtStatus::SUCCESS, true));
    assert_eq!((first.saw(), second.saw()), (vec![2], vec![]));
}
