//! Tests that every one-byte change of a valid Authenticate is refused, or authenticates the same user.

use std::sync::Arc;

use stickler_auth::ntlm::initiator::Credentials;
use stickler_auth::ntlm::profile::NtlmProfile;

use crate::common::{DOMAIN, Directory, PASSWORD, USER, challenged, client, finish, messages, server};

/// Returns the values that replace a byte: the byte with one bit flipped, for several bits, and a few others.
fn changes(byte: u8) -> impl Iterator<Item = u8> {
    let flipped = [0x01, 0x02, 0x20, 0x80].map(|bit| byte ^ bit);
    let others = [0x00, 0xFF, 0x41, byte.wrapping_add(1)];
    flipped.into_iter().chain(others).filter(move |changed| *changed != byte)
}

/// Mutates every byte of a handshake's Authenticate, and returns how many mutants were accepted.
fn mutate(profile: NtlmProfile) -> usize {
    let config = Arc::new(server());
    let mut client = client(profile);
    client.credentials = Credentials::new(USER, DOMAIN, PASSWORD);
    let sent = messages(&client, &config);
    let mut directory = Directory::new();
    let (acceptor, _) = challenged(&config, None, &sent.negotiate);
    finish(acceptor, &sent.authenticate, &mut directory).expect("the original is accepted");

    let mut accepted = 0;
    let mut message = sent.authenticate.clone();
    for at in 0..message.len() {
        let original = message[at];
        for changed in changes(original) {
            message[at] = changed;
            let (acceptor, _) = challenged(&config, None, &sent.negotiate);
            if let Ok(done) = finish(acceptor, &message, &mut directory) {
                assert_eq!(
                    (done.user.as_str(), done.domain.as_str(), done.anonymous, done.guest),
                    ("alice", DOMAIN, false, false),
                    "byte {at}: {original:02x} became {changed:02x}"
                );
                accepted += 1;
            }
        }
        message[at] = original;
    }
    accepted
}

#[test]
fn without_a_mic_a_changed_byte_never_makes_another_user() {
    for profile in [NtlmProfile::curl(), NtlmProfile::ntlm2_session(), NtlmProfile::ntlm_v1()] {
        assert!(mutate(profile) > 0, "the workstation, for one, is covered by nothing");
    }
}

#[test]
fn with_a_mic_no_changed_byte_is_accepted() {
    for profile in [NtlmProfile::browser(), NtlmProfile::windows()] {
        assert_eq!(mutate(profile), 0);
    }
}

#[test]
fn a_cut_authenticate_is_refused() {
    let config = Arc::new(server());
    for profile in [NtlmProfile::curl(), NtlmProfile::windows()] {
        let sent = messages(&client(profile), &config);
        for len in 0..sent.authenticate.len() {
            let (acceptor, _) = challenged(&config, None, &sent.negotiate);
            let outcome = finish(acceptor, &sent.authenticate[..len], &mut Directory::new());
            assert!(outcome.is_err(), "{len} bytes");
        }
    }
}
