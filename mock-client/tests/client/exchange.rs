//! Tests of the pure part, which decides what is sent next, given the last answer.

use std::fmt::Write as _;
use std::sync::Arc;

use http::Method;
use proptest::prelude::*;
use stickler_auth::FileTime;
use stickler_auth::http::{AuthToken, Scheme};
use stickler_auth::kerberos::crypto::{Etype, Key};
use stickler_auth::kerberos::{Credential, KerberosTime, Principal, PrincipalName, ap};
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::acceptor::{self, Acceptor, AcceptorConfig, TargetNames};
use stickler_auth::ntlm::initiator::{Credentials, InitiatorConfig, Nonces};
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, StoredSecret};
use stickler_auth::spnego::token::{NegState, NegTokenResp};
use stickler_auth::spnego::{KerberosOffer, Mechanism};
use stickler_auth::status::NtStatus;
use stickler_mock_client::UserAgent;
use stickler_mock_client::agent::{Body, Exchange, Fresh, Loss, MethodKind, Response, Send, Step, Target};
use stickler_model::agent::Agent;
use stickler_model::{Leg, Profile};

use crate::peer::challenge;

/// The reaction to a request.
#[derive(Debug, Clone)]
enum Back {
    /// An answer with this status, without an offer or a token.
    Status(u16),
    /// A 401 that offers these schemes.
    Offers(Vec<Scheme>),
    /// A 401 with a challenge.
    Challenge(Scheme),
    /// A 401 with a challenge that is not valid.
    Rubbish(Scheme),
    /// A 401 with this token.
    Token(Scheme, Vec<u8>),
    /// This reaction, after which the connection closes.
    Closing(Box<Back>),
    /// No answer, because the connection is lost.
    Lost(Loss),
}

use Back::{Challenge, Closing, Offers, Rubbish, Status};
use Scheme::{Negotiate, Ntlm};

const BOTH: [Scheme; 2] = [Negotiate, Ntlm];
const STALE: Back = Back::Lost(Loss { proven: true, unsent: false });

impl Back {
    fn parts(&self) -> (u16, Vec<AuthToken>, bool) {
        let token = |scheme, token: &[u8]| vec![AuthToken { scheme, token: token.to_vec() }];
        match self {
            Status(status) => (*status, Vec::new(), true),
            Offers(schemes) => (401, schemes.iter().flat_map(|&scheme| token(scheme, b"")).collect(), true),
            Challenge(scheme) => (401, token(*scheme, &challenge()), true),
            Rubbish(scheme) => (401, token(*scheme, b"rubbish"), true),
            Back::Token(scheme, bytes) => (401, token(*scheme, bytes), true),
            Closing(back) => (back.parts().0, back.parts().1, false),
            Back::Lost(_) => unreachable!("a lost connection has no answer"),
        }
    }
}

fn initiator(agent: &UserAgent) -> Arc<InitiatorConfig> {
    Arc::new(InitiatorConfig {
        profile: agent.ntlm.clone(),
        credentials: Credentials::new("alice", "CORP", "Passw0rd!"),
        target_name: Some("HTTP/app.corp.example".into()),
        channel_binding: None,
    })
}

fn exchange(agent: UserAgent, method: &Method) -> Exchange {
    let initiator = initiator(&agent);
    Exchange::new(Arc::new(agent), Some(initiator), MethodKind::of(method))
}

const NOW: FileTime = FileTime(133_000_000_000_000_000);

/// A source of fixed random bytes and of a fixed time.
struct Fixed;

impl Fresh for Fixed {
    fn ntlm(&self) -> Nonces {
        Nonces { client_challenge: [1; 8], exported_session_key: [2; 16] }
    }

    fn kerberos(&self) -> ap::Nonces {
        ap::Nonces { confounder: [3; 16], cred_confounder: [4; 16], subkey: [5; 32], sequence: 6 }
    }

    fn now(&self) -> FileTime {
        NOW
    }
}

fn sent(step: Step) -> Option<Send> {
    match step {
        Step::Send(send) => Some(send),
        Step::Ticket(_) => panic!("no tickets here"),
        Step::Answer => None,
    }
}

