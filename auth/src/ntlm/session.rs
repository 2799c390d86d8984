//! Signatures and encryption of messages after authentication (MS-NLMP 3.4). HTTP needs them for SPNEGO's mechListMIC.

use hmac::Mac;
use md5::{Digest, Md5};
use rc4::{KeyInit, Rc4, StreamCipher};
use subtle::ConstantTimeEq;

use super::crypto::hmac_md5;
use super::flags::NegotiateFlags;

/// The side whose messages a key protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Messages from the client to the server.
    ClientToServer,
    /// Messages from the server to the client.
    ServerToClient,
}

/// An NTLMSSP_MESSAGE_SIGNATURE, 16 bytes (2.2.2.9).
pub type Signature = [u8; 16];

/// The protection of one direction: keys, RC4 state and sequence number. The sender and the receiver each have one and
/// advance it in the same way. When SPNEGO resets the state (MS-SPNG 3.2.5.1), a new one is used.
pub struct SessionSecurity {
    checksum: Checksum,
    cipher: Rc4,
    encrypt_checksum: bool,
    sequence: u32,
}

/// The contents of a signature under the flags in force.
enum Checksum {
    /// An HMAC with this key, which extended session security uses.
    Hmac([u8; 16]),
    /// An encrypted CRC, which is used without extended session security.
    Crc,
    /// A signature that proves nothing, because neither SIGN nor SEAL was negotiated.
    Dummy,
}

/// The bytes that replace a signature if ALWAYS_SIGN was negotiated, but neither SIGN nor SEAL: the version, and zeros.
/// According to pyspnego, SSPI does this (`_ntlm_raw/security.py`). gss-ntlmssp has the sequence number in place of the
/// version (`ntlm_sign` in `src/ntlm_crypto.c`), and Samba signs nothing (`ntlmssp_sign_packet` in
/// `auth/ntlmssp/ntlmssp_sign.c`).
const DUMMY: Signature = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Returns whether messages have a signature at all, even one that proves nothing (MS-NLMP 2.2.2.5, flag M).
pub fn has_signatures(flags: NegotiateFlags) -> bool {
    proves_integrity(flags) || flags.contains(NegotiateFlags::ALWAYS_SIGN)
}

/// Returns whether the signature of a message proves who made it (MS-NLMP 3.4.4.1, 3.4.4.2).
pub fn proves_integrity(flags: NegotiateFlags) -> bool {
    flags.intersects(NegotiateFlags::SIGN | NegotiateFlags::SEAL)
}

impl SessionSecurity {
    /// Creates the protection of messages in `direction` from the flags in force and the exported session key.
    pub fn new(flags: NegotiateFlags, session_key: &[u8; 16], direction: Direction) -> Self {
        let checksum = if !proves_integrity(flags) {
            Checksum::Dummy
        } else if flags.contains(NegotiateFlags::EXTENDED_SESSION_SECURITY) {
            Checksum::Hmac(sign_key(session_key, direction))
        } else {
            Checksum::Crc
        };
        Self {
            checksum,
            cipher: seal_cipher(flags, session_key, direction),
            encrypt_checksum: flags.contains(NegotiateFlags::KEY_EXCH),
            sequence: 0,
        }
    }

    /// Sets the sequence number of the next message.
    #[must_use]
    pub fn at(self, sequence: u32) -> Self {
        Self { sequence, ..self }
    }

    /// Signs the next message.
    pub fn sign(&mut self, message: &[u8]) -> Signature {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        match self.checksum {
            Checksum::Hmac(key) => self.extended_signature(&key, sequence, message),
            Checksum::Crc => self.crc_signature(sequence, message),
            Checksum::Dummy => DUMMY,
        }
    }

    /// Returns whether `signature` is the signature of the next message. The comparison takes constant time. Two fields
    /// without a meaning are not compared. One is the RandomPad of a CRC, which Samba sends as the cipher produced it
    /// (`ntlmssp_check_packet` does not compare it either). The other is the first field of a signature that proves
    /// nothing.
    pub fn verify(&mut self, message: &[u8], signature: &Signature) -> bool {
        let meaningful = match self.checksum {
            Checksum::Hmac(_) => 0,
            Checksum::Crc => 8,
            Checksum::Dummy => 4,
        };
        self.sign(message)[meaningful..].ct_eq(&signature[meaningful..]).into()
    }

