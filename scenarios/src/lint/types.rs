//! The facts about a script's names that follow from its text without running it: their types, and the signatures of
//! functions.

use std::collections::BTreeMap;

use starlark::syntax::AstModule;
use starlark::syntax::ast::{
    AssignTargetP, AstAssignTarget, AstExpr, AstLiteral, AstNoPayload, AstStmt, BinOp, Clause, ClauseP, DefP, ExprP,
    ForClause, ParameterP, StmtP,
};

use crate::script::language::{LANGUAGE, Member, Others, Parameter, Signature};
use crate::script::place::bytes;

/// The syntax tree of a function definition.
pub(super) type Def = DefP<AstNoPayload>;

/// The type of a value, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    /// A type, by the name that Starlark has for it. The type of the value `None` is named `None`.
    Named(String),
    List(Box<Type>),
}

/// The variables of a function, a comprehension or a lambda.
pub(super) type Locals = BTreeMap<String, Type>;

/// The meaning of a name of the module.
#[derive(Debug, Clone)]
pub(super) struct Binding {
    pub(super) typ: Type,
    /// The signature, if the name is a function that is defined once.
    pub(super) function: Option<Signature>,
}

/// The names of a module.
#[derive(Debug, Default)]
pub(super) struct Names {
    bindings: BTreeMap<String, Binding>,
}

impl Type {
    pub(super) fn named(name: &str) -> Self {
        Self::Named(name.to_owned())
    }

    /// Parses a type as Starlark writes it. A union of several types becomes `Any`.
    fn parse(text: &str) -> Self {
        match alternatives(text)[..] {
            [one] => match one.strip_prefix("list[").and_then(|rest| rest.strip_suffix(']')) {
                Some(element) => Self::List(Box::new(Self::parse(element))),
                None if one.starts_with("dict") => Self::named("dict"),
                None if one.starts_with("tuple") => Self::named("tuple"),
                None if one.contains(['.', '[']) => Self::Any,
                None => Self::named(one),
            },
            _ => Self::Any,
        }
    }

    /// Returns the type if both are the same, and `Any` if they differ.
    fn join(self, other: Self) -> Self {
        if self == other { other } else { Self::Any }
    }

    /// Returns the type of the elements of a list, and `Any` for any other type.
    fn element(&self) -> Self {
        match self {
            Self::List(element) => (**element).clone(),
            Self::Any | Self::Named(_) => Self::Any,
        }
    }

    /// Returns whether a value of this type may be a value of the type that Starlark writes as `text`.
    pub(super) fn fits(&self, text: &str) -> bool {
        *self == Self::Any || alternatives(text).into_iter().any(|one| self.fits_one(one))
    }

    fn fits_one(&self, one: &str) -> bool {
        let inner = |name: &str| one.strip_prefix(name).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']'));
        match self {
            _ if one.contains("Any") || one.starts_with("typing.") => true,
            Self::List(element) => one == "list" || inner("list").is_some_and(|inner| element.fits(inner)),
            Self::Named(name) if name == "dict" || name == "tuple" => one.starts_with(name.as_str()),
            Self::Named(name) => one == name || (one == "float" && name == "int"),
            Self::Any => true,
        }
    }

    /// Returns the name of the type, for messages and for looking up its members.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Named(name) => Some(name),
            Self::List(_) => Some("list"),
        }
    }
}

/// Splits a union into the types that it consists of.
fn alternatives(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts
}

/// The source of a variable's value.
pub(super) enum Given<'a> {
    /// The value of an expression.
    Value(&'a AstExpr),
    /// The elements of an expression's value, in turn.
    Element(&'a AstExpr),
    Something,
}

/// Calls `see` for each assignment of a statement, except for those inside functions that the statement defines.
pub(super) fn assignments<'a>(statement: &'a AstStmt, see: &mut dyn FnMut(&'a AstAssignTarget, Given<'a>)) {
    match &statement.node {
        StmtP::Assign(assign) => see(&assign.lhs, Given::Value(&assign.rhs)),
        StmtP::AssignModify(target, ..) => see(target, Given::Something),
        StmtP::For(each) => {
            see(&each.var, Given::Element(&each.over));
            assignments(&each.body, see);
        }
        StmtP::Def(_) => {}
        _ => statement.node.visit_stmt(|inner| assignments(inner, see)),
    }
}

