//! The language as data: its functions, and the methods and attributes of its values, with their arguments and
//! documentation.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use starlark::docs::{DocFunction, DocItem, DocMember, DocParam, DocType};
use starlark::environment::GlobalsBuilder;

use super::client_options::OPTIONS;
use super::globals::GROUPS;
use super::values::{ATTRIBUTES, Client, Pending, Response};
use super::{GLOBALS, globals};

/// The language, built once.
pub(crate) static LANGUAGE: LazyLock<Language> = LazyLock::new(Language::new);

/// The functions and types that a script can use.
pub(crate) struct Language {
    /// All functions, including those of Starlark itself.
    pub(crate) functions: BTreeMap<String, Signature>,
    /// All names: those of functions and those of constants.
    pub(crate) names: Vec<String>,
    /// The methods and attributes of values, by the name of their type.
    pub(crate) types: BTreeMap<String, BTreeMap<String, Member>>,
}

/// A method or an attribute.
#[derive(Debug, Clone)]
pub(crate) enum Member {
    Method(Signature),
    /// The type of the attribute, as Starlark writes it.
    Attribute(String),
}

/// The signature of a function: its parameters and its result.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    /// Whether the function takes any number of arguments by position.
    pub(crate) takes_more: bool,
    /// The arguments that the function takes by other names.
    pub(crate) others: Others,
    /// The type of the result, as Starlark writes it.
    pub(crate) returns: String,
}

/// A parameter of a function.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    /// The type of the parameter, as Starlark writes it.
    pub(crate) typ: String,
    /// The default as a script would write it; `None` where the argument is required.
    pub(crate) default: Option<String>,
    pub(crate) by_position: bool,
    pub(crate) by_name: bool,
}

/// The arguments that a function takes by names other than those of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Others {
    Nothing,
    Anything,
    /// Arguments by these names, each with its type.
    These(&'static [(&'static str, &'static str)]),
}

/// The options of a client, with their types.
static CLIENT_OPTIONS: LazyLock<Vec<(&'static str, &'static str)>> =
    LazyLock::new(|| OPTIONS.iter().map(|option| (option.name, option.typ)).collect());

/// The attributes of a response, with their types.
static RESPONSE_ATTRIBUTES: LazyLock<Vec<(&'static str, &'static str)>> =
    LazyLock::new(|| ATTRIBUTES.iter().map(|&(name, typ, _)| (name, typ)).collect());

impl Language {
    fn new() -> Self {
        let (mut functions, mut types) = (BTreeMap::new(), BTreeMap::new());
        for (name, item) in GLOBALS.documentation().members {
            match item {
                DocItem::Member(DocMember::Function(function)) => {
                    functions.insert(name.clone(), Signature::of(&name, &function));
                }
                DocItem::Type(about) => {
                    if let Some(function) = &about.constructor {
                        functions.insert(name.clone(), Signature::of(&name, function));
                    }
                    types.insert(name, members(&about));
                }
                DocItem::Member(DocMember::Property(_)) | DocItem::Module(_) => {}
            }
        }
        // A function that takes options under any name checks them itself, and knows the names that exist.
        for group in &GROUPS {
            for function in group.functions() {
                if let Some(signature) = functions.get_mut(&function.0)
                    && signature.others == Others::Anything
                {
                    signature.others = Others::These(CLIENT_OPTIONS.as_slice());
                }
            }
        }
        for (name, about) in value_types() {
            types.insert(name.to_owned(), members(&about));
        }
        if let Some(response) = types.get_mut("response") {
            if let Some(Member::Method(expect)) = response.get_mut("expect") {
                expect.others = Others::These(RESPONSE_ATTRIBUTES.as_slice());
                "response".clone_into(&mut expect.returns);
            }
            let attributes = RESPONSE_ATTRIBUTES.iter();
            response.extend(attributes.map(|&(name, typ)| (name.to_owned(), Member::Attribute(typ.to_owned()))));
        }
        let names = GLOBALS.names().map(|name| name.as_str().to_owned()).collect();
        Self { functions, names, types }
    }
}

