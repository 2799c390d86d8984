//! The source of randomness of rustls, which is the stream of bytes that the caller provides.
//!
//! rustls requires both the source of random bytes and the key exchange as `&'static`. Therefore they are stateless. Each
//! step of a handshake runs within [`drawing`], which sets the [`Random`] of the current thread for that time. After the
//! handshake, no random bytes are drawn.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup,
};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::memory::Memory;

/// A secret, a public half, or a shared secret of X25519.
type Bytes = [u8; 32];

/// The public half of each secret.
static PUBLIC: Memory<Bytes, Bytes> = Memory::new();

/// The shared secret of a secret and the peer's half; `None` if the peer's half is a point of small order.
static SHARED: Memory<(Bytes, Bytes), Option<Bytes>> = Memory::new();

/// Fills a buffer with random bytes: a seeded generator in the simulation, the operating system's elsewhere.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Returns ring's cipher suites and verification, with all randomness coming from the source that [`drawing`] has set.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider { kx_groups: vec![&X25519], secure_random: &Drawn, ..rustls::crypto::ring::default_provider() }
}

/// Runs one step of a handshake, whose randomness comes from `random`.
pub(crate) fn drawing<T>(random: &Random, step: impl FnOnce() -> T) -> T {
    /// Restores the previous source, even after a panic.
    struct Restore(Option<Random>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(random.clone())));
    step()
}

thread_local! {
    static CURRENT: RefCell<Option<Random>> = const { RefCell::new(None) };
}

/// The source of randomness that [`drawing`] has set.
#[derive(Debug)]
struct Drawn;

impl SecureRandom for Drawn {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        let random = CURRENT.with_borrow(Clone::clone).ok_or(GetRandomFailed)?;
        random(buffer);
        Ok(())
    }
}

/// The key exchange of RFC 7748 5 with a secret from [`Drawn`]. The implementation in ring draws its secret from the
/// operating system.
#[derive(Debug)]
struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut secret = [0; 32];
        Drawn.fill(&mut secret)?;
        let public = PUBLIC.get(secret, || PublicKey::from(&StaticSecret::from(secret)).to_bytes());
        Ok(Box::new(Started { secret, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// A key exchange that waits for the peer's half.
struct Started {
    secret: Bytes,
    public: Bytes,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let invalid = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);
        let peer: [u8; 32] = peer.try_into().map_err(|_| invalid.clone())?;
        let shared = SHARED.get((self.secret, peer), || {
            let shared = StaticSecret::from(self.secret).diffie_hellman(&PublicKey::from(peer));
            // A point of small order makes all bytes of the shared secret zero (RFC 8446 7.4.2).
            shared.was_contributory().then(|| shared.to_bytes())
        });
        shared.map(|shared| SharedSecret::from(shared.as_slice())).ok_or(invalid)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}
