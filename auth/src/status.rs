//! Status codes: NTSTATUS from the DC, SSPI codes from the acceptor, and the codes that IIS logs for them.

/// Declares a newtype over `u32` with named constants, whose `Display` shows the name and the code.
macro_rules! codes {
    ($(#[$outer:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub u32);

        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// Returns the documented name of the code, if this crate knows it.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} (0x{:08X})", self.name().unwrap_or("unknown status"), self.0)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

pub(crate) use codes;

codes! {
    /// An NTSTATUS (MS-ERREF 2.3): the outcome of a logon, as the DC or the local SAM reports it.
    NtStatus {
        /// The logon succeeded.
        SUCCESS = 0x0000_0000, "STATUS_SUCCESS";
        /// The request is invalid.
        INVALID_PARAMETER = 0xC000_000D, "STATUS_INVALID_PARAMETER";
        /// The caller is not allowed to ask.
        ACCESS_DENIED = 0xC000_0022, "STATUS_ACCESS_DENIED";
        /// No domain controller answers.
        NO_LOGON_SERVERS = 0xC000_005E, "STATUS_NO_LOGON_SERVERS";
        /// The account does not exist.
        NO_SUCH_USER = 0xC000_0064, "STATUS_NO_SUCH_USER";
        /// The response does not match the account's password.
        WRONG_PASSWORD = 0xC000_006A, "STATUS_WRONG_PASSWORD";
        /// The user or the password is wrong; the code does not say which.
        LOGON_FAILURE = 0xC000_006D, "STATUS_LOGON_FAILURE";
        /// A restriction on the account forbids the logon.
        ACCOUNT_RESTRICTION = 0xC000_006E, "STATUS_ACCOUNT_RESTRICTION";
        /// The time is outside the account's logon hours.
        INVALID_LOGON_HOURS = 0xC000_006F, "STATUS_INVALID_LOGON_HOURS";
        /// The account may not log on from this workstation.
        INVALID_WORKSTATION = 0xC000_0070, "STATUS_INVALID_WORKSTATION";
        /// The password has expired.
        PASSWORD_EXPIRED = 0xC000_0071, "STATUS_PASSWORD_EXPIRED";
        /// The account is disabled.
        ACCOUNT_DISABLED = 0xC000_0072, "STATUS_ACCOUNT_DISABLED";
        /// The domain does not exist.
        NO_SUCH_DOMAIN = 0xC000_00DF, "STATUS_NO_SUCH_DOMAIN";
        /// The clocks of the client and the domain controller differ too much.
        TIME_DIFFERENCE_AT_DC = 0xC000_0133, "STATUS_TIME_DIFFERENCE_AT_DC";
        /// The machine account has no trust relationship with the domain.
        TRUSTED_RELATIONSHIP_FAILURE = 0xC000_018D, "STATUS_TRUSTED_RELATIONSHIP_FAILURE";
        /// The domain controller has no account for the machine, or the domain, that asks.
        NO_TRUST_SAM_ACCOUNT = 0xC000_018B, "STATUS_NO_TRUST_SAM_ACCOUNT";
        /// The account has expired.
        ACCOUNT_EXPIRED = 0xC000_0193, "STATUS_ACCOUNT_EXPIRED";
        /// The name or SID of a domain differs from that in the trust with it.
        DOMAIN_TRUST_INCONSISTENT = 0xC000_019B, "STATUS_DOMAIN_TRUST_INCONSISTENT";
        /// The user must change the password first.
        PASSWORD_MUST_CHANGE = 0xC000_0224, "STATUS_PASSWORD_MUST_CHANGE";
        /// The account is locked out.
        ACCOUNT_LOCKED_OUT = 0xC000_0234, "STATUS_ACCOUNT_LOCKED_OUT";
        /// A policy blocks NTLM.
        NTLM_BLOCKED = 0xC000_0418, "STATUS_NTLM_BLOCKED";
    }
}

codes! {
    /// An SSPI status (winerror.h, `SEC_E_*`): the outcome of handling a token.
    SecStatus {
        /// The token was accepted.
        OK = 0x0000_0000, "SEC_E_OK";
        /// A further token is needed.
        CONTINUE_NEEDED = 0x0009_0312, "SEC_I_CONTINUE_NEEDED";
        /// The client offers less than this server requires.
        UNSUPPORTED_FUNCTION = 0x8009_0302, "SEC_E_UNSUPPORTED_FUNCTION";
        /// The service is unknown to the KDC.
        TARGET_UNKNOWN = 0x8009_0303, "SEC_E_TARGET_UNKNOWN";
        /// The package had an internal error.
        INTERNAL_ERROR = 0x8009_0304, "SEC_E_INTERNAL_ERROR";
        /// The token is malformed, or no handshake was pending for it.
        INVALID_TOKEN = 0x8009_0308, "SEC_E_INVALID_TOKEN";
        /// The logon was refused.
        LOGON_DENIED = 0x8009_030C, "SEC_E_LOGON_DENIED";
        /// There are no credentials. The first, anonymous request is logged with this code (2148074254).
        NO_CREDENTIALS = 0x8009_030E, "SEC_E_NO_CREDENTIALS";
        /// A message was altered on its way: the MIC does not match.
        MESSAGE_ALTERED = 0x8009_030F, "SEC_E_MESSAGE_ALTERED";
        /// The ticket has expired, or is not yet valid.
        CONTEXT_EXPIRED = 0x8009_0317, "SEC_E_CONTEXT_EXPIRED";
        /// The token names a service that this server does not provide.
        WRONG_PRINCIPAL = 0x8009_0322, "SEC_E_WRONG_PRINCIPAL";
        /// The clocks differ too much.
        TIME_SKEW = 0x8009_0324, "SEC_E_TIME_SKEW";
        /// The peers have no encryption type in common.
        ETYPE_NOT_SUPP = 0x8009_0342, "SEC_E_ETYPE_NOT_SUPP";
        /// The channel binding is missing, or is not that of this connection.
        BAD_BINDINGS = 0x8009_0346, "SEC_E_BAD_BINDINGS";
        /// The server has no key for the ticket.
        NO_KERB_KEY = 0x8009_0348, "SEC_E_NO_KERB_KEY";
    }
}

codes! {
    /// A Win32 error (MS-ERREF 2.2), in the form of the column `sc-win32-status`.
    Win32 {
        /// There was no error.
        SUCCESS = 0, "ERROR_SUCCESS";
        /// Access is denied.
        ACCESS_DENIED = 5, "ERROR_ACCESS_DENIED";
        /// No logon server answers.
        NO_LOGON_SERVERS = 1311, "ERROR_NO_LOGON_SERVERS";
        /// The user or the password is wrong.
        LOGON_FAILURE = 1326, "ERROR_LOGON_FAILURE";
        /// A restriction on the account forbids the logon.
        ACCOUNT_RESTRICTION = 1327, "ERROR_ACCOUNT_RESTRICTION";
        /// The time is outside the account's logon hours.
        INVALID_LOGON_HOURS = 1328, "ERROR_INVALID_LOGON_HOURS";
        /// The account may not log on from this workstation.
        INVALID_WORKSTATION = 1329, "ERROR_INVALID_WORKSTATION";
        /// The password has expired.
        PASSWORD_EXPIRED = 1330, "ERROR_PASSWORD_EXPIRED";
        /// The account is disabled.
        ACCOUNT_DISABLED = 1331, "ERROR_ACCOUNT_DISABLED";
        /// The clocks of the client and the server differ too much.
        TIME_SKEW = 1398, "ERROR_TIME_SKEW";
        /// There is no account for the machine or the domain that asks.
        NO_TRUST_SAM_ACCOUNT = 1787, "ERROR_NO_TRUST_SAM_ACCOUNT";
        /// There is no trust with the domain.
        TRUSTED_RELATIONSHIP_FAILURE = 1789, "ERROR_TRUSTED_RELATIONSHIP_FAILURE";
        /// The account has expired.
        ACCOUNT_EXPIRED = 1793, "ERROR_ACCOUNT_EXPIRED";
        /// The domain is not the one that the trust is with.
        DOMAIN_TRUST_INCONSISTENT = 1810, "ERROR_DOMAIN_TRUST_INCONSISTENT";
        /// The user must change the password first.
        PASSWORD_MUST_CHANGE = 1907, "ERROR_PASSWORD_MUST_CHANGE";
        /// The account is locked out.
        ACCOUNT_LOCKED_OUT = 1909, "ERROR_ACCOUNT_LOCKED_OUT";
        /// A policy blocks NTLM.
        NTLM_BLOCKED = 1937, "ERROR_NTLM_BLOCKED";
    }
}

/// The code with which a server logs a wrong user or password. Versions of IIS differ, so it is part of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadPasswordCode {
    /// `1326`, ERROR_LOGON_FAILURE.
    #[default]
    Win32,
    /// `2148074252`, SEC_E_LOGON_DENIED.
    Sspi,
}

impl NtStatus {
    /// Returns whether the logon succeeded.
    pub const fn is_success(self) -> bool {
        self.0 == Self::SUCCESS.0
    }

    /// Returns the value of `sc-win32-status` that IIS logs for a logon with this outcome.
    ///
    /// A status without its own entry is logged as [`SecStatus::LOGON_DENIED`].
    pub const fn sc_win32_status(self, bad_password: BadPasswordCode) -> u32 {
        let win32 = match self {
            Self::SUCCESS => Win32::SUCCESS,
            Self::LOGON_FAILURE | Self::WRONG_PASSWORD | Self::NO_SUCH_USER => match bad_password {
                BadPasswordCode::Win32 => Win32::LOGON_FAILURE,
                BadPasswordCode::Sspi => return SecStatus::LOGON_DENIED.0,
            },
            Self::ACCOUNT_DISABLED => Win32::ACCOUNT_DISABLED,
            Self::ACCOUNT_EXPIRED => Win32::ACCOUNT_EXPIRED,
            Self::ACCOUNT_LOCKED_OUT => Win32::ACCOUNT_LOCKED_OUT,
            Self::PASSWORD_EXPIRED => Win32::PASSWORD_EXPIRED,
            Self::PASSWORD_MUST_CHANGE => Win32::PASSWORD_MUST_CHANGE,
            Self::INVALID_LOGON_HOURS => Win32::INVALID_LOGON_HOURS,
            Self::INVALID_WORKSTATION => Win32::INVALID_WORKSTATION,
            Self::ACCOUNT_RESTRICTION => Win32::ACCOUNT_RESTRICTION,
            Self::NO_LOGON_SERVERS => Win32::NO_LOGON_SERVERS,
            Self::TIME_DIFFERENCE_AT_DC => Win32::TIME_SKEW,
            Self::TRUSTED_RELATIONSHIP_FAILURE => Win32::TRUSTED_RELATIONSHIP_FAILURE,
            Self::NO_TRUST_SAM_ACCOUNT => Win32::NO_TRUST_SAM_ACCOUNT,
            Self::DOMAIN_TRUST_INCONSISTENT => Win32::DOMAIN_TRUST_INCONSISTENT,
            Self::NTLM_BLOCKED => Win32::NTLM_BLOCKED,
            _ => return SecStatus::LOGON_DENIED.0,
        };
        win32.0
    }
}
