//! Tests of the real `curl --negotiate` with tickets of Stickler's KDC, compared with its mock: a server sees the same
//! requests from both.

use std::sync::{Arc, mpsc};

use stickler_mock_client::Client;
use stickler_model::action::RequestSpec;
use stickler_model::event::Credentials;
use stickler_model::topology::{AppPool, ClientSpec, LinkSpec, Profile, Provider, ServerSpec, SiteSpec};
use stickler_model::{Entropy, Env, Event, Identity, Journal, Payload, Principal, RequestId, Topology, What, standard};
use stickler_net::TokioNet;
use stickler_wire::{Options, Site, WallClock};

use crate::domain::{corp, named};
use crate::tools::Desk;

const PROGRAMS: [&str; 2] = ["kinit", "curl"];

/// The requests of a user: each uses the connection of the previous one, if that is still open.
#[derive(Clone, Copy)]
struct Errand {
    balancer: &'static str,
    persists: bool,
    /// Whether the servers have the key of the account to which the site's name belongs.
    right_key: bool,
    logged_on: bool,
    /// The length of each request's body.
    bodies: &'static [usize],
}

const PLAIN: Errand =
    Errand { balancer: "l4-nat", persists: true, right_key: true, logged_on: true, bodies: &[0, 0, 0] };

/// A site, and the events of its servers.
struct Served {
    site: Site,
    seen: mpsc::Receiver<Event>,
}

impl Served {
    fn start(errand: Errand) -> Self {
        let server = |number| ServerSpec {
            providers: vec![Provider::Negotiate, Provider::Ntlm],
            site: SiteSpec {
                pool: AppPool::Service("svc-web".into()),
                app_pool_credentials: errand.right_key,
                persist_non_ntlm: errand.persists,
                ..SiteSpec::default()
            },
            ..standard::server(format!("iis{number}").into())
        };
        let topology = Topology {
            domain: corp(),
            servers: vec![server(1), server(2)],
            link: LinkSpec::default(),
            ..Topology::default()
        };
        let (events, seen) = mpsc::channel();
        let events = Box::new(move |event| drop(events.send(event)));
        let site = Site::start(Options { events, ..Options::new(topology, named(errand.balancer)) }).unwrap();
        Self { site, seen }
    }

    /// Returns what the servers received and answered, in order.
    fn story(&self) -> Vec<String> {
        let told = |event: Event| match event.what {
            What::ServerAnswered { connection, number, leg, status, win32, user, length, .. } => {
                let user = user.map_or_else(|| "nobody".to_owned(), |user| user.to_string());
                let by = event.by;
                Some(format!("{by} {connection}.{number} {leg:?} with {length} bytes: {status} {win32:#x} {user}"))
            }
            _ => None,
        };
        self.seen.try_iter().filter_map(told).collect()
    }
}

