//! The code that the tests share: vectors from their file, hexadecimal text, and a whole handshake in memory.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use stickler_auth::FileTime;
use stickler_auth::channel_binding::ChannelBinding;
use stickler_auth::logon::{LogonReply, LogonRequest};
use stickler_auth::ntlm::acceptor::{Acceptor, AcceptorConfig, Authenticated, Refusal, Step, TargetNames};
use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig, Nonces};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, StoredSecret};
use stickler_auth::status::NtStatus;

pub(crate) const USER: &str = "Alice";
pub(crate) const DOMAIN: &str = "CORP";
pub(crate) const PASSWORD: &str = "Passw0rd!";
pub(crate) const SERVER_CHALLENGE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
pub(crate) const NONCES: Nonces = Nonces { client_challenge: [0xAA; 8], exported_session_key: [0x55; 16] };
pub(crate) const NOW: FileTime = FileTime(0x01DD_7A27_C5EF_66D6);

/// Returns the bytes of a hex string.
pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "odd hex: {hex}");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Returns `bytes` in hex, for readable comparisons.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

/// A vector of `vectors.json`.
pub(crate) struct Vector(Value);

impl Vector {
    pub(crate) fn load(id: &str) -> Self {
        let file: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
        let found = file["vectors"].as_array().unwrap().iter().find(|each| each["id"] == id);
        Self(found.unwrap_or_else(|| panic!("no vector {id}")).clone())
    }

    /// Returns all vectors whose name begins with `prefix`.
    pub(crate) fn all(prefix: &str) -> Vec<Self> {
        let file: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
        let begins = |each: &&Value| each["id"].as_str().unwrap().starts_with(prefix);
        file["vectors"].as_array().unwrap().iter().filter(begins).map(|each| Self(each.clone())).collect()
    }

    pub(crate) fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        ["inputs", "expected"].into_iter().find_map(|part| self.0[part].get(name).and_then(Value::as_str))
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no field {name}"))
    }

    pub(crate) fn number(&self, name: &str) -> i32 {
        let number = self.0["inputs"][name].as_i64().unwrap_or_else(|| panic!("no number {name}"));
        i32::try_from(number).unwrap()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    pub(crate) fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.bytes(name).try_into().unwrap_or_else(|_| panic!("{name} has not {N} bytes"))
    }
}

/// Returns a domain member that accepts everything that its options do not forbid.
pub(crate) fn server() -> AcceptorConfig {
    AcceptorConfig {
        names: TargetNames {
            netbios_computer: "WEB1".into(),
            netbios_domain: DOMAIN.into(),
            dns_computer: "web1.corp.example".into(),
            dns_domain: "corp.example".into(),
            dns_tree: "corp.example".into(),
        },
        joined: true,
        ..AcceptorConfig::default()
    }
}

/// Returns a client that knows the password.
pub(crate) fn client(profile: NtlmProfile) -> InitiatorConfig {
    InitiatorConfig {
        profile,
        credentials: Credentials::new(USER, DOMAIN, PASSWORD),
        target_name: Some("HTTP/web1.corp.example".into()),
        channel_binding: None,
    }
}

/// A directory with the accounts of Alice and Bob, each of which has its own password.
pub(crate) struct Directory {
    alice: StoredSecret,
    bob: StoredSecret,
    pub(crate) level: LmCompatibilityLevel,
    /// The number of logons that were asked for.
    pub(crate) asked: u32,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self {
            alice: StoredSecret::from_password(PASSWORD, true),
            bob: StoredSecret::from_password("other", true),
            level: LmCompatibilityLevel::AcceptAll,
            asked: 0,
        }
    }

    pub(crate) fn logon(&mut self, request: &LogonRequest) -> LogonReply {
        self.asked += 1;
        let (name, secret) = match request.user.to_lowercase().as_str() {
            "alice" => ("alice", &mut self.alice),
            "bob" => ("bob", &mut self.bob),
            _ => return LogonReply::refused(NtStatus::NO_SUCH_USER, true),
        };
        match secret.verify(request, self.level) {
            Ok(keys) => LogonReply {
                status: NtStatus::SUCCESS,
                authoritative: true,
                session_base_key: keys.session_base_key,
                lm_key: keys.lm_key,
                effective_name: name.into(),
                domain: DOMAIN.into(),
                ..LogonReply::default()
            },
            Err(status) => LogonReply::refused(status, true),
        }
    }
}

/// The three messages of a handshake, and the client's session key.
pub(crate) struct Messages {
    pub(crate) negotiate: Vec<u8>,
    pub(crate) challenge: Vec<u8>,
    pub(crate) authenticate: Vec<u8>,
    pub(crate) session_key: [u8; 16],
}

/// Returns an acceptor that has sent its Challenge.
pub(crate) fn challenged(
    server: &Arc<AcceptorConfig>,
    binding: Option<ChannelBinding>,
    negotiate: &[u8],
) -> (Acceptor, Vec<u8>) {
    let mut acceptor = Acceptor::new(server.clone(), binding);
    match acceptor.accept(negotiate, SERVER_CHALLENGE, NOW) {
        Step::Challenge(challenge) => (acceptor, challenge),
        other => panic!("no challenge: {other:?}"),
    }
}

/// Returns the messages that `client` and `server` exchange.
pub(crate) fn messages(client: &InitiatorConfig, server: &Arc<AcceptorConfig>) -> Messages {
    let (negotiate, initiator) = Initiator::new(client.clone()).negotiate();
    let (_, challenge) = challenged(server, None, &negotiate);
    let (authenticate, done) = initiator.authenticate(&challenge, NONCES, NOW).unwrap();
    Messages { negotiate, challenge, authenticate, session_key: done.session_key() }
}

/// Returns the result of an Authenticate on an acceptor that has sent its Challenge.
pub(crate) fn finish(
    mut acceptor: Acceptor,
    authenticate: &[u8],
    directory: &mut Directory,
) -> Result<Authenticated, Refusal> {
    let mut step = acceptor.accept(authenticate, SERVER_CHALLENGE, NOW);
    if let Step::NeedLogon(request) = &step {
        step = acceptor.resume(&directory.logon(request));
    }
    match step {
        Step::Authenticated(done) => Ok(*done),
        Step::Refused(refusal) => Err(refusal),
        other => panic!("neither accepted nor refused: {other:?}"),
    }
}
