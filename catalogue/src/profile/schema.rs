//! What a file of profiles may hold.

use serde::Deserialize;
use toml::Spanned;

use super::Evidence;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) profile: Vec<Spanned<Raw>>,
}

/// A value with what it rests on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Value<T> {
    pub(super) is: Option<Spanned<T>>,
    pub(super) source: Option<String>,
    pub(super) evidence: Option<Evidence>,
    pub(super) assumed: Option<Spanned<T>>,
    pub(super) why: Option<String>,
}

/// A value that may be left out.
pub(super) type Cell<T> = Option<Spanned<Value<T>>>;
/// One of some words.
pub(super) type Word = Cell<String>;
/// `500ms`, `60s`, `30m`, `1h`.
pub(super) type Time = Cell<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) name: Spanned<String>,
    pub(super) group: String,
    pub(super) product: String,
    pub(super) versions: String,
    pub(super) config: String,
    pub(super) layer: Spanned<String>,
    #[serde(default)]
    pub(super) notes: Vec<String>,
    pub(super) select: Option<Spanned<Select>>,
    pub(super) carriage: Word,
    pub(super) persist: Option<Spanned<Persist>>,
    pub(super) pool: Option<Spanned<Pool>>,
    pub(super) pin: Option<Spanned<Pin>>,
    pub(super) retry: Option<Spanned<Retry>>,
    pub(super) check: Option<Spanned<Check>>,
    pub(super) passive: Option<Spanned<Passive>>,
    /// `never`, `after-challenge`, `always`.
    pub(super) prefer_last: Word,
    /// Whether a backend that goes down takes its clients' connections with it.
    pub(super) close_on_down: Cell<bool>,
    /// Whether each backend is taken for up while all are down.
    pub(super) fails_open: Cell<bool>,
    /// Schemes that are taken out of challenges.
    pub(super) strip: Cell<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Select {
    pub(super) algorithm: Word,
    pub(super) weights: Cell<Vec<u16>>,
    pub(super) max_connections: Cell<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Persist {
    /// `source`, `cookie`.
    pub(super) by: Word,
    pub(super) timeout: Time,
    pub(super) entries: Cell<u32>,
    /// Bits of an IPv4 address that count.
    pub(super) mask: Cell<u8>,
    pub(super) cookie: Word,
    pub(super) on_401: Cell<bool>,
    pub(super) life: Time,
    pub(super) indirect: Cell<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    /// `never`, `safe`, `aggressive`, `always`.
    pub(super) share: Word,
    /// With `never`: how many a client connection keeps.
    pub(super) slots: Cell<u8>,
    pub(super) idle: Time,
    /// `lifo`, `fifo`.
    pub(super) order: Word,
    pub(super) per_key: Cell<u32>,
    pub(super) in_all: Cell<u32>,
    /// `close-oldest`, `close-new`.
    pub(super) overflow: Word,
    pub(super) requests: Cell<u32>,
    pub(super) life: Time,
    /// Bits of the client's IPv4 address by which pools are told apart.
    pub(super) source_mask: Cell<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pin {
    /// `request`, `401`, `401-or-407`, `any-response`.
    pub(super) trigger: Word,
    pub(super) schemes: Cell<Vec<String>>,
    pub(super) exact_case: Cell<bool>,
    /// `prefix`, `prefix-and-space`, `whole`.
    pub(super) extent: Word,
    /// `at-once`, `dedicated`.
    pub(super) applied: Word,
    /// `pinned`, `repicked`.
    pub(super) host: Word,
    /// `downstream`, `client-address`.
    pub(super) key: Word,
    /// Whether the client's close closes the pinned connection.
    pub(super) upstream_follows: Cell<bool>,
    /// Whether the pinned connection's close closes the client's.
    pub(super) downstream_follows: Cell<bool>,
    pub(super) slots: Cell<u32>,
    pub(super) idle: Time,
    pub(super) picks_anyway: Cell<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// `fail`, `same`, `other`.
    pub(super) connect: Word,
    /// With `same`: how often.
    pub(super) retries: Cell<u32>,
    /// `never`, `idle-race`, `idempotent`, `any`.
    pub(super) lost: Word,
    pub(super) lost_elsewhere: Cell<bool>,
    pub(super) carries_authenticate: Cell<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// `tcp`, `http`, `http-2xx`.
    pub(super) probe: Word,
    pub(super) uri: Word,
    pub(super) interval: Time,
    pub(super) timeout: Time,
    pub(super) rise: Cell<u32>,
    pub(super) fall: Cell<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Passive {
    pub(super) fails: Cell<u32>,
    pub(super) within: Time,
    pub(super) out_for: Time,
    /// `carrier`, `picked-last`.
    pub(super) blame: Word,
}