/// Runs the real programs. Returns `None` if they are not installed.
fn real(errand: Errand) -> Option<Vec<String>> {
    let served = Served::start(errand);
    let desk = Desk::new(&PROGRAMS, &served.site.kdc.krb5_conf())?;
    if errand.logged_on {
        assert!(desk.kinit(&["alice"], "alice-pw").ok);
    }
    let mut arguments = Vec::new();
    for (at, &length) in errand.bodies.iter().enumerate() {
        let more = if at == 0 { "--silent" } else { "--next" };
        arguments.extend([more, "--negotiate", "-u", ":", "--output", "/dev/null"].map(str::to_owned));
        if length > 0 {
            let body = desk.write(&format!("body{at}"), &vec![b'x'; length]);
            arguments.extend(["--data-binary".to_owned(), format!("@{}", body.display())]);
        }
        arguments.push(format!("http://localhost:{}/{at}", served.site.front_end.port()));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = desk.run("curl", &arguments, "");
    assert!(said.ok, "{said:?}");
    Some(served.story())
}

async fn mock(errand: Errand) -> Vec<String> {
    let served = Served::start(errand);
    let identity = Identity { principal: Principal::new("CORP", "alice"), password: "alice-pw".into() };
    let spec = ClientSpec {
        no_kerberos: !errand.logged_on,
        ..ClientSpec::new("alice".into(), Profile::CURL_NEGOTIATE, Some(identity))
    };
    let clock: Arc<dyn stickler_model::Clock> = Arc::new(WallClock::default());
    let journal = Journal::new(Arc::clone(&clock));
    let env = Env { name: spec.name.clone(), clock, entropy: Entropy::new(1, "alice"), journal };
    let host = format!("localhost:{}", served.site.front_end.port());
    let client = Client::new(TokioNet, env, &spec, served.site.front_end, host);
    let client = client.with_kdc(served.site.kdc.address, &served.site.kdc.realm);
    for (at, &length) in errand.bodies.iter().enumerate() {
        let method = if length == 0 { "GET" } else { "POST" };
        let body = if length == 0 { Payload::Empty } else { Payload::Bytes(length as u64) };
        let request = RequestSpec { body, ..RequestSpec::new(spec.name.clone(), method, &format!("/{at}")) };
        client.request(RequestId(at as u32 + 1), &request, Credentials::Valid).await;
    }
    served.story()
}

/// Runs both, whose events must be equal.
async fn both(errand: Errand) -> Option<Vec<String>> {
    let real = real(errand)?;
    assert_eq!(mock(errand).await, real);
    Some(real)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ticket_holds_for_its_connection_or_for_its_request() {
    let Some(story) = both(PLAIN).await else { return };
    assert_eq!(
        story,
        [
            "iis1 1.1 Ticket with 0 bytes: 200 0x0 CORP\\alice",
            "iis1 1.2 Anonymous with 0 bytes: 200 0x0 CORP\\alice",
            "iis1 1.3 Anonymous with 0 bytes: 200 0x0 CORP\\alice",
        ]
    );
    let story = both(Errand { persists: false, ..PLAIN }).await.unwrap();
    assert_eq!(
        story,
        [
            "iis1 1.1 Ticket with 0 bytes: 200 0x0 CORP\\alice",
            "iis1 1.2 Ticket with 0 bytes: 200 0x0 CORP\\alice",
            "iis1 1.3 Ticket with 0 bytes: 200 0x0 CORP\\alice",
        ]
    );
}

// The refusal comes before the body, of which the server has read nothing by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_pinned_on_401_is_not_pinned_by_a_ticket_that_comes_at_once() {
    let errand = Errand { balancer: "pin-on-401", bodies: &[10, 100_000, 3], ..PLAIN };
    let Some(story) = both(errand).await else { return };
    assert_eq!(
        story,
        [
            "iis1 1.1 Ticket with 10 bytes: 200 0x0 CORP\\alice",
            "iis2 1.1 Anonymous with 0 bytes: 401 0x5 nobody",
            "iis2 1.2 Ticket with 100000 bytes: 200 0x0 CORP\\alice",
            "iis2 1.3 Anonymous with 3 bytes: 200 0x0 CORP\\alice",
        ]
    );
    let story = both(Errand { persists: false, ..errand }).await.unwrap();
    assert_eq!(
        story,
        [
            "iis1 1.1 Ticket with 10 bytes: 200 0x0 CORP\\alice",
            "iis2 1.1 Ticket with 100000 bytes: 200 0x0 CORP\\alice",
            "iis1 1.2 Ticket with 3 bytes: 200 0x0 CORP\\alice",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_for_each_request_needs_a_ticket_for_each() {
    let Some(story) = both(Errand { balancer: "close-per-request", ..PLAIN }).await else { return };
    let tickets: Vec<&str> = story.iter().filter(|line| line.contains("Ticket")).map(String::as_str).collect();
    assert_eq!((story.len(), tickets.len()), (5, 3), "{story:#?}");
    assert!(tickets.iter().all(|line| line.ends_with("200 0x0 CORP\\alice")), "{story:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_ticket_for_another_key_and_a_user_without_tickets_are_refused_at_once() {
    let Some(story) = both(Errand { right_key: false, bodies: &[0, 100_000], ..PLAIN }).await else { return };
    assert_eq!(
        story,
        ["iis1 1.1 Ticket with 0 bytes: 401 0x8009030c nobody", "iis1 1.2 Ticket with 0 bytes: 401 0x8009030c nobody"]
    );
    let story = both(Errand { logged_on: false, bodies: &[0, 3], ..PLAIN }).await.unwrap();
    assert_eq!(
        story,
        ["iis1 1.1 Anonymous with 0 bytes: 401 0x5 nobody", "iis1 1.2 Anonymous with 0 bytes: 401 0x5 nobody"]
    );
}
