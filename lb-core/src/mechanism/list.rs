//! The mechanisms of the field.

use std::sync::LazyLock;
use std::time::Duration;

use super::Mechanism;
use crate::policy::composed::{RetryRule, Rules};
use crate::policy::per_connection::FlowRules;
use crate::policy::pin::PinRule;
use crate::policy::pool::PoolRule;

/// nginx 1.22 with `keepalive`: 60 s, and a free extra try for an error on a cached connection; HAProxy with
/// `option redispatch`: a backend that cannot be reached is replaced by another.
const RETRY: RetryRule = RetryRule { carries_authenticate: true, ..RetryRule::SOUND };
const POOL: PoolRule = PoolRule::shared(Duration::from_mins(1));

/// All of them.
pub(super) static MECHANISMS: LazyLock<Vec<Mechanism>> = LazyLock::new(|| {
    vec![
        Mechanism {
            id: Some("M1"),
            ..Mechanism::l4_by(
                "l4-nat",
                "address translation by 5-tuple: round robin for each connection, bytes pass untouched",
                FlowRules::ROUND_ROBIN,
            )
        },
        Mechanism {
            id: Some("M5"),
            ..Mechanism::l7_by(
                "close-per-request",
                "each request goes to the next backend on a new upstream connection, closed after the answer",
                Rules { retry: RETRY, ..Rules::PLAIN },
            )
        },
        Mechanism {
            id: Some("M6"),
            ..Mechanism::l7_by(
                "shared-pool",
                "each request goes to the next backend on the idle upstream connection used last, whoever used it",
                Rules { pool: Some(POOL), retry: RETRY, ..Rules::PLAIN },
            )
        },
        Mechanism {
            id: Some("M12"),
            ..Mechanism::l7_by(
                "pin-on-401",
                "a shared pool, but a 401 for NTLM or Negotiate pins backend and connection to the client's connection",
                Rules { pool: Some(POOL), pin: Some(PinRule::ON_401), retry: RETRY, ..Rules::PLAIN },
            )
        },
    ]
});
