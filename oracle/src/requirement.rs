//! The numbered requirements.
//!
//! The table in `requirements!` is the only place that lists them: the enum, the ids in serialised form, the texts and
//! the calls of the judging functions are generated from it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Passes the table of requirements to a macro. Each row has the variant, the judging function by its path from the
/// root of this crate, the id, the severity, the text, and the source of the requirement.
macro_rules! requirements {
    ($define:ident) => {
        $define! {
            Hs1 {
                judge: handshake::answers::hs1_valid_credentials_are_answered,
                id: "HS-1",
                severity: Must,
                text: "A client with valid credentials gets its answer within the requests its scheme needs (NTLM 3, pre-emptive 2; Kerberos 2, pre-emptive 1; each package tried costs its own)",
                source: "MS-NTHT 1.3, RFC 4559 5",
            }
            Hs2 {
                judge: handshake::legs::hs2_legs_share_one_connection,
                id: "HS-2",
                severity: Must,
                text: "All legs of one handshake reach one upstream connection",
                source: "MS-NTHT 1.3: NTLM authenticates a connection",
            }
            Hs3 {
                judge: handshake::legs::hs3_interleaved_handshakes_succeed,
                id: "HS-3",
                severity: Must,
                text: "Interleaved handshakes of several clients all succeed",
                source: "MS-NTHT 1.3",
            }
            Hs4 {
                judge: handshake::bodies::hs4_bodies_are_processed_once,
                id: "HS-4",
                severity: Must,
                text: "A body sent during the handshake is processed exactly once, whole",
                source: "RFC 9110 9.2.2, RFC 9112 6",
            }
            Hs5 {
                judge: handshake::answers::hs5_wrong_credentials_are_refused,
                id: "HS-5",
                severity: Must,
                text: "Wrong credentials end in 401 after a bounded number of requests",
                source: "RFC 9110 15.5.2, MS-NTHT 3.1",
            }
            Hs6 {
                judge: handshake::failed_logons::hs6_users_cause_failed_logons,
                id: "HS-6",
                severity: Must,
                text: "The DC counts no failed logon that no user caused",
                source: "MS-SAMR 3.1.5.14.7: failed logons count towards lockout",
            }
            Hs7 {
                judge: handshake::answers::hs7_anonymous_clients_are_answered,
                id: "HS-7",
                severity: Must,
                text: "Where nothing is broken, each request of a client without credentials gets exactly one answer",
                source: "RFC 9110 3.4, 15.6.3",
            }
            Hs8 {
                judge: handshake::pipelines::hs8_pipelined_requests_follow_their_credentials,
                id: "HS-8",
                severity: Must,
                text: "What a client pipelines behind its credentials goes over the connection that they authenticate, in order",
                source: "RFC 9112 9.3.2, RFC 4559 6",
            }
            Id1 {
                judge: identity::id1_requests_run_as_their_own_user,
                id: "ID-1",
                severity: Must,
                text: "No request is processed under another principal than that of the client that sent it",
                source: "RFC 4559 6, RFC 9110 11.6",
            }
            Id2 {
                judge: identity::id2_anonymous_stays_anonymous,
                id: "ID-2",
                severity: Must,
                text: "No request of a client without credentials is processed as authenticated",
                source: "RFC 4559 6",
            }
            Id3 {
                judge: identity::id3_identity_ends_with_its_client_connection,
                id: "ID-3",
                severity: Must,
                text: "When a client's connection is gone, the connection it authenticated serves nobody",
                source: "RFC 4559 6",
            }
            Id4 {
                judge: trust::id4_client_claims_are_not_trusted,
                id: "ID-4",
                severity: Must,
                text: "An identity header that the server trusts is never accepted from the client",
                source: "RFC 7239 8.1, RFC 9110 17.1",
            }
            Id5 {
                judge: trust::id5_reauthentication_changes_one_client,
                id: "ID-5",
                severity: Must,
                text: "Re-authentication as another user changes that client's identity, and no other's",
                source: "MS-N2HT 3.2.5, RFC 4559 6",
            }
            Id6 {
                judge: upgrades::id6_upgraded_connections_carry_no_request,
                id: "ID-6",
                severity: Must,
                text: "An upgraded connection never returns to a pool",
                source: "RFC 9110 7.8",
            }
            St1 {
                judge: persistence::st1_clients_stay_on_their_backend,
                id: "ST-1",
                severity: Must,
                text: "A client's requests reach one backend while that is healthy and its persistence has not timed out",
                source: "the persistence that the balancer promises",
            }
            St2 {
                judge: stability::st2_authenticated_connections_are_not_challenged,
                id: "ST-2",
                severity: Should,
                text: "An authenticated connection is not asked to authenticate again",
                source: "MS-N2HT 3.2.5, RFC 4559 6",
            }
            St3 {
                judge: persistence::st3_cookies_are_obeyed_or_ignored,
                id: "ST-3",
                severity: Must,
                text: "A persistence cookie set during the handshake holds; a forged or stale one is ignored",
                source: "RFC 6265 5.3, 8.6",
            }
            St4 {
                judge: spread::st4_load_is_spread,
                id: "ST-4",
                severity: Should,
                text: "Load is spread: the busiest backend stays within the bound that its algorithm promises",
                source: "the spread that the balancer promises",
            }
            St5 {
                judge: persistence::st5_requests_reach_their_service,
                id: "ST-5",
                severity: Must,
                text: "A request reaches a server of the service that it asks for",
                source: "the services that the balancer promises",
            }
            Fo1 {
                judge: failover::deaths::fo1_clients_of_dead_backends_are_served,
                id: "FO-1",
                severity: Must,
                text: "When a backend dies, its clients are served elsewhere, freshly authenticated, within fall x interval + timeout",
                source: "the checks that the balancer promises",
            }
            Fo2 {
                judge: failover::replays::fo2_proofs_are_not_replayed,
                id: "FO-2",
                severity: Must,
                text: "No Authenticate leg and no ticket is replayed on another connection",
                source: "MS-NLMP 3.2.5.1.2, RFC 4559 6, RFC 4120 3.2.3",
            }
            Fo3 {
                judge: failover::replays::fo3_non_idempotent_requests_run_once,
                id: "FO-3",
                severity: Must,
                text: "A request that is not idempotent is processed at most once",
                source: "RFC 9110 9.2.2",
            }
            Fo4 {
                judge: failover::pins::fo4_loss_of_pinned_connections_is_reported,
                id: "FO-4",
                severity: Must,
                text: "The loss of a pinned connection reaches the client as a close or a 502/503/504, not as a silent 401",
                source: "RFC 4559 6, RFC 9110 15.6.3",
            }
            Fo5 {
                judge: failover::pins::fo5_draining_backends_keep_old_connections_only,
                id: "FO-5",
                severity: Must,
                text: "A draining backend keeps its authenticated connections and gets no new ones",
                source: "the meaning of drain",
            }
            Fo6 {
                judge: failover::returns::fo6_returned_backends_serve,
                id: "FO-6",
                severity: Must,
                text: "A backend that comes back serves again after rise checks",
                source: "the checks that the balancer promises",
            }
            Fo7 {
                judge: failover::deaths::fo7_without_backends_the_answer_is_prompt,
                id: "FO-7",
                severity: Must,
                text: "With no backend left, the answer is prompt and the one that the balancer declares (503 unless it says otherwise), or a refused connection at L4",
                source: "RFC 9110 15.6.4",
            }
            Fo8 {
                judge: failover::replays::fo8_lost_idle_races_are_run_again,
                id: "FO-8",
                severity: Must,
                text: "A request that meets a server's close of an idle connection is sent again where that is safe",
                source: "RFC 9112 9.3.1, RFC 9110 9.2.2",
            }
            Hc1 {
                judge: health::hc1_checks_detect_failed_authentication,
                id: "HC-1",
                severity: Must,
                text: "A health check tells a backend that authenticates from one that only answers; a plain 401 is not down",
                source: "RFC 9110 15.5.2",
            }
            Hc2 {
                judge: health::hc2_check_connections_serve_no_client,
                id: "HC-2",
                severity: Must,
                text: "A connection authenticated by a health check never serves a client",
                source: "RFC 4559 6",
            }
            Hc3 {
                judge: health::hc3_backends_answer_for_their_own_failures,
                id: "HC-3",
                severity: Must,
                text: "A backend is held responsible for its own failures only",
                source: "the meaning of a passive check",
            }
            Tl1 {
                judge: tls::tl1_channel_bindings_are_enforced,
                id: "TL-1",
                severity: Must,
                text: "With extended protection required, passthrough works, and termination fails closed",
                source: "Microsoft, IIS extendedProtection; RFC 5929 4; haproxy#1828",
            }
            Tl2 {
                judge: tls::tl2_http2_streams_share_no_authenticated_connection,
                id: "TL-2",
                severity: Must,
                text: "An HTTP/2 front end never puts two clients on one authenticated connection",
                source: "RFC 9113 7 (HTTP_1_1_REQUIRED), RFC 4559 6, measured",
            }
        }
    };
}
pub(crate) use requirements;

