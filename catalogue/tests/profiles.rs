//! Tests of the shipped profiles, of their descriptions, and of the errors in a wrong file.

use stickler_catalogue::profile::{Citation, Evidence};
use stickler_catalogue::{Profile, find, profiles};
use stickler_lb_core::Layer;
use stickler_model::BalancerSpec;

/// A valid profile, which the tests make wrong.
const SOUND: &str = r#"
[[profile]]
name = "mine"
group = "Mine"
product = "A proxy"
versions = "1"
config = "as it is"
layer = "L7"

[profile.select]
algorithm = { is = "round-robin", source = "its manual", evidence = "D" }
weights = { is = [3, 1], source = "its manual", evidence = "D" }

[profile.pool]
share = { is = "always", source = "its manual", evidence = "D" }
idle = { assumed = "60s", why = "not known: nobody wrote it down" }

[profile.retry]
connect = { is = "other", source = "its source", evidence = "S" }
lost = { is = "never", source = "its source", evidence = "S" }
"#;

/// Returns the error after the first occurrence of `this` is replaced by `that`.
fn told(this: &str, that: &str) -> String {
    assert!(SOUND.contains(this), "{this}");
    let text = SOUND.replace(this, that);
    Profile::parse(&text, "mine.toml").expect_err(that).to_string()
}

#[test]
fn every_product_of_the_field_has_its_profiles_and_every_value_its_source() {
    let names: Vec<_> = profiles().iter().map(|profile| &*profile.name).collect();
    for name in [
        "nginx-1.22",
        "nginx-keepalive",
        "nginx-1.29.7",
        "nginx-ip-hash",
        "nginx-ntlm-module",
        "nginx-plus-ntlm",
        "haproxy-never",
        "haproxy-safe",
        "haproxy-aggressive",
        "haproxy-always",
        "haproxy-tcp",
        "haproxy-server-close",
        "haproxy-cookie",
        "haproxy-source",
        "httpd",
        "httpd-disablereuse",
        "httpd-sticky",
        "squid",
        "caddy",
        "caddy-ntlm",
        "traefik-before",
        "traefik",
        "envoy",
        "envoy-per-downstream",
        "yarp",
        "skudonet-l4",
        "skudonet-http",
        "skudonet-http-cookie",
        "gcp-passthrough-nlb",
        "gcp-proxy-nlb",
        "gcp-alb",
        "gcp-alb-affinity",
        "aws-nlb",
        "aws-alb",
        "azure-lb",
        "azure-appgw",
        "azure-appgw-dedicated",
        "f5-oneconnect",
        "f5-oneconnect-ntlm",
        "netscaler",
        "netscaler-no-multiplex",
    ] {
        assert!(names.contains(&name), "{name} is missing");
    }
    for profile in profiles() {
        assert!(!profile.facts.is_empty(), "{}", profile.name);
        let mechanism = find(&profile.name).unwrap();
        assert_eq!(mechanism, profile.mechanism());
        assert_eq!(mechanism.layer, profile.layer());
        assert!(mechanism.summary.contains(&profile.product), "{}", profile.name);
        for fact in &profile.facts {
            let said = match &fact.citation {
                Citation::Known { source, .. } => source,
                Citation::Assumed { why } => why,
            };
            assert!(said.len() > 3, "{}: {}", profile.name, fact.what);
        }
    }
}

#[test]
fn a_profile_explains_itself_with_numbered_sources_and_what_is_not_known() {
    let mine = &Profile::parse(SOUND, "mine.toml").unwrap()[0];
    assert_eq!(
        mine.describe().to_string(),
        "mine: A proxy 1, as it is.\n\n\
         Each request goes to the next backend in turn [1]. \
         Idle upstream connections are kept for 60 s and taken by any client, most recently used first [1][assumed]. \
         A backend that cannot be reached is replaced by another [2]. \
         A request whose connection is lost is not sent again [2]. \
         It has no active health checks.\n\n\
         For NTLM: an authenticated connection returns to the pool, and the next client is served as its user; \
         legs of several clients mix; the backend is chosen anew for each leg, so it works with one backend, or with \
         affinity.\n\n\
         Not known: `pool.idle`, taken to be 60s: nobody wrote it down\n\
         [1] its manual (vendor's documentation)\n\
         [2] its source (its source)\n"
    );
}

#[test]
fn what_a_profile_means_for_ntlm_follows_from_its_rules() {
    let meaning = |name: &str| {
        let text = profiles().iter().find(|profile| profile.name == name).unwrap().describe().to_string();
        text.lines().find_map(|line| line.strip_prefix("For NTLM: ").map(ToOwned::to_owned)).unwrap()
    };
    assert!(meaning("nginx-1.22").contains("nobody can log on, and nobody is served as another"));
    assert!(meaning("nginx-keepalive").contains("the next client is served as its user"));
    assert!(meaning("haproxy-safe").contains("one-shot Kerberos"));
    assert!(meaning("traefik").contains("the Negotiate leg of a client"));
    assert!(meaning("caddy-ntlm").contains("outlives its client"));
    for stays in ["haproxy-tcp", "varnish-pipe"] {
        assert!(meaning(stays).contains("NTLM works"), "{stays}");
    }
    for closes in ["haproxy-httpclose", "trafficserver", "caddy-no-keepalive", "lighttpd"] {
        assert!(meaning(closes).contains("nobody can log on"), "{closes}");
    }
    assert!(meaning("squid").ends_with("a handshake keeps its connection once it is pinned."), "{}", meaning("squid"));
    for profile in profiles() {
        let text = profile.describe().to_string();
        assert!(text.contains("[1] ") && text.len() < 8_000, "{text}");
    }
}

