//! The keys of the defects that no rule expresses.

use stickler_lb_core::policy::composed::Defects;

use super::super::port::{Port, Read};

pub(super) fn defects<P: Port>(p: &mut P, flags: Defects) -> Read<Defects> {
    let Defects { pool_steals_pinned, cleanup_drops_another, pin_crosses_services, no_pin_on_http2, streams_share_pin } =
        flags;
    Ok(Defects {
        pool_steals_pinned: p.or(
            "pool_steals_pinned",
            "B5: whether a pool takes the pinned connection after each exchange.",
            pool_steals_pinned,
            false,
        )?,
        cleanup_drops_another: p.or(
            "cleanup_drops_another",
            "B4: whether the removal of a client's pin also removes the pin of another client.",
            cleanup_drops_another,
            false,
        )?,
        pin_crosses_services: p.or(
            "pin_crosses_services",
            "B7: whether a pinned connection also carries requests of other services.",
            pin_crosses_services,
            false,
        )?,
        no_pin_on_http2: p.or(
            "no_pin_on_http2",
            "B8: whether connections for requests over HTTP/2 are never pinned.",
            no_pin_on_http2,
            false,
        )?,
        streams_share_pin: p.or(
            "streams_share_pin",
            "B13: whether a pin that an HTTP/2 request created is stored under the stream's position alone.",
            streams_share_pin,
            false,
        )?,
    })
}