/// The severity of a violation (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// A violation fails a run.
    Must,
    /// A departure is reported as [`NonStrict`](crate::verdict::Grade::NonStrict).
    Should,
}

macro_rules! define_requirement {
    ($($variant:ident {
        judge: $judge:path,
        id: $id:literal,
        severity: $severity:ident,
        text: $text:literal,
        source: $source:literal,
    })*) => {
        /// A numbered requirement. Its serialised form is its id.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Requirement {
            $(
                #[doc = concat!($text, ".")]
                #[serde(rename = $id)]
                $variant,
            )*
        }

        impl Requirement {
            const ALL: &[Self] = &[$(Self::$variant),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        id: $id,
                        severity: Severity::$severity,
                        text: $text,
                        source: $source,
                    },)*
                }
            }
        }
    };
}
requirements!(define_requirement);

/// What the table says about one requirement.
struct Row {
    id: &'static str,
    severity: Severity,
    text: &'static str,
    source: &'static str,
}

impl Requirement {
    /// Returns all requirements in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied()
    }

    /// Returns the id, such as `HS-1`.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// Returns the severity of a violation.
    pub fn severity(self) -> Severity {
        self.row().severity
    }

    /// Returns the requirement as one sentence, without a full stop.
    pub fn text(self) -> &'static str {
        self.row().text
    }

    /// Returns the standard or the measurement that the requirement is based on.
    pub fn source(self) -> &'static str {
        self.row().source
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl FromStr for Requirement {
    type Err = String;

    /// Parses an id. The error is a sentence that names the unknown id.
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
    fn each_requirement_is_named_and_read_by_its_id() {
        for requirement in Requirement::all() {
            assert_eq!(format!("{requirement:?}").to_uppercase(), requirement.id().replace('-', ""));
            assert_eq!(format!("{requirement:>6}"), format!("{:>6}", requirement.id()));
            assert_eq!(requirement.id().parse(), Ok(requirement));
        }
    }

    #[test]
    fn each_requirement_says_in_words_of_its_own_what_is_required() {
        let texts: std::collections::BTreeSet<&str> = Requirement::all().map(Requirement::text).collect();
        assert_eq!(texts.len(), Requirement::all().count());
        assert!(texts.iter().all(|text| text.split(' ').count() > 4), "{texts:?}");
    }

    #[test]
    fn each_requirement_has_a_standard_a_promise_or_the_meaning_of_a_word_for_its_source() {
        let known = ["RFC ", "MS-", "Microsoft", " promises", "the meaning of "];
        for requirement in Requirement::all() {
            let source = requirement.source();
            assert!(known.iter().any(|known| source.contains(known)), "{requirement}: {source}");
        }
    }

    #[test]
    fn each_judging_function_begins_with_the_id_of_its_requirement() {
        macro_rules! names {
            ($($variant:ident { judge: $judge:path, $($rest:tt)* })*) => {
                [$((Requirement::$variant, stringify!($judge))),*]
            };
        }
        for (requirement, path) in requirements!(names) {
            let prefix = format!("{}_", requirement.id().replace('-', "").to_lowercase());
            assert!(path.rsplit("::").next().is_some_and(|name| name.trim().starts_with(&prefix)), "{path}");
        }
    }
}
