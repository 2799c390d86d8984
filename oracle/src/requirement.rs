//! The numbered requirements.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How grave a violation is (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// A violation fails a run.
    Must,
    /// A departure is reported as [`crate::Grade::NonStrict`].
    Should,
}

/// A numbered requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Requirement {
    /// Valid credentials get an answer within the requests that the scheme needs.
    #[serde(rename = "HS-1")]
    Hs1,
    /// One handshake, one upstream connection.
    #[serde(rename = "HS-2")]
    Hs2,
    /// Interleaved handshakes succeed.
    #[serde(rename = "HS-3")]
    Hs3,
    /// A body is processed exactly once, whole.
    #[serde(rename = "HS-4")]
    Hs4,
    /// Wrong credentials end in a 401, soon.
    #[serde(rename = "HS-5")]
    Hs5,
    /// No failed logon that no user caused.
    #[serde(rename = "HS-6")]
    Hs6,
    /// Nobody is served as somebody else.
    #[serde(rename = "ID-1")]
    Id1,
    /// Nobody without credentials is served as somebody.
    #[serde(rename = "ID-2")]
    Id2,
    /// An authenticated connection serves nobody after its client has gone.
    #[serde(rename = "ID-3")]
    Id3,
    /// A trusted header never comes from the client.
    #[serde(rename = "ID-4")]
    Id4,
    /// Another user at the same client changes that client's identity alone.
    #[serde(rename = "ID-5")]
    Id5,
    /// A client stays on its backend.
    #[serde(rename = "ST-1")]
    St1,
    /// An authenticated connection is not asked again.
    #[serde(rename = "ST-2")]
    St2,
    /// A persistence cookie holds; a forged or stale one is ignored.
    #[serde(rename = "ST-3")]
    St3,
    /// Load is spread.
    #[serde(rename = "ST-4")]
    St4,
    /// The clients of a dead backend are served elsewhere, soon.
    #[serde(rename = "FO-1")]
    Fo1,
    /// No Authenticate leg is replayed.
    #[serde(rename = "FO-2")]
    Fo2,
    /// What is not idempotent is processed at most once.
    #[serde(rename = "FO-3")]
    Fo3,
    /// The loss of a pinned connection is told.
    #[serde(rename = "FO-4")]
    Fo4,
    /// A draining backend keeps what it has and gets nothing new.
    #[serde(rename = "FO-5")]
    Fo5,
    /// A backend that comes back serves again.
    #[serde(rename = "FO-6")]
    Fo6,
    /// Without a backend, the answer is a prompt 503.
    #[serde(rename = "FO-7")]
    Fo7,
    /// A health check tells whether a backend authenticates.
    #[serde(rename = "HC-1")]
    Hc1,
    /// A health check's connection never serves a client.
    #[serde(rename = "HC-2")]
    Hc2,
    /// Extended protection holds over TLS.
    #[serde(rename = "TL-1")]
    Tl1,
    /// HTTP/2 streams of two clients share no authenticated connection.
    #[serde(rename = "TL-2")]
    Tl2,
}

/// One line of the table below.
struct Row {
    requirement: Requirement,
    id: &'static str,
    severity: Severity,
    text: &'static str,
    source: &'static str,
}

