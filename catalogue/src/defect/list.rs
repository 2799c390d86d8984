//! The list of defects, B1 to B20.

use std::time::Duration;

use http::StatusCode;
use stickler_lb_core::health::rule::{CheckRule, Expect, FailureTarget, PassiveRule, Probe};
use stickler_lb_core::policy::composed::{Lost, PreferLast, QueueRule, RetryRule, Rules};
use stickler_lb_core::policy::persist::{CookieRule, PersistRule};
use stickler_lb_core::policy::pin::{Applied, Extent, Host, PinKey, PinRule, Schemes, Trigger};
use stickler_lb_core::policy::pool::{PoolRule, Share};
use stickler_lb_core::{Pipelining, Text, texts};

use super::definition::Defect;
use crate::Mechanism;
use crate::mechanism::Kind;

pub(super) static DEFECTS: [Defect; 20] = [
    Defect {
        id: "B1",
        name: "one-shot-stays-shared",
        summary: "a pre-emptive Kerberos request, answered without a 401, leaves an authenticated connection in the pool",
        source: "HAProxy 2.6.12 and 3.5-dev5, measured; haproxy#2985; Traefik before #13902",
        apply: |it| {
            let pin = pin(it)?;
            if pin.trigger != Trigger::Request {
                return Err("its pin waits for a challenge, so that it has this weakness already");
            }
            (pin.trigger, pin.applied) = (Trigger::Response(StatusCode::UNAUTHORIZED), Applied::AtOnce);
            Ok(())
        },
    },
    Defect {
        id: "B2",
        name: "dedicated-too-late",
        summary: "the Negotiate leg goes over a shared connection, and the Authenticate leg over a dedicated one",
        source: "Traefik, source; traefik#11037",
        apply: |it| {
            let pin = pin(it)?;
            if pin.trigger == Trigger::Request {
                pin.trigger = Trigger::Challenge;
            }
            pin.applied = Applied::Dedicated;
            Ok(())
        },
    },
    Defect {
        id: "B3",
        name: "pin-key-reused",
        summary: "the pin is stored under the client's address and port, and the next client from there gets it",
        source: "Caddy's NTLM transport (address:port), nginx NTLM modules (recycled pointer), source",
        apply: |it| {
            let pin = pin(it)?;
            (pin.key, pin.coupling.upstream_follows) = (PinKey::Client, false);
            Ok(())
        },
    },
    Defect {
        id: "B4",
        name: "clean-up-drops-another",
        summary: "when a client with a pin leaves, the oldest pin of another client is removed as well",
        source: "a known defect of pin tables whose keys are reused; no product is known to have it",
        apply: |it| {
            pin(it)?;
            rules(it)?.defects.cleanup_drops_another = true;
            Ok(())
        },
    },
    Defect {
        id: "B5",
        name: "pool-steals-pinned",
        summary: "a pool takes the pinned connection after each exchange, and gives it to the next client",
        source: "nginx NTLM module with `keepalive` after `ntlm`, measured; ntlm-module#19",
        apply: |it| {
            pin(it)?;
            let rules = rules(it)?;
            rules.defects.pool_steals_pinned = true;
            let pool = rules.pool.get_or_insert(PoolRule::shared(Duration::from_mins(1)));
            pool.share = Share::Always;
            Ok(())
        },
    },
    Defect {
        id: "B6",
        name: "host-not-pinned",
        summary: "the client has its own connections, but each request chooses a backend anew",
        source: "Traefik and Caddy's NTLM transport, source",
        apply: |it| {
            pin(it)?.host = Host::Repicked;
            Ok(())
        },
    },
    Defect {
        id: "B7",
        name: "pin-crosses-services",
        summary: "the connection pinned for one service carries the client's requests for the others too",
        source: "traefik#13838",
        apply: |it| {
            let pinned_host = pin(it)?.host == Host::Pinned;
            let rules = rules(it)?;
            rules.defects.pin_crosses_services = true;
            (pinned_host && !rules.services.is_empty()).then_some(()).ok_or("its pins are not kept apart by service")
        },
    },
    Defect {
        id: "B8",
        name: "pin-missing-on-one-protocol",
        summary: "requests over HTTP/2 are never pinned, and go over shared connections",
        source: "traefik#13812",
        apply: |it| {
            pin(it)?;
            rules(it)?.defects.no_pin_on_http2 = true;
            Ok(())
        },
    },
    Defect {
        id: "B9",
        name: "slots-run-out",
        summary: "there is only one pin: the next client's handshake silently takes the slot of a handshake in progress",
        source: "nginx NTLM module: least recently used of 100, source",
        apply: |it| {
            let pin = pin(it)?;
            (pin.slots, pin.coupling.downstream_follows) = (Some(1), false);
            Ok(())
        },
    },
    Defect {
        id: "B10",
        name: "retry-replays-authenticate",
        summary: "a request whose connection was lost is sent to another backend, with the Authenticate leg that it carries",
        source: "nginx: an error on a cached connection gives a free extra try, whatever `Authorization` says, source",
        apply: |it| {
            let retry = RetryRule { lost_elsewhere: true, carries_authenticate: true, ..retry_lost(it)? };
            uncoupled(it)?.retry = retry;
            Ok(())
        },
    },
    Defect {
        id: "B11",
        name: "retry-hides-reset",
        summary: "a lost pinned connection is silently replaced, so that its client gets a 401 and not a close",
        source: "a retry behind a pin whose close is not coupled; Squid forbids it, source",
        apply: |it| {
            let retry = retry_lost(it)?;
            uncoupled(it)?.retry = retry;
            Ok(())
        },
    },
    Defect {
        id: "B12",
        name: "wrong-server-blamed",
        summary: "a failure counts against the backend that was picked last, not against the one that failed",
        source: "nginx NTLM module: the pick stays in accounting while the pinned connection overrides it, source",
        apply: |it| {
            const ONE_IN_TEN_SECONDS: PassiveRule = PassiveRule {
                fails: 1,
                within: Duration::from_secs(10),
                out_for: Duration::from_secs(10),
                blame: FailureTarget::PickedLast,
            };
            rules(it)?;
            it.passive =
                Some(PassiveRule { blame: FailureTarget::PickedLast, ..it.passive.unwrap_or(ONE_IN_TEN_SECONDS) });
            Ok(())
        },
    },
    Defect {
        id: "B13",
        name: "streams-share-a-connection",
        summary: "an HTTP/2 stream's pin is stored under its position among the open streams, which other connections have too",
        source: "a known defect of front ends that multiplex; no product is known to have it",
        apply: |it| {
            pin(it)?;
            rules(it)?.defects.streams_share_pin = true;
            Ok(())
        },
    },
    Defect {
        id: "B14",
        name: "legs-interleave",
        summary: "one connection to each backend and no pin: the legs of two users share it, and both logons fail",
        source: "Ocelot#2121, with authPersistSingleRequest",
        apply: |it| {
            let rules = rules(it)?;
            let pool = rules.pool.as_mut().ok_or(NO_POOL)?;
            (pool.share, pool.per_key, rules.pin) = (Share::Always, Some(1), None);
            (rules.prefer_last, rules.own_idle) = (PreferLast::Never, None);
            rules.select.max_connections = Some(1);
            rules.queue = Some(QueueRule { length: 1024 });
            Ok(())
        },
    },
    Defect {
        id: "B15",
        name: "cookie-alone",
        summary: "the host is chosen by a cookie that the 401 sets: legs of a client without cookies go to two backends",
        source: "Traefik with a sticky cookie: the host is picked anew for each request, source",
        apply: |it| {
            const COOKIE: CookieRule =
                CookieRule { name: Text::Borrowed("SERVERID"), on_401: true, life: None, indirect: true };
            pin(it)?.host = Host::Repicked;
            let rules = rules(it)?;
            (rules.persist, rules.prefer_last) = (Some(PersistRule::Cookie(COOKIE)), PreferLast::Never);
            Ok(())
        },
    },
    Defect {
        id: "B16",
        name: "keep-alive-race",
        summary: "idle connections are kept for longer than the server keeps them, and a request that meets a close is not retried",
        source: "a pool's idle limit beyond the 120 s of IIS, without a retry",
        apply: |it| {
            let rules = rules(it)?;
            rules.pool.as_mut().ok_or(NO_POOL)?.idle = Duration::from_hours(1);
            rules.retry.lost = Lost::Never;
            Ok(())
        },
    },
    Defect {
        id: "B17",
        name: "pipelining-overtakes",
        summary: "a pipelined request does not wait for the pinned connection, and goes over another one",
        source: "what Squid forbids on pinned connections, source",
        apply: |it| {
            pin(it)?;
            it.pipelining = Pipelining::Overtakes;
            Ok(())
        },
    },
    Defect {
        id: "B18",
        name: "check-wants-2xx",
        summary: "the health check takes the 401 of a protected site for a failure, and every backend is down",
        source: "HAProxy `option httpchk` without `http-check expect`, source",
        apply: |it| {
            let probe = Probe::Http { uri: "/".into(), expect: Expect::SUCCESS };
            it.checks = Some(CheckRule { probe, ..it.checks.take().unwrap_or(CheckRule::TCP) });
            Ok(())
        },
    },
    Defect {
        id: "B19",
        name: "tls-drifts",
        summary: "a client's dedicated connections lack the trusted authority that shared ones have: 502",
        source: "traefik#13838",
        apply: |it| {
            let pin = pin(it)?;
            if pin.applied != Applied::Dedicated && pin.host != Host::Repicked {
                return Err("its pins take the existing connection, and not another transport");
            }
            it.tls_drifts = true;
            Ok(())
        },
    },
    Defect {
        id: "B20",
        name: "exact-scheme-match",
        summary: "schemes are compared exactly: a challenge or credential with a token is missed, and so is Nego2",
        source: "haproxy#581",
        apply: |it| {
            let schemes = &mut pin(it)?.schemes;
            if schemes.names == Schemes::HAPROXY.names {
                // An exact list contains these names in place of the prefix `Nego`, so it misses `Nego2` but not `Negotiate`.
                schemes.names = texts(&["NTLM", "Negotiate"]);
            }
            schemes.extent = Extent::Whole;
            Ok(())
        },
    },
];

