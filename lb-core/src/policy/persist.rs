//! Persistence: how a balancer finds the backend that a client had before.
//!
//! A balancer remembers clients by address, in a table of bounded size, or by a cookie, which the balancer signs, so it
//! needs no table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stickler_model::{Entropy, Time};

use super::error::RuleError;
use crate::{Edit, Farm, Text};

/// The means by which a client comes back to its backend on another connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PersistRule {
    /// The balancer remembers the backend of the client's address.
    Source(SourceRule),
    /// A cookie that the balancer inserts names the backend.
    Cookie(CookieRule),
}

impl PersistRule {
    /// Checks that the rule can work.
    ///
    /// # Errors
    /// The table has no entries, the mask has more bits than an address, or the cookie's name is not valid.
    pub fn check(&self) -> Result<(), RuleError> {
        match self {
            Self::Source(rule) if rule.entries == 0 => Err(RuleError::Zero("the size of the source table")),
            Self::Source(rule) => rule.mask.check(),
            Self::Cookie(rule) => rule.check(),
        }
    }
}

/// A table of client addresses (HAProxy's `stick-table type ip`, `source_ip` of the cloud balancers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRule {
    /// The time after which an unused entry is forgotten. At L7, each request uses the entry. At L4, an open connection
    /// uses it all the time, so the timeout only starts when the last connection ends: LVS keeps a persistence template
    /// as long as there are connections that it controls (`libipvs.h`, `IPVS_SVC_PERSISTENT_TIMEOUT`). HAProxy's table
    /// in TCP mode differs: only the beginning of a connection counts there (`stick-table`, `expire`).
    pub timeout: Duration,
    /// The maximum number of entries. If there is one more, the entry that was not used for longest is forgotten.
    pub entries: usize,
    /// The mask that decides which addresses count as one client.
    pub mask: Mask,
}

/// The part of an address that counts, in bits from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// The number of bits of an IPv4 address that count, 0 to 32.
    pub v4: u8,
    /// The number of bits of an IPv6 address that count, 0 to 128.
    pub v6: u8,
}

impl Mask {
    /// The mask under which the whole address counts.
    pub const HOST: Self = Self { v4: 32, v6: 128 };

    /// Checks that the mask fits addresses.
    ///
    /// # Errors
    /// The mask has more bits than an address.
    pub const fn check(self) -> Result<(), RuleError> {
        if self.v4 > 32 || self.v6 > 128 { Err(RuleError::Mask { v4: self.v4, v6: self.v6 }) } else { Ok(()) }
    }

    /// Returns the part of this address that counts, with the rest set to zero. An IPv4-mapped IPv6 address counts as
    /// an IPv4 address.
    pub fn apply(self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let kept = u32::MAX.checked_shl(32_u32.saturating_sub(self.v4.into())).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & kept).into())
            }
            IpAddr::V6(v6) => {
                let kept = u128::MAX.checked_shl(128_u32.saturating_sub(self.v6.into())).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & kept).into())
            }
        }
    }
}

/// A cookie that the balancer inserts (HAProxy's `cookie NAME insert`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CookieRule {
    /// The name of the cookie: 1 to 64 letters, digits, `-` or `_`.
    pub name: Text,
    /// Whether a 401 sets the cookie too. If not, a client has no cookie during its handshake, and may be sent to
    /// another backend.
    pub on_401: bool,
    /// The time for which the cookie is valid after it was set. `None`: it is valid as long as the balancer runs.
    pub life: Option<Duration>,
    /// Whether the cookie is removed from a request before a backend sees it (HAProxy `indirect`).
    pub indirect: bool,
}

impl CookieRule {
    /// Checks that the name is valid for a cookie.
    ///
    /// # Errors
    /// The name is not valid for a cookie.
    pub fn check(&self) -> Result<(), RuleError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fits = (1..=64).contains(&self.name.len()) && self.name.bytes().all(plain);
        if fits { Ok(()) } else { Err(RuleError::CookieName(self.name.clone())) }
    }
}

/// The table of the backend that each client address had.
#[derive(Debug)]
pub struct SourceTable {
    rule: SourceRule,
    /// The backend of each address, and the address's place in `by_use`.
    entries: IndexMap<IpAddr, (usize, Use)>,
    /// The addresses in the order of their last use, the oldest first.
    by_use: BTreeMap<Use, IpAddr>,
    uses: u64,
}

/// The time at which an entry was last used, with a number that distinguishes uses at the same moment.
type Use = (Time, u64);