fn next(exchange: &mut Exchange, back: &Back) -> Option<Send> {
    if let Back::Lost(lost) = back {
        return exchange.connection_lost(*lost).and_then(sent);
    }
    let (status, offers, keeps_alive) = back.parts();
    sent(exchange.take_response(Response { status, offers: &offers, keeps_alive, leaves_http2: false }, &Fixed))
}

/// Returns everything that is sent, one word each: the leg and its scheme, `-` without its body, `*` on a new
/// connection.
fn walk(mut exchange: Exchange, authenticated: bool, backs: &[Back]) -> String {
    let mut text = String::new();
    let mut send = sent(exchange.begin(authenticated));
    let mut backs = backs.iter();
    while let Some(Send { leg, token, body, connection }) = send {
        let scheme = token.map_or(String::new(), |token| format!(":{}", token.scheme));
        let body = if body == Body::Empty { "-" } else { "" };
        let connection = if connection == Target::New { "*" } else { "" };
        let _ = write!(text, "{leg:?}{scheme}{body}{connection} ");
        let Some(back) = backs.next() else { return text + "..." };
        send = next(&mut exchange, back);
    }
    assert_eq!(backs.count(), 0, "more comes back than was sent: {text}");
    text + "end"
}

fn curl(method: &Method, backs: &[Back]) -> String {
    walk(exchange(UserAgent::of(Profile::CURL), method), false, backs)
}

fn browser(backs: &[Back]) -> String {
    walk(exchange(UserAgent::of(Profile::BROWSER), &Method::POST), false, backs)
}

#[test]
fn curl_sends_the_negotiate_leg_at_once_and_the_body_with_the_authenticate_leg() {
    assert_eq!(curl(&Method::POST, &[Challenge(Ntlm), Status(200)]), "Negotiate:NTLM- Authenticate:NTLM end");
    assert_eq!(curl(&Method::GET, &[Challenge(Ntlm), Status(200)]), "Negotiate:NTLM Authenticate:NTLM end");
}

#[test]
fn curl_sends_no_token_on_an_authenticated_connection_and_restarts_when_asked_again() {
    let on_authenticated = |backs: &[Back]| walk(exchange(UserAgent::of(Profile::CURL), &Method::POST), true, backs);
    assert_eq!(on_authenticated(&[Status(200)]), "Anonymous end");
    assert_eq!(
        on_authenticated(&[Offers(BOTH.into()), Challenge(Ntlm), Status(200)]),
        "Anonymous Negotiate:NTLM- Authenticate:NTLM end"
    );
    assert_eq!(on_authenticated(&[Offers(vec![Negotiate])]), "Anonymous end", "curl --ntlm knows NTLM only");
}

#[test]
fn curl_gives_up_after_one_refusal_a_closed_challenge_or_none() {
    assert_eq!(curl(&Method::GET, &[Challenge(Ntlm), Offers(BOTH.into())]), "Negotiate:NTLM Authenticate:NTLM end");
    assert_eq!(curl(&Method::GET, &[Closing(Challenge(Ntlm).into())]), "Negotiate:NTLM end");
    assert_eq!(curl(&Method::GET, &[Offers(BOTH.into())]), "Negotiate:NTLM end");
    assert_eq!(curl(&Method::GET, &[Rubbish(Ntlm)]), "Negotiate:NTLM end");
    assert_eq!(curl(&Method::GET, &[Challenge(Negotiate)]), "Negotiate:NTLM end", "a challenge of another scheme");
}

#[test]
fn curl_sends_the_body_without_a_token_when_a_probe_is_answered_with_success() {
    assert_eq!(curl(&Method::POST, &[Status(200), Status(200)]), "Negotiate:NTLM- Anonymous end");
    assert_eq!(curl(&Method::POST, &[Closing(Status(200).into()), Status(200)]), "Negotiate:NTLM- Anonymous* end");
    assert_eq!(curl(&Method::GET, &[Status(200)]), "Negotiate:NTLM end");
    assert_eq!(curl(&Method::POST, &[Status(502)]), "Negotiate:NTLM- end");
    let game = [Status(200), Offers(BOTH.into()), Status(200)];
    assert_eq!(curl(&Method::POST, &game), "Negotiate:NTLM- Anonymous Negotiate:NTLM- end");
}

