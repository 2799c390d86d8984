//! Names and identifiers of domains. The module is pure.

/// Returns whether two domain or account names are equal, ignoring case.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    // The comparison of ASCII letters is sufficient for most names, and allocates nothing.
    a.eq_ignore_ascii_case(b) || a.to_lowercase() == b.to_lowercase()
}

/// Returns the SID of a domain, `S-1-5-21-...`, with one sub-authority derived from its NetBIOS name (FNV-1a), so two
/// domains differ.
pub(crate) fn domain_sid(netbios: &str) -> String {
    let hash = netbios
        .to_uppercase()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("S-1-5-21-{hash}-0-0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_beyond_ascii_too() {
        assert!(same_name("CORP", "corp") && same_name("MÜNCHEN", "münchen"));
        assert!(!same_name("CORP", "CORP2"));
    }

    #[test]
    fn two_domains_have_different_sids_whatever_the_case_of_their_names() {
        assert_eq!(domain_sid("corp"), domain_sid("CORP"));
        assert_ne!(domain_sid("CORP"), domain_sid("PARTNER"));
        assert!(domain_sid("CORP").starts_with("S-1-5-21-"));
    }
}
