//! Tests of a request's header section as the backend sees it.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use stickler_lb_core::policy::composed::{HeaderRule, Rules};
use stickler_lb_core::policy::persist::{CookieRule, PersistRule};
use stickler_lb_core::{Edit, RuleError};

use crate::front::{Ask, Front, OK};

const ID: &str = "Jespa-Connection-Id";

/// Returns the header section of a client's request with this field, as the backend sees it.
fn seen(rules: Rules, claim: Option<(&'static str, &'static str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = claim {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mut front = Front::new(rules, 1);
    for edit in front.request(1, &Ask { claim, ..Ask::default() }).edits {
        edit.apply(&mut headers);
    }
    headers
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn the_clients_connection_is_named_and_a_claim_of_anothers_is_overwritten_or_not() {
    let rules = |overwrite| Rules { client_id: Some(HeaderRule { name: ID.into(), overwrite }), ..Rules::PLAIN };
    let forged = Some(("jespa-connection-id", "10.0.1.2:1"));
    assert_eq!(value(&seen(rules(true), None), ID), Some("10.0.1.1:40000"));
    assert_eq!(value(&seen(rules(true), forged), ID), Some("10.0.1.1:40000"));
    assert_eq!(value(&seen(rules(false), None), ID), Some("10.0.1.1:40000"));
    assert_eq!(value(&seen(rules(false), forged), ID), Some("10.0.1.2:1"));
}

#[test]
fn the_clients_address_is_the_last_entry_of_x_forwarded_for() {
    let rules = || Rules { forwarded_for: true, ..Rules::PLAIN };
    let after = |before| value(&seen(rules(), before), "x-forwarded-for").map(ToOwned::to_owned);
    assert_eq!(after(None).as_deref(), Some("10.0.1.1"));
    assert_eq!(after(Some(("x-forwarded-for", "1.2.3.4"))).as_deref(), Some("1.2.3.4, 10.0.1.1"));
    // A retry applies the edits to the edited request.
    let again = Some(("x-forwarded-for", "1.2.3.4, 10.0.1.1"));
    assert_eq!(after(again).as_deref(), Some("1.2.3.4, 10.0.1.1"));
}

#[test]
fn an_identity_header_from_a_client_is_taken_out() {
    let rules = || Rules { scrub: Some("X-Remote-User".into()), ..Rules::PLAIN };
    assert_eq!(value(&seen(rules(), Some(("x-remote-user", "CORP\\admin"))), "x-remote-user"), None);
    let plain = Front::new(rules(), 1).request(1, &Ask::default()).edits;
    assert!(!plain.iter().any(|edit| matches!(edit, Edit::Remove(_))), "nothing to take out: {plain:?}");
}

#[test]
fn an_indirect_persistence_cookie_does_not_reach_the_backend() {
    let rule = CookieRule { name: "SRV".into(), on_401: true, life: None, indirect: true };
    let mut front = Front::new(Rules { persist: Some(PersistRule::Cookie(rule)), ..Rules::PLAIN }, 2);
    let cookie = front.exchange(1, &Ask::default(), OK).2.unwrap();
    let ask = Ask { cookie: Some(format!("a=b; {cookie}")), ..Ask::default() };
    let edits = front.request(1, &ask).edits;
    assert!(edits.contains(&Edit::Set(COOKIE, HeaderValue::from_static("a=b"))), "{edits:?}");
}

#[test]
fn nothing_is_changed_without_a_rule_and_a_wrong_name_is_an_error() {
    let edits = Front::of("shared-pool", 1).request(1, &Ask::default()).edits;
    assert_eq!(edits, []);
    let rules = Rules { scrub: Some("not a name".into()), ..Rules::PLAIN };
    let farm = crate::front::farm(1);
    let entropy = stickler_model::Entropy::new(0, "test");
    let error = stickler_lb_core::policy::composed::Composed::new(rules, &farm, entropy).unwrap_err();
    assert_eq!(error, RuleError::HeaderName("not a name".into()));
    assert!(HeaderName::from_bytes(ID.as_bytes()).is_ok());
}