#[test]
fn a_browser_asks_first_and_sends_its_body_on_every_leg_with_the_scheme_it_likes_best() {
    let whole = [Offers(vec![Ntlm, Negotiate]), Challenge(Negotiate), Status(200)];
    assert_eq!(browser(&whole), "Anonymous Negotiate:Negotiate Authenticate:Negotiate end");
    assert_eq!(
        browser(&[Offers(vec![Ntlm]), Challenge(Ntlm), Status(403)]),
        "Anonymous Negotiate:NTLM Authenticate:NTLM end"
    );
    assert_eq!(browser(&[Offers(vec![])]), "Anonymous end");
    assert_eq!(browser(&[Status(200)]), "Anonymous end");
}

#[test]
fn a_browser_takes_a_refused_password_for_the_answer() {
    let refused = [Offers(vec![Ntlm]), Challenge(Ntlm), Offers(vec![Ntlm])];
    assert_eq!(browser(&refused), "Anonymous Negotiate:NTLM Authenticate:NTLM end");
}

#[test]
fn a_browser_starts_over_once_when_the_challenge_leg_closes_the_connection() {
    let closing = || Closing(Challenge(Ntlm).into());
    let once = [Offers(vec![Ntlm]), closing(), Challenge(Ntlm), Status(200)];
    assert_eq!(browser(&once), "Anonymous Negotiate:NTLM Negotiate:NTLM* Authenticate:NTLM end");
    assert_eq!(browser(&[Offers(vec![Ntlm]), closing(), closing()]), "Anonymous Negotiate:NTLM Negotiate:NTLM* end");
}

#[test]
fn the_handshake_begins_on_a_new_connection_when_the_first_401_closes_or_the_profile_does() {
    let closing = [Closing(Offers(vec![Ntlm]).into()), Challenge(Ntlm), Status(200)];
    assert_eq!(browser(&closing), "Anonymous Negotiate:NTLM* Authenticate:NTLM end");
    let old = UserAgent { close_after_first_401: true, ..UserAgent::of(Profile::BROWSER) };
    let kept = [Offers(vec![Ntlm]), Challenge(Ntlm), Status(200)];
    assert_eq!(walk(exchange(old, &Method::GET), false, &kept), "Anonymous Negotiate:NTLM* Authenticate:NTLM end");
}

#[test]
fn a_lost_connection_is_replaced_once_and_only_where_that_is_safe() {
    let lost = |proven, unsent| Back::Lost(Loss { proven, unsent });
    let get = |backs: &[Back]| walk(exchange(UserAgent::of(Profile::BROWSER), &Method::GET), true, backs);
    assert_eq!(get(&[STALE, Status(200)]), "Anonymous Anonymous* end");
    assert_eq!(get(&[STALE, STALE]), "Anonymous Anonymous* end");
    assert_eq!(get(&[lost(false, false)]), "Anonymous end", "a new connection: the server is to blame");
    assert_eq!(
        get(&[Offers(vec![Ntlm]), Challenge(Ntlm), STALE, Status(200)]),
        "Anonymous Negotiate:NTLM Authenticate:NTLM Anonymous* end"
    );
    assert_eq!(browser(&[STALE]), "Anonymous end", "a POST may have been processed");
    assert_eq!(browser(&[lost(false, true), Status(200)]), "Anonymous Anonymous* end", "nothing was sent");
    assert_eq!(
        curl(&Method::POST, &[STALE, Status(502)]),
        "Negotiate:NTLM- Negotiate:NTLM-* end",
        "a probe carries nothing"
    );
    let on_authenticated = walk(exchange(UserAgent::of(Profile::CURL), &Method::GET), true, &[STALE, Status(502)]);
    assert_eq!(on_authenticated, "Anonymous Negotiate:NTLM* end", "the new connection is not authenticated");
}

