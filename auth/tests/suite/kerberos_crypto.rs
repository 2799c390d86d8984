//! Tests of Kerberos cryptography against the vectors of RFC 3961, 3962, 4757 and 8009, of MS-KILE, and of MIT krb5.

use stickler_auth::kerberos::crypto::derive::n_fold;
use stickler_auth::kerberos::crypto::{AesCts, CryptoError, Etype, Key, MAX_ITERATIONS, gss_signature};
use stickler_auth::kerberos::{PrincipalName, keys};

use crate::common::{Vector, hex};

fn key(v: &Vector) -> Key {
    let number = v.number("etype");
    Key::from_wire(number, &v.bytes("key")).unwrap()
}

#[test]
fn n_fold_is_that_of_rfc_3961_a_1() {
    let fold = |v: &Vector| -> Vec<u8> {
        let input = v.text("input").as_bytes();
        match v.number("bits") {
            56 => n_fold::<7>(input).to_vec(),
            64 => n_fold::<8>(input).to_vec(),
            128 => n_fold::<16>(input).to_vec(),
            168 => n_fold::<21>(input).to_vec(),
            192 => n_fold::<24>(input).to_vec(),
            256 => n_fold::<32>(input).to_vec(),
            bits => panic!("{bits} bits"),
        }
    };
    let vectors = Vector::all("nfold_");
    assert_eq!(vectors.len(), 10);
    for v in vectors {
        assert_eq!(hex(&fold(&v)), v.text("out"), "{}", v.id());
    }
}

#[test]
fn passwords_become_the_keys_of_rfc_3962_and_8009_and_4757() {
    let aes = [("aes128", Etype::Aes128Sha1), ("aes256", Etype::Aes256Sha1)];
    for id in ["s2k_aes_1", "s2k_aes_2", "s2k_aes_1200", "s2k_aes_gclef"] {
        let v = Vector::load(id);
        let passphrase = if id == "s2k_aes_gclef" { "\u{1D11E}" } else { v.text("passphrase") };
        for (name, etype) in aes {
            let salt = v.text("salt").as_bytes();
            let key = Key::from_password(etype, passphrase, salt, Some(v.number("iter").cast_unsigned())).unwrap();
            assert_eq!(hex(key.as_bytes()), v.text(name), "{id} {name}");
        }
    }
    let v = Vector::load("s2k_sha2");
    for (name, etype) in [("aes128", Etype::Aes128Sha256), ("aes256", Etype::Aes256Sha384)] {
        let key = Key::from_password(etype, v.text("passphrase"), &v.bytes("salt"), None).unwrap();
        assert_eq!(hex(key.as_bytes()), v.text(name), "{name}");
    }
    let v = Vector::load("s2k_rc4");
    let key = Key::from_password(Etype::Rc4Hmac, v.text("passphrase"), b"ignored", None).unwrap();
    assert_eq!(hex(key.as_bytes()), v.text("key"));
}

#[test]
fn a_machine_password_becomes_the_key_of_ms_kile_4_4() {
    let v = Vector::load("s2k_kile_machine");
    let password = String::from_utf8(v.bytes("utf8_password")).unwrap();
    let salt = keys::machine_salt("DOMAIN.COM", "CLIENT$");
    assert_eq!(salt, v.text("salt"));
    let iterations = Some(v.number("iter").cast_unsigned());
    let key = Key::from_password(Etype::Aes128Sha1, &password, salt.as_bytes(), iterations).unwrap();
    assert_eq!(hex(key.as_bytes()), v.text("aes128"));
    assert_eq!(keys::user_salt("CORP.EXAMPLE", &PrincipalName::parse("HTTP/app")), "CORP.EXAMPLEHTTPapp");
}

#[test]
fn iterations_that_a_stranger_asks_for_are_bounded() {
    for iterations in [0, MAX_ITERATIONS + 1, u32::MAX] {
        for etype in Etype::ALL {
            let refused = Key::from_password(etype, "x", b"", Some(iterations));
            assert_eq!(refused, Err(CryptoError::Iterations(iterations)));
        }
    }
}

#[test]
fn ciphertext_stealing_is_that_of_rfc_3962_b() {
    let vectors = Vector::all("aes_cts_");
    assert_eq!(vectors.len(), 4);
    for v in vectors {
        let cipher = AesCts::aes128(&v.array("key"));
        let mut data = v.bytes("input");
        cipher.encrypt(&mut data);
        assert_eq!(hex(&data), v.text("output"), "{}", v.id());
        cipher.decrypt(&mut data);
        assert_eq!(hex(&data), v.text("input"), "{}", v.id());
    }
}