const TABLE: [Row; 26] = {
    use Requirement::{
        Fo1, Fo2, Fo3, Fo4, Fo5, Fo6, Fo7, Hc1, Hc2, Hs1, Hs2, Hs3, Hs4, Hs5, Hs6, Id1, Id2, Id3, Id4, Id5, St1, St2,
        St3, St4, Tl1, Tl2,
    };
    use Severity::{Must, Should};
    const fn row(
        requirement: Requirement,
        id: &'static str,
        severity: Severity,
        text: &'static str,
        source: &'static str,
    ) -> Row {
        Row { requirement, id, severity, text, source }
    }
    [
        row(
            Hs1,
            "HS-1",
            Must,
            "A client with valid credentials gets its answer within the requests its scheme needs (NTLM 3, pre-emptive 2; Kerberos 2, pre-emptive 1; each package tried costs its own)",
            "MS-NTHT 1.3, RFC 4559 5",
        ),
        row(
            Hs2,
            "HS-2",
            Must,
            "All legs of one handshake reach one upstream connection",
            "MS-NTHT 1.3: NTLM authenticates a connection",
        ),
        row(Hs3, "HS-3", Must, "Interleaved handshakes of several clients all succeed", "MS-NTHT 1.3"),
        row(
            Hs4,
            "HS-4",
            Must,
            "A body sent during the handshake is processed exactly once, whole",
            "RFC 9110 9.2.2, RFC 9112 6",
        ),
        row(
            Hs5,
            "HS-5",
            Must,
            "Wrong credentials end in 401 after a bounded number of requests",
            "RFC 9110 15.5.2, MS-NTHT 3.1",
        ),
        row(
            Hs6,
            "HS-6",
            Must,
            "The DC counts no failed logon that no user caused",
            "MS-SAMR 3.1.5.14.7: failed logons count towards lockout",
        ),
        row(
            Id1,
            "ID-1",
            Must,
            "No request is processed under another principal than that of the client that sent it",
            "RFC 4559 6, RFC 9110 11.6",
        ),
        row(
            Id2,
            "ID-2",
            Must,
            "No request of a client without credentials is processed as authenticated",
            "RFC 4559 6",
        ),
        row(
            Id3,
            "ID-3",
            Must,
            "When a client's connection is gone, the connection it authenticated serves nobody",
            "RFC 4559 6",
        ),
        row(
            Id4,
            "ID-4",
            Must,
            "An identity header that the server trusts is never accepted from the client",
            "RFC 7239 8.1, RFC 9110 17.1",
        ),
        row(
            Id5,
            "ID-5",
            Must,
            "Re-authentication as another user changes that client's identity, and no other's",
            "MS-N2HT 3.2.5, RFC 4559 6",
        ),
        row(
            St1,
            "ST-1",
            Must,
            "A client's requests reach one backend while that is healthy and its persistence has not timed out",
            "the persistence that the balancer promises",
        ),
        row(
            St2,
            "ST-2",
            Should,
            "An authenticated connection is not asked to authenticate again",
            "MS-N2HT 3.2.5, RFC 4559 6",
        ),
        row(
            St3,
            "ST-3",
            Must,
            "A persistence cookie set during the handshake holds; a forged or stale one is ignored",
            "RFC 6265 5.3, 8.6",
        ),
        row(
            St4,
            "ST-4",
            Should,
            "Load is spread: the busiest backend stays within the bound that its algorithm promises",
            "the spread that the balancer promises",
        ),
        row(
            Fo1,
            "FO-1",
            Must,
            "When a backend dies, its clients are served elsewhere, freshly authenticated, within fall x interval + timeout",
            "the checks that the balancer promises",
        ),
        row(
            Fo2,
            "FO-2",
            Must,
            "No Authenticate leg and no ticket is replayed on another connection",
            "MS-NLMP 3.2.5.1.2, RFC 4559 6, RFC 4120 3.2.3",
        ),
        row(Fo3, "FO-3", Must, "A request that is not idempotent is processed at most once", "RFC 9110 9.2.2"),
        row(
            Fo4,
            "FO-4",
            Must,
            "The loss of a pinned connection reaches the client as a close or a 502/503/504, not as a silent 401",
            "RFC 4559 6, RFC 9110 15.6.3",
        ),
        row(
            Fo5,
            "FO-5",
            Must,
            "A draining backend keeps its authenticated connections and gets no new ones",
            "the meaning of drain",
        ),
        row(
            Fo6,
            "FO-6",
            Must,
            "A backend that comes back serves again after rise checks",
            "the checks that the balancer promises",
        ),
        row(
            Fo7,
            "FO-7",
            Must,
            "With no backend left, the answer is a prompt 503, or a refused connection at L4",
            "RFC 9110 15.6.4",
        ),
        row(
            Hc1,
            "HC-1",
            Must,
            "A health check tells a backend that authenticates from one that only answers; a plain 401 is not down",
            "RFC 9110 15.5.2",
        ),
        row(Hc2, "HC-2", Must, "A connection authenticated by a health check never serves a client", "RFC 4559 6"),
        row(
            Tl1,
            "TL-1",
            Must,
            "With extended protection required, passthrough works, and termination fails closed",
            "Microsoft, IIS extendedProtection; RFC 5929 4; haproxy#1828",
        ),
        row(
            Tl2,
            "TL-2",
            Must,
            "An HTTP/2 front end never puts two clients on one authenticated connection",
            "RFC 9113 7 (HTTP_1_1_REQUIRED), RFC 4559 6, measured",
        ),
    ]
};

impl Requirement {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.requirement)
    }

    /// `HS-1` and so on.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// MUST or SHOULD.
    pub fn severity(self) -> Severity {
        self.row().severity
    }

    /// The requirement in one sentence.
    pub fn text(self) -> &'static str {
        self.row().text
    }

    /// Where it comes from.
    pub fn source(self) -> &'static str {
        self.row().source
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all()
            .find(|requirement| requirement.id() == text)
            .ok_or_else(|| format!("there is no requirement `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for requirement in Requirement::all() {
            assert_eq!(requirement.row().requirement, requirement);
            assert_eq!(requirement.id().parse(), Ok(requirement));
        }
    }
}