#[test]
fn a_client_without_credentials_never_sends_a_token() {
    for agent in [UserAgent::of(Profile::CURL), UserAgent::of(Profile::BROWSER)] {
        let exchange = Exchange::new(Arc::new(agent), None, MethodKind::of(&Method::GET));
        assert_eq!(walk(exchange, false, &[Offers(BOTH.into())]), "Anonymous end");
    }
}

#[test]
fn the_tokens_prove_the_password_to_an_acceptor_that_asks_the_directory() {
    let agents = [
        (Agent::Curl, Ntlm, false),
        (Agent::Browser, Negotiate, true),
        (Agent::Wininet, Negotiate, true),
        (Agent::ChromiumLinux, Ntlm, true),
        (Agent::FirefoxLinux, Ntlm, false),
        (Agent::CurlAnyauth, Ntlm, false),
        (Agent::Wget, Ntlm, false),
        (Agent::Mono, Ntlm, false),
        (Agent::Lwp, Ntlm, false),
    ];
    for (name, scheme, mic) in agents {
        let agent = UserAgent::of(Profile::of(name));
        let names = TargetNames {
            netbios_computer: "IIS1".into(),
            netbios_domain: "CORP".into(),
            dns_computer: "iis1.corp.example".into(),
            ..TargetNames::default()
        };
        let mut server = Acceptor::new(AcceptorConfig { names, joined: true, ..AcceptorConfig::default() }, None);
        let mut client = exchange(agent, &Method::GET);
        let mut send = sent(client.begin(false)).unwrap();
        if send.leg == Leg::Anonymous {
            // No agent in this test has a ticket, and curl would stay with Negotiate.
            let offers = if name == Agent::CurlAnyauth { vec![Ntlm] } else { BOTH.into() };
            send = next(&mut client, &Offers(offers)).unwrap();
        }
        let acceptor::Step::Challenge(token) = server.accept(&send.token.unwrap().token, [7; 8], NOW) else {
            panic!("a Challenge is due");
        };
        let offers = [AuthToken { scheme, token }];
        let response = Response { status: 401, offers: &offers, keeps_alive: true, leaves_http2: false };
        let Step::Send(Send { token: Some(authenticate), .. }) = client.take_response(response, &Fixed) else {
            panic!("an Authenticate is due");
        };
        let acceptor::Step::NeedLogon(request) = server.accept(&authenticate.token, [7; 8], NOW) else {
            panic!("a logon is due");
        };
        let keys =
            StoredSecret::from_password("Passw0rd!", false).verify(&request, LmCompatibilityLevel::AcceptAll).unwrap();
        let reply = LogonReply {
            status: NtStatus::SUCCESS,
            session_base_key: keys.session_base_key,
            effective_name: "alice".into(),
            domain: "CORP".into(),
            ..LogonReply::default()
        };
        let acceptor::Step::Authenticated(who) = server.resume(&reply) else {
            panic!("the logon is good");
        };
        assert_eq!((&*who.user, who.mic), ("alice", mic), "{name:?}");
        assert_eq!(who.target_name.is_some_and(|name| name == "HTTP/app.corp.example"), mic, "{name:?}");
    }
}

#[test]
fn without_a_ticket_browsers_on_linux_try_ntlm_and_curl_stays_with_negotiate() {
    let walk = |agent, backs: &[Back]| walk(exchange(UserAgent::of(Profile::of(agent)), &Method::GET), false, backs);
    for agent in [Agent::ChromiumLinux, Agent::FirefoxLinux] {
        let both = [Offers(BOTH.into()), Challenge(Ntlm), Status(200)];
        assert_eq!(walk(agent, &both), "Anonymous Negotiate:NTLM Authenticate:NTLM end");
        assert_eq!(walk(agent, &[Offers(vec![Negotiate])]), "Anonymous end", "nothing else is offered");
        let closing = [Closing(Offers(BOTH.into()).into()), Challenge(Ntlm), Status(200)];
        assert_eq!(walk(agent, &closing), "Anonymous Negotiate:NTLM* Authenticate:NTLM end");
    }
    assert_eq!(walk(Agent::CurlAnyauth, &[Offers(BOTH.into())]), "Anonymous end");
    let ntlm = [Offers(vec![Ntlm]), Challenge(Ntlm), Status(200)];
    assert_eq!(walk(Agent::CurlAnyauth, &ntlm), "Anonymous Negotiate:NTLM Authenticate:NTLM end");
}

