//! The keys of the defects that no rule expresses.

use stickler_lb_core::policy::composed::Defects;

use super::super::port::{Port, Read};

pub(super) fn defects<P: Port>(p: &mut P, flags: Defects) -> Read<Defects> {
    let Defects { pool_steals_pinned, cleanup_drops_another, pin_crosses_services, no_pin_on_http2, streams_share_pin } =
        flags;
    Ok(Defects {
        pool_steals_pinned: p.or(
            "pool_steals_pinned",
            "B5: a pool around the pin takes the pinned connection after each exchange.",
            pool_steals_pinned,
            false,
        )?,
        cleanup_drops_another: p.or(
            "cleanup_drops_another",
            "B4: the clean-up after a client that had a pin drops that of another, too.",
            cleanup_drops_another,
            false,
        )?,
        pin_crosses_services: p.or(
            "pin_crosses_services",
            "B7: a pinned connection carries requests of other services as well.",
            pin_crosses_services,
            false,
        )?,
        no_pin_on_http2: p.or(
            "no_pin_on_http2",
            "B8: what comes by HTTP/2 is never pinned.",
            no_pin_on_http2,
            false,
        )?,
        streams_share_pin: p.or(
            "streams_share_pin",
            "B13: a pin that came about by HTTP/2 is kept by the stream's place alone.",
            streams_share_pin,
            false,
        )?,
    })
}
