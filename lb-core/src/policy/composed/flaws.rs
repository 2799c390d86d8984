//! Mistakes of real products that no rule expresses. Each is off in every sound mechanism.

use stickler_model::Time;

use super::super::pin::PinRule;
use super::Composed;
use super::books::{Place, Tie};
use crate::{DownstreamId, UpstreamId};

/// Which mistakes are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flaws {
    /// A pool around the pin takes the pinned connection after each exchange, and gives it to whoever comes: nginx with
    /// its NTLM module and `keepalive` after it (fault B5).
    pub pool_steals_pinned: bool,
    /// The clean-up after a client that had a pin drops the pin of another client too, without a word to it (B4).
    pub cleanup_drops_another: bool,
    /// A pinned connection carries requests of other services as well (B7).
    pub pin_crosses_services: bool,
    /// What comes by HTTP/2 is never pinned (B8).
    pub no_pin_on_http2: bool,
    /// A pin that came about by HTTP/2 is kept by the stream's place in its connection's table
    /// ([`crate::Protocol::Http2`]) alone, and every connection has a first place (B13).
    pub streams_share_pin: bool,
}

impl Flaws {
    /// None.
    pub const NONE: Self = Self {
        pool_steals_pinned: false,
        cleanup_drops_another: false,
        pin_crosses_services: false,
        no_pin_on_http2: false,
        streams_share_pin: false,
    };
}

impl Composed {
    /// B5: the pinned connection that has become idle is anybody's.
    pub(super) fn steal(&mut self, downstream: DownstreamId, id: UpstreamId) {
        if let Some(holder) = self.downstreams.get_mut(&downstream) {
            holder.pinned = holder.pinned.filter(|pinned| *pinned != id);
            holder.own.retain(|own| *own != id);
            holder.dedicated = false;
        }
        self.loosen(id);
    }

    /// B4: somebody who had a pin has gone. The pin that is oldest among those of the others goes too, if it is idle.
    pub(super) fn drop_another(&mut self, now: Time) {
        let idle = |holder: &super::Downstream| holder.pinned.filter(|_| holder.busy.is_none());
        let pinned = |id: &UpstreamId| self.upstreams.get(id).is_some_and(|it| it.tie == Tie::Pinned);
        let victim = self.downstreams.values().find_map(|holder| idle(holder).filter(pinned));
        if let Some(id) = victim {
            self.close(now, id);
        }
    }

    /// B8: the pin's rule, as it holds for an exchange by this stream; `None` for HTTP/1.1.
    pub(super) fn pin_rule(&self, stream: Option<u32>) -> Option<PinRule> {
        self.rules.pin.filter(|_| !(self.rules.flaws.no_pin_on_http2 && stream.is_some()))
    }

    /// B13: what is pinned to a stream's place goes to whoever's stream is in such a place now, if it is idle.
    pub(super) fn take_over(&mut self, downstream: DownstreamId, stream: Option<u32>) {
        let Some(&id) = stream.and_then(|place| self.by_stream.get(&place)) else { return };
        let Some(Place::With(owner)) = self.upstreams.get(&id).map(|upstream| upstream.place) else { return };
        let Some(holder) = self.downstreams.get_mut(&owner).filter(|holder| owner != downstream && !holder.carries(id))
        else {
            return;
        };
        holder.pinned = holder.pinned.filter(|pinned| *pinned != id);
        holder.own.retain(|own| *own != id);
        self.tidy(owner);
        self.place(id, Place::With(downstream));
        self.pin(downstream, id);
    }
}
