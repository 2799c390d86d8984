//! Tests of status codes: their names, and the codes that IIS logs for them.

use stickler_auth::kerberos::status::KrbErrorCode;
use stickler_auth::status::{BadPasswordCode, NtStatus, SecStatus, Win32};

#[test]
fn each_ntstatus_is_logged_as_operators_know_it() {
    for (status, logged) in [
        (0x0000_0000, 0),
        (0xC000_006D, 1326),
        (0xC000_006A, 1326),
        (0xC000_0064, 1326),
        (0xC000_0072, 1331),
        (0xC000_0193, 1793),
        (0xC000_0234, 1909),
        (0xC000_0071, 1330),
        (0xC000_0224, 1907),
        (0xC000_006F, 1328),
        (0xC000_0070, 1329),
        (0xC000_006E, 1327),
        (0xC000_005E, 1311),
        (0xC000_018D, 1789),
        (0xC000_018B, 1787),
        (0xC000_019B, 1810),
        (0xC000_0418, 1937),
        (0xC000_0001, 0x8009_030C),
    ] {
        let got = NtStatus(status).sc_win32_status(BadPasswordCode::Win32);
        assert_eq!(got, logged, "{status:08X}");
    }
    let sspi = NtStatus::LOGON_FAILURE.sc_win32_status(BadPasswordCode::Sspi);
    assert_eq!(sspi, 2_148_074_252);
    let locked = NtStatus::ACCOUNT_LOCKED_OUT.sc_win32_status(BadPasswordCode::Sspi);
    assert_eq!(locked, 1909, "the choice concerns a bad password alone");
    assert_eq!(SecStatus::NO_CREDENTIALS.0, 2_148_074_254);
}

#[test]
fn codes_print_their_name_and_number() {
    assert_eq!(NtStatus::WRONG_PASSWORD.to_string(), "STATUS_WRONG_PASSWORD (0xC000006A)");
    assert_eq!(SecStatus(1).to_string(), "unknown status (0x00000001)");
    assert_eq!(format!("{:?}", Win32::LOGON_FAILURE), "ERROR_LOGON_FAILURE (0x0000052E)");
}

#[test]
fn kerberos_errors_are_those_of_windows_at_either_end() {
    for (code, number, acceptor, initiator) in [
        (KrbErrorCode::MODIFIED, 41, SecStatus::LOGON_DENIED, SecStatus::WRONG_PRINCIPAL),
        (KrbErrorCode::SKEW, 37, SecStatus::TIME_SKEW, SecStatus::TIME_SKEW),
        (KrbErrorCode::REPEAT, 34, SecStatus::LOGON_DENIED, SecStatus::LOGON_DENIED),
        (KrbErrorCode::TKT_EXPIRED, 32, SecStatus::CONTEXT_EXPIRED, SecStatus::CONTEXT_EXPIRED),
        (KrbErrorCode::NOKEY, 45, SecStatus::NO_KERB_KEY, SecStatus::LOGON_DENIED),
        (KrbErrorCode::ETYPE_NOSUPP, 14, SecStatus::ETYPE_NOT_SUPP, SecStatus::ETYPE_NOT_SUPP),
        (KrbErrorCode::S_PRINCIPAL_UNKNOWN, 7, SecStatus::LOGON_DENIED, SecStatus::TARGET_UNKNOWN),
    ] {
        assert_eq!((code.0, code.acceptor_status(), code.initiator_status()), (number, acceptor, initiator));
    }
    assert_eq!(SecStatus::TIME_SKEW.0, 0x8009_0324);
    assert_eq!(KrbErrorCode::MODIFIED.to_string(), "KRB_AP_ERR_MODIFIED (0x00000029)");
}

#[test]
fn an_accounts_state_and_its_kerberos_error_belong_together() {
    for (status, code) in [
        (NtStatus::ACCOUNT_LOCKED_OUT, KrbErrorCode::CLIENT_REVOKED),
        (NtStatus::INVALID_LOGON_HOURS, KrbErrorCode::CLIENT_REVOKED),
        (NtStatus::PASSWORD_MUST_CHANGE, KrbErrorCode::KEY_EXPIRED),
        (NtStatus::ACCOUNT_RESTRICTION, KrbErrorCode::POLICY),
    ] {
        assert_eq!(KrbErrorCode::of_account(status), code);
    }
    for status in [NtStatus::NO_SUCH_USER, NtStatus::WRONG_PASSWORD] {
        assert_eq!(KrbErrorCode::of_account(status).nt_status(), status);
    }
    let skew = KrbErrorCode::SKEW.nt_status().sc_win32_status(BadPasswordCode::Win32);
    assert_eq!(skew, Win32::TIME_SKEW.0);
}
