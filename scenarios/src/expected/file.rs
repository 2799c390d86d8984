//! Reads a folder's table of expected outcomes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use stickler_oracle::{Grade, Requirement, Severity};
use stickler_runner::{Expected, ScriptOutcome};
use toml::{Spanned, Value};

use super::source::{FileError, Source};
use super::{ALL, Expectations, Shared, over};

/// The key of the groups, in the place of a scenario's name.
const GROUPS: &str = "groups";

/// The key of the folder's own reasons, in the place of a scenario's name.
const REASONS: &str = "reasons";

/// The keys of a row under which requirements are listed, each with the grades that these may get.
const LISTS: [(&str, &[Grade]); 6] = [
    ("ok", &[Grade::Ok]),
    ("violated", &[Grade::Violated]),
    ("non-strict", &[Grade::NonStrict]),
    ("not-exercised", &[Grade::NotExercised]),
    ("not-applicable", &[Grade::NotApplicable]),
    ("varies", &[Grade::NotExercised, Grade::Ok, Grade::Violated]),
];

/// The names that a table of expected outcomes may use.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The scenarios of the folder.
    pub scenarios: &'a [&'a str],
    /// The names of all balancers.
    pub balancers: &'a [&'a str],
    /// The reasons and classes of all folders.
    pub shared: &'a Shared,
}

/// The file in the form in which it is written.
#[derive(Default)]
struct Raw {
    reasons: BTreeMap<String, String>,
    groups: Rows,
    /// The rows by scenario, in no particular order.
    scenarios: Vec<(Spanned<String>, Rows)>,
}

/// The rows of a scenario, or of the groups: tables by the balancers to which they apply, or by name.
type Rows = BTreeMap<Spanned<String>, Entries>;

/// The keys and values of one row.
type Entries = BTreeMap<Spanned<String>, Spanned<Value>>;

/// Lists of balancers, by name.
type Groups = BTreeMap<String, Vec<String>>;

/// Reads a table, leaving out the parts that are wrong.
pub(super) fn read(source: Source<'_>, known: &Known<'_>, mistakes: &mut Vec<FileError>) -> Expectations {
    let mut raw: Raw = match source.read() {
        Ok(raw) => raw,
        Err(error) => {
            mistakes.push(error);
            return Expectations::default();
        }
    };
    raw.scenarios.sort_by_key(|(name, _)| name.span().start);
    let mistakes = RefCell::new(mistakes);
    let groups = groups(&source, raw.groups, known.balancers, &mistakes);
    let reader = Reader { source, known, groups, reasons: raw.reasons, mistakes };
    let mut expectations = Expectations::default();
    for (scenario, rows) in raw.scenarios {
        let known = source.check("scenario", scenario.get_ref(), &scenario.span(), known.scenarios.iter().copied());
        let is_known = reader.noted(known).is_some();
        let by_balancer = reader.by_balancer(rows);
        if is_known {
            expectations.order.push(scenario.get_ref().clone());
            expectations.table.insert(scenario.into_inner(), by_balancer);
        }
    }
    expectations
}

fn groups(source: &Source<'_>, written: Rows, balancers: &[&str], mistakes: &RefCell<&mut Vec<FileError>>) -> Groups {
    let mut groups = Groups::new();
    for (name, mut entries) in written {
        let Some(list) = entries.remove("balancers").filter(|_| entries.is_empty()) else {
            mistakes.borrow_mut().push(source.wrong(name.span(), "a group has one key: `balancers = [...]`".into()));
            continue;
        };
        let span = list.span();
        let members = source.value::<Vec<String>>(list).unwrap_or_else(|error| {
            mistakes.borrow_mut().push(error);
            Vec::new()
        });
        let unknown = members
            .iter()
            .filter_map(|member| source.check("balancer", member, &span, balancers.iter().copied()).err());
        mistakes.borrow_mut().extend(unknown);
        groups.insert(name.into_inner(), members);
    }
    groups
}

