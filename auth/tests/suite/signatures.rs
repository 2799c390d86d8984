//! Tests of the signatures of NTLM (MS-NLMP 3.4.4) over the list of mechanisms, which SPNEGO requires.

use stickler_auth::ntlm::flags::NegotiateFlags;
use stickler_auth::ntlm::session::{Direction, SessionSecurity};
use stickler_auth::spnego::Mechanism;
use stickler_auth::spnego::token::mech_types_der;

use crate::common::hex;

#[test]
fn mics_are_those_that_pyspnego_makes_whatever_was_negotiated() {
    // These signatures were made by pyspnego 0.11.2 (`sign` in `_ntlm_raw/security.py`). The session key consists of
    // the bytes 0x01 to 0x10. The cases are: with extended session security, where each direction has its own count;
    // without it, where both share one count; and without SIGN.
    let mech_types = mech_types_der(&[Mechanism::Ntlm]);
    let key = std::array::from_fn(|index| index as u8 + 1);
    let both = |flags: u32, count: u32| {
        let security = |direction, at| SessionSecurity::new(NegotiateFlags(flags), &key, direction).at(at);
        let client = security(Direction::ClientToServer, 0).sign(&mech_types);
        let server = security(Direction::ServerToClient, count).sign(&mech_types);
        assert!(security(Direction::ClientToServer, 0).verify(&mech_types, &client));
        (hex(&client), hex(&server))
    };
    let text = |client: &str, server: &str| (client.to_owned(), server.to_owned());
    let extended = text("01000000c74dc352ca8b4bf900000000", "01000000f86154562e129b2500000000");
    assert_eq!(both(0xE208_8297, 0), extended);
    let shared = text("0100000000000000094efa1edebe80b8", "0100000000000000094efa1edfbe80b8");
    assert_eq!(both(0xE200_8297, 1), shared);
    let dummy = "01000000000000000000000000000000";
    for flags in [0x0008_8207, 0x0008_8206] {
        assert_eq!(both(flags, 0), text(dummy, dummy));
    }
}

#[test]
fn what_means_nothing_in_a_signature_is_not_compared() {
    let verify = |flags: u32, change: &[usize]| {
        let security = || SessionSecurity::new(NegotiateFlags(flags), &[7; 16], Direction::ClientToServer);
        let mut signature = security().sign(b"message");
        for &at in change {
            signature[at] ^= 0x55;
        }
        security().verify(b"message", &signature)
    };
    let (extended, without, unsigned) = (0xE208_8297, 0xE200_8297, 0x0008_8207);
    assert!(verify(without, &[4, 5, 6, 7]), "Samba's RandomPad is not zero");
    assert!(verify(unsigned, &[0]), "gss-ntlmssp has no version there");
    for (flags, at) in [(extended, 0), (extended, 4), (without, 8), (without, 15), (unsigned, 4), (unsigned, 15)] {
        assert!(!verify(flags, &[at]), "{flags:x} {at}");
    }
}
