//! The NEGOTIATE flags (MS-NLMP 2.2.2.5).

use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};

/// The 32 NEGOTIATE flags, little-endian on the wire (MS-NLMP 2.2.2.5).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct NegotiateFlags(pub u32);

/// Declares the named flags and the table that prints them.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal;)*) => {
        impl NegotiateFlags {
            $($(#[$doc])* pub const $name: Self = Self($bit);)*
            const NAMES: &'static [(&'static str, u32)] = &[$((stringify!($name), $bit)),*];
        }
    };
}

flags! {
    /// A: strings are UTF-16LE.
    UNICODE = 0x0000_0001;
    /// B: strings are in the OEM character set.
    OEM = 0x0000_0002;
    /// C: the Challenge must name its target.
    REQUEST_TARGET = 0x0000_0004;
    /// D: messages will be signed.
    SIGN = 0x0000_0010;
    /// E: messages will be sealed.
    SEAL = 0x0000_0020;
    /// F: NTLM is connectionless.
    DATAGRAM = 0x0000_0040;
    /// G: the session key is computed with the LM hash.
    LM_KEY = 0x0000_0080;
    /// H: NTLMv1 session security is used; every peer sets this flag.
    NTLM = 0x0000_0200;
    /// J: the client is anonymous.
    ANONYMOUS = 0x0000_0800;
    /// K: the Negotiate carries a domain name.
    OEM_DOMAIN_SUPPLIED = 0x0000_1000;
    /// L: the Negotiate carries a workstation name.
    OEM_WORKSTATION_SUPPLIED = 0x0000_2000;
    /// M: every message has a signature block, even if it is only a dummy.
    ALWAYS_SIGN = 0x0000_8000;
    /// N: TargetName is a domain.
    TARGET_TYPE_DOMAIN = 0x0001_0000;
    /// O: TargetName is a server.
    TARGET_TYPE_SERVER = 0x0002_0000;
    /// P: extended session security ("NTLM2") is used; this flag suppresses [`Self::LM_KEY`].
    EXTENDED_SESSION_SECURITY = 0x0008_0000;
    /// Q: an identify-level token is wanted.
    IDENTIFY = 0x0010_0000;
    /// R: the session key comes from the LM hash alone.
    REQUEST_NON_NT_SESSION_KEY = 0x0040_0000;
    /// S: the Challenge carries AV pairs.
    TARGET_INFO = 0x0080_0000;
    /// T: the version field is filled.
    VERSION = 0x0200_0000;
    /// U: session keys have 128 bits.
    KEY_128 = 0x2000_0000;
    /// V: the initiator chooses the session key and sends it encrypted.
    KEY_EXCH = 0x4000_0000;
    /// W: session keys have 56 bits.
    KEY_56 = 0x8000_0000;
}

impl NegotiateFlags {
    /// Returns whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether any flag of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the union of both. Constants can use this function.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for NegotiateFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitAnd for NegotiateFlags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for NegotiateFlags {
    type Output = Self;
    /// Returns the flags of `self` that `other` lacks.
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for NegotiateFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)
    }
}

impl fmt::Debug for NegotiateFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}", self.0)?;
        for (name, bit) in Self::NAMES {
            if self.0 & bit != 0 {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}
