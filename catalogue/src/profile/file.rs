//! Files of profiles.

use std::fmt::Write as _;
use std::sync::Arc;

use stickler_lb_core::{Layer, List, Text};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::port::Read;
use super::read::{ProfileError, Reader};
use super::value::{Value as _, quoted, words};
use super::{Citation, Evidence, Fact, Profile, Program, describe, keys, summary, write};
use crate::{Mechanism, mechanisms};

words! {
    Layer { "L4" => Layer::L4, "L7" => Layer::L7, }
}

/// Reads all profiles of a file. They may extend `known` ones, and earlier ones in the file.
pub(super) fn read(text: &str, path: &str, known: &[Profile]) -> Read<Vec<Profile>> {
    let at = |span, message: &str| ProfileError::at(path, text, &span, message);
    let file = DeTable::parse(text).map_err(|error| at(error.span().unwrap_or_default(), error.message()))?;
    if let Some(key) = file.get_ref().keys().find(|key| key.get_ref() != "profile") {
        return Err(at(key.span(), &format!("unknown field `{}`, expected `profile`", key.get_ref())));
    }
    let tables = match file.get_ref().get("profile").map(|profiles| (profiles.span(), profiles.get_ref())) {
        Some((_, DeValue::Array(tables))) => tables,
        Some((span, _)) => return Err(at(span, "a profile begins with [[profile]]")),
        None => return Err(at(0..0, "there is no [[profile]]")),
    };
    let mut profiles: Vec<Profile> = Vec::new();
    for table in tables {
        let DeValue::Table(keys) = table.get_ref() else { return Err(at(table.span(), "a profile is a table")) };
        let profile = profile(Reader::new(text, path, table.span(), keys), keys, known, &profiles)?;
        profiles.push(profile);
    }
    Ok(profiles)
}

/// What a profile says about itself.
struct Header {
    name: String,
    group: String,
    product: String,
    versions: String,
    config: String,
    notes: Vec<String>,
    program: Option<Program>,
    layer: Layer,
}

fn profile(mut reader: Reader<'_>, table: &DeTable<'_>, known: &[Profile], earlier: &[Profile]) -> Read<Profile> {
    let name = name(&mut reader, earlier)?;
    let base = extended(&mut reader, known, earlier)?;
    let header = header(&mut reader, name, base.as_ref())?;
    let inherited = inherited(&mut reader, base)?;
    let source = source(&mut reader, table)?;
    reader.resting_on(header.layer, source, inherited);
    let other = if header.layer == Layer::L4 { Layer::L7 } else { Layer::L4 };
    reader.only(&describe::keys_of(header.layer, ""), |key| {
        let why = if other == Layer::L7 {
            "an L4 balancer does not read requests"
        } else {
            "an L7 balancer opens its own connections to the backends"
        };
        describe::keys_of(other, "").contains(&key).then(|| format!("`{key}` belongs to {other:?}: {why}"))
    })?;
    let mechanism = keys::mechanism(&mut reader, keys::blank(header.layer))?;
    let facts = std::mem::take(&mut reader.facts);
    Ok(finished(header, mechanism, facts))
}

fn finished(header: Header, mechanism: Mechanism, facts: Vec<Fact>) -> Profile {
    let summary = summary(&header.product, &header.versions, &header.config);
    let mechanism = Mechanism { name: header.name.clone().into(), summary: summary.into(), ..mechanism };
    let toml = Arc::from(toml(&header, &facts));
    let Header { name, group, product, versions, config, notes, program, .. } = header;
    Profile { name, group, product, versions, config, notes, program, facts, mechanism, toml }
}