/// Calls `see` for each function that is defined, except for those inside other functions.
pub(super) fn definitions<'a>(statement: &'a AstStmt, see: &mut dyn FnMut(&'a Def)) {
    match &statement.node {
        StmtP::Def(def) => see(def),
        _ => statement.node.visit_stmt(|inner| definitions(inner, see)),
    }
}

/// Returns the signature of a function that a script defines.
pub(super) fn signature(def: &Def, text: &str) -> Signature {
    let (mut parameters, mut takes_more, mut others, mut named) = (Vec::new(), false, Others::Nothing, false);
    for parameter in &def.params {
        match &parameter.node {
            ParameterP::Normal(name, _, default) => parameters.push(Parameter {
                name: name.node.ident.clone(),
                typ: "typing.Any".to_owned(),
                default: default.as_ref().map(|default| text.get(bytes(default.span)).unwrap_or("...").to_owned()),
                by_position: !named,
                by_name: true,
            }),
            ParameterP::NoArgs => named = true,
            ParameterP::Args(..) => (takes_more, named) = (true, true),
            ParameterP::KwArgs(..) => others = Others::Anything,
            ParameterP::Slash => parameters.iter_mut().for_each(|parameter| parameter.by_name = false),
        }
    }
    let name = def.name.node.ident.clone();
    Signature { name, parameters, takes_more, others, returns: "typing.Any".to_owned() }
}

impl Names {
    /// Collects the names of a module, with the names that it loads.
    pub(super) fn of(module: &AstModule, text: &str, loaded: &BTreeMap<String, Option<Signature>>) -> Self {
        let mut names = Self::default();
        for (name, function) in loaded {
            names.bindings.insert(name.clone(), Binding { typ: Type::Any, function: function.clone() });
        }
        definitions(module.statement(), &mut |def| {
            let function = (!names.bindings.contains_key(&def.name.node.ident)).then(|| signature(def, text));
            names.bindings.insert(def.name.node.ident.clone(), Binding { typ: Type::Any, function });
        });
        // The type of one variable may follow from that of another. A few rounds are enough for the scripts that people
        // write.
        for _ in 0..4 {
            let mut types = Locals::new();
            assignments(module.statement(), &mut |target, given| names.note(target, &given, &[], &mut types));
            for (name, typ) in types {
                names.bindings.insert(name, Binding { typ, function: None });
            }
        }
        names
    }