#[test]
fn a_challenge_over_http2_that_is_left_restarts_the_handshake_of_curl_too() {
    let challenged = |leaves_http2: bool| {
        let mut curl = exchange(UserAgent::of(Profile::CURL), &Method::GET);
        let offers = [AuthToken { scheme: Ntlm, token: challenge() }];
        sent(curl.begin(false)).unwrap();
        sent(curl.take_response(Response { status: 401, offers: &offers, keeps_alive: false, leaves_http2 }, &Fixed))
    };
    let again = challenged(true).unwrap();
    assert_eq!((again.leg, again.connection), (Leg::Negotiate, Target::New));
    assert_eq!(challenged(false), None, "curl gives up where the server closes with its challenge");
}

fn back() -> impl Strategy<Value = Back> {
    let scheme = || prop::sample::select(BOTH.to_vec());
    let open = prop_oneof![
        prop::sample::select(vec![200, 302, 401, 403, 407, 502]).prop_map(Status),
        prop::collection::vec(scheme(), 0..3).prop_map(Offers),
        scheme().prop_map(Challenge),
        scheme().prop_map(Rubbish),
    ];
    prop_oneof![
        4 => open.clone(),
        2 => open.prop_map(|back| Closing(Box::new(back))),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(proven, unsent)| Back::Lost(Loss { proven, unsent })),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_back_an_exchange_ends_soon_and_keeps_its_legs_in_order(
        browser in any::<bool>(),
        close_after_first_401 in any::<bool>(),
        authenticated in any::<bool>(),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::PUT]),
        backs in prop::collection::vec(back(), 12),
    ) {
        let agent = if browser { UserAgent::of(Profile::BROWSER) } else { UserAgent::of(Profile::CURL) };
        let mut exchange = exchange(UserAgent { close_after_first_401, ..agent }, &method);
        let mut send = sent(exchange.begin(authenticated)).unwrap();
        let mut sent = 1;
        for back in &backs {
            let Some(next) = next(&mut exchange, back) else { break };
            sent += 1;
            let before = std::mem::replace(&mut send, next);
            if send.leg == Leg::Authenticate {
                prop_assert!(matches!(back, Challenge(_)) && before.leg == Leg::Negotiate);
                prop_assert_eq!((send.connection, send.body), (Target::Same, Body::Whole));
            }
            prop_assert_eq!(send.token.is_some(), send.leg != Leg::Anonymous);
            prop_assert!(send.body == Body::Whole || send.leg == Leg::Negotiate);
        }
        prop_assert!(sent <= 8, "{} sent", sent);
    }
}

/// Returns a ticket that no server accepts.
fn stray_ticket() -> Arc<KerberosOffer> {
    let principal = |name| Principal::new(PrincipalName::parse(name), "CORP.EXAMPLE");
    let credential = Credential {
        client: principal("alice"),
        server: principal("HTTP/app.corp.example"),
        key: Key::from_random(Etype::Aes256Sha1, &[1; 32]),
        ticket: vec![0x30, 0],
        flags: 0,
        auth_time: KerberosTime(0),
        start_time: KerberosTime(0),
        end_time: KerberosTime::MAX,
        renew_till: None,
    };
    Arc::new(KerberosOffer { config: ap::InitiatorConfig::default(), credential })
}

/// Returns the next request, with a ticket if one is needed.
fn presented(exchange: &mut Exchange, step: Step, ticket: bool) -> Option<Send> {
    match step {
        Step::Ticket(_) => {
            let step = exchange.ticket(ticket.then(stray_ticket), &Fixed);
            assert!(!matches!(step, Step::Ticket(_)), "one is enough");
            sent(step)
        }
        step => sent(step),
    }
}

