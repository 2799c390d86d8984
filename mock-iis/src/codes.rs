//! The differences between the generations of IIS in the log's `sc-win32-status`.

use stickler_auth::status::{BadPasswordCode, SecStatus, Win32};
use stickler_model::topology::IisVersion;

/// The substatus of a 401 for a handshake that is in progress or has failed (401.1, logon failed).
pub const LOGON_FAILED: u16 = 1;
/// The substatus of a 401 for a request without credentials (401.2, logon failed due to server configuration).
pub const NO_CREDENTIALS: u16 = 2;
/// The substatus of a 401 for a user whom the resource's ACL refuses (401.3).
pub const ACL: u16 = 3;

/// The codes of one generation of IIS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCodes {
    /// The code beside 401.2, for a request without credentials.
    pub anonymous: u32,
    /// The code beside 401.1, for the response that carries the Challenge.
    pub challenge: u32,
    /// The code beside 401.1, for a wrong user or password.
    pub bad_password: BadPasswordCode,
}

impl LogCodes {
    /// Returns the codes of a version. The log has `401 2 2148074254`, `401 1 0` and `401 1 1326` up to IIS 6, and
    /// `401 2 5`, `401 1 2148074254` and `401 1 2148074252` since IIS 7, where the code is SSPI's own.
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