#[test]
fn a_value_without_a_source_is_refused_where_it_stands() {
    let told = told(r#"{ is = "always", source = "its manual", evidence = "D" }"#, r#"{ is = "always" }"#);
    assert_eq!(
        told,
        "mine.toml:15:9: `pool.share` has no source: write { is = ..., source = \"...\", evidence = \"M, S, D, I or R\" \
         }, or { assumed = ..., why = \"not known: ...\" }, or state a `source` for the whole profile\n  share = { is = \"always\" }\n          ^"
    );
}

#[test]
fn an_unknown_or_contradictory_value_is_refused_with_what_to_do() {
    let cases = [
        (r#"is = "always""#, r#"is = "sometimes""#, "15:16: `pool.share` has to be one of `never`, `safe`,"),
        ("share =", "shares =", "15:1: unknown field `shares`"),
        (r#"is = "round-robin""#, r#"is = "hash""#, "10:1: `select.key` is missing: it says what is hashed"),
        ("[3, 1]", "[0, 0]", "10:1: all weights are zero"),
        ("[3, 1]", "[300, 1]", "10:1: backend 0 (counted from 0) has the weight 300"),
        (r#""60s""#, r#""a while""#, "16:20: `pool.idle` has to be a time"),
        (r#""60s""#, r#""0s""#, "16:20: `pool.idle` has to be a time"),
        (r#"layer = "L7""#, r#"layer = "L4""#, "14:10: `pool` belongs to L7"),
        (r#"name = "mine""#, r#"name = "shared-pool""#, "3:8: there is another profile or mechanism called"),
        (r#"name = "mine""#, r#"name = "a+b""#, "3:8: a profile's name is"),
        (r#"connect = { is = "other""#, r#"connect = { is = "same""#, "`retry.retries` is missing"),
        (r#"evidence = "S" }"#, r#"evidence = "X" }"#, "unknown variant `X`"),
        ("[profile.retry]", "[profile.retries]", "unknown field `retries`"),
        ("[[profile]]", "[[profile", "mine.toml:2:"),
    ];
    for (this, that, expected) in cases {
        let told = told(this, that);
        assert!(told.starts_with("mine.toml:") && told.contains(expected), "{that}: {told}");
    }
}

#[test]
fn parts_that_need_one_another_are_refused_apart() {
    let with = |more: &str| {
        let text = format!("{SOUND}\n{more}");
        Profile::parse(&text, "mine.toml").map(|_| ()).map_err(|error| error.to_string())
    };
    let cite = |value: &str| format!("{{ is = {value}, source = \"its manual\", evidence = \"D\" }}");
    let cookie = format!("[profile.persist]\nby = {}\n", cite("\"cookie\""));
    assert!(with(&cookie).unwrap_err().contains("`by = cookie` needs `cookie`, its name"));
    let named = format!("{cookie}cookie = {}\n", cite("\"SRV\""));
    assert_eq!(with(&named), Ok(()));
    let endless = format!("{cookie}cookie = {}\n", cite(&format!("\"{}\"", "x".repeat(64 * 1024))));
    assert!(with(&endless).unwrap_err().contains("is not the name of a cookie"));
    let both = format!("{named}timeout = {}\n", cite("\"60s\""));
    assert!(with(&both).unwrap_err().contains("no keys of a source table"));
    let passive = format!("[profile.passive]\nfails = {}\n", cite("0"));
    assert!(with(&passive).unwrap_err().contains("at least 1"));
    let check = |timeout: &str, uri: &str| {
        let [timeout, uri] = [timeout, uri].map(|text| cite(&format!("{text:?}")));
        let (tcp, interval, two, alive) = (cite("\"http\""), cite("\"2s\""), cite("2"), cite("[401]"));
        with(&format!(
            "[profile.check]\nprobe = {tcp}\nstatuses = {alive}\nuri = {uri}\ninterval = {interval}\ntimeout = {timeout}\nrise = {two}\n\
             fall = {two}\n"
        ))
    };
    assert_eq!(check("2s", "/up"), Ok(()));
    assert!(check("3s", "/up").unwrap_err().contains("timeout (3s) is longer than its interval (2s)"));
    assert!(check("2s", "up").unwrap_err().contains("a path starts with `/`"));
    let schemes = format!("[profile.pin]\ntrigger = {}\n", cite("\"401\""));
    assert!(with(&schemes).unwrap_err().contains("`pin.schemes` is missing"));
}

#[test]
fn a_profile_carries_faults_like_any_mechanism() {
    let faulty = find("haproxy-safe+B6").unwrap();
    assert_eq!((&*faulty.name, faulty.layer), ("haproxy-safe+B6", Layer::L7));
    assert!(find("haproxy-tcp+B6").unwrap_err().to_string().contains("cannot be put on `haproxy-tcp`"));
    assert_eq!(find("haproxy-saef").unwrap_err().nearest, Some("haproxy-safe"));
    assert_eq!(Evidence::Measured.to_string(), "measured");
}

#[test]
fn a_profile_describes_itself_with_its_own_data_alone() {
    for profile in profiles() {
        let BalancerSpec::Profile { name, toml, defects } = profile.spec() else {
            panic!("{} is a profile", profile.name)
        };
        let read = Profile::parse(&toml, "alone.toml").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((&read[..], &name, defects.len()), (std::slice::from_ref(profile), &profile.name, 0));
    }
}
