//! Kerberos error codes, and their equivalents on Windows.

use crate::status::{NtStatus, SecStatus, codes};

codes! {
    /// An error code of a KRB-ERROR (RFC 4120 7.5.9).
    KrbErrorCode {
        /// The client's entry has expired.
        NAME_EXP = 1, "KDC_ERR_NAME_EXP";
        /// The client is unknown.
        C_PRINCIPAL_UNKNOWN = 6, "KDC_ERR_C_PRINCIPAL_UNKNOWN";
        /// The service is unknown.
        S_PRINCIPAL_UNKNOWN = 7, "KDC_ERR_S_PRINCIPAL_UNKNOWN";
        /// Several accounts have the service's name.
        PRINCIPAL_NOT_UNIQUE = 8, "KDC_ERR_PRINCIPAL_NOT_UNIQUE";
        /// The ticket would end before it begins.
        NEVER_VALID = 11, "KDC_ERR_NEVER_VALID";
        /// The policy of the KDC forbids the request.
        POLICY = 12, "KDC_ERR_POLICY";
        /// The KDC does not support an option.
        BADOPTION = 13, "KDC_ERR_BADOPTION";
        /// There is no encryption type in common.
        ETYPE_NOSUPP = 14, "KDC_ERR_ETYPE_NOSUPP";
        /// The KDC does not support this kind of pre-authentication.
        PADATA_TYPE_NOSUPP = 16, "KDC_ERR_PADATA_TYPE_NOSUPP";
        /// The client's account is disabled, locked or expired.
        CLIENT_REVOKED = 18, "KDC_ERR_CLIENT_REVOKED";
        /// The password has expired.
        KEY_EXPIRED = 23, "KDC_ERR_KEY_EXPIRED";
        /// The pre-authentication does not match, which means a wrong password.
        PREAUTH_FAILED = 24, "KDC_ERR_PREAUTH_FAILED";
        /// The KDC requires pre-authentication.
        PREAUTH_REQUIRED = 25, "KDC_ERR_PREAUTH_REQUIRED";
        /// Decrypted data failed its integrity check, in a case for which the error is not MODIFIED.
        BAD_INTEGRITY = 31, "KRB_AP_ERR_BAD_INTEGRITY";
        /// The ticket has expired.
        TKT_EXPIRED = 32, "KRB_AP_ERR_TKT_EXPIRED";
        /// The ticket is not yet valid.
        TKT_NYV = 33, "KRB_AP_ERR_TKT_NYV";
        /// The request is a replay.
        REPEAT = 34, "KRB_AP_ERR_REPEAT";
        /// The ticket is not for this service.
        NOT_US = 35, "KRB_AP_ERR_NOT_US";
        /// The ticket and the authenticator name different clients.
        BADMATCH = 36, "KRB_AP_ERR_BADMATCH";
        /// The clocks differ too much.
        SKEW = 37, "KRB_AP_ERR_SKEW";
        /// The message has another protocol version.
        BADVERSION = 39, "KRB_AP_ERR_BADVERSION";
        /// The message is not the expected one.
        MSG_TYPE = 40, "KRB_AP_ERR_MSG_TYPE";
        /// The message was altered, or was encrypted with another key.
        MODIFIED = 41, "KRB_AP_ERR_MODIFIED";
        /// The server has no key.
        NOKEY = 45, "KRB_AP_ERR_NOKEY";
        /// The type of the checksum is not suitable, because it gives no protection.
        INAPP_CKSUM = 50, "KRB_AP_ERR_INAPP_CKSUM";
        /// The answer is too big for UDP.
        RESPONSE_TOO_BIG = 52, "KRB_ERR_RESPONSE_TOO_BIG";
        /// The error is none of the others.
        GENERIC = 60, "KRB_ERR_GENERIC";
        /// The client belongs to another realm, which the error names.
        WRONG_REALM = 68, "KDC_ERR_WRONG_REALM";
    }
}