/// Returns the types of values that have methods for scripts, by name.
pub(super) fn value_types() -> [(&'static str, DocType); 3] {
    [
        ("client", DocType::from_starlark_value::<Client>()),
        ("request", DocType::from_starlark_value::<Pending>()),
        ("response", DocType::from_starlark_value::<Response>()),
    ]
}

impl globals::Group {
    /// Returns the functions of the group with their documentation, by name.
    pub(super) fn functions(&self) -> Vec<(String, DocFunction)> {
        let members = GlobalsBuilder::new().with(self.functions).build().documentation().members;
        let functions = members.into_iter().filter_map(|(name, item)| match item {
            DocItem::Member(DocMember::Function(function)) => Some((name, function)),
            _ => None,
        });
        functions.collect()
    }
}

fn members(about: &DocType) -> BTreeMap<String, Member> {
    let member = |(name, member): (&String, &DocMember)| {
        let member = match member {
            DocMember::Function(function) => Member::Method(Signature::of(name, function)),
            DocMember::Property(property) => Member::Attribute(property.typ.to_string()),
        };
        (name.clone(), member)
    };
    about.members.iter().map(member).collect()
}

impl Signature {
    pub(super) fn of(name: &str, function: &DocFunction) -> Self {
        let parameter = |given: &DocParam, by_position: bool, by_name: bool| Parameter {
            name: given.name.clone(),
            typ: given.typ.to_string(),
            default: given.default_value.clone(),
            by_position,
            by_name,
        };
        let params = &function.params;
        let first = params.pos_only.iter().map(|given| parameter(given, true, false));
        let both = params.pos_or_named.iter().map(|given| parameter(given, true, true));
        let named = params.named_only.iter().map(|given| parameter(given, false, true));
        Self {
            name: name.to_owned(),
            parameters: first.chain(both).chain(named).collect(),
            takes_more: params.args.is_some(),
            others: if params.kwargs.is_some() { Others::Anything } else { Others::Nothing },
            returns: function.ret.typ.to_string(),
        }
    }

    /// Looks up a parameter that can be given by name.
    pub(crate) fn named(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.by_name && parameter.name == name)
    }

    /// Returns the type of the argument that can be given by this name.
    pub(crate) fn type_of(&self, name: &str) -> Option<&str> {
        let other = match self.others {
            Others::These(others) => others.iter().find(|(other, _)| *other == name).map(|(_, typ)| *typ),
            Others::Nothing | Others::Anything => None,
        };
        self.named(name).map(|parameter| parameter.typ.as_str()).or(other)
    }

    /// Returns all names by which an argument can be given.
    pub(crate) fn names(&self) -> Vec<&str> {
        let others = match self.others {
            Others::These(others) => others,
            Others::Nothing | Others::Anything => &[],
        };
        let own = self.parameters.iter().filter(|parameter| parameter.by_name).map(|parameter| parameter.name.as_str());
        own.chain(others.iter().map(|(name, _)| *name)).collect()
    }
}

/// Writes the function as a script would define it: `get(path = "/", *, headers = ...)`. An argument that may be left
/// out, but whose default cannot be written, has `...` as its default.
impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut named = self.takes_more;
        if self.takes_more {
            parts.push("*args".to_owned());
        }
        for parameter in &self.parameters {
            if !parameter.by_position && !named {
                parts.push("*".to_owned());
                named = true;
            }
            parts.push(match &parameter.default {
                Some(default) => format!("{} = {default}", parameter.name),
                None => parameter.name.clone(),
            });
        }
        match self.others {
            Others::Nothing => {}
            Others::Anything => parts.push("**kwargs".to_owned()),
            Others::These(_) => parts.push("**options".to_owned()),
        }
        write!(f, "{}({})", self.name, parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_what_a_script_writes() {
        let shown = |name: &str| LANGUAGE.functions[name].to_string();
        assert_eq!(shown("advance"), "advance(seconds = ..., *, ms = ...)");
        assert_eq!(shown("crash"), "crash(host)");
        assert!(shown("curl").ends_with("(name, **options)"), "{}", shown("curl"));
        let Member::Method(get) = &LANGUAGE.types["client"]["get"] else { panic!("a method") };
        assert_eq!(get.to_string(), "get(path = \"/\", *, headers = ...)");
        assert_eq!((get.returns.as_str(), get.type_of("path")), ("response", Some("str")));
    }

    #[test]
    fn values_of_starlark_and_of_the_language_have_members() {
        assert!(matches!(LANGUAGE.types["str"]["startswith"], Member::Method(_)));
        assert!(matches!(LANGUAGE.types["list"]["append"], Member::Method(_)));
        assert!(matches!(&LANGUAGE.types["response"]["status"], Member::Attribute(typ) if typ == "int | None"));
        assert_eq!(LANGUAGE.functions["curl"].type_of("patience"), Some("float | int"));
        assert_eq!(LANGUAGE.functions["wait_all"].returns, "list[response]");
        assert!(LANGUAGE.names.iter().any(|name| name == "True"));
    }
}
