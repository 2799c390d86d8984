//! Tests with Samba's `ntlm_auth` as a second opinion. It needs no daemon for these tests (Debian: winbind).
//!
//! If it is not installed, the tests say so and pass, unless `STICKLER_REQUIRE_PEERS=1`.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use stickler_auth::kerberos::ap::ReplayCache;
use stickler_auth::logon::LogonRequest;
use stickler_auth::ntlm::acceptor::Step;
use stickler_auth::ntlm::authenticate::Authenticate;
use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_auth::ntlm::initiator::{Credentials, Initiator};
use stickler_auth::ntlm::profile::NtlmProfile;
use stickler_auth::ntlm::verify::{LmCompatibilityLevel, StoredSecret};
use stickler_auth::spnego;
use stickler_auth::spnego::token::{NegState, Token};

use crate::common::{
    DOMAIN, Directory, NONCES, NOW, PASSWORD, SERVER_CHALLENGE, USER, challenged, client, finish, hex, messages, server,
};
use crate::spnego::{initiator_nonces, nonces};

/// A running `ntlm_auth` helper, which reads and writes lines.
struct Samba {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Samba {
    /// Starts the helper. If it is not installed, prints that and returns `None`.
    fn start(protocol: &str, password: &str) -> Option<Self> {
        let started = Command::new("ntlm_auth")
            .arg(format!("--helper-protocol={protocol}"))
            .args(["--username", USER, "--domain", DOMAIN, "--password", password])
            .args(["--option=ntlm auth=yes", "--option=lanman auth=yes"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(mut child) => {
                let input = child.stdin.take().unwrap();
                let output = BufReader::new(child.stdout.take().unwrap());
                Some(Self { child, input, output })
            }
            Err(error) => {
                let required = std::env::var("STICKLER_REQUIRE_PEERS").is_ok_and(|value| value == "1");
                assert!(!required, "ntlm_auth is required, but does not start: {error}");
                eprintln!("SKIPPED: ntlm_auth (Debian package winbind) does not start: {error}");
                None
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends one command and returns its answer.
    fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        self.line()
    }

    /// Sends a command with a token. The answer must be `expected` with a token, which is returned.
    fn exchange(&mut self, command: &str, token: &[u8], expected: &str) -> Vec<u8> {
        let answer = self.ask(&format!("{command} {}", BASE64_STANDARD.encode(token)));
        let token = answer.strip_prefix(expected).unwrap_or_else(|| panic!("{answer}")).trim();
        BASE64_STANDARD.decode(token).unwrap()
    }

    /// Returns the session key that Samba holds after the handshake.
    fn session_key(&mut self) -> Vec<u8> {
        self.exchange("GK", &[], "GK")
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns Samba's verdict on a logon request: the session base key, or `None`.
fn second_opinion(samba: &mut Samba, request: &LogonRequest) -> Option<String> {
    let mut lines = String::new();
    writeln!(lines, "Username: {}", request.user).unwrap();
    writeln!(lines, "NT-Domain: {}", request.logon_domain).unwrap();
    writeln!(lines, "LANMAN-Challenge: {}", hex(&request.challenge)).unwrap();
    for (name, response) in [("NT-Response", &request.nt_response), ("LANMAN-Response", &request.lm_response)] {
        if !response.is_empty() {
            writeln!(lines, "{name}: {}", hex(response)).unwrap();
        }
    }
    write!(lines, "Request-User-Session-Key: Yes\n.").unwrap();
    let mut answers = vec![samba.ask(&lines)];
    while answers.last().unwrap() != "." {
        answers.push(samba.line());
    }
    let value = |name: &str| answers.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let accepted = match value("Authenticated:") {
        Some("Yes") => true,
        Some("No") => false,
        _ => panic!("{answers:?}"),
    };
    accepted.then(|| value("User-Session-Key:").unwrap_or_default().to_lowercase())
}

/// Returns the question that the server would ask the DC about the client.
fn request(profile: NtlmProfile, user: &str, password: &str) -> LogonRequest {
    let config = Arc::new(server());
    let mut client = client(profile);
    client.credentials = Credentials::new(user, DOMAIN, password);
    let sent = messages(&client, &config);
    let (mut acceptor, _) = challenged(&config, None, &sent.negotiate);
    match acceptor.accept(&sent.authenticate, SERVER_CHALLENGE, NOW) {
        Step::NeedLogon(request) => request,
        other => panic!("no logon: {other:?}"),
    }
}

fn profiles() -> [NtlmProfile; 5] {
    [
        NtlmProfile::curl(),
        NtlmProfile::browser(),
        NtlmProfile::windows(),
        NtlmProfile::ntlm2_session(),
        NtlmProfile::ntlm_v1(),
    ]
}

#[test]
fn samba_verifies_our_responses_and_derives_the_same_session_base_key() {
    for profile in profiles() {
        let Some(mut samba) = Samba::start("ntlm-server-1", PASSWORD) else { return };
        let good = request(profile.clone(), USER, PASSWORD);
        let level = LmCompatibilityLevel::AcceptAll;
        let ours = StoredSecret::from_password(PASSWORD, true).verify(&good, level).unwrap();
        let theirs = second_opinion(&mut samba, &good);
        assert_eq!(theirs, Some(hex(&ours.session_base_key)), "{profile:?}");
        let bad = request(profile, USER, "Passw0rd?");
        assert_eq!(second_opinion(&mut samba, &bad), None);
    }
}

#[test]
fn samba_and_we_agree_on_responses_with_one_changed_byte() {
    let good = request(NtlmProfile::windows(), USER, PASSWORD);
    let mut secret = StoredSecret::from_password(PASSWORD, true);
    for at in (0..good.nt_response.len()).step_by(13) {
        let mut changed = good.clone();
        changed.nt_response[at] ^= 0x10;
        // Each response gets its own helper, because a helper ends its answer twice after a refusal.
        let Some(mut samba) = Samba::start("ntlm-server-1", PASSWORD) else { return };
        let ours = secret.verify(&changed, LmCompatibilityLevel::AcceptAll);
        assert_eq!(second_opinion(&mut samba, &changed).is_some(), ours.is_ok(), "byte {at}");
    }
}

#[test]
fn our_acceptor_takes_samba_as_a_client() {
    for (password, good) in [(PASSWORD, true), ("Passw0rd?", false)] {
        let Some(mut samba) = Samba::start("ntlmssp-client-1", password) else { return };
        assert_eq!(samba.ask("SF NTLMSSP_FEATURE_SESSION_KEY NTLMSSP_FEATURE_SIGN"), "OK");
        let negotiate = samba.exchange("YR", &[], "YR");
        let config = Arc::new(server());
        let (acceptor, challenge) = challenged(&config, None, &negotiate);
        let authenticate = samba.exchange("TT", &challenge, "AF");
        let outcome = finish(acceptor, &authenticate, &mut Directory::new());
        if good {
            let done = outcome.unwrap();
            assert_eq!((done.user.as_str(), done.domain.as_str()), ("alice", DOMAIN));
            assert_eq!(hex(&done.session_key), hex(&samba.session_key()));
            assert!(Authenticate::decode(&authenticate).unwrap().mic.is_some());
        } else {
            assert!(outcome.is_err());
        }
    }
}

#[test]
fn samba_accepts_our_initiator_and_holds_the_same_session_key() {
    for profile in profiles() {
        for (password, good) in [(PASSWORD, true), ("Passw0rd?", false)] {
            let Some(mut samba) = Samba::start("squid-2.5-ntlmssp", PASSWORD) else { return };
            let mut config = client(profile.clone());
            config.credentials = Credentials::new(USER, DOMAIN, password);
            let (negotiate, initiator) = Initiator::new(config).negotiate();
            let challenge = samba.exchange("YR", &negotiate, "TT");
            let (authenticate, done) = initiator.authenticate(&challenge, NONCES, NOW).unwrap();
            let token = BASE64_STANDARD.encode(&authenticate);
            let verdict = samba.ask(&format!("KK {token}"));
            assert_eq!(verdict.starts_with("AF "), good, "{verdict}: {profile:?}");
            if good {
                assert!(verdict.to_lowercase().contains("alice"), "{verdict}");
                assert_eq!(hex(&done.session_key()), hex(&samba.session_key()), "{profile:?}");
            }
        }
    }
}

/// Splits an answer of a `gss-spnego` helper into its verdict, which is the first word, and its token, which may be
/// empty.
fn spnego_answer(line: &str) -> (String, Vec<u8>) {
    let mut words = line.split(' ');
    let verdict = words.next().unwrap_or_default().to_owned();
    let token = words.next().filter(|word| *word != "*").unwrap_or_default();
    (verdict, BASE64_STANDARD.decode(token).unwrap_or_else(|_| panic!("{line}")))
}

#[test]
fn samba_accepts_our_spnego_with_ntlm_and_its_mics() {
    for profile in [NtlmProfile::windows(), NtlmProfile::browser()] {
        for (password, good) in [(PASSWORD, true), ("Passw0rd?", false)] {
            let Some(mut samba) = Samba::start("gss-spnego", PASSWORD) else { return };
            // Samba signs only if both sides may sign later messages too.
            let signs = profile.flags.contains(NegotiateFlags::SIGN);
            if signs {
                assert_eq!(samba.ask("SF NTLMSSP_FEATURE_SESSION_KEY NTLMSSP_FEATURE_SIGN"), "OK");
            }
            let mut ntlm = client(profile.clone());
            ntlm.credentials = Credentials::new(USER, DOMAIN, password);
            let config = spnego::InitiatorConfig::windows(None, Some(Arc::new(ntlm)));
            let mut initiator = spnego::Initiator::new(spnego::InitiatorConfig { raw: false, ..config });
            let first = initiator.start(initiator_nonces(), NOW).unwrap();
            let line = samba.ask(&format!("YR {}", BASE64_STANDARD.encode(&first)));
            let (verdict, answer) = spnego_answer(&line);
            assert_eq!(verdict, "TT", "{line}");
            let Ok(spnego::InitiatorStep::Continue(second)) = initiator.step(&answer, initiator_nonces(), NOW) else {
                panic!("an Authenticate is due")
            };
            let line = samba.ask(&format!("KK {}", BASE64_STANDARD.encode(&second)));
            let (verdict, last) = spnego_answer(&line);
            assert_eq!(verdict == "AF", good, "{line}: {profile:?}");
            if good {
                assert!(line.to_lowercase().contains("alice"), "{line}");
                let done = initiator.step(&last, initiator_nonces(), NOW).unwrap();
                let proved = spnego::Established { package: spnego::Package::Ntlm, server_proved: signs };
                assert_eq!(done, spnego::InitiatorStep::Done(proved), "{profile:?}");
            }
        }
    }
}

#[test]
fn our_acceptor_takes_sambas_spnego_and_samba_takes_our_mic() {
    for (password, good) in [(PASSWORD, true), ("Passw0rd?", false)] {
        let Some(mut samba) = Samba::start("gss-spnego-client", password) else { return };
        // Samba signs only if it may sign later messages too.
        assert_eq!(samba.ask("SF NTLMSSP_FEATURE_SESSION_KEY NTLMSSP_FEATURE_SIGN"), "OK");
        let config = spnego::AcceptorConfig { ntlm: Some(Arc::new(server())), kerberos: None };
        let mut acceptor = spnego::Acceptor::new(config, None);
        let mut replays = ReplayCache::default();
        let first = samba.exchange("YR", &[], "YR");
        let spnego::Step::Continue(challenge) = acceptor.accept(&first, nonces(), NOW, &mut replays) else {
            panic!("a Challenge is due")
        };
        let line = samba.ask(&format!("TT {}", BASE64_STANDARD.encode(&challenge)));
        let (_, second) = spnego_answer(&line);
        let spnego::Step::NeedLogon(request) = acceptor.accept(&second, nonces(), NOW, &mut replays) else {
            panic!("a logon is due: {line}")
        };
        match acceptor.resume(&Directory::new().logon(&request)) {
            spnego::Step::Authenticated(done) => {
                assert!(good && done.mech_list_mic);
                let line = samba.ask(&format!("TT {}", BASE64_STANDARD.encode(&done.token)));
                assert!(line.starts_with("AF"), "samba checks our MIC: {line}");
            }
            spnego::Step::Refused(rejected) => {
                assert!(!good, "{:?}", rejected.refusal);
                let Ok(Token::Resp(resp)) = Token::decode(&rejected.token) else { panic!("a NegTokenResp") };
                assert_eq!(resp.state, Some(NegState::Reject));
            }
            other => panic!("{other:?}"),
        }
    }
}
