//! Tests that mechanisms can be serialised and read back, whatever defects they have.

use stickler_catalogue::{Mechanism, Profile, defects, mechanisms, profiles};

/// Returns every mechanism and every profile's mechanism, each without a defect and with each one that it can have.
fn all() -> Vec<Mechanism> {
    let mut all: Vec<Mechanism> =
        mechanisms().iter().cloned().chain(profiles().iter().map(Profile::mechanism)).collect();
    for sound in all.clone() {
        for defect in defects() {
            let mut changed = sound.clone();
            if defect.put_on(&mut changed).is_ok() {
                changed.defects = vec![defect.id.into()];
                all.push(changed);
            }
        }
    }
    all
}

#[test]
fn each_mechanism_survives_json_with_and_without_defects() {
    let all = all();
    let with_defects = all.iter().filter(|mechanism| !mechanism.defects.is_empty()).count();
    assert!(with_defects > 10 * defects().len(), "{with_defects} mechanisms with a defect");
    for mechanism in all {
        let text = serde_json::to_string(&mechanism).unwrap();
        let read: Mechanism = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(read, mechanism);
        assert_eq!(serde_json::to_string(&read).unwrap(), text, "{}", mechanism.name);
    }
}

#[test]
fn what_no_rule_knows_is_an_error() {
    let text = serde_json::to_string(&mechanisms()[0]).unwrap();
    let read = |text: &str| serde_json::from_str::<Mechanism>(text).map_err(|error| error.to_string());
    let added = text.replacen('{', r#"{"speed":11,"#, 1);
    assert!(read(&added).unwrap_err().contains("unknown field `speed`"));
    let renamed = text.replace("round_robin", "round_rabin");
    assert!(read(&renamed).unwrap_err().contains("unknown variant `round_rabin`"));
    let pinned = serde_json::to_string(mechanisms().iter().find(|it| it.name == "pin-on-401").unwrap()).unwrap();
    assert!(read(&pinned.replace("401}", "99}")).unwrap_err().contains("99 is not an HTTP status"), "{pinned}");
}
