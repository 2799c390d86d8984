//! Further scripts that were once judged incorrectly: failures of a broken balancer that others seemed to explain, and
//! failures for which a sound balancer was blamed.

use stickler_oracle::Grade::{NotApplicable, NotExercised, Ok, Violated};
use stickler_oracle::Party::{Balancer, Client, InjectedFault, Script, Server, SiteSetUp};
use stickler_oracle::Requirement::{Fo5, Hs1, Hs4, Hs5, Hs7, St1, St3, St4};

use crate::{assert_clean, blame, grade, play, verdict};

/// In the control, alice's connection was bound to the server that has no power, by its turn. Here her challenge came from the
/// other one.
#[test]
fn a_fault_that_a_request_meets_in_the_control_alone_is_no_excuse() {
    for fault in ["power_loss", "hang"] {
        let script = format!(
            "site(backends = 2)\nalice = client('alice', 'wininet')\nalice.get('/')\n{fault}('iis1')\nalice.get('/')\n"
        );
        let verdict = verdict(&script, "pin-on-authorization+B6", Hs1);
        let excused = verdict.against_others().find(|evidence| evidence.summary.contains("fault explains it"));
        assert_eq!((verdict.grade, excused), (Violated, None), "{fault}");
        assert_clean(&script, "pin-on-authorization");
    }
}

#[test]
fn a_user_who_could_not_log_on_is_not_one_who_lacks_permission() {
    let script = "site(backends = 2)\nalice = browser('alice')\nalice.get('/forbidden')\n";
    assert_eq!(blame(script, "pin-on-authorization+B6", Hs1), (Violated, vec![Balancer]));
    assert_clean(script, "pin-on-authorization");
}

/// The server accepted her proof before the drain; only its answer came later.
#[test]
fn a_drain_while_a_page_is_made_ends_no_bond() {
    let script = "site(backends = 1)\nalice = browser('alice')\np = alice.start('GET', '/slow/1')\nadvance(ms = 500)\n\
                  drain('iis1')\np.wait()\nalice.get('/')\n";
    assert_eq!(grade(script, "pin-on-authorization+B5", Fo5), Violated);
    assert_clean(script, "pin-on-authorization");
    assert_clean(script, "l4-nat");
}

#[test]
fn a_drain_between_the_legs_ends_no_handshake() {
    let script = "site(backends = 1)\nalice = curl('alice')\np = alice.start('GET', '/')\nadvance(ms = 1.35)\n\
                  drain('iis1')\np.wait()\n";
    assert_eq!(blame(script, "pin-on-authorization+B2", Hs1), (Violated, vec![Balancer]));
    assert_clean(script, "pin-on-authorization");
}

#[test]
fn a_handshake_that_a_proper_server_began_is_not_ended_by_a_rogue() {
    let script = "site(backends = 2, servers = {'iis2': rogue('closes')})\nalice = curl('alice')\nalice.get('/')\n";
    assert_eq!(blame(script, "pin-on-authorization+B6", Hs1), (Violated, vec![Balancer]));
    assert_clean(script, "pin-on-authorization");
}

#[test]
fn bytes_of_nobody_are_answered_where_a_server_answers_them() {
    let script = "site(backends = 2)\nmallory = browser('mallory', user = None)\nadvance(30)\n\
                  mallory.send_raw('GET / HTTP/1.1\\r\\nHost: www.corp.example\\r\\nConnection: close\\r\\n\\r\\n')\n";
    assert_eq!(blame(script, "pin-checked-http-2xx", Hs7), (Violated, vec![Balancer]));
    assert_clean(script, "pin-on-authorization");
    let refused = script.replace("Host", "Not a header");
    assert_clean(&refused, "pin-on-authorization");
}

#[test]
fn a_server_that_speaks_no_http_costs_a_body_and_a_second_attempt() {
    let script = "site(backends = 1, acceptor = rogue('wrong-length'))\nalice = curl('alice')\n\
                  alice.post('/upload', bytes_of(10))\n";
    for balancer in ["l4-nat", "pin-on-401", "auth-at-balancer"] {
        assert_clean(script, balancer);
    }
    assert_eq!(blame(script, "l4-nat", Hs4), (NotExercised, vec![Server]));
}