/// Returns the profile that expresses a mechanism.
///
/// # Errors
/// The rules of the mechanism contradict one another.
pub(super) fn of_mechanism(mechanism: &Mechanism) -> Read<Profile> {
    let (name, id) = (mechanism.name.to_string(), mechanism.id.as_deref().unwrap_or("a variant"));
    let header = Header {
        // The mechanism's own name is in use, and a name with defects is not valid.
        name: format!("my-{}", name.to_ascii_lowercase().replace('+', "-")),
        group: "Mechanisms".into(),
        product: name.clone(),
        versions: id.into(),
        config: mechanism.summary.to_string(),
        notes: Vec::new(),
        program: None,
        layer: mechanism.layer,
    };
    let source = format!("the mechanism {name} of Stickler's catalogue");
    let citation = Citation::Known { source, evidence: Evidence::Source };
    let fact = |(what, toml)| Fact { what, toml, citation: citation.clone() };
    let facts = write::values(mechanism)?.into_iter().map(fact).collect();
    Ok(finished(header, mechanism.clone(), facts))
}

fn name(reader: &mut Reader<'_>, earlier: &[Profile]) -> Read<String> {
    let Some(name) = reader.plain::<Text>("name")? else { return Err(missing(reader, "name")) };
    let (span, name) = (name.span(), name.into_inner());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(reader.at(&span, "a profile's name is 1 to 64 lower-case letters, digits, `-` or `.`"));
    }
    if earlier.iter().any(|other| other.name == name) || mechanisms().iter().any(|it| it.name == name) {
        return Err(reader.at(&span, format!("there is another profile or mechanism called `{name}`")));
    }
    Ok(name.into_owned())
}

/// Reads the profile that another extends.
fn extended(reader: &mut Reader<'_>, known: &[Profile], earlier: &[Profile]) -> Read<Option<Profile>> {
    let Some(name) = reader.plain::<Text>("extends")? else { return Ok(None) };
    let (span, name) = (name.span(), name.into_inner());
    if let Some(base) = earlier.iter().chain(known).find(|profile| profile.name == name) {
        return Ok(Some(base.clone()));
    }
    if let Some(mechanism) = mechanisms().iter().find(|mechanism| mechanism.name == name) {
        return of_mechanism(mechanism).map(Some);
    }
    let names = earlier.iter().chain(known).map(|profile| &*profile.name);
    let names: Vec<&str> = names.chain(mechanisms().iter().map(|mechanism| &*mechanism.name)).collect();
    let nearest = crate::find::nearest(&name, &names);
    let nearest = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
    Err(reader.at(&span, format!("there is no profile or mechanism called `{name}` to extend{nearest}")))
}

fn header(reader: &mut Reader<'_>, name: String, base: Option<&Profile>) -> Read<Header> {
    let mut text = |key: &'static str, inherited: Option<&String>| match (reader.plain::<Text>(key)?, inherited) {
        (Some(text), _) => Ok(text.into_inner().into_owned()),
        (None, Some(inherited)) => Ok(inherited.clone()),
        (None, None) => Err(missing(reader, key)),
    };
    let (group, product) = (text("group", base.map(|it| &it.group))?, text("product", base.map(|it| &it.product))?);
    let (versions, config) =
        (text("versions", base.map(|it| &it.versions))?, text("config", base.map(|it| &it.config))?);
    let notes =
        reader.plain::<List<Text>>("notes")?.map(|notes| notes.into_inner().iter().map(ToString::to_string).collect());
    let layer = match (reader.plain::<Layer>("layer")?, base) {
        (Some(layer), Some(base)) if *layer.get_ref() != base.layer() => {
            return Err(
                reader.at(&layer.span(), format!("`{}`, which this extends, is at {:?}", base.name, base.layer()))
            );
        }
        (Some(layer), _) => layer.into_inner(),
        (None, Some(base)) => base.layer(),
        (None, None) => return Err(missing(reader, "layer")),
    };
    let (notes, program) = (notes.unwrap_or_default(), program(reader)?);
    Ok(Header { name, group, product, versions, config, notes, program, layer })
}