impl KrbErrorCode {
    /// Returns the SSPI status of a *server* that refuses a token with this error. IIS logs the status as
    /// `sc-win32-status`.
    ///
    /// SKEW is documented (MS-KILE 3.4.5). The others follow Windows' table of Kerberos errors and are not measured on
    /// IIS.
    pub const fn acceptor_status(self) -> SecStatus {
        match self {
            Self::SKEW => SecStatus::TIME_SKEW,
            Self::TKT_EXPIRED | Self::TKT_NYV => SecStatus::CONTEXT_EXPIRED,
            Self::NOT_US => SecStatus::WRONG_PRINCIPAL,
            Self::NOKEY => SecStatus::NO_KERB_KEY,
            Self::ETYPE_NOSUPP => SecStatus::ETYPE_NOT_SUPP,
            Self::MSG_TYPE | Self::BADVERSION => SecStatus::INVALID_TOKEN,
            _ => SecStatus::LOGON_DENIED,
        }
    }

    /// Returns the SSPI status of a *client* that receives this error from a KDC or a server. MODIFIED becomes "the
    /// target principal name is incorrect".
    pub const fn initiator_status(self) -> SecStatus {
        match self {
            Self::S_PRINCIPAL_UNKNOWN | Self::PRINCIPAL_NOT_UNIQUE => SecStatus::TARGET_UNKNOWN,
            Self::MODIFIED | Self::BAD_INTEGRITY | Self::NOT_US => SecStatus::WRONG_PRINCIPAL,
            Self::ETYPE_NOSUPP => SecStatus::ETYPE_NOT_SUPP,
            Self::SKEW => SecStatus::TIME_SKEW,
            Self::TKT_EXPIRED | Self::TKT_NYV => SecStatus::CONTEXT_EXPIRED,
            Self::GENERIC => SecStatus::INTERNAL_ERROR,
            _ => SecStatus::LOGON_DENIED,
        }
    }

    /// Returns the NTSTATUS of a logon that a KDC refused with this error, if no KERB-EXT-ERROR gives a more exact one.
    pub const fn nt_status(self) -> NtStatus {
        match self {
            Self::C_PRINCIPAL_UNKNOWN => NtStatus::NO_SUCH_USER,
            Self::PREAUTH_FAILED => NtStatus::WRONG_PASSWORD,
            Self::CLIENT_REVOKED => NtStatus::ACCOUNT_DISABLED,
            Self::KEY_EXPIRED => NtStatus::PASSWORD_EXPIRED,
            Self::NAME_EXP => NtStatus::ACCOUNT_EXPIRED,
            Self::POLICY => NtStatus::ACCOUNT_RESTRICTION,
            Self::SKEW => NtStatus::TIME_DIFFERENCE_AT_DC,
            _ => NtStatus::LOGON_FAILURE,
        }
    }

    /// Returns the error of an AS exchange for an account in this state (MS-KILE 3.3.5.6).
    pub const fn of_account(status: NtStatus) -> Self {
        match status {
            NtStatus::ACCOUNT_DISABLED
            | NtStatus::ACCOUNT_EXPIRED
            | NtStatus::ACCOUNT_LOCKED_OUT
            | NtStatus::INVALID_LOGON_HOURS => Self::CLIENT_REVOKED,
            NtStatus::PASSWORD_EXPIRED | NtStatus::PASSWORD_MUST_CHANGE => Self::KEY_EXPIRED,
            NtStatus::INVALID_WORKSTATION | NtStatus::ACCOUNT_RESTRICTION => Self::POLICY,
            NtStatus::NO_SUCH_USER => Self::C_PRINCIPAL_UNKNOWN,
            NtStatus::WRONG_PASSWORD | NtStatus::LOGON_FAILURE => Self::PREAUTH_FAILED,
            _ => Self::GENERIC,
        }
    }
}

/// Returns a KERB-EXT-ERROR (MS-KILE 2.2.1): the NTSTATUS that a Windows KDC adds to an error, 12 bytes.
pub(crate) fn extended_error(status: NtStatus) -> [u8; 12] {
    let mut out = [0; 12];
    out[..4].copy_from_slice(&status.0.to_le_bytes());
    out[8] = 1;
    out
}

/// Returns the NTSTATUS within a KERB-EXT-ERROR.
pub(crate) fn extended_status(bytes: &[u8]) -> Option<NtStatus> {
    let bytes: &[u8; 12] = bytes.try_into().ok()?;
    bytes.first_chunk().map(|status| NtStatus(u32::from_le_bytes(*status)))
}
