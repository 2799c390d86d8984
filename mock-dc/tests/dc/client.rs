//! A domain, and clients that log on to it.

use stickler_auth::FileTime;
use stickler_auth::logon::LogonRequest;
use stickler_auth::ntlm::acceptor::{Acceptor, AcceptorConfig, Step, TargetNames};
use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig, Nonces};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_model::standard;
use stickler_model::topology::{DomainSpec, UserSpec};

/// The current time in these tests: 2023-11-14 22:13:20 UTC, a Tuesday.
pub(crate) const NOW: FileTime = FileTime::from_unix_nanos(1_700_000_000_000_000_000);

/// Returns `CORP` with alice and Bob, whose passwords are `alice-pw` and `Bob-pw`.
pub(crate) fn domain(lockout_threshold: Option<u32>) -> DomainSpec {
    let user = |name: &str| UserSpec::new(name, format!("{name}-pw"));
    DomainSpec { users: vec![user("alice"), user("Bob")], lockout_threshold, ..standard::domain() }
}

/// A client that logs on.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) profile: NtlmProfile,
    pub(crate) domain: &'static str,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    /// The machine whose Challenge the client answers.
    pub(crate) machine: &'static str,
    /// The domain that this Challenge names.
    pub(crate) machine_domain: &'static str,
}

impl Client {
    pub(crate) fn alice() -> Self {
        Self {
            profile: NtlmProfile::windows(),
            domain: "CORP",
            user: "alice",
            password: "alice-pw",
            machine: "IIS1",
            machine_domain: "CORP",
        }
    }

    /// Returns the question of the machine to its DC, and the session key that the client has.
    pub(crate) fn logon_request(&self) -> (LogonRequest, [u8; 16]) {
        let names = TargetNames {
            netbios_computer: self.machine.into(),
            netbios_domain: self.machine_domain.into(),
            dns_computer: format!("{}.corp.example", self.machine.to_lowercase()),
            dns_domain: "corp.example".into(),
            dns_tree: String::new(),
        };
        let mut acceptor = Acceptor::new(AcceptorConfig { names, joined: true, ..AcceptorConfig::default() }, None);
        let credentials = Credentials::new(self.user, self.domain, self.password);
        let config =
            InitiatorConfig { profile: self.profile.clone(), credentials, target_name: None, channel_binding: None };
        let (negotiate, initiator) = Initiator::new(config).negotiate();
        let Step::Challenge(challenge) = acceptor.accept(&negotiate, *b"01234567", NOW) else {
            panic!("a Negotiate is answered by a Challenge")
        };
        let nonces = Nonces { client_challenge: *b"abcdefgh", exported_session_key: [7; 16] };
        let (authenticate, done) = initiator.authenticate(&challenge, nonces, NOW).unwrap();
        let Step::NeedLogon(request) = acceptor.accept(&authenticate, [0; 8], NOW) else {
            panic!("an Authenticate needs a logon")
        };
        (request, done.session_key())
    }

    pub(crate) fn request(&self) -> LogonRequest {
        self.logon_request().0
    }
}
