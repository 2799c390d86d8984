//! The bare operations of ciphers and hashes that one AP-REQ and its AP-REP require.

use std::hint::black_box;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use aes::{Aes128, Aes256, Block};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rc4::{Rc4, StreamCipher};
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use stickler_auth::kerberos::crypto::Etype;

/// The operations of one verification and nothing else, performed in place: the ticket is decrypted and its tag made,
/// with keys derived beforehand; keys for authenticator and AP-REP are derived from the session key; the authenticator
/// is decrypted and the AP-REP encrypted, and their tags made (RFC 3961 5.3, RFC 8009 5, RFC 4757 5).
pub struct Primitives(Box<dyn FnMut() -> u64>);

impl Primitives {
    /// Returns the operations for ciphertexts with these lengths in bytes: ticket, authenticator, AP-REP.
    pub(super) fn new(etype: Etype, lengths: [usize; 3]) -> Self {
        Self(match etype {
            Etype::Aes128Sha1 => aes::<Aes128, Hmac<Sha1>>(lengths, [16, 16, 12], encrypted_keys::<Aes128>),
            Etype::Aes256Sha1 => aes::<Aes256, Hmac<Sha1>>(lengths, [32, 32, 12], encrypted_keys::<Aes256>),
            Etype::Aes128Sha256 => aes::<Aes128, Hmac<Sha256>>(lengths, [16, 16, 16], hashed_keys::<Hmac<Sha256>>),
            Etype::Aes256Sha384 => aes::<Aes256, Hmac<Sha384>>(lengths, [32, 24, 24], hashed_keys::<Hmac<Sha384>>),
            Etype::Rc4Hmac => rc4_hmac(lengths),
        })
    }

    /// Performs them once, and returns a number that depends on the results of the earlier calls.
    pub fn run(&mut self) -> u64 {
        (self.0)()
    }
}

/// Derives Ke and Ki for authenticator and AP-REP from a session key.
type Derive = fn(&[u8]) -> [[u8; 32]; 4];

const SESSION_KEY: [u8; 32] = [3; 32];

/// Returns the operations for AES. The lengths are those of Ke, of Ki and of the tag.
fn aes<C, M>(ciphers: [usize; 3], [ke, ki, tag]: [usize; 3], derive: Derive) -> Box<dyn FnMut() -> u64>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + 'static,
    C: aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
    M: Mac + KeyInit + Clone + 'static,
{
    // A last block that is not whole costs as much as a whole one.
    let blocks = |length: usize| vec![Block::from([0x5A; 16]); (length - tag).div_ceil(16)];
    let [mut ticket, mut authenticator, mut reply] = ciphers.map(blocks);
    let (cipher, mac) = (keyed::<C>(&[7; 32][..ke]), keyed::<M>(&[9; 32][..ki]));
    Box::new(move || {
        cipher.decrypt_blocks(&mut ticket);
        let mut sum = digest(mac.clone(), &ticket);
        let keys = derive(&black_box(SESSION_KEY)[..ke]);
        keyed::<C>(&keys[0][..ke]).decrypt_blocks(&mut authenticator);
        sum ^= digest(keyed::<M>(&keys[1][..ki]), &authenticator);
        let cipher = keyed::<C>(&keys[2][..ke]);
        let mut previous = Block::default();
        for block in &mut reply {
            block.iter_mut().zip(previous).for_each(|(byte, with)| *byte ^= with);
            cipher.encrypt_block(block);
            previous = *block;
        }
        sum ^ digest(keyed::<M>(&keys[3][..ki]), &reply)
    })
}

/// Derives keys with DK (RFC 3961 5.1), whose constants were folded in advance.
fn encrypted_keys<C>(session: &[u8]) -> [[u8; 32]; 4]
where
    C: BlockCipherEncrypt + KeyInit + aes::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let cipher = keyed::<C>(session);
    [1, 2, 3, 4].map(|constant| {
        let (mut key, mut block) = ([0; 32], Block::from([constant; 16]));
        for half in key[..session.len()].as_chunks_mut().0 {
            cipher.encrypt_block(&mut block);
            *half = block.0;
        }
        key
    })
}

/// Derives keys with KDF-HMAC-SHA2 (RFC 8009 3).
fn hashed_keys<M: Mac + KeyInit + Clone>(session: &[u8]) -> [[u8; 32]; 4] {
    let mac = keyed::<M>(session);
    [1, 2, 3, 4].map(|label| {
        let mut mac = mac.clone();
        mac.update(black_box(&[label; 14]));
        let mut key = [0; 32];
        key.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        key
    })
}

/// Returns the operations for HMAC-MD5 and RC4 (RFC 4757 5): for each of the three ciphertexts a key of the usage, a
/// key of the message, the stream, and the tag.
fn rc4_hmac(ciphers: [usize; 3]) -> Box<dyn FnMut() -> u64> {
    let [mut ticket, mut authenticator, mut reply] = ciphers.map(|length| vec![0x5A; length - 16]);
    let of_usage = keyed::<Hmac<Md5>>(&[7; 16]);
    Box::new(move || {
        let session = keyed::<Hmac<Md5>>(&black_box(SESSION_KEY)[..16]);
        let mut sum = rc4_message(&of_usage, &mut ticket);
        for body in [&mut authenticator, &mut reply] {
            let key = mac(session.clone(), black_box(&[11; 4]));
            sum ^= rc4_message(&keyed(&key), body);
        }
        sum
    })
}

fn rc4_message(of_usage: &Hmac<Md5>, body: &mut [u8]) -> u64 {
    let key = mac(of_usage.clone(), black_box(&[0x33; 16]));
    keyed::<Rc4>(&key).apply_keystream(body);
    first(&mac(of_usage.clone(), body))
}

fn keyed<K: KeyInit>(key: &[u8]) -> K {
    K::new_from_slice(black_box(key)).expect("the key has a length that the primitive takes")
}

fn digest(mut mac: impl Mac, blocks: &[Block]) -> u64 {
    mac.update(Block::cast_slice_to_core(blocks).as_flattened());
    first(&mac.finalize().into_bytes())
}

fn mac(mut mac: Hmac<Md5>, bytes: &[u8]) -> [u8; 16] {
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn first(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
}
