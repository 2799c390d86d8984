//! Service principal names, and the accounts to which they belong.

use indexmap::IndexMap;
use stickler_auth::kerberos::PrincipalName;

/// The service classes for which a `HOST` name is used if no account has the name itself: the default of Active
/// Directory's attribute `sPNMappings`.
const HOST_CLASSES: &str = "\
    alerter appmgmt browser cifs cisvc clipsrv dcom dhcp dmserver dns dnscache eventlog eventsystem fax \
    http ias iisadmin mcsvc messenger msdtc msiserver netdde netddedsm netlogon netman nmagent oakley \
    plugplay policyagent protectedstorage rasman remoteaccess replicator rpc rpclocator rpcss rsvp samss \
    scardsvr scesrv schedule scm seclogon snmp spooler tapisrv time trksvr trkwks ups w3svc wins www";

/// The service principal names of all accounts. The case of the names of services and accounts does not matter.
#[derive(Default)]
pub(crate) struct SpnTable {
    /// The entries, keyed by the SPN in lower case.
    by_name: IndexMap<String, Entry>,
}

struct Entry {
    /// The name as it was first registered.
    spelled: String,
    /// The accounts that have the name, in lower case.
    accounts: Vec<String>,
}

/// A service principal name that several accounts have, so the KDC issues no tickets for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the SPN {spn} is registered on {}; remove it from all but one of them (setspn -D)", accounts.join(" and "))]
pub struct DuplicateSpn {
    /// The service principal name.
    pub spn: String,
    /// The accounts, in lower case, in the order in which they received the name.
    pub accounts: Vec<String>,
}

impl SpnTable {
    /// Registers a name without checking whether another account has it (`setspn -A`).
    pub(crate) fn add(&mut self, spn: &str, account: &str) {
        let entry = self.by_name.entry(spn.to_lowercase());
        let entry = entry.or_insert_with(|| Entry { spelled: spn.to_owned(), accounts: Vec::new() });
        let account = account.to_lowercase();
        if !entry.accounts.contains(&account) {
            entry.accounts.push(account);
        }
    }

    /// Removes a name from an account. Returns whether the account had it.
    pub(crate) fn remove(&mut self, spn: &str, account: &str) -> bool {
        let (spn, account) = (spn.to_lowercase(), account.to_lowercase());
        let Some(entry) = self.by_name.get_mut(&spn) else { return false };
        let before = entry.accounts.len();
        entry.accounts.retain(|owner| *owner != account);
        let removed = entry.accounts.len() < before;
        if entry.accounts.is_empty() {
            self.by_name.shift_remove(&spn);
        }
        removed
    }

    /// Returns the accounts that have exactly this name.
    pub(crate) fn owners(&self, spn: &str) -> &[String] {
        self.by_name.get(&spn.to_lowercase()).map_or(&[], |entry| &entry.accounts)
    }

    /// Returns the accounts that a ticket for this name is for. They are the accounts with this name or, if there are
    /// none, those with the corresponding `HOST` name.
    pub(crate) fn resolve(&self, name: &PrincipalName) -> &[String] {
        let owners = self.owners(&name.to_string());
        match name.parts.as_slice() {
            [class, rest @ ..] if owners.is_empty() && !rest.is_empty() && is_host_class(class) => {
                self.owners(&format!("host/{}", rest.join("/")))
            }
            _ => owners,
        }
    }

    /// Returns the names of an account, as they were registered.
    pub(crate) fn of<'a>(&'a self, account: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let account = account.to_lowercase();
        let owned = self.by_name.values().filter(move |entry| entry.accounts.contains(&account));
        owned.map(|entry| entry.spelled.as_str())
    }

    /// Returns the names that several accounts have.
    pub(crate) fn duplicates(&self) -> impl Iterator<Item = DuplicateSpn> {
        let several = self.by_name.values().filter(|entry| entry.accounts.len() > 1);
        several.map(|entry| DuplicateSpn { spn: entry.spelled.clone(), accounts: entry.accounts.clone() })
    }
}

fn is_host_class(class: &str) -> bool {
    HOST_CLASSES.split(' ').any(|known| known.eq_ignore_ascii_case(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve<'a>(table: &'a SpnTable, name: &str) -> Vec<&'a str> {
        table.resolve(&PrincipalName::parse(name)).iter().map(String::as_str).collect()
    }

    #[test]
    fn a_name_of_its_own_comes_before_the_host_that_stands_for_it() {
        let mut table = SpnTable::default();
        table.add("HOST/iis1.corp.example", "IIS1$");
        assert_eq!(resolve(&table, "http/IIS1.corp.example"), ["iis1$"]);
        assert_eq!(resolve(&table, "ldap/iis1.corp.example"), [""; 0]);
        assert_eq!(resolve(&table, "http"), [""; 0]);
        table.add("HTTP/iis1.corp.example", "svc-web");
        assert_eq!(resolve(&table, "HTTP/iis1.corp.example"), ["svc-web"]);
        assert_eq!(resolve(&table, "cifs/iis1.corp.example"), ["iis1$"]);
        assert_eq!(table.duplicates().count(), 0);
    }

    #[test]
    fn a_duplicate_is_reported_until_one_account_gives_it_up() {
        let mut table = SpnTable::default();
        table.add("HTTP/www", "iis1$");
        table.add("http/WWW", "iis1$");
        assert_eq!(table.duplicates().count(), 0);
        table.add("http/WWW", "svc-web");
        let duplicate = table.duplicates().next().unwrap();
        assert_eq!(
            duplicate.to_string(),
            "the SPN HTTP/www is registered on iis1$ and svc-web; remove it from all but one of them (setspn -D)"
        );
        assert!(table.remove("HTTP/WWW", "IIS1$") && !table.remove("HTTP/WWW", "IIS1$"));
        assert_eq!((table.duplicates().count(), table.owners("http/www").len()), (0, 1));
        assert!(table.remove("HTTP/www", "svc-web") && table.of("svc-web").next().is_none());
    }

    #[test]
    fn host_stands_for_the_classes_of_windows_and_no_others() {
        assert!(["http", "HTTP", "cifs", "alerter", "www"].into_iter().all(is_host_class));
        assert!(!["ldap", "MSSQLSvc", "", "host"].into_iter().any(is_host_class));
        let classes: Vec<&str> = HOST_CLASSES.split(' ').collect();
        assert!(classes.len() == 53 && classes.is_sorted() && classes.iter().all(|class| class.len() > 1));
    }
}