impl SourceTable {
    /// Returns an empty table.
    ///
    /// # Errors
    /// The table would have no entries, or its mask has more bits than an address.
    pub fn new(rule: SourceRule) -> Result<Self, RuleError> {
        PersistRule::Source(rule).check()?;
        Ok(Self { rule, entries: IndexMap::new(), by_use: BTreeMap::new(), uses: 0 })
    }

    /// Returns the backend of this client if the client used it within the timeout.
    pub fn get(&self, now: Time, client: IpAddr) -> Option<usize> {
        let &(backend, (at, _)) = self.entries.get(&self.rule.mask.apply(client))?;
        (at + self.rule.timeout > now).then_some(backend)
    }

    /// Records that the client is with this backend now. The cost grows with the logarithm of the table's size.
    pub fn put(&mut self, now: Time, client: IpAddr, backend: usize) {
        let client = self.rule.mask.apply(client);
        self.uses += 1;
        let latest = (now, self.uses);
        if let Some((_, before)) = self.entries.insert(client, (backend, latest)) {
            self.by_use.remove(&before);
        }
        self.by_use.insert(latest, client);
        while let Some(oldest) = self.by_use.first_entry() {
            let stale = oldest.key().0 + self.rule.timeout <= now;
            if !stale && self.entries.len() <= self.rule.entries {
                break;
            }
            self.entries.swap_remove(&oldest.remove());
        }
        debug_assert_eq!(self.entries.len(), self.by_use.len(), "each entry has one last use");
    }

    /// Returns the number of clients in the table.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The maximum length of a cookie value that is examined, in bytes: three hexadecimal numbers of 16 digits and two
/// dots.
const LONGEST: usize = 50;

/// Creates the cookies of this run, and recognises them.
#[derive(Debug)]
pub struct CookieJar {
    rule: CookieRule,
    backends: Vec<String>,
    /// The key of the signatures. A new key is drawn for each run, so that neither a client nor an earlier run can name
    /// a backend.
    key: [u8; 16],
}

impl CookieJar {
    /// Returns a cookie jar for this farm that signs with a key from `entropy`.
    ///
    /// # Errors
    /// The name is not valid for a cookie.
    pub fn new(rule: CookieRule, farm: &Farm, entropy: &Entropy) -> Result<Self, RuleError> {
        rule.check()?;
        let backends = farm.backends.iter().map(|backend| backend.name.to_string()).collect();
        Ok(Self { rule, backends, key: entropy.bytes() })
    }

    /// Returns whether an answer with this status sets a cookie.
    pub const fn sets_on(&self, status: http::StatusCode) -> bool {
        self.rule.on_401 || status.as_u16() != 401
    }

    /// Returns the `Set-Cookie` value that brings a client back to this backend.
    pub fn set(&self, now: Time, backend: usize) -> Option<HeaderValue> {
        let issued = now.since_start().as_secs();
        let signature = self.sign(backend, issued)?;
        let name = &self.rule.name;
        HeaderValue::try_from(format!("{name}={backend:x}.{issued:x}.{signature:016x}; Path=/; HttpOnly")).ok()
    }

    /// Returns the backend that this request's cookie names. Returns `None` if there is no cookie, or if the cookie is
    /// not from this run, is too old, or names a backend that does not exist.
    pub fn get(&self, now: Time, headers: &HeaderMap) -> Option<usize> {
        // RFC 6265 5.4: the pairs are separated by `; `. The first pair with this name counts, as it does for HAProxy.
        let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
        let value = pairs
            .map(<[u8]>::trim_ascii)
            .find_map(|pair| pair.strip_prefix(self.rule.name.as_bytes())?.strip_prefix(b"="))?;
        let value = std::str::from_utf8(value).ok().filter(|value| value.len() <= LONGEST)?;
        let mut numbers = value.split('.').map(|number| u64::from_str_radix(number, 16).ok());
        let (backend, issued, signature) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let backend = usize::try_from(backend).ok()?;
        let age = now.since_start().checked_sub(Duration::from_secs(issued))?;
        let fresh = self.rule.life.is_none_or(|life| age < life);
        (fresh && numbers.next().is_none() && self.sign(backend, issued)? == signature).then_some(backend)
    }

    /// Returns the change that removes the cookie from a request's `Cookie` field before a backend sees it, or `None`
    /// if nothing changes.
    pub fn hide(&self, headers: &HeaderMap) -> Option<Edit> {
        let own = |pair: &&[u8]| {
            let rest = pair.trim_ascii().strip_prefix(self.rule.name.as_bytes());
            rest.is_some_and(|rest| rest.first() == Some(&b'='))
        };
        let pairs = || headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
        if !self.rule.indirect || !pairs().any(|pair| own(&pair)) {
            return None;
        }
        let rest: Vec<&[u8]> = pairs().filter(|pair| !own(pair)).map(<[u8]>::trim_ascii).collect();
        // The remaining pairs come from a valid field value, so together they form a valid one.
        let rest = HeaderValue::from_bytes(&rest.join(&b"; "[..])).ok().filter(|rest| !rest.is_empty());
        Some(rest.map_or(Edit::Remove(COOKIE), |rest| Edit::Set(COOKIE, rest)))
    }

