//! Defects of real products that no rule expresses. A sound mechanism has none of them.

use serde::{Deserialize, Serialize};

use super::super::pin::PinRule;
use super::Composed;

/// The defects that a mechanism has, each as a switch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defects {
    /// Whether the pool takes a pinned connection after each exchange and gives it to the next request of any client:
    /// nginx with its NTLM module and `keepalive` placed after it (defect B5).
    pub pool_steals_pinned: bool,
    /// Whether the clean-up after a client that had a pin also drops the pin of another client, which is not told
    /// (defect B4).
    pub cleanup_drops_another: bool,
    /// Whether a pinned connection carries requests of other services as well (defect B7).
    pub pin_crosses_services: bool,
    /// Whether requests that arrive by HTTP/2 never pin (defect B8).
    pub no_pin_on_http2: bool,
    /// Whether a pin that a stream of HTTP/2 made is found by the stream's place in its connection's table
    /// ([`crate::Protocol::Http2`]) alone. Since every connection has a first place, clients get the pins of others
    /// (defect B13).
    pub streams_share_pin: bool,
}

impl Defects {
    /// The absence of all defects.
    pub const NONE: Self = Self {
        pool_steals_pinned: false,
        cleanup_drops_another: false,
        pin_crosses_services: false,
        no_pin_on_http2: false,
        streams_share_pin: false,
    };
}

impl Composed {
    /// Returns the pin rule that applies to an exchange by this stream (`None` for HTTP/1.1). With defect B8, no pin
    /// rule applies to HTTP/2.
    pub(super) fn pin_rule(&self, stream: Option<u32>) -> Option<&PinRule> {
        self.rules.pin.as_ref().filter(|_| !(self.rules.defects.no_pin_on_http2 && stream.is_some()))
    }
}