/// Reads the real product. It is not inherited, because the rest of the profile would not be true of it.
fn program(reader: &mut Reader<'_>) -> Read<Option<Program>> {
    match (reader.plain::<Text>("program")?, reader.plain::<Text>("configuration")?) {
        (None, None) => Ok(None),
        (Some(name), Some(configuration)) => {
            let (name, configuration) = (name.into_inner().into_owned(), configuration.into_inner().into_owned());
            Ok(Some(Program { name, configuration }))
        }
        (Some(alone), None) => Err(reader.at(&alone.span(), "`program` needs a `configuration`")),
        (None, Some(alone)) => Err(reader.at(&alone.span(), "`configuration` needs a `program`")),
    }
}

/// Returns the values of the extended profile, except for those that are left out.
fn inherited(reader: &mut Reader<'_>, base: Option<Profile>) -> Read<Vec<Fact>> {
    let left_out = reader.plain::<List<Text>>("without")?;
    let (span, left_out) = left_out.map(|names| (names.span(), names.into_inner())).unwrap_or_default();
    let facts = base.map(|base| base.facts).unwrap_or_default();
    let covers = |name: &str, fact: &Fact| {
        fact.what.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if let Some(unused) = left_out.iter().find(|name| !facts.iter().any(|fact| covers(name, fact))) {
        return Err(reader.at(&span, format!("there is no `{unused}` in what this profile extends")));
    }
    Ok(facts.into_iter().filter(|fact| !left_out.iter().any(|name| covers(name, fact))).collect())
}

/// Reads the source that the profile states for all of its values.
fn source(reader: &mut Reader<'_>, table: &DeTable<'_>) -> Read<Option<Citation>> {
    let evidence = table.get("evidence").map(|value| reader.evidence(value)).transpose()?;
    // The key is read so that it counts as known.
    let stated: Option<Spanned<Text>> = reader.plain("evidence")?;
    match (reader.plain::<Text>("source")?, stated) {
        (Some(source), _) if !source.get_ref().trim().is_empty() => {
            let evidence = evidence.unwrap_or(Evidence::Remembered);
            Ok(Some(Citation::Known { source: source.into_inner().into_owned(), evidence }))
        }
        (Some(source), _) => Err(reader.at(&source.span(), "`source` is empty")),
        (None, Some(stated)) => Err(reader.at(&stated.span(), "`evidence` needs a `source`")),
        (None, None) => Ok(None),
    }
}

fn missing(reader: &Reader<'_>, key: &str) -> ProfileError {
    use super::port::Port as _;
    reader.wrong(&format!("missing field `{key}`"))
}

/// Returns the profile as a TOML document of its own, in which each value has its source.
fn toml(header: &Header, facts: &[Fact]) -> String {
    let Header { name, group, product, versions, config, notes, program, layer } = header;
    let mut text = String::from("[[profile]]\n");
    let lines = [("name", name), ("group", group), ("product", product), ("versions", versions), ("config", config)];
    for (key, value) in lines {
        let _ = writeln!(text, "{key} = {}", quoted(value));
    }
    let _ = writeln!(text, "layer = {}", layer.toml());
    if !notes.is_empty() {
        let notes: Vec<String> = notes.iter().map(|note| format!("    {},\n", quoted(note))).collect();
        let _ = writeln!(text, "notes = [\n{}]", notes.concat());
    }
    if let Some(Program { name, configuration }) = program {
        let _ = writeln!(text, "program = {}\nconfiguration = {}", quoted(name), quoted(configuration));
    }
    let mut at = "";
    for Fact { what, toml, citation } in facts {
        let (section, key) = what.split_once('.').unwrap_or(("", what));
        if section != at {
            let _ = writeln!(text, "\n[profile.{section}]");
            at = section;
        }
        let cell = match citation {
            Citation::Known { source, evidence } => {
                format!("is = {toml}, source = {}, evidence = \"{}\"", quoted(source), evidence.letter())
            }
            Citation::Assumed { why } => format!("assumed = {toml}, why = {}", quoted(why)),
        };
        let _ = writeln!(text, "{key} = {{ {cell} }}");
    }
    text
}