    /// Encrypts the next message in place, and returns its signature (3.4.3).
    pub fn seal(&mut self, message: &mut [u8]) -> Signature {
        // The checksum covers the plaintext, but the cipher must process the message first.
        let plain = message.to_vec();
        self.cipher.apply_keystream(message);
        self.sign(&plain)
    }

    /// Decrypts the next message in place, and returns whether its signature is right.
    pub fn unseal(&mut self, message: &mut [u8], signature: &Signature) -> bool {
        self.cipher.apply_keystream(message);
        self.verify(message, signature)
    }

    /// Returns a signature with extended session security (3.4.4.2).
    fn extended_signature(&mut self, key: &[u8; 16], sequence: u32, message: &[u8]) -> Signature {
        let mut mac = hmac_md5(key);
        mac.update(&sequence.to_le_bytes());
        mac.update(message);
        let mut checksum: [u8; 8] = std::array::from_fn({
            let digest = mac.finalize().into_bytes();
            move |at| digest[at]
        });
        if self.encrypt_checksum {
            self.cipher.apply_keystream(&mut checksum);
        }
        signature(checksum, sequence.to_le_bytes())
    }

    /// Returns a signature without extended session security (3.4.4.1). RandomPad is sent as zero, as on Windows, but
    /// consumes its four bytes of keystream.
    fn crc_signature(&mut self, sequence: u32, message: &[u8]) -> Signature {
        let mut fields = [0; 12];
        fields[4..8].copy_from_slice(&crc32(message).to_le_bytes());
        fields[8..].copy_from_slice(&sequence.to_le_bytes());
        self.cipher.apply_keystream(&mut fields);
        fields[..4].fill(0);
        let [checksum @ .., s0, s1, s2, s3] = fields;
        signature(checksum, [s0, s1, s2, s3])
    }
}

/// Returns version 1, the checksum and the sequence number (2.2.2.9).
fn signature(checksum: [u8; 8], sequence: [u8; 4]) -> Signature {
    let mut out = [0; 16];
    out[0] = 1;
    out[4..12].copy_from_slice(&checksum);
    out[12..].copy_from_slice(&sequence);
    out
}

/// Returns SIGNKEY (3.4.5.2) with extended session security, 16 bytes.
pub fn sign_key(session_key: &[u8; 16], direction: Direction) -> [u8; 16] {
    let magic: &[u8] = match direction {
        Direction::ClientToServer => b"session key to client-to-server signing key magic constant\0",
        Direction::ServerToClient => b"session key to server-to-client signing key magic constant\0",
    };
    Md5::new().chain_update(session_key).chain_update(magic).finalize().into()
}

/// Returns SEALKEY (3.4.5.3) with extended session security, 16 bytes. It is derived from the whole session key, or
/// from the 7 or 5 bytes that weaker flags allow.
pub fn extended_seal_key(flags: NegotiateFlags, session_key: &[u8; 16], direction: Direction) -> [u8; 16] {
    let strength = if flags.contains(NegotiateFlags::KEY_128) {
        16
    } else if flags.contains(NegotiateFlags::KEY_56) {
        7
    } else {
        5
    };
    let magic: &[u8] = match direction {
        Direction::ClientToServer => b"session key to client-to-server sealing key magic constant\0",
        Direction::ServerToClient => b"session key to server-to-client sealing key magic constant\0",
    };
    Md5::new().chain_update(&session_key[..strength]).chain_update(magic).finalize().into()
}

/// Returns the cipher of one direction. Without extended session security, SEALKEY weakens the key only with LM_KEY
/// (3.4.5.3).
fn seal_cipher(flags: NegotiateFlags, session_key: &[u8; 16], direction: Direction) -> Rc4 {
    let k = session_key;
    let extended;
    let key: &[u8] = if flags.contains(NegotiateFlags::EXTENDED_SESSION_SECURITY) {
        extended = extended_seal_key(flags, session_key, direction);
        &extended
    } else if !flags.contains(NegotiateFlags::LM_KEY) {
        k
    } else if flags.contains(NegotiateFlags::KEY_56) {
        &[k[0], k[1], k[2], k[3], k[4], k[5], k[6], 0xA0]
    } else {
        &[k[0], k[1], k[2], k[3], k[4], 0xE5, 0x38, 0xB0]
    };
    Rc4::new_from_slice(key).expect("RC4 takes keys of 1 to 256 bytes, these have 8 or 16")
}

/// Returns the CRC-32 (IEEE 802.3), computed bit by bit, because messages are short.
fn crc32(message: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in message {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