    /// Returns the signature. The key comes first and has a fixed length, and the result is truncated, so nothing can
    /// be appended to what was signed.
    fn sign(&self, backend: usize, issued: u64) -> Option<u64> {
        let name = self.backends.get(backend)?;
        let digest = Sha256::new().chain_update(self.key).chain_update(issued.to_be_bytes()).chain_update(name);
        digest.finalize().first_chunk().map(|first| u64::from_be_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;
    use stickler_model::Name;

    use super::*;
    use crate::Backend;

    const SECOND: u64 = 1_000_000_000;

    fn table(timeout: u64, entries: usize) -> SourceTable {
        SourceTable::new(SourceRule { timeout: Duration::from_secs(timeout), entries, mask: Mask::HOST }).unwrap()
    }

    fn client(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_client_is_known_until_its_timeout_after_its_last_use() {
        let mut table = table(10, 8);
        assert!(table.is_empty());
        table.put(Time(0), client(1), 2);
        assert!(!table.is_empty());
        assert_eq!(table.get(Time(10 * SECOND - 1), client(1)), Some(2));
        assert_eq!(table.get(Time(10 * SECOND), client(1)), None);
        table.put(Time(9 * SECOND), client(1), 1);
        assert_eq!(table.get(Time(18 * SECOND), client(1)), Some(1));
        assert_eq!(table.get(Time(0), client(2)), None);
    }

    #[test]
    fn one_address_in_both_notations_is_one_client() {
        let mut table = table(10, 8);
        table.put(Time(0), "::ffff:10.0.0.1".parse().unwrap(), 1);
        assert_eq!(table.get(Time(0), client(1)), Some(1));
    }

    proptest! {
        #[test]
        fn the_table_is_the_most_recent_clients_within_size_and_timeout(
            size in 1..5_usize,
            uses in prop::collection::vec((0..4_u64, 0..8_u8, 0..3_usize), 1..60),
        ) {
            let mut table = table(5, size);
            let mut now = Time(0);
            // The newest entry is last, and no client occurs twice.
            let mut model: Vec<(Time, u8, usize)> = Vec::new();
            for (pause, who, backend) in uses {
                now = now + Duration::from_secs(pause);
                table.put(now, client(who), backend);
                model.retain(|&(at, other, _)| other != who && at + Duration::from_secs(5) > now);
                model.push((now, who, backend));
                model.drain(..model.len().saturating_sub(size));
                prop_assert_eq!(table.len(), model.len());
                for who in 0..8 {
                    let known = model.iter().find(|entry| entry.1 == who).map(|entry| entry.2);
                    prop_assert_eq!(table.get(now, client(who)), known);
                }
            }
        }

        #[test]
        fn no_cookie_that_a_client_makes_up_is_taken(text in "[0-9a-f.=; SRV+-]{0,80}") {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::try_from(format!("SRV={text}")).unwrap());
            prop_assert_eq!(jar(None, 1).get(Time(0), &headers), None);
        }
    }

    fn jar(life: Option<u64>, seed: u64) -> CookieJar {
        let backend = |index: u8| Backend {
            name: Name::from(format!("iis{index}")),
            address: SocketAddr::from(([10, 0, 0, index], 80)),
        };
        let rule = CookieRule { name: "SRV".into(), on_401: true, life: life.map(Duration::from_secs), indirect: true };
        let farm = Farm { backends: (0..3).map(backend).collect() };
        CookieJar::new(rule, &farm, &Entropy::new(seed, "cookie")).unwrap()
    }

    /// Returns the part of a `Set-Cookie` that a client sends back.
    fn pair(set: &HeaderValue) -> String {
        set.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    fn sent(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_cookie_brings_its_client_back_from_among_others() {
        let jar = jar(None, 1);
        let set = jar.set(Time(5 * SECOND), 2).unwrap();
        assert!(set.to_str().unwrap().ends_with("; Path=/; HttpOnly"));
        let cookie = pair(&set);
        assert!(cookie.len() <= "SRV=".len() + LONGEST);
        assert_eq!(jar.get(Time(6 * SECOND), &sent(&cookie)), Some(2));
        assert_eq!(jar.get(Time(6 * SECOND), &sent(&format!("a=b; {cookie}; c"))), Some(2));
        let mut two = sent("a=b");
        two.append(COOKIE, cookie.parse().unwrap());
        assert_eq!(jar.get(Time(6 * SECOND), &two), Some(2));
        assert_eq!(jar.get(Time(6 * SECOND), &sent(&format!("X{cookie}"))), None, "another name");
        assert_eq!(jar.set(Time(0), 3), None);
    }

    #[test]
    fn forged_stale_and_endless_cookies_are_ignored() {
        let jar = jar(Some(10), 1);
        let cookie = pair(&jar.set(Time(5 * SECOND), 0).unwrap());
        assert_eq!(jar.get(Time(15 * SECOND - 1), &sent(&cookie)), Some(0));
        assert_eq!(jar.get(Time(15 * SECOND), &sent(&cookie)), None, "too old");
        assert_eq!(jar.get(Time(4 * SECOND), &sent(&cookie)), None, "from the future");
        assert_eq!(jar.get(Time(5 * SECOND), &sent(&cookie.replacen("=0.", "=1.", 1))), None, "another backend");
        assert_eq!(jar.get(Time(5 * SECOND), &sent(&cookie.replacen(".5.", ".6.", 1))), None, "made younger");
        assert_eq!(jar.get(Time(5 * SECOND), &sent(&format!("{cookie}.0"))), None);
        assert_eq!(self::jar(Some(10), 2).get(Time(5 * SECOND), &sent(&cookie)), None, "of another run");
        assert_eq!(jar.get(Time(0), &sent(&format!("SRV={}", "0".repeat(64 * 1024)))), None);
        assert_eq!(jar.get(Time(0), &HeaderMap::new()), None);
    }

    #[test]
    fn a_401_sets_it_only_where_the_rule_says_so() {
        let rule = CookieRule { on_401: false, ..jar(None, 1).rule };
        let without = CookieJar::new(rule, &Farm::default(), &Entropy::new(1, "cookie")).unwrap();
        assert!(!without.sets_on(http::StatusCode::UNAUTHORIZED) && without.sets_on(http::StatusCode::OK));
        assert!(jar(None, 1).sets_on(http::StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn an_indirect_cookie_is_taken_out_and_the_others_stay() {
        let jar = jar(None, 1);
        let hidden = |value: &str| jar.hide(&sent(value));
        let set = |value: &'static str| Some(Edit::Set(COOKIE, HeaderValue::from_static(value)));
        assert_eq!(hidden("SRV=1"), Some(Edit::Remove(COOKIE)));
        assert_eq!(hidden("a=b; SRV=1;c=d"), set("a=b; c=d"));
        assert_eq!(hidden("a=b; SRVX=1"), None);
        let direct = CookieRule { indirect: false, ..jar.rule };
        let direct = CookieJar::new(direct, &Farm::default(), &Entropy::new(1, "cookie")).unwrap();
        assert_eq!(direct.hide(&sent("SRV=1")), None);
    }

    #[test]
    fn a_mask_makes_one_client_of_a_network() {
        let mask = Mask { v4: 24, v6: 64 };
        let same = |a: &str, b: &str| mask.apply(a.parse().unwrap()) == mask.apply(b.parse().unwrap());
        assert!(same("10.0.0.1", "10.0.0.200") && !same("10.0.0.1", "10.0.1.1"));
        assert!(same("::ffff:10.0.0.1", "10.0.0.2") && same("2001:db8::1", "2001:db8::2"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        let none = Mask { v4: 0, v6: 0 };
        assert_eq!(none.apply("10.0.0.1".parse().unwrap()), none.apply("11.0.0.1".parse().unwrap()));
        assert_eq!(Mask::HOST.apply(client(1)), client(1));
        assert_eq!(Mask { v4: 33, v6: 0 }.check(), Err(RuleError::Mask { v4: 33, v6: 0 }));
    }

    #[test]
    fn a_name_that_is_none_and_a_table_of_no_size_are_errors() {
        for name in
            ["", "a b", "a=b", "a;b", "\u{e9}", "sixty-five-characters-sixty-five-characters-sixty-five-characters"]
        {
            let rule = CookieRule { name: name.into(), on_401: true, life: None, indirect: false };
            let error = CookieJar::new(rule, &Farm::default(), &Entropy::new(0, "x")).unwrap_err();
            assert_eq!(error, RuleError::CookieName(name.into()));
        }
        let rule = SourceRule { timeout: Duration::from_secs(1), entries: 0, mask: Mask::HOST };
        assert!(matches!(SourceTable::new(rule), Err(RuleError::Zero(_))));
    }
}