    pub(super) fn get(&self, name: &str) -> Option<&Binding> {
        self.bindings.get(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.bindings.keys().map(String::as_str)
    }

    /// Records the types that variables get by an assignment.
    pub(super) fn note(&self, target: &AstAssignTarget, given: &Given<'_>, locals: &[Locals], types: &mut Locals) {
        let typ = match given {
            Given::Value(value) => self.infer(value, locals),
            Given::Element(over) => self.infer(over, locals).element(),
            Given::Something => Type::Any,
        };
        match (&target.node, given) {
            (AssignTargetP::Tuple(targets), Given::Element(over)) => {
                for (target, typ) in targets.iter().zip(self.zipped(over, targets.len(), locals)) {
                    set(target, typ, types);
                }
            }
            _ => set(target, typ, types),
        }
    }

    /// Returns the types of the elements of the arguments of `zip(...)`.
    fn zipped(&self, over: &AstExpr, count: usize, locals: &[Locals]) -> Vec<Type> {
        if let ExprP::Call(function, arguments) = &over.node
            && matches!(&function.node, ExprP::Identifier(name) if name.node.ident == "zip")
            && arguments.args.len() == count
        {
            return arguments.args.iter().map(|argument| self.infer(argument.node.expr(), locals).element()).collect();
        }
        vec![Type::Any; count]
    }

    /// Infers the type of an expression. The innermost variables are at the end of `locals`.
    pub(super) fn infer(&self, expression: &AstExpr, locals: &[Locals]) -> Type {
        let typ = |part: &AstExpr| self.infer(part, locals);
        match &expression.node {
            ExprP::Literal(literal) => Type::named(match literal {
                AstLiteral::Int(_) => "int",
                AstLiteral::Float(_) => "float",
                AstLiteral::String(_) => "str",
                AstLiteral::Bytes(_) => "bytes",
                AstLiteral::Ellipsis => return Type::Any,
            }),
            ExprP::FString(_) => Type::named("str"),
            ExprP::Identifier(name) => self.variable(&name.node.ident, locals),
            ExprP::List(elements) => {
                let types = elements.iter().map(typ).reduce(Type::join);
                Type::List(Box::new(types.unwrap_or(Type::Any)))
            }
            ExprP::Tuple(_) => Type::named("tuple"),
            ExprP::Dict(_) | ExprP::DictComprehension(..) => Type::named("dict"),
            ExprP::ListComprehension(body, each, clauses) => {
                let within = self.comprehension(each, clauses, locals);
                Type::List(Box::new(self.infer(body, &within)))
            }
            ExprP::Not(_) => Type::named("bool"),
            ExprP::Minus(number) | ExprP::Plus(number) => typ(number),
            ExprP::If(parts) => typ(&parts.1).join(typ(&parts.2)),
            ExprP::Op(left, operator, right) => match operator {
                BinOp::And | BinOp::Or | BinOp::Add => typ(left).join(typ(right)),
                BinOp::Percent if typ(left) == Type::named("str") => Type::named("str"),
                BinOp::Equal
                | BinOp::NotEqual
                | BinOp::In
                | BinOp::NotIn
                | BinOp::Less
                | BinOp::LessOrEqual
                | BinOp::Greater
                | BinOp::GreaterOrEqual => Type::named("bool"),
                _ => Type::Any,
            },
            ExprP::Index(parts) => typ(&parts.0).element(),
            ExprP::Slice(whole, ..) => match typ(whole) {
                list @ Type::List(_) => list,
                _ => Type::Any,
            },
            ExprP::Call(function, _) => {
                self.signature(function, locals).map_or(Type::Any, |it| Type::parse(&it.returns))
            }
            ExprP::Dot(of, name) => match typ(of).name().and_then(|of| LANGUAGE.types.get(of)?.get(&name.node)) {
                Some(Member::Attribute(text)) => Type::parse(text),
                _ => Type::Any,
            },
            _ => Type::Any,
        }
    }

    /// Returns the variables of the code around a comprehension, followed by those inside it.
    pub(super) fn comprehension(&self, each: &ForClause, clauses: &[Clause], locals: &[Locals]) -> Vec<Locals> {
        let mut inner = locals.to_vec();
        inner.push(Locals::new());
        let more = clauses.iter().filter_map(|clause| match clause {
            ClauseP::For(each) => Some(each),
            ClauseP::If(_) => None,
        });
        for ForClause { var, over } in std::iter::once(each).chain(more) {
            let mut types = Locals::new();
            self.note(var, &Given::Element(over), &inner, &mut types);
            if let Some(last) = inner.last_mut() {
                last.extend(types);
            }
        }
        inner
    }

    fn variable(&self, name: &str, locals: &[Locals]) -> Type {
        if let Some(typ) = locals.iter().rev().find_map(|locals| locals.get(name)) {
            return typ.clone();
        }
        match (self.get(name), name) {
            (Some(binding), _) => binding.typ.clone(),
            (None, "True" | "False") => Type::named("bool"),
            (None, "None") => Type::named("None"),
            (None, _) => Type::Any,
        }
    }

    /// Returns whether a name stands for the function or constant that the language has under that name.
    pub(super) fn is_builtin(&self, name: &str, locals: &[Locals]) -> bool {
        !locals.iter().any(|locals| locals.contains_key(name)) && self.get(name).is_none()
    }

    /// Returns the name of the language's function that is called; `None` if something else is called.
    pub(super) fn builtin<'a>(&self, function: &'a AstExpr, locals: &[Locals]) -> Option<&'a str> {
        match &function.node {
            ExprP::Identifier(name) if self.is_builtin(&name.node.ident, locals) => {
                LANGUAGE.functions.contains_key(&name.node.ident).then_some(name.node.ident.as_str())
            }
            _ => None,
        }
    }

    /// Returns the signature of the function that is called.
    pub(super) fn signature(&self, function: &AstExpr, locals: &[Locals]) -> Option<&Signature> {
        match &function.node {
            ExprP::Identifier(name) if locals.iter().any(|locals| locals.contains_key(&name.node.ident)) => None,
            ExprP::Identifier(name) => match self.get(&name.node.ident) {
                Some(binding) => binding.function.as_ref(),
                None => LANGUAGE.functions.get(&name.node.ident),
            },
            ExprP::Dot(of, name) => {
                match self.infer(of, locals).name().and_then(|of| LANGUAGE.types.get(of)?.get(&name.node)) {
                    Some(Member::Method(signature)) => Some(signature),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Records the type of a variable, or that its type is unknown.
fn set(target: &AstAssignTarget, typ: Type, types: &mut Locals) {
    match &target.node {
        AssignTargetP::Identifier(name) => {
            let joined = match types.remove(&name.node.ident) {
                Some(before) => before.join(typ),
                None => typ,
            };
            types.insert(name.node.ident.clone(), joined);
        }
        AssignTargetP::Tuple(targets) => targets.iter().for_each(|target| set(target, Type::Any, types)),
        AssignTargetP::Index(_) | AssignTargetP::Dot(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::DIALECT;

    fn of(text: &str, name: &str) -> Type {
        let module = AstModule::parse("x.star", text.to_owned(), &DIALECT).unwrap();
        Names::of(&module, text, &BTreeMap::new()).get(name).unwrap().typ.clone()
    }

    #[test]
    fn types_follow_from_what_is_assigned_and_are_unknown_where_they_differ() {
        assert_eq!(of("a = curl('a')\n", "a"), Type::named("client"));
        assert_eq!(of("a = curl('a')\nr = a.get('/').expect(status = 200)\n", "r"), Type::named("response"));
        assert_eq!(of("p = curl('a').start('GET', '/')\n", "p"), Type::named("request"));
        let users = "us = [curl(n) for n in ['a', 'b']]\nrs = wait_all([u.start('GET', '/') for u in us])\n";
        assert_eq!(of(&format!("{users}for u, r in zip(us, rs):\n    pass\n"), "u"), Type::named("client"));
        assert_eq!(of(&format!("{users}for u, r in zip(us, rs):\n    pass\n"), "r"), Type::named("response"));
        assert_eq!(of("a = curl('a')\na = 1\n", "a"), Type::Any);
        assert_eq!(of("curl = 3\na = curl('a')\n", "a"), Type::Any);
    }

    #[test]
    fn a_value_fits_one_of_several_types() {
        let fits = |typ: &Type, text| typ.fits(text);
        assert!(fits(&Type::named("int"), "None | int") && !fits(&Type::named("str"), "None | int"));
        assert!(fits(&Type::named("int"), "float | int") && fits(&Type::Any, "int"));
        let list = |of: &str| Type::List(Box::new(Type::named(of)));
        assert!(
            fits(&list("str"), "list[str] | tuple[str, ...]") && !fits(&list("int"), "list[str] | tuple[str, ...]")
        );
        assert!(fits(&Type::named("dict"), "dict[str, str]") && !fits(&Type::named("str"), "dict[str, str]"));
        assert!(fits(&Type::named("str"), "typing.Any"));
    }
}
