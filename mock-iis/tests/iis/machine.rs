//! Tests of the authentication state machine alone, compared with a model that says which user must be authenticated on
//! the connection.

use std::sync::Arc;

use proptest::prelude::*;
use stickler_auth::http::{AuthToken, Scheme, token_kind};
use stickler_auth::kerberos::ap;
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::acceptor::{AcceptorConfig, TargetNames};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::spnego::Nonces;
use stickler_auth::status::NtStatus;
use stickler_mock_dc::Directory;
use stickler_mock_iis::authn::{AuthConfig, AuthRules, ConnectionAuth, Decision, Replays, Request, RequestIdentity};
use stickler_mock_iis::codes::LogCodes;
use stickler_mock_iis::credentials::Presented;
use stickler_model::topology::IisVersion;

use crate::bench::{NOW, authenticate, domain, initiator};

/// The moves of a peer.
#[derive(Debug, Clone)]
enum Move {
    /// A request without a token.
    Bare,
    /// A first leg of one of two users.
    Negotiate(Scheme, bool),
    /// The last leg for the newest Challenge, with the right password or a wrong one.
    Authenticate(Scheme, bool),
    /// A last leg that was sent before.
    Replay(Scheme),
    /// Arbitrary bytes.
    Bytes(Scheme, Vec<u8>),
    /// The malformed credentials `NTLM !`.
    Malformed,
    /// A reply of the DC to no request.
    StrayReply,
}

pub(crate) fn config(rules: AuthRules) -> Arc<AuthConfig> {
    let names = TargetNames {
        netbios_computer: "IIS1".into(),
        netbios_domain: "CORP".into(),
        dns_computer: "iis1.corp.example".into(),
        dns_domain: "corp.example".into(),
        dns_tree: "corp.example".into(),
    };
    Arc::new(AuthConfig {
        schemes: vec![Scheme::Negotiate, Scheme::Ntlm],
        anonymous: false,
        codes: LogCodes::of(IisVersion::Iis10),
        ntlm: Arc::new(AcceptorConfig { names, joined: true, ..AcceptorConfig::default() }),
        kerberos: None,
        kerberos_only: false,
        domains: Vec::new(),
        rules,
    })
}

/// Returns a request at a fixed time, with random bytes derived from a number.
pub(crate) fn request(presented: &Presented, number: u64) -> Request<'_> {
    let low = number.to_le_bytes()[0];
    let kerberos =
        ap::Nonces { confounder: [low; 16], cred_confounder: [low; 16], subkey: [low; 32], sequence: low.into() };
    let nonces = Nonces { server_challenge: number.to_le_bytes(), kerberos };
    Request { presented, nonces, now: NOW, via: false }
}

/// The machine, its DC, its client, and the model.
struct Play {
    auth: ConnectionAuth,
    directory: Directory,
    rules: AuthRules,
    nonce: u64,
    /// The answers to the latest Challenge, for either password.
    answers: Option<[Vec<u8>; 2]>,
    user: &'static str,
    /// The model: the user on the connection, and the scheme for which the newest Challenge is valid.
    identity: Option<String>,
    pending: Option<Scheme>,
    sent: Option<Vec<u8>>,
}

impl Play {
    fn new(rules: AuthRules) -> Self {
        Self {
            auth: ConnectionAuth::new(config(rules), &Replays::default()),
            directory: Directory::new(&domain(None)),
            rules,
            nonce: 0,
            answers: None,
            user: "alice",
            identity: None,
            pending: None,
            sent: None,
        }
    }

    fn present(&mut self, scheme: Scheme, token: Vec<u8>) -> Decision {
        let kind = token_kind(&token);
        self.request(&Presented::Token { token: AuthToken { scheme, token }, kind })
    }

    /// Sends a request, and the DC's answer if the DC is asked.
    fn request(&mut self, presented: &Presented) -> Decision {
        self.nonce += 1;
        let decision = self.auth.request(&request(presented, self.nonce));
        let Decision::NeedLogon(request) = decision else { return decision };
        assert!(self.auth.identity().is_none() || !self.rules.negotiate_clears_identity);
        let reply = self.directory.logon(&request, NOW).reply;
        self.auth.logon(&reply)
    }

    fn make(&mut self, step: &Move) {
        match step.clone() {
            Move::Bare => {
                if self.rules.bare_request_drops_context {
                    self.pending = None;
                }
                self.expect_bare();
            }
            Move::Negotiate(scheme, bob) => self.negotiate(scheme, bob),
            Move::Authenticate(scheme, right) => {
                let Some(answers) = self.answers.clone() else { return };
                let token = answers[usize::from(right)].clone();
                self.sent = Some(token.clone());
                let good = right && self.pending == Some(scheme);
                self.expect_token(scheme, token, good);
            }
            Move::Replay(scheme) => {
                // A Challenge that was answered once is no longer pending, whatever the result was.
                let Some(token) = self.sent.clone() else { return };
                let good =
                    self.pending == Some(scheme) && self.answers.as_ref().is_some_and(|answers| answers[1] == token);
                self.expect_token(scheme, token, good);
            }
            Move::Bytes(scheme, bytes) => self.expect_token(scheme, bytes, false),
            Move::Malformed => {
                let decision = self.request(&Presented::Malformed);
                self.expect_refused(&decision);
            }
            Move::StrayReply => {
                let decision = self.auth.logon(&LogonReply::refused(NtStatus::SUCCESS, true));
                self.expect_refused(&decision);
            }
        }
    }

