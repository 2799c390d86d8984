//! What differs between generations of IIS in the log's `sc-win32-status`.

use stickler_auth::status::{BadPasswordCode, SecStatus, Win32};
use stickler_model::topology::IisVersion;

/// Substatus of a 401 for a handshake that is under way, or has failed (401.1, logon failed).
pub const LOGON_FAILED: u16 = 1;
/// Substatus of a 401 for a request without credentials (401.2, logon failed due to server configuration).
pub const NO_CREDENTIALS: u16 = 2;
/// Substatus of a 401 for a user whom the resource's ACL refuses (401.3).
pub const ACL: u16 = 3;

/// The codes of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCodes {
    /// Beside 401.2, for a request without credentials.
    pub anonymous: u32,
    /// Beside 401.1, for the answer that carries the Challenge.
    pub challenge: u32,
    /// Beside 401.1, for a bad user or password.
    pub bad_password: BadPasswordCode,
}

impl LogCodes {
    /// The codes of a version: `401 2 2148074254`, `401 1 0`, `401 1 1326` up to IIS 6;
    /// `401 2 5`, `401 1 2148074254`, `401 1 2148074252` since IIS 7, where the code is SSPI's own.
    pub const fn of(version: IisVersion) -> Self {
        match version {
            IisVersion::Iis6 => Self {
                anonymous: SecStatus::NO_CREDENTIALS.0,
                challenge: Win32::SUCCESS.0,
                bad_password: BadPasswordCode::Win32,
            },
            IisVersion::Iis10 => Self {
                anonymous: Win32::ACCESS_DENIED.0,
                challenge: SecStatus::NO_CREDENTIALS.0,
                bad_password: BadPasswordCode::Sspi,
            },
        }
    }
}
