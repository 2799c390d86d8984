//! Tests of behaviour that was measured on products or read in their source, and that decisions alone can show.

use crate::front::{Ask, CHALLENGE, Front, OK};

/// One request with a ticket, answered without a challenge (RFC 4559 4.2).
const ONE_SHOT: Ask = Ask { path: "/", authorization: Some("Negotiate YIIGhgYGKwYBBQUC"), cookie: None, claim: None };
const NEGOTIATE: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAABAAAA"), cookie: None, claim: None };
const AUTHENTICATE: Ask = Ask { path: "/", authorization: Some("NTLM TlRMTVNTUAADAAAA"), cookie: None, claim: None };

const ALICE: u32 = 1;
const MALLORY: u32 = 2;

/// Returns whether any of mallory's requests, between alice's, goes over a connection on which alice has authenticated.
fn served_as_alice(balancer: &str, log_on: impl Fn(&mut Front)) -> bool {
    let mut front = Front::of(balancer, 1);
    for _ in 0..2 {
        log_on(&mut front);
        front.route(MALLORY);
    }
    let (alice, mallory) = (front.id(ALICE), front.id(MALLORY));
    front.served.values().any(|by| {
        let first = by.iter().position(|&it| it == alice);
        first.is_some_and(|first| by[first..].contains(&mallory))
    })
}

#[test]
fn one_shot_kerberos_leaves_an_authenticated_connection_in_pools_that_pin_by_answers() {
    let leaks = |balancer| {
        served_as_alice(balancer, |front| {
            front.exchange(ALICE, &ONE_SHOT, OK);
        })
    };
    // Measured: HAProxy 2.6.12 and 3.5-dev5. An answer of 200 pins nothing.
    assert!(leaks("haproxy-always") && leaks("haproxy-aggressive") && leaks("haproxy-safe"));
    assert!(!leaks("haproxy-never"), "measured: private connections");
    assert!(!leaks("squid"), "measured: the request pins");
    assert!(leaks("traefik"), "traefik#13902");
    assert!(!leaks("nginx-ntlm-module"), "its source: the request pins");
}

#[test]
fn a_handshake_that_meets_a_401_is_pinned_by_every_reuse_mode_of_haproxy() {
    let log_on = |front: &mut Front| {
        front.exchange(ALICE, &NEGOTIATE, CHALLENGE);
        front.exchange(ALICE, &AUTHENTICATE, OK);
    };
    for balancer in ["haproxy-safe", "haproxy-aggressive", "haproxy-always", "haproxy-never", "squid", "avi"] {
        assert!(!served_as_alice(balancer, log_on), "{balancer}");
    }
    assert!(served_as_alice("nginx-keepalive", log_on), "nginx 1.22.1 with `keepalive`, measured");
}

#[test]
fn a_pool_around_the_nginx_module_carries_the_handshake_and_then_serves_others() {
    let log_on = |front: &mut Front| {
        let (negotiate, ..) = front.exchange(ALICE, &NEGOTIATE, CHALLENGE);
        let (authenticate, ..) = front.exchange(ALICE, &AUTHENTICATE, OK);
        let connections = front.served.values().filter(|by| by.len() > 1).count();
        assert!(connections > 0, "one connection carries both legs, not {negotiate:?} and {authenticate:?}");
    };
    // Measured: works with `keepalive 0`, and leaks with `ntlm; keepalive 100;` (B5).
    assert!(!served_as_alice("nginx-ntlm-module", log_on));
    assert!(served_as_alice("nginx-ntlm-module+B5", log_on));
}
