//! Defects of real products that no rule expresses. Each is off in every sound mechanism.

use serde::{Deserialize, Serialize};

use super::super::pin::PinRule;
use super::Composed;

/// The defects that a mechanism has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defects {
    /// A pool around the pin takes the pinned connection after each exchange, and gives it to whoever comes: nginx with
    /// its NTLM module and `keepalive` after it (defect B5).
    pub pool_steals_pinned: bool,
    /// The clean-up after a client that had a pin drops the pin of another client too, which is not informed (B4).
    pub cleanup_drops_another: bool,
    /// A pinned connection carries requests of other services as well (B7).
    pub pin_crosses_services: bool,
    /// What comes by HTTP/2 is never pinned (B8).
    pub no_pin_on_http2: bool,
    /// A pin that came about by HTTP/2 is kept by the stream's place in its connection's table
    /// ([`crate::Protocol::Http2`]) alone, and every connection has a first place (B13).
    pub streams_share_pin: bool,
}

impl Defects {
    /// No defect.
    pub const NONE: Self = Self {
        pool_steals_pinned: false,
        cleanup_drops_another: false,
        pin_crosses_services: false,
        no_pin_on_http2: false,
        streams_share_pin: false,
    };
}

impl Composed {
    /// Returns the pin rule that holds for an exchange by this stream; `None` for HTTP/1.1. B8: there is none by HTTP/2.
    pub(super) fn pin_rule(&self, stream: Option<u32>) -> Option<&PinRule> {
        self.rules.pin.as_ref().filter(|_| !(self.rules.defects.no_pin_on_http2 && stream.is_some()))
    }
}