/// A ticket over HTTP/2, nothing on the connection that the ticket authenticated, and a ticket for what the user may not have.
#[test]
fn a_client_that_may_not_have_something_shows_its_ticket_once_more() {
    let script = "site(backends = 1, tls = 'own', http2 = True, providers = ['Negotiate'], \
                  services = {'svc-web': ['HTTP/www.corp.example']}, \
                  authentication = windows_authentication(pool = 'svc-web', kernel_mode = False))\n\
                  bob = client('bob', 'curl_negotiate', preconnects = True, http2 = 'always')\n\
                  bob.get('/')\nbob.get('/forbidden')\nbob.get('/forbidden')\n";
    assert_clean(script, "l4-nat");
}

#[test]
fn a_client_without_patience_is_to_blame_itself() {
    let script = "carol = curl('carol', patience = 0.1)\ncarol.get('/slow/0.2')\n";
    assert_eq!(blame(script, "auth-at-balancer", Hs1), (NotExercised, vec![Client]));
    assert_clean(script, "l4-nat");
}

#[test]
fn a_site_that_believes_a_header_asks_nobody_for_credentials() {
    let script =
        "site(acceptor = trusted_header('X-Remote-User'))\nalice = curl('alice', password = 'wrong')\nalice.get('/')\n";
    assert_eq!(blame(script, "l4-nat", Hs5), (NotExercised, vec![SiteSetUp]));
}

#[test]
fn what_a_balancer_remembers_ends_with_its_process() {
    let script = |fault: &str| {
        format!(
            "site(backends = 2)\nalice = browser('alice')\nbob = browser('bob')\nalice.get('/')\n{fault}\nbob.get('/')\n\
             alice.disconnect()\nalice.get('/')\n"
        )
    };
    assert_clean(&script("crash('lb')\nrestart('lb')"), "pin-source");
    assert_eq!(grade(&script(""), "pin-source", St1), Ok);
}

/// The first packet of alice's first connection passed the balancer before the drain.
#[test]
fn persistence_may_have_begun_before_the_drain() {
    let script = "site(backends = 2)\nalice = browser('alice')\np = alice.start('GET', '/')\nadvance(ms = 0.6)\n\
                  drain('iis1')\nalice.get('/')\n";
    assert_clean(script, "l4-source");
}

#[test]
fn each_of_two_handshakes_on_one_connection_stays_where_it_began() {
    let script = "site(backends = 2, tls = 'same', http2 = True)\nalice = browser('alice', http2 = 'always')\n\
                  p = alice.start('GET', '/')\nalice.get('/')\n";
    assert_ne!(grade(script, "pin-cookie", St3), Violated);
}

#[test]
fn connections_behind_another_balancer_are_not_counted() {
    let script = "site(backends = 3, front = 'shared-pool')\n\
                  [browser('a' + str(n), user = None).get('/') for n in range(3)]\n";
    let verdict = verdict(script, "l4-nat", St4);
    assert_eq!((verdict.grade, verdict.evidence), (NotApplicable, vec![]));
}

#[test]
fn whoever_sits_down_after_a_user_without_permission_logs_on() {
    for kind in ["browser", "curl_anyauth", "firefox_linux", "lwp", "mono", "wget", "curl", "wininet"] {
        let script = format!(
            "site(backends = 1)\nalice = client('alice', '{kind}')\nalice.get('/forbidden')\nalice.switch_user('bob')\n\
             alice.get('/').expect(user = 'CORP\\\\bob')\n"
        );
        for balancer in ["l4-nat", "auth-at-balancer"] {
            assert_clean(&script, balancer);
            assert!(play(&script, balancer).failures.is_empty(), "{kind} over {balancer}");
        }
    }
}

#[test]
fn a_drained_backend_is_the_scripts_even_if_it_cannot_reach_the_dc() {
    let script = "site(backends = 1)\nmallory = browser('mallory', user = None)\nhold('iis1', 'dc')\ndrain('iis1')\n\
                  mallory.get('/')\n";
    assert_eq!(blame(script, "l4-nat", Hs7), (NotExercised, vec![Script]));
}

#[test]
fn a_reset_of_the_clients_own_link_is_a_fault_even_during_a_drain() {
    let script = "site(backends = 1)\nalice = browser('alice')\np = alice.start('GET', '/')\nadvance(ms = 1)\n\
                  drain('iis1')\nreset('alice', 'lb')\np.wait()\n";
    assert_eq!(blame(script, "l4-nat", Hs1), (NotExercised, vec![InjectedFault]));
}
