//! Tests of the sources of accounts: the DC, local accounts, and a DC that does not answer.

use std::sync::Arc;

use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::status::NtStatus;
use stickler_mock_iis::{Accounts, Sam, WebSite};
use stickler_model::What;
use stickler_model::topology::UserSpec;
use stickler_net::{Listener as _, Net as _, TokioNet};

use crate::bench::{Bench, SECRET, domain};

fn local_users() -> Sam {
    Sam::new("iis1", &[UserSpec::new("Admin", "local")])
}

fn codes(bench: &Bench) -> Vec<u32> {
    bench.take(|what| match what {
        What::ServerAnswered { status: 401, substatus: 1, win32, .. } => Some(win32),
        _ => None,
    })
}

#[tokio::test]
async fn a_machine_in_no_domain_asks_its_own_accounts() {
    let bench = Bench::with_accounts(domain(None), |_| Accounts::local(local_users()), |site| site).await;
    for domain in ["", "IIS1", "ANY"] {
        let mut http = bench.connect().await;
        let answer = http.login_as("NTLM", domain, "admin", "local", NtlmProfile::windows()).await;
        assert_eq!(answer.user().as_deref(), Some("IIS1\\Admin"));
    }
    let mut http = bench.connect().await;
    assert_eq!(http.login_as("NTLM", "", "admin", "wrong", NtlmProfile::windows()).await.status, 401);
    assert_eq!(http.login_as("NTLM", "", "alice", "alice-pw", NtlmProfile::windows()).await.status, 401);
    assert!(
        bench.take(|what| matches!(what, What::ServerLogon { .. } | What::DcLogon { .. }).then_some(())).is_empty()
    );
}

#[tokio::test]
async fn a_joined_machine_asks_its_own_accounts_for_a_domain_that_the_dc_does_not_know() {
    let both = |dc| Accounts::dc(dc, SECRET).with_sam(local_users());
    let bench = Bench::with_accounts(domain(None), both, |site| site).await;
    let mut http = bench.connect().await;
    let local = http.login_as("NTLM", "IIS1", "admin", "local", NtlmProfile::windows()).await;
    assert_eq!(local.user().as_deref(), Some("IIS1\\Admin"));
    assert_eq!(http.login("alice", "alice-pw").await.user().as_deref(), Some("CORP\\alice"));
    // For its own domain, the DC's answer is final.
    assert_eq!(http.login("admin", "local").await.status, 401);
}

#[tokio::test]
async fn without_a_dc_nobody_logs_on_and_the_log_says_why() {
    // The port was free a moment ago.
    let nowhere = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap().local_addr().unwrap();
    let bench = Bench::with_accounts(domain(None), |_| Accounts::dc(nowhere, SECRET), |site| site).await;
    assert_eq!(bench.connect().await.login("alice", "alice-pw").await.status, 401);
    let logons = bench.journal.take().into_iter().filter_map(|event| match event.what {
        What::ServerLogon { status, .. } => Some(status),
        What::ServerAnswered { win32, substatus: 1, .. } => Some(win32),
        _ => None,
    });
    assert_eq!(logons.collect::<Vec<_>>(), [2_148_074_254, NtStatus::NO_LOGON_SERVERS.0, 1311]);
}

#[tokio::test]
async fn the_next_dc_is_asked_where_the_first_is_not_there_and_the_log_shows_nothing_of_it() {
    let nowhere = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap().local_addr().unwrap();
    let both = |dc| Accounts::domain(vec![nowhere, dc], SECRET);
    let bench = Bench::with_accounts(domain(None), both, |site| site).await;
    assert_eq!(bench.connect().await.login("alice", "alice-pw").await.user().as_deref(), Some("CORP\\alice"));
    assert_eq!(bench.connect().await.login("alice", "wrong").await.status, 401);
    let logons = bench.journal.take().into_iter().filter_map(|event| match event.what {
        What::DcLogon { logon, status, bad_count, .. } => Some((logon, status, Some(bad_count))),
        What::ServerLogon { logon, status, .. } => Some((logon, status, None)),
        _ => None,
    });
    // The first number was used for the DC that does not exist.
    let wrong = NtStatus::WRONG_PASSWORD.0;
    assert_eq!(logons.collect::<Vec<_>>(), [(2, 0, Some(0)), (2, 0, None), (3, wrong, Some(1)), (3, wrong, None)]);
}

#[tokio::test]
async fn a_joined_machine_asks_its_own_accounts_only_when_no_dc_knows_the_domain() {
    let bench = Bench::start().await;
    let other = bench.dc;
    let both = |dc| Accounts::domain(vec![dc, other], SECRET).with_sam(local_users());
    let web = Bench::with_accounts(domain(None), both, |site| site).await;
    let local = web.connect().await.login_as("NTLM", "IIS1", "admin", "local", NtlmProfile::windows()).await;
    assert_eq!(local.user().as_deref(), Some("IIS1\\Admin"));
    let decided = |bench: &Bench| bench.take(|what| matches!(what, What::DcLogon { .. }).then_some(())).len();
    assert_eq!((decided(&web), decided(&bench)), (1, 1));
}

#[tokio::test]
async fn a_machine_with_another_secret_has_no_trust_with_its_domain() {
    let bench = Bench::with_accounts(domain(None), |dc| Accounts::dc(dc, b"another"), |site| site).await;
    assert_eq!(bench.connect().await.login("alice", "alice-pw").await.status, 401);
    assert_eq!(codes(&bench)[1], 1789);
}

#[tokio::test]
async fn a_dc_that_is_silent_is_given_up() {
    let listener = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let silent = listener.local_addr().unwrap();
    let limits = stickler_mock_iis::ServerLimits { logon: std::time::Duration::from_millis(50), ..Default::default() };
    let bench =
        Bench::with_accounts(domain(None), |_| Accounts::dc(silent, SECRET), |site: WebSite| site.with_limits(limits))
            .await;
    assert_eq!(bench.connect().await.login("alice", "alice-pw").await.status, 401);
    assert_eq!(codes(&bench)[1], 1311);
}

#[tokio::test]
async fn a_logon_after_the_dc_came_back_is_asked_again_on_a_new_channel() {
    // A proxy between the server and the DC, whose connections can be closed.
    let bench = Bench::start().await;
    let relay = TokioNet.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = relay.local_addr().unwrap();
    let target = bench.dc;
    let connections = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let kept = Arc::clone(&connections);
    TokioNet.spawn(async move {
        while let Ok((mut near, _)) = relay.accept().await {
            let mut far = TokioNet.connect(target).await.unwrap();
            let task = TokioNet.spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
            kept.lock().await.push(task);
        }
    });
    let web = Bench::with_accounts(domain(None), |_| Accounts::dc(address, SECRET), |site| site).await;
    let mut http = web.connect().await;
    assert_eq!(http.login("alice", "alice-pw").await.status, 200);
    assert_eq!(http.login("alice", "alice-pw").await.status, 200);
    // One channel carried both logons. Its connections are closed now.
    let cut: Vec<_> = connections.lock().await.drain(..).collect();
    assert_eq!(cut.len(), 1);
    cut[0].abort();
    assert_eq!(http.login("alice", "alice-pw").await.status, 200);
    let of_dc = bench.take(|what| if let What::DcLogon { logon, .. } = what { Some(logon) } else { None });
    let of_web = web.take(|what| if let What::ServerLogon { logon, .. } = what { Some(logon) } else { None });
    assert_eq!(of_dc, of_web);
}