    fn negotiate(&mut self, scheme: Scheme, bob: bool) {
        self.user = if bob { "bob" } else { "alice" };
        let right = format!("{}-pw", self.user);
        let start = |password: &str| initiator("CORP", self.user, password, NtlmProfile::windows());
        let ((negotiate, wrong), (_, right)) = (start("guess"), start(&right));
        let decision = self.present(scheme, negotiate);
        let Decision::Unauthorized(answer) = decision else { panic!("a Challenge is a 401: {decision:?}") };
        let challenge = answer.challenge.expect("a Challenge is due");
        assert_eq!((challenge.scheme, answer.substatus), (scheme, 1));
        self.answers = Some([wrong, right].map(|initiator| authenticate(initiator, &challenge.token)));
        self.pending = Some(scheme);
        if self.rules.negotiate_clears_identity {
            self.identity = None;
        }
    }

    fn expect_bare(&mut self) {
        match (self.request(&Presented::Nothing), &self.identity) {
            (Decision::Serve(RequestIdentity { user: Some(user), completes: None, .. }), Some(name)) => {
                assert_eq!(user.as_str(), name);
            }
            (Decision::Unauthorized(answer), None) => assert_eq!((answer.substatus, answer.challenge), (2, None)),
            (decision, identity) => panic!("{decision:?} for {identity:?}"),
        }
    }

    fn expect_token(&mut self, scheme: Scheme, token: Vec<u8>, good: bool) {
        let decision = self.present(scheme, token);
        if !good {
            return self.expect_refused(&decision);
        }
        self.pending = None;
        let name = format!("CORP\\{}", self.user);
        let Decision::Serve(RequestIdentity { user: Some(user), completes, .. }) = decision else {
            panic!("{decision:?} for {name}")
        };
        assert_eq!((user.as_str(), completes.map(|done| done.scheme)), (name.as_str(), Some(scheme)));
        self.identity = Some(name);
    }

    fn expect_refused(&mut self, decision: &Decision) {
        let Decision::Unauthorized(answer) = decision else { panic!("{decision:?}") };
        assert!(answer.substatus == 1 && answer.win32 != 0 && answer.challenge.is_none());
        self.pending = None;
        if self.rules.failure_clears_identity {
            self.identity = None;
        }
    }

    fn check(&self) {
        assert_eq!(self.auth.identity().map(|user| user.as_str().to_owned()), self.identity);
    }
}

fn scheme() -> impl Strategy<Value = Scheme> {
    // Most schemes are the same, so that handshakes succeed.
    prop_oneof![4 => Just(Scheme::Ntlm), 1 => Just(Scheme::Negotiate)]
}

fn step() -> impl Strategy<Value = Move> {
    prop_oneof![
        2 => Just(Move::Bare),
        4 => (scheme(), any::<bool>()).prop_map(|(scheme, bob)| Move::Negotiate(scheme, bob)),
        6 => (scheme(), prop::bool::weighted(0.8)).prop_map(|(scheme, right)| Move::Authenticate(scheme, right)),
        1 => scheme().prop_map(Move::Replay),
        1 => (scheme(), garbage()).prop_map(|(scheme, bytes)| Move::Bytes(scheme, bytes)),
        1 => Just(Move::Malformed),
        1 => Just(Move::StrayReply),
    ]
}

/// Generates bytes, some of them after the head of an Authenticate or of a SPNEGO token, but never a Negotiate.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let heads: [&[u8]; 4] = [b"", b"NTLMSSP\0\x03\0\0\0", b"NTLMSSP\0\x02\0\0\0", b"\x60\x06\x06\x04"];
    let head = proptest::sample::select(heads.to_vec());
    (head, proptest::collection::vec(any::<u8>(), 0..100)).prop_map(|(head, tail)| [head, &tail].concat())
}

fn play(rules: AuthRules, moves: &[Move]) {
    let mut play = Play::new(rules);
    for step in moves {
        play.make(step);
        play.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nobody_is_on_a_connection_but_whom_the_last_handshake_proved(moves in proptest::collection::vec(step(), 1..40)) {
        play(AuthRules::default(), &moves);
    }

    #[test]
    fn the_same_holds_with_the_unmeasured_switches_off(moves in proptest::collection::vec(step(), 1..40)) {
        let rules = AuthRules {
            bare_request_drops_context: false,
            failure_clears_identity: false,
            negotiate_clears_identity: false,
            ..AuthRules::default()
        };
        play(rules, &moves);
    }
}

#[test]
fn each_scheme_may_have_its_own_handshake_where_the_rules_say_so() {
    for (one_context, served) in [(true, false), (false, true)] {
        let mut play = Play::new(AuthRules { one_context, ..AuthRules::default() });
        play.negotiate(Scheme::Ntlm, false);
        let first = play.answers.clone().unwrap()[1].clone();
        play.negotiate(Scheme::Negotiate, true);
        let decision = play.present(Scheme::Ntlm, first);
        assert_eq!(matches!(decision, Decision::Serve(_)), served, "{decision:?}");
    }
}

#[test]
fn a_scheme_that_the_site_does_not_offer_is_passed_over() {
    let mut config = Arc::unwrap_or_clone(config(AuthRules::default()));
    config.schemes = vec![Scheme::Ntlm];
    let mut auth = ConnectionAuth::new(Arc::new(config), &Replays::default());
    let (token, _) = initiator("CORP", "alice", "alice-pw", NtlmProfile::windows());
    let kind = token_kind(&token);
    let presented = Presented::Token { token: AuthToken { scheme: Scheme::Negotiate, token }, kind };
    let Decision::Unauthorized(answer) = auth.request(&request(&presented, 1)) else { panic!("a 401 is due") };
    assert_eq!((answer.substatus, answer.challenge), (2, None));
}
