//! Tests `stickler explain` with profiles, mechanisms, requirements, defects and scenarios.

use std::process::{Command, Output};

use stickler_catalogue::{defects, explanations, profiles};
use stickler_oracle::Requirement;
use stickler_scenarios::catches;

fn explain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stickler")).arg("explain").args(arguments).output().expect("the command starts")
}

/// Returns the explanation of a known name.
fn told(name: &str) -> String {
    let output = explain(&[name]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{name}: {errors}");
    String::from_utf8(output.stdout).expect("what is said is UTF-8")
}

/// Returns the error message about wrong arguments.
fn refused(arguments: &[&str]) -> String {
    let output = explain(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn each_requirement_has_one_explanation_and_nothing_else_has_one() {
    let explained: Vec<&str> = explanations().iter().map(|it| it.id.as_str()).collect();
    let requirements: Vec<&str> = Requirement::all().map(Requirement::id).collect();
    assert_eq!(explained, requirements);
}

#[test]
fn a_requirement_is_explained_with_its_log_and_its_cures_in_whatever_case() {
    let text = told("ID-1");
    let demand = "ID-1, a requirement (MUST): No request is processed under another principal than that of the client";
    assert!(text.starts_with(demand), "{text}");
    let parts = ["\nWhat goes wrong\n", "\nIn the logs of IIS", "cs-username CORP\\alice", "\nWhat cures it\n"];
    for part in
        parts.into_iter().chain(["  HAProxy: set `http-reuse never`", "#4.2-http-reuse]", "  whatever the product: "])
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(text.contains("B1: a pre-emptive Kerberos request"), "{text}");
    let over = text.lines().find(|line| line.contains("shared-pool (")).expect("mechanisms violate it");
    assert!(over.contains(", pin-on-401 (") && !over.contains("l4-nat"), "{over}");
    assert_eq!(told("id-1"), text);
    assert!(told("ST-2").contains("(SHOULD)"));
    assert!(told("HS-2").contains("401 1 2148074248 (0x80090308, SEC_E_INVALID_TOKEN)"));
}

#[test]
fn a_defect_is_explained_by_the_requirement_that_catches_it() {
    let text = told("b6");
    assert!(text.starts_with("B6 (host-not-pinned), a defect: the client has its own connections, but"), "{text}");
    for part in [
        "It violates HS-2: stickler run lone-two-backends --balancer pin-on-401+B6\n",
        "It violates TL-1: stickler run epa-require-same-certificate --balancer pin-on-401+B6\n",
        "\nHS-2, which it violates (MUST): All legs of one handshake reach one upstream connection.",
        "2148074248",
        "\nTL-1, which it violates (MUST): ",
        "2148074310",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert_eq!(told("host-not-pinned"), text);
    for defect in defects() {
        assert!(!catches(defect.id).is_empty(), "nothing catches {}", defect.id);
    }
}

#[test]
fn a_scenario_is_explained_with_what_is_expected_in_it() {
    let text = told("one-shot");
    assert!(text.starts_with("one-shot, a scenario of kerberos ("), "{text}");
    assert!(text.contains("\nstickler run one-shot --balancer NAME"), "{text}");
    let line = text.lines().find(|line| line.starts_with("  ID-1: ")).expect("ID-1 is violated in it");
    assert!(line.contains("pin-on-401") && !line.contains("l4-nat"), "{line}");
    assert!(
        text.contains("It catches the defect B1 by ID-1: stickler run one-shot --balancer pin-on-authorization+B1"),
        "{text}"
    );
    assert_eq!(told("kerberos/one-shot"), text);
    assert!(!text.contains("are not necessarily the balancer's fault"), "{text}");
    // The site trusts a header, and an L4 balancer reads none.
    let header = told("identity-header");
    assert!(header.contains("l4-nat") && header.contains("are not necessarily the balancer's fault"), "{header}");
}

#[test]
fn a_name_of_two_kinds_says_so() {
    let text = told("keep-alive-race");
    assert!(text.starts_with("B16 (keep-alive-race), a defect: "), "{text}");
    let also = "There is a scenario of that name as well: stickler explain failover/keep-alive-race\n";
    assert!(text.ends_with(also), "{text}");
    assert!(told("failover/keep-alive-race").starts_with("keep-alive-race, a scenario of failover ("));
    assert!(!told("B16").contains("of that name as well"), "that is one thing alone");
}

#[test]
fn a_mechanism_is_explained_as_before_with_what_it_violates() {
    let text = told("pin-on-401");
    assert!(text.starts_with("pin-on-401 (M12): "), "{text}");
    let line = text.lines().find(|line| line.starts_with("  ID-1: ")).expect("it violates ID-1");
    assert!(line.contains("one-shot"), "{line}");
    assert!(text.contains("\n`stickler explain REQUIREMENT` says how"), "{text}");
    assert_eq!(told("m12"), text);
    let broken = told("pin-on-401+B6");
    assert!(broken.starts_with("pin-on-401+B6 (M12): "), "{broken}");
    assert!(broken.contains("\nwith the defect B6 (host-not-pinned): "), "{broken}");
    assert!(
        broken.contains("\nIt violates HS-2: stickler run lone-two-backends --balancer pin-on-401+B6\n"),
        "{broken}"
    );
}

#[test]
fn a_profile_is_explained_as_before_in_whatever_case() {
    let profile = profiles().iter().find(|profile| profile.name == "haproxy-safe").expect("it is shipped");
    assert_eq!(told("HAProxy-Safe").trim_end(), profile.describe().to_string().trim_end());
    let toml = explain(&["haproxy-safe", "--format", "toml"]);
    assert_eq!(String::from_utf8_lossy(&toml.stdout).trim_end(), profile.toml().trim_end());
}

#[test]
fn several_names_are_told_one_after_the_other() {
    let both = explain(&["B6", "pin-on-401"]);
    let both = String::from_utf8_lossy(&both.stdout).into_owned();
    assert_eq!(both, format!("{}\n\n{}\n", told("B6").trim_end(), told("pin-on-401").trim_end()));
    assert!(refused(&["B6", "B99"]).contains("called `B99`"));
    assert!(refused(&[]).contains("NAME"));
}

#[test]
fn a_page_of_markdown_links_to_the_others_and_no_user_of_a_profile_can_write_into_it() {
    let page = |names: &[&str]| {
        let output = explain(&[names, &["--format", "markdown"]].concat());
        assert!(output.status.success(), "{names:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("what is said is UTF-8")
    };
    for (name, parts) in [
        (
            "ID-1",
            [
                "# ID-1\n",
                "* **HAProxy**: set `http-reuse never`",
                "[B1](../defects/B1.md)",
                "[shared-pool](../mechanisms/shared-",
            ],
        ),
        (
            "B6",
            ["# B6: host-not-pinned\n", "[HS-2](../requirements/HS-2.md)", "2148074248", "[pin-on-401](../mechanisms/"],
        ),
        (
            "pin-on-401",
            ["# pin-on-401\n", "**M12.**", "[one-shot](../scenarios/kerberos.md#one-shot)", "[B6](../defects/B6.md)"],
        ),
        (
            "haproxy-safe",
            ["# haproxy-safe\n", "in turn.[^1]\n", "| `pool.order` | `lifo` |", "\n[^1]: <https://docs.haproxy.org/"],
        ),
        (
            "one-shot",
            ["# one-shot\n", "stickler run one-shot", "[ID-1](../requirements/ID-1.md): ", "[B1](../defects/B1.md)"],
        ),
    ] {
        let page = page(&[name]);
        for part in parts {
            assert!(page.contains(part), "{name}: {part} is missing:\n{page}");
        }
    }
    assert!(page(&["aws-alb"]).contains("a Network Load Balancer with a TCP listener"));
    assert!(!page(&["pen"]).contains("## What cures what"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("ours.toml");
    let ours = "[[profile]]\nname = \"ours\"\nextends = \"haproxy-safe\"\nsource = \"<b>x</b> *y* \\u001b[31m\"\npool.share = \"always\"\n";
    std::fs::write(&file, ours).expect("files can be written");
    let page = page(&[&file.to_string_lossy()]);
    assert!(page.contains("\\<b>x\\</b> \\*y\\*") && !page.contains('\u{1b}'), "{page}");
}

#[test]
fn only_profiles_and_mechanisms_are_told_as_toml() {
    for (name, what) in [("ID-1", "requirement"), ("B6", "defect"), ("drain", "scenario")] {
        let error = refused(&[name, "--format", "toml"]);
        assert!(error.contains(&format!("is a {what}: only profiles and mechanisms can be shown as TOML")), "{error}");
    }
    let mechanism = explain(&["pin-on-401", "--format", "toml"]);
    assert!(String::from_utf8_lossy(&mechanism.stdout).contains("[[profile]]"));
}

#[test]
fn an_unknown_name_gets_the_nearest_of_all_kinds_and_controls_are_escaped() {
    for (name, nearest) in [
        ("ID-9", "ID-"),
        ("one-shott", "one-shot"),
        ("haproxy-save", "haproxy-safe"),
        ("host-not-pined", "host-not-pinned"),
    ] {
        let error = refused(&[name]);
        assert!(error.contains(&format!("called `{name}`, and no file; did you mean `{nearest}")), "{error}");
    }
    let error = refused(&["\u{1b}[31mzzz"]);
    assert!(!error.contains('\u{1b}'), "{error:?}");
    assert!(refused(&["pin-on-401+B99"]).contains("there is no defect called `B99`"));
}

#[test]
fn json_has_one_explanation_for_each_meaning_of_a_name() {
    let output = explain(&["ID-1", "haproxy-safe", "b6", "pin-on-401+B6", "drain", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&document["format"], &document["command"]), (&1.into(), &"explain".into()));
    let all = document["explanations"].as_array().expect("a list");
    let kinds: Vec<&str> = all.iter().map(|it| it["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["requirement", "profile", "defect", "mechanism", "scenario"]);
    let [requirement, profile, defect, mechanism, scenario] = &all[..] else { panic!("{kinds:?}") };
    assert_eq!((&requirement["id"], &requirement["severity"]), (&"ID-1".into(), &"MUST".into()));
    assert!(requirement["cures"].as_array().is_some_and(|cures| !cures.is_empty()));
    assert!(profile["facts"].as_array().is_some_and(|facts| facts.iter().any(|fact| fact["key"] == "pool.share")));
    for caught in [defect, mechanism] {
        assert_eq!(caught["caught"][0]["requirement"], "HS-2", "{caught}");
    }
    assert!(scenario["violated"].as_array().is_some_and(|all| all.iter().all(|it| it["scenario"] == "drain")));
    let unknown = explain(&["no-such-name", "--format", "json"]);
    assert_eq!(unknown.status.code(), Some(2));
    let document: serde_json::Value = serde_json::from_slice(&unknown.stdout).expect("JSON");
    let message = document["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("there is no profile, mechanism") && document["complete"] == false, "{document}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains(message));
}
