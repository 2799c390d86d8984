//! NTLM in memory: a handshake at the point where its Authenticate is to be verified, and the primitives that this
//! verification requires, over inputs of the same lengths.

use std::hint::black_box;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rc4::{Rc4, StreamCipher};
use stickler_auth::FileTime;
use stickler_auth::logon::LogonReply;
use stickler_auth::ntlm::acceptor::{Acceptor, AcceptorConfig, Authenticated, Step, TargetNames};
use stickler_auth::ntlm::authenticate::Authenticate;
use stickler_auth::ntlm::initiator::{Credentials, Initiator, InitiatorConfig, Nonces};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, StoredSecret};

type HmacMd5 = Hmac<Md5>;

const USER: &str = "alice";
const DOMAIN: &str = "CORP";
const PASSWORD: &str = "Passw0rd!";
const SERVER_CHALLENGE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const NONCES: Nonces = Nonces { client_challenge: [0xAA; 8], exported_session_key: [0x55; 16] };
const NOW: FileTime = FileTime(0x01DD_7A27_C5EF_66D6);

/// Both sides of a handshake and the DC's copy of the password, whose keyed NTOWFv2 is cached.
pub struct Handshake {
    server: Arc<AcceptorConfig>,
    client: Arc<InitiatorConfig>,
    secret: StoredSecret,
    /// The DC's reply without the session key.
    reply: LogonReply,
    negotiate: Vec<u8>,
    challenge: Vec<u8>,
    authenticate: Vec<u8>,
}

impl Handshake {
    /// Returns a handshake of a client with this profile.
    ///
    /// # Panics
    /// Client and server do not agree, which would be a bug in them.
    pub fn new(profile: NtlmProfile) -> Self {
        let names = TargetNames {
            netbios_computer: "WEB1".into(),
            netbios_domain: DOMAIN.into(),
            dns_computer: "web1.corp.example".into(),
            dns_domain: "corp.example".into(),
            dns_tree: "corp.example".into(),
        };
        let mut handshake = Self {
            server: Arc::new(AcceptorConfig { names, joined: true, ..AcceptorConfig::default() }),
            client: Arc::new(InitiatorConfig {
                profile,
                credentials: Credentials::new(USER, DOMAIN, PASSWORD),
                target_name: Some("HTTP/web1.corp.example".into()),
                channel_binding: None,
            }),
            secret: StoredSecret::from_password(PASSWORD, false),
            reply: LogonReply {
                authoritative: true,
                effective_name: USER.into(),
                domain: DOMAIN.into(),
                ..LogonReply::default()
            },
            negotiate: Vec::new(),
            challenge: Vec::new(),
            authenticate: Vec::new(),
        };
        let (negotiate, initiator) = Initiator::new(Arc::clone(&handshake.client)).negotiate();
        handshake.negotiate = negotiate;
        let mut acceptor = Acceptor::new(Arc::clone(&handshake.server), None);
        let Step::Challenge(challenge) = acceptor.accept(&handshake.negotiate, SERVER_CHALLENGE, NOW) else {
            panic!("the acceptor answers a Negotiate with a Challenge")
        };
        handshake.challenge = challenge;
        let answer = initiator.authenticate(&handshake.challenge, NONCES, NOW);
        handshake.authenticate = answer.expect("the initiator answers the acceptor's Challenge").0;
        handshake.verify(acceptor);
        handshake
    }

    /// Returns an acceptor that waits for the Authenticate.
    pub fn challenged(&self) -> Acceptor {
        let mut acceptor = Acceptor::new(Arc::clone(&self.server), None);
        acceptor.accept(&self.negotiate, SERVER_CHALLENGE, NOW);
        acceptor
    }

    /// Verifies the Authenticate, at the server and at the DC.
    ///
    /// # Panics
    /// The Authenticate is refused.
    pub fn verify(&mut self, mut acceptor: Acceptor) -> Box<Authenticated> {
        let step = acceptor.accept(&self.authenticate, SERVER_CHALLENGE, NOW);
        self.conclude(&mut acceptor, step)
    }