#[test]
fn without_a_ticket_curl_asks_without_credentials_and_takes_the_401() {
    let curl = || exchange(UserAgent::of(Profile::CURL_NEGOTIATE), &Method::POST).with_kerberos(true);
    let mut first = curl();
    let step = first.begin(false);
    let send = presented(&mut first, step, false).unwrap();
    assert_eq!((send.leg, send.body), (Leg::Anonymous, Body::Whole));
    let (_, offers, _) = Offers(BOTH.into()).parts();
    let step =
        first.take_response(Response { status: 401, offers: &offers, keeps_alive: true, leaves_http2: false }, &Fixed);
    assert_eq!(presented(&mut first, step, false), None);
    let mut second = curl();
    let step = second.begin(false);
    let send = presented(&mut second, step, true).unwrap();
    assert_eq!((send.leg, send.body), (Leg::Ticket, Body::Whole));
    // Without a KDC, the agent does not even ask for a ticket.
    assert!(matches!(exchange(UserAgent::of(Profile::CURL_NEGOTIATE), &Method::GET).begin(false), Step::Send(_)));
}

#[test]
fn without_a_ticket_no_request_goes_on_the_connection_of_the_previous_user() {
    for (ticket, target) in [(false, Target::New), (true, Target::Same)] {
        let mut next = exchange(UserAgent::of(Profile::CURL_NEGOTIATE), &Method::GET).with_kerberos(true);
        let step = next.reauthenticate(Negotiate);
        assert_eq!(presented(&mut next, step, ticket).unwrap().connection, target);
    }
}

/// Returns the reactions to a client that may have sent SPNEGO.
fn spnego_back() -> impl Strategy<Value = Back> {
    let mechanism = prop::sample::select(vec![Mechanism::Ntlm, Mechanism::Kerberos, Mechanism::NegoEx]);
    let state = prop::sample::select(vec![
        NegState::AcceptCompleted,
        NegState::AcceptIncomplete,
        NegState::Reject,
        NegState::RequestMic,
    ]);
    let resp =
        (state, prop::option::of(mechanism), prop::option::of(any::<bool>())).prop_map(|(state, mechanism, token)| {
            let token = token.map(|good| if good { challenge() } else { b"rubbish".to_vec() });
            let resp = NegTokenResp {
                state: Some(state),
                supported_mech: mechanism.map(Mechanism::oid),
                response_token: token.as_deref(),
                mech_list_mic: None,
            };
            Back::Token(Negotiate, resp.encode())
        });
    prop_oneof![2 => resp, 1 => back()]
}

proptest! {
    #[test]
    fn whatever_comes_back_an_exchange_with_tickets_ends_soon_too(
        browser in any::<bool>(),
        authenticated in any::<bool>(),
        tickets in any::<[bool; 4]>(),
        backs in prop::collection::vec(spnego_back(), 16),
    ) {
        let agent = if browser { UserAgent::of(Profile::BROWSER) } else { UserAgent::of(Profile::CURL_NEGOTIATE) };
        let mut exchange = exchange(agent, &Method::GET).with_kerberos(true);
        let mut tickets = tickets.into_iter().cycle();
        let step = exchange.begin(authenticated);
        let mut send = presented(&mut exchange, step, tickets.next() == Some(true)).unwrap();
        let mut sent = 1;
        for back in &backs {
            let step = match back {
                Back::Lost(lost) => match exchange.connection_lost(*lost) {
                    Some(step) => step,
                    None => break,
                },
                back => {
                    let (status, offers, keeps_alive) = back.parts();
                    exchange.take_response(Response { status, offers: &offers, keeps_alive, leaves_http2: false }, &Fixed)
                }
            };
            let Some(next) = presented(&mut exchange, step, tickets.next() == Some(true)) else { break };
            sent += 1;
            send = next;
            prop_assert_eq!(send.token.is_some(), send.leg != Leg::Anonymous);
            prop_assert!(send.leg != Leg::Authenticate || send.connection == Target::Same);
        }
        prop_assert!(sent <= 9, "{} sent, the last {:?}", sent, send.leg);
    }
}