/// The reason for a mechanism without a pool, as part of
/// [`DefectError::Inapplicable`](super::DefectError::Inapplicable).
const NO_POOL: &str = "the mechanism has no pool";

/// Returns the rules of a mechanism with a pin, changed so that a lost pinned connection is replaced.
fn uncoupled(mechanism: &mut Mechanism) -> Result<&mut Rules, &'static str> {
    pin(mechanism)?.coupling.downstream_follows = false;
    rules(mechanism)
}

/// Returns the retry rule of the mechanism, extended to idempotent requests whose connection was lost.
fn retry_lost(mechanism: &mut Mechanism) -> Result<RetryRule, &'static str> {
    let retry = rules(mechanism)?.retry;
    Ok(RetryRule { lost: Lost::Idempotent, lost_elsewhere: false, carries_authenticate: false, ..retry })
}

fn rules(mechanism: &mut Mechanism) -> Result<&mut Rules, &'static str> {
    match &mut mechanism.kind {
        Kind::Composed(rules) => Ok(rules),
        Kind::PerConnection(_) => Err("the mechanism does not read HTTP"),
    }
}

fn pin(mechanism: &mut Mechanism) -> Result<&mut PinRule, &'static str> {
    rules(mechanism)?.pin.as_mut().ok_or("the mechanism pins nothing")
}
