//! AES in CBC mode with ciphertext stealing. The initial vector is zero (RFC 3962 5).

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256, Block};

/// The number of bytes of an AES block.
pub(super) const BLOCK: usize = 16;

/// AES with a key of 128 or 256 bits in the mode of Kerberos.
#[derive(Clone)]
pub struct AesCts(Cipher);

#[derive(Clone)]
enum Cipher {
    Aes128(Aes128),
    Aes256(Aes256),
}

impl AesCts {
    /// Creates the cipher from a key of 16 bytes, or from the first 32 bytes of a longer key.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(match <&[u8; 16]>::try_from(key) {
            Ok(key) => Cipher::Aes128(Aes128::new(&Array(*key))),
            Err(_) => Cipher::Aes256(Aes256::new(&Array(super::padded(key)))),
        })
    }

    /// Creates the cipher from a 128-bit key, for callers that need only the mode.
    pub fn aes128(key: &[u8; 16]) -> Self {
        Self::new(key)
    }

    /// Encrypts `data` in place. It must have at least 16 bytes, which a confounder guarantees.
    ///
    /// # Panics
    /// `data` has fewer than 16 bytes.
    pub fn encrypt(&self, data: &mut [u8]) {
        assert!(data.len() >= BLOCK, "ciphertext stealing needs a whole block");
        let mut previous = [0; BLOCK];
        let (whole, tail) = data.split_at_mut((data.len() - 1) / BLOCK * BLOCK);
        for block in whole.as_chunks_mut::<BLOCK>().0 {
            self.encrypt_chained(block, &previous);
            previous = *block;
        }
        // The last block, whether complete or not, is padded with zeros and chained. Then the last two blocks change
        // places, and the last one is cut to the length of the data.
        let mut last = [0; BLOCK];
        last[..tail.len()].copy_from_slice(tail);
        self.encrypt_chained(&mut last, &previous);
        match whole.last_chunk_mut::<BLOCK>() {
            None => tail.copy_from_slice(&last),
            Some(second) => {
                tail.copy_from_slice(&previous[..tail.len()]);
                *second = last;
            }
        }
    }

    /// Decrypts `data` in place. It must have at least 16 bytes.
    ///
    /// # Panics
    /// `data` has fewer than 16 bytes.
    pub fn decrypt(&self, data: &mut [u8]) {
        assert!(data.len() >= BLOCK, "ciphertext stealing needs a whole block");
        let (whole, tail) = data.split_at_mut((data.len() - 1) / BLOCK * BLOCK);
        let Some((chained, second)) = whole.split_last_chunk_mut::<BLOCK>() else {
            self.decrypt_blocks(tail);
            return;
        };
        // Block n-1, as it was sent, is the last one of the chain. It decrypts to the padded tail chained with block
        // n-2, and therefore also reveals the end of block n-2.
        let before = chained.last_chunk::<BLOCK>().copied().unwrap_or_default();
        let last = *second;
        let mut stolen = last;
        self.decrypt_blocks(&mut stolen);
        let mut previous = stolen;
        previous[..tail.len()].copy_from_slice(tail);
        for (to, key) in tail.iter_mut().zip(stolen) {
            *to ^= key;
        }
        *second = previous;
        self.decrypt_blocks(second);
        xor(second, &before);
        self.decrypt_chain(chained);
    }

    /// Decrypts whole blocks in plain CBC mode.
    fn decrypt_chain(&self, blocks: &mut [u8]) {
        let mut previous = [0; BLOCK];
        // Eight blocks are decrypted at a time, because the processor can work on them in parallel.
        for group in blocks.chunks_mut(8 * BLOCK) {
            let mut sent = [0; 8 * BLOCK];
            sent[..group.len()].copy_from_slice(group);
            self.decrypt_blocks(group);
            for (block, cipher) in group.as_chunks_mut::<BLOCK>().0.iter_mut().zip(sent.as_chunks::<BLOCK>().0) {
                xor(block, &previous);
                previous = *cipher;
            }
        }
    }

    /// Encrypts one block in CBC mode.
    pub(super) fn encrypt_chained(&self, block: &mut [u8; BLOCK], previous: &[u8; BLOCK]) {
        xor(block, previous);
        let block = <&mut Block>::from(block);
        match &self.0 {
            Cipher::Aes128(cipher) => cipher.encrypt_block(block),
            Cipher::Aes256(cipher) => cipher.encrypt_block(block),
        }
    }

    /// Decrypts whole blocks, independently of one another.
    fn decrypt_blocks(&self, bytes: &mut [u8]) {
        let blocks = Array::cast_slice_from_core_mut(bytes.as_chunks_mut::<BLOCK>().0);
        match &self.0 {
            Cipher::Aes128(cipher) => cipher.decrypt_blocks(blocks),
            Cipher::Aes256(cipher) => cipher.decrypt_blocks(blocks),
        }
    }
}

fn xor(block: &mut [u8; BLOCK], with: &[u8; BLOCK]) {
    for (to, byte) in block.iter_mut().zip(with) {
        *to ^= byte;
    }
}