/// Reads the rows of scenarios.
struct Reader<'a> {
    source: Source<'a>,
    known: &'a Known<'a>,
    /// The groups of the folder.
    groups: Groups,
    /// The folder's own reasons.
    reasons: BTreeMap<String, String>,
    /// The mistakes that were found so far.
    mistakes: RefCell<&'a mut Vec<FileError>>,
}

impl Reader<'_> {
    /// Records a mistake, and continues without the value.
    fn noted<T>(&self, result: Result<T, FileError>) -> Option<T> {
        result.map_err(|error| self.mistakes.borrow_mut().push(error)).ok()
    }

    fn wrong(&self, span: Range<usize>, message: impl Into<String>) {
        self.mistakes.borrow_mut().push(self.source.wrong(span, message.into()));
    }

    /// Returns the expected outcomes of one scenario: over all balancers, and over each balancer that differs.
    fn by_balancer(&self, rows: Rows) -> BTreeMap<String, Expected> {
        let rows = self.rows(rows);
        let all = rows.get(ALL).map(|(row, _)| row.clone()).unwrap_or_default();
        for (row, place) in rows.values() {
            if accepts_anything(&over(all.clone(), row)) {
                self.wrong(place.clone(), "this accepts every outcome, together with the row `all`: expect something");
            }
        }
        let mut table = BTreeMap::new();
        for &balancer in self.known.balancers {
            if let Some((row, _)) = self.known.shared.lineage(balancer).find_map(|name| rows.get(name)) {
                table.insert(balancer.to_owned(), row.clone());
            }
        }
        if rows.contains_key(ALL) {
            table.insert(ALL.to_owned(), all);
        }
        table
    }

    /// Returns the rows as they are written, with their places, by balancer or class or [`ALL`].
    fn rows(&self, written: Rows) -> BTreeMap<String, (Expected, Range<usize>)> {
        let mut rows = BTreeMap::new();
        for (names, entries) in written {
            let expected = self.row(&names, entries);
            for (name, span) in self.source.list(&names) {
                if self.noted(self.check_balancer(name, &span)).is_none() {
                    continue;
                }
                let alone = [name.to_owned()];
                for member in self.groups.get(name).map_or(&alone[..], Vec::as_slice) {
                    if rows.insert(member.clone(), (expected.clone(), span.clone())).is_some() {
                        self.wrong(names.span(), format!("`{member}` has two tables for this scenario"));
                    }
                }
            }
        }
        rows
    }

    fn check_balancer(&self, name: &str, span: &Range<usize>) -> Result<(), FileError> {
        let balancers = self.known.balancers.iter().copied().chain([ALL]);
        let lists = self.groups.keys().map(String::as_str).chain(self.known.shared.classes());
        self.source.check("balancer", name, span, balancers.chain(lists))
    }

    fn row(&self, names: &Spanned<String>, entries: Entries) -> Expected {
        let mut expected = Expected::default();
        for (key, value) in entries {
            let read = match key.get_ref().as_str() {
                "reason" | "because" if expected.reason.is_some() => {
                    Err(self.source.wrong(key.span(), "give either `because` or `reason`, not both".into()))
                }
                "reason" => self.source.value(value).map(|reason| expected.reason = Some(reason)),
                // A mistake in a reason is reported only once.
                "because" => self.reason(value).map(|reason| expected.reason = Some(reason)).inspect_err(|_| {
                    expected.reason = Some(String::new());
                }),
                "script" => self.source.value(value).map(|script| expected.script = Some(script)),
                word => match LISTS.iter().find(|(list, _)| *list == word) {
                    Some((_, grades)) => self.listed(value, grades, &mut expected),
                    None => self.one(word, key.span(), value, &mut expected),
                },
            };
            self.noted(read);
        }
        if expected.expects_trouble() && expected.reason.is_none() {
            self.wrong(names.span(), "this expectation needs a `reason`, or `because` with the key of a reason");
        }
        expected
    }

    /// Reads the grades of one requirement.
    fn one(
        &self,
        word: &str,
        span: Range<usize>,
        value: Spanned<Value>,
        expected: &mut Expected,
    ) -> Result<(), FileError> {
        let requirement = self.requirement(word, span.clone(), LISTS.map(|(list, _)| list))?;
        let grades = self.grades(value)?;
        self.grade(requirement, &span, grades, expected)
    }

    /// Returns the text of a reason that is given by its key: one of the folder, or one of all folders.
    fn reason(&self, key: Spanned<Value>) -> Result<String, FileError> {
        let span = key.span();
        let key: String = self.source.value(key)?;
        let known = self.reasons.keys().map(String::as_str).chain(self.known.shared.reasons());
        self.source.check("reason", &key, &span, known)?;
        let own = self.reasons.get(&key).map(String::as_str);
        Ok(own.or_else(|| self.known.shared.reason(&key)).unwrap_or_default().to_owned())
    }

    /// Reads a list of requirements that may get the same grades.
    fn listed(&self, list: Spanned<Value>, grades: &[Grade], expected: &mut Expected) -> Result<(), FileError> {
        let span = list.span();
        let list = Spanned::new(span, self.source.value::<String>(list)?);
        for (id, span) in self.source.list(&list) {
            let read = self.requirement(id, span.clone(), []);
            let read = read.and_then(|requirement| self.grade(requirement, &span, grades.to_vec(), expected));
            self.noted(read);
        }
        Ok(())
    }

    fn grade(
        &self,
        requirement: Requirement,
        span: &Range<usize>,
        grades: Vec<Grade>,
        expected: &mut Expected,
    ) -> Result<(), FileError> {
        if possible(requirement).iter().all(|grade| grades.contains(grade)) {
            let message = format!("this accepts every grade of {requirement}: remove those that must not happen");
            return Err(self.source.wrong(span.clone(), message));
        }
        match expected.grades.insert(requirement, grades) {
            None => Ok(()),
            Some(_) => Err(self.source.wrong(span.clone(), format!("{requirement} occurs twice"))),
        }
    }

    /// Returns the requirement with that id. `keys` are the other keys that are possible in its place.
    fn requirement<const N: usize>(
        &self,
        id: &str,
        span: Range<usize>,
        keys: [&'static str; N],
    ) -> Result<Requirement, FileError> {
        let known = Requirement::all().map(Requirement::id).chain(keys);
        self.source.check("requirement", id, &span, known)?;
        id.parse().map_err(|error| self.source.wrong(span, error))
    }

    /// Reads one grade, or a list of the grades that are allowed.
    fn grades(&self, value: Spanned<Value>) -> Result<Vec<Grade>, FileError> {
        let span = value.span();
        let grades: Vec<Grade> =
            if value.get_ref().is_array() { self.source.value(value)? } else { vec![self.source.value(value)?] };
        if grades.is_empty() {
            Err(self.source.wrong(span, "an empty list allows no grade".into()))
        } else {
            Ok(grades)
        }
    }
}

/// Returns the grades that a requirement can get.
fn possible(requirement: Requirement) -> [Grade; 4] {
    let broken = match requirement.severity() {
        Severity::Must => Grade::Violated,
        Severity::Should => Grade::NonStrict,
    };
    [Grade::Ok, broken, Grade::NotExercised, Grade::NotApplicable]
}

/// Returns whether no run can differ from the expected outcome. Requirements that do not apply are left out, since no
/// run can change them.
fn accepts_anything(expected: &Expected) -> bool {
    let unsaid = |requirement: Requirement| requirement.severity() == Severity::Should;
    let open = |requirement: Requirement| {
        expected.grades.get(&requirement).map_or_else(
            || unsaid(requirement),
            |grades| possible(requirement)[..3].iter().all(|grade| grades.contains(grade)),
        )
    };
    expected.script == Some(ScriptOutcome::Either) && Requirement::all().all(open)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;
        impl<'de> Visitor<'de> for Tables {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table for each scenario")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw::default();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    match key.get_ref().as_str() {
                        REASONS => raw.reasons = map.next_value()?,
                        GROUPS => raw.groups = map.next_value()?,
                        _ => raw.scenarios.push((key, map.next_value()?)),
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Tables)
    }
}
