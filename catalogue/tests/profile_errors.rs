//! Tests of the errors for the author of a wrong profile file.

use stickler_catalogue::Profile;

/// A valid profile at each layer, which the tests make wrong.
const SOUND: &str = r#"[[profile]]
name = "mine"
group = "Mine"
product = "A proxy"
versions = "1"
config = "as it is"
layer = "L7"

[profile.select]
algorithm = { is = "round-robin", source = "its manual", evidence = "D" }
weights = { is = [3, 1], source = "its manual", evidence = "D" }

[profile.retry]
connect = { is = "other", source = "its source", evidence = "S" }
lost = { is = "never", source = "its source", evidence = "S" }

[[profile]]
name = "theirs"
group = "Theirs"
product = "A router"
versions = "1"
config = "as it is"
layer = "L4"
carriage = { is = "source-nat", source = "its manual", evidence = "D" }

[profile.select]
algorithm = { is = "hash", source = "its manual", evidence = "D" }
key = { is = "5-tuple", source = "its manual", evidence = "D" }
"#;

/// Returns the error after the first occurrence of `this` is replaced by `that`.
fn told(this: &str, that: &str) -> String {
    assert!(SOUND.contains(this), "{this}");
    Profile::parse(&SOUND.replacen(this, that, 1), "mine.toml").expect_err(that).to_string()
}

#[test]
fn both_sound_profiles_are_taken() {
    assert_eq!(Profile::parse(SOUND, "mine.toml").map(|all| all.len()), Ok(2));
}

#[test]
fn an_unknown_key_is_shown_with_those_that_there_are() {
    let expected = r#"mine.toml:11:1: unknown field `wieghts`, expected one of `algorithm`, `draws`, `key`, `mask`, `header`, `weights`, `max_connections`, `bound_take_turns`
  wieghts = { is = [3, 1], source = "its manual", evidence = "D" }
  ^"#;
    assert_eq!(told("weights =", "wieghts ="), expected);
}

#[test]
fn a_value_that_is_none_is_shown_where_it_stands() {
    let layer = r#"mine.toml:7:9: `layer` has to be one of `L4`, `L7`
  layer = "L5"
          ^"#;
    assert_eq!(told("L7", "L5"), layer);
    let zero = "mine.toml:9:1: all weights are zero, so that no backend could be chosen: give at least one backend a weight from \
                1 to 256\n  [profile.select]\n  ^";
    assert_eq!(told("[3, 1]", "[0, 0]"), zero);
    let kind = r#"mine.toml:11:18: `select.weights` has to be a list, each a number up to 65535
  weights = { is = "three", source = "its manual", evidence = "D" }
                   ^"#;
    assert_eq!(told("[3, 1]", "\"three\""), kind);
}

#[test]
fn values_that_contradict_one_another_are_shown_where_they_stand() {
    let retries =
        "mine.toml:13:1: `retry.retries` is missing: it is the number of further attempts\n  [profile.retry]\n  ^";
    assert_eq!(told("is = \"other\"", "is = \"same\""), retries);
    let twice = r#"mine.toml:11:1: duplicate key
  algorithm = { is = [3, 1], source = "its manual", evidence = "D" }
  ^"#;
    assert_eq!(told("weights =", "algorithm ="), twice);
    let name = r#"mine.toml:18:8: there is another profile or mechanism called `mine`
  name = "mine"
         ^"#;
    assert_eq!(told("theirs", "mine"), name);
}

#[test]
fn what_belongs_to_the_other_layer_is_shown_where_it_stands() {
    let scrub = r#"scrub = { is = "X-User", source = "its manual", evidence = "D" }"#;
    let at_l4 = r#"mine.toml:24:1: `scrub` belongs to L7: an L4 balancer does not read requests
  scrub = { is = "X-User", source = "its manual", evidence = "D" }
  ^"#;
    assert_eq!(told("\"L4\"", &format!("\"L4\"\n{scrub}")), at_l4);
    let at_l7 = r#"mine.toml:12:1: `carriage` belongs to L4: an L7 balancer opens its own connections to the backends
  carriage = { is = "source-nat", source = "its manual", evidence = "D" }
  ^"#;
    let carriage = r#"carriage = { is = "source-nat", source = "its manual", evidence = "D" }"#;
    let with = SOUND.replacen("[profile.select]", &format!("{carriage}\n\n[profile.select]"), 1);
    let told = Profile::parse(&with, "mine.toml").expect_err("carriage").to_string();
    assert_eq!(told, at_l7.replace(":12:", ":9:"));
}

#[test]
fn a_value_without_one_source_is_shown_where_it_stands() {
    let message = "has no source: write { is = ..., source = \"...\", evidence = \"M, S, D, I or R\" }, or \
                   { assumed = ..., why = \"not known: ...\" }, or state a `source` for the whole profile";
    let missing = format!(
        "mine.toml:24:12: `carriage` {message}\n  carriage = {{ is = \"source-nat\", evidence = \"D\" }}\n             ^"
    );
    assert_eq!(told("\"source-nat\", source = \"its manual\"", "\"source-nat\""), missing);
    for (this, that) in [("\"its source\"", "\" \""), ("is = \"other\"", "is = \"other\", assumed = \"fail\"")] {
        let told = told(this, that);
        assert!(told.starts_with(&format!("mine.toml:14:11: `retry.connect` {message}\n")), "{told}");
    }
}

#[test]
fn what_is_no_toml_is_shown_where_it_ends() {
    let unclosed = "mine.toml:13:15: unclosed table, expected `]`\n  [profile.retry\n                ^";
    assert_eq!(told("[profile.retry]", "[profile.retry"), unclosed);
}

#[test]
fn a_long_line_is_cut_and_nothing_is_pointed_at_beyond_it() {
    let long = format!("weights = {{ is = [3, 1], source = \"{}\", evidence = \"X\" }}\n#", "x".repeat(100_000));
    let told = told("weights =", &long);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("mine.toml:11:100050: unknown variant `X`"), "{}", lines[0]);
    assert_eq!((lines.len(), lines[1].len()), (2, 162), "the line's beginning, and no mark");
}