#[test]
fn ciphertext_stealing_is_undone_at_every_length() {
    let cipher = AesCts::aes128(&[7; 16]);
    let plain: Vec<u8> = (0..=255).cycle().take(400).collect();
    for len in 16..plain.len() {
        let mut data = plain[..len].to_vec();
        cipher.encrypt(&mut data);
        assert_ne!(data, plain[..len]);
        cipher.decrypt(&mut data);
        assert_eq!(data, plain[..len], "{len} bytes");
    }
}

#[test]
fn every_encryption_type_encrypts_and_decrypts_as_mit_does() {
    let vectors = Vector::all("krb_enc_etype");
    assert_eq!(vectors.len(), 23);
    for v in vectors {
        let (key, usage) = (key(&v), v.number("usage").cast_unsigned());
        let cipher = v.bytes("ciphertext");
        let plain = key.decrypt(usage, &cipher).unwrap_or_else(|error| panic!("{}: {error}", v.id()));
        assert_eq!(hex(&plain), v.text("plaintext"), "{}", v.id());
        let mut confounder = [0; 16];
        let sent = v.bytes("confounder");
        confounder[..sent.len()].copy_from_slice(&sent);
        assert_eq!(hex(&key.encrypt(usage, &confounder, &plain)), v.text("ciphertext"), "{}", v.id());
    }
}

#[test]
fn checksums_are_those_of_mit_and_rfc_8009() {
    for v in Vector::all("krb_cksum_") {
        let kind = v.number("cksumtype");
        let etype = Etype::ALL.into_iter().find(|etype| etype.checksum_type() == kind).unwrap();
        let key = Key::new(etype, &v.bytes("key")).unwrap();
        let data = v.get("data").map_or_else(|| v.bytes("data_hex"), |text| text.as_bytes().to_vec());
        let usage = v.number("usage").cast_unsigned();
        let (first, second) = data.split_at(data.len() / 2);
        assert_eq!(hex(&key.checksum(usage, &[first, second])), v.text("checksum"), "{}", v.id());
        assert!(key.verify_checksum(usage, &[&data], &v.bytes("checksum")));
        assert!(!key.verify_checksum(usage + 1, &[&data], &v.bytes("checksum")));
    }
}

#[test]
fn an_rc4_token_is_signed_as_ms_kile_4_5_shows() {
    let v = Vector::load("kile_rc4_wrap");
    // The token consists of 60 3b, the OID, eight bytes of header, SND_SEQ, SGN_CKSUM and the encrypted confounder.
    let signature = v.bytes("signature");
    let (header, rest) = signature[13..].split_at(8);
    let mut data = v.bytes("data");
    data.push(1);
    let sequence = u32::from_be_bytes(v.array("seq"));
    let parts = [header, &v.bytes("confounder"), &data];
    let (sent, checksum) = gss_signature(&v.bytes("session_key"), 13, &parts, sequence, 0);
    assert_eq!((hex(&sent), hex(&checksum)), (hex(&rest[..8]), hex(&rest[8..16])));
}

#[test]
fn a_changed_or_cut_ciphertext_never_decrypts() {
    for etype in Etype::ALL {
        let key = Key::from_random(etype, &[0x5A; 32]);
        let cipher = key.encrypt(2, &[9; 16], b"a ticket, or so");
        assert_eq!(key.decrypt(2, &cipher).unwrap(), b"a ticket, or so");
        assert_eq!(key.decrypt(3, &cipher), Err(CryptoError::Integrity), "{etype}: another usage");
        for at in 0..cipher.len() {
            let mut changed = cipher.clone();
            changed[at] ^= 1;
            assert_eq!(key.decrypt(2, &changed), Err(CryptoError::Integrity), "{etype}: byte {at}");
            assert!(key.decrypt(2, &cipher[..at]).is_err(), "{etype}: {at} bytes");
        }
    }
}

#[test]
fn keys_of_unknown_types_and_wrong_lengths_are_refused() {
    assert_eq!(Key::from_wire(3, &[0; 8]), Err(CryptoError::Etype(3)));
    for etype in Etype::ALL {
        for len in [0, 8, 15, 17, 31, 33, 64] {
            assert_eq!(Key::new(etype, &vec![0; len]), Err(CryptoError::KeyLength { etype, got: len }));
        }
    }
}