    /// Performs the whole handshake: creates, reads and verifies three messages.
    ///
    /// # Panics
    /// The handshake fails.
    pub fn run(&mut self) -> Box<Authenticated> {
        let (negotiate, initiator) = Initiator::new(Arc::clone(&self.client)).negotiate();
        let mut acceptor = Acceptor::new(Arc::clone(&self.server), None);
        let Step::Challenge(challenge) = acceptor.accept(&negotiate, SERVER_CHALLENGE, NOW) else {
            panic!("the acceptor answers a Negotiate with a Challenge")
        };
        let answer = initiator.authenticate(&challenge, NONCES, NOW);
        let (authenticate, _) = answer.expect("the initiator answers the acceptor's Challenge");
        let step = acceptor.accept(&authenticate, SERVER_CHALLENGE, NOW);
        self.conclude(&mut acceptor, step)
    }

    /// Returns the primitives that the verification requires, see [`Primitives`].
    pub fn primitives(&self) -> Primitives {
        let message = Authenticate::decode(&self.authenticate).expect("the acceptor has decoded it before");
        let mac = self.client.profile.mic;
        Primitives {
            ntowf_v2: keyed(&[7; 16]),
            blob: vec![0x5A; message.nt_response.len() - 16],
            encrypted_key: (!message.encrypted_session_key.is_empty()).then_some([9; 16]),
            mic: mac.then(|| [self.negotiate.len(), self.challenge.len(), self.authenticate.len()].map(|n| vec![3; n])),
        }
    }

    fn conclude(&mut self, acceptor: &mut Acceptor, step: Step) -> Box<Authenticated> {
        let Step::NeedLogon(request) = step else { panic!("an Authenticate needs the DC, not {step:?}") };
        let keys = self.secret.verify(&request, LmCompatibilityLevel::AcceptAll).expect("the password is right");
        self.reply.session_base_key = keys.session_base_key;
        match acceptor.resume(&self.reply) {
            Step::Authenticated(account) => account,
            other => panic!("the Authenticate is good, but: {other:?}"),
        }
    }
}

/// The HMAC-MD5 and RC4 operations of one verification, and nothing else (MS-NLMP 3.2.5.1.2, 3.3.2).
pub struct Primitives {
    /// The HMAC, keyed in advance, as in the cache of the DC.
    ntowf_v2: HmacMd5,
    blob: Vec<u8>,
    /// The encrypted key, if there is a key exchange.
    encrypted_key: Option<[u8; 16]>,
    /// The bytes over which the MIC is computed: three messages as long as those of the handshake. `None` if the handshake
    /// has no MIC.
    mic: Option<[Vec<u8>; 3]>,
}

impl Primitives {
    /// Performs each operation once: proof, session base key, key exchange, MIC.
    pub fn run(&self) -> [u8; 16] {
        let proof = digest(self.ntowf_v2.clone(), &[&SERVER_CHALLENGE, &self.blob]);
        let mut key = digest(self.ntowf_v2.clone(), &[&proof]);
        if let Some(encrypted) = self.encrypted_key {
            let mut cipher = Rc4::new_from_slice(&key).expect("RC4 takes keys of 1 to 256 bytes");
            key = encrypted;
            cipher.apply_keystream(&mut key);
        }
        match &self.mic {
            Some([negotiate, challenge, authenticate]) => digest(keyed(&key), &[negotiate, challenge, authenticate]),
            None => key,
        }
    }
}

fn keyed(key: &[u8; 16]) -> HmacMd5 {
    HmacMd5::new_from_slice(black_box(key)).expect("HMAC takes keys of any length")
}

fn digest(mut mac: HmacMd5, parts: &[&[u8]]) -> [u8; 16] {
    for part in parts {
        mac.update(black_box(part));
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_verifies_as_often_as_asked_with_and_without_a_mic() {
        for (profile, mic) in [(NtlmProfile::windows(), true), (NtlmProfile::curl(), false)] {
            let mut handshake = Handshake::new(profile);
            for _ in 0..2 {
                let waiting = handshake.challenged();
                assert_eq!(handshake.verify(waiting).mic, mic);
                assert_eq!(handshake.run().user, USER);
            }
            let primitives = handshake.primitives();
            assert_eq!(primitives.mic.is_some(), mic);
            assert_eq!(primitives.encrypted_key.is_some(), mic, "these profiles have both or neither");
            assert_eq!(primitives.run(), primitives.run());
        }
    }
}
