//! Finds a balancer by its name.

use crate::defect::{self, DefectError};
use crate::{Mechanism, Profile, mechanisms, profile, profiles};

/// The maximum number of characters of a name that are compared.
const LONGEST: usize = 128;

/// The least Jaro-Winkler similarity at which a name was probably meant.
const LIKE: f64 = 0.8;

/// The maximum number of names that an error lists.
const MOST_NAMES: usize = 20;

/// Returns the balancer with this name, which is the name of a mechanism or of a product's profile, with the numbers of
/// defects appended, for example `pin-on-401+B10+B11`. A defect is put on once, however often it is named, and the
/// result's name lists them in the order of their numbers.
///
/// # Errors
/// There is no such balancer, and the error suggests the nearest name; or a defect is not known, or cannot be put on
/// this balancer.
pub fn find(name: &str) -> Result<Mechanism, UnknownBalancer> {
    let mut parts = name.split('+');
    let base = parts.next().unwrap_or_default();
    let unknown = || UnknownBalancer::name(name, base);
    known(base).ok_or_else(unknown)?.with_defects(parts).map_err(|error| UnknownBalancer::defect(name, error))
}

impl Mechanism {
    /// Puts the defects with these ids on the mechanism. A defect is put on once, however often it is named.
    ///
    /// # Errors
    /// A defect is not known, or cannot be put on this mechanism.
    pub fn with_defects<'n>(mut self, ids: impl IntoIterator<Item = &'n str>) -> Result<Self, DefectError> {
        let mut defects = Vec::new();
        for id in ids {
            let defect = defect::find(id)?;
            if !defects.contains(&defect) {
                defects.push(defect);
            }
        }
        defects.sort_by_key(|defect| defect.number());
        for defect in &defects {
            defect.put_on(&mut self)?;
        }
        if !defects.is_empty() {
            let whole = defects.iter().fold(self.name.into_owned(), |name, defect| name + "+" + defect.id);
            self.name = whole.into();
        }
        self.defects = defects.iter().map(|defect| defect.id.into()).collect();
        Ok(self)
    }
}

/// Returns the known name that was probably meant, if there is a similar one. Letter case does not matter.
pub fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    // A name may come from anywhere, so only a bounded part of it is compared.
    let start: String = name.chars().take(64).collect::<String>().to_ascii_lowercase();
    let likeness = |known: &&str| strsim::jaro_winkler(&start, &known.to_ascii_lowercase());
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.filter(|name| likeness(name) >= LIKE)
}

fn known(name: &str) -> Option<Mechanism> {
    let mechanism = mechanisms().iter().find(|mechanism| mechanism.name == name).cloned();
    mechanism.or_else(|| profiles().iter().find(|profile| profile.name == name).map(Profile::mechanism))
}

/// Returns the names of all mechanisms and profiles.
pub fn names() -> Vec<&'static str> {
    let mechanisms = mechanisms().iter().map(|mechanism| &*mechanism.name);
    mechanisms.chain(profile::names()).collect()
}

/// The error that reports that no balancer has a given name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBalancer {
    /// The name that was given.
    pub name: String,
    /// The name that was probably meant, if there is a similar one.
    pub nearest: Option<&'static str>,
    /// The names that exist.
    pub known: Vec<&'static str>,
    /// What is wrong with the defects, if the balancer itself is known.
    pub defect: Option<Box<DefectError>>,
}

impl std::fmt::Display for UnknownBalancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start: String = self.name.chars().take(LONGEST).collect();
        if let Some(error) = &self.defect {
            return write!(f, "there is no balancer called `{start}`: {error}");
        }
        write!(f, "there is no balancer called `{start}`")?;
        let family = format!("{}-", start.to_ascii_lowercase());
        let alike: Vec<&str> = self.known.iter().copied().filter(|known| known.starts_with(&family)).collect();
        match (&alike[..], self.nearest) {
            ([_, _, ..], _) => {
                let more = alike.len().saturating_sub(MOST_NAMES);
                let rest = if more > 0 { format!(", or {more} more") } else { String::new() };
                let shown = &alike[..alike.len().min(MOST_NAMES)];
                write!(f, "; did you mean one of {}{rest}?", shown.join(", "))
            }
            (_, Some(nearest)) => write!(f, "; did you mean `{nearest}`?"),
            (_, None) => write!(f, "; `stickler list` shows the {} that there are", self.known.len()),
        }
    }
}

impl std::error::Error for UnknownBalancer {}

impl UnknownBalancer {
    fn name(name: &str, base: &str) -> Self {
        let known = names();
        Self { name: name.into(), nearest: nearest(base, &known), known, defect: None }
    }

    fn defect(name: &str, error: DefectError) -> Self {
        Self { name: name.into(), nearest: None, known: names(), defect: Some(Box::new(error)) }
    }
}

#[cfg(test)]
mod tests {
    use stickler_model::Entropy;

    use super::*;
    use stickler_lb_core::{Backend, Farm, Layer};

    #[test]
    fn the_names_are_those_of_all_mechanisms_and_profiles() {
        let read = profiles().iter().map(|profile| &*profile.name);
        let all: Vec<&str> = mechanisms().iter().map(|mechanism| &*mechanism.name).chain(read).collect();
        assert_eq!(names(), all);
    }

    #[test]
    fn each_mechanism_is_found_and_has_a_policy_of_its_layer() {
        let (farm, entropy) = (Farm::default(), || Entropy::new(0, "test"));
        for mechanism in mechanisms() {
            assert_eq!(find(&mechanism.name).as_ref(), Ok(mechanism));
            assert_eq!(mechanism.l4(&farm, entropy()).unwrap().is_some(), mechanism.layer == Layer::L4);
            assert_eq!(mechanism.l7(&farm, entropy()).unwrap().is_some(), mechanism.layer == Layer::L7);
        }
    }

    #[test]
    fn each_mechanism_fits_any_farm_and_is_sound_in_itself() {
        for size in 0..5_u16 {
            let backend = |index| Backend {
                name: format!("iis{index}").into(),
                address: std::net::SocketAddr::from(([10, 0, 0, 1], 80 + index)),
            };
            let farm = Farm { backends: (0..size).map(backend).collect() };
            for mechanism in names().into_iter().map(|name| find(name).unwrap()) {
                assert!(mechanism.l4(&farm, Entropy::new(0, "test")).is_ok(), "{} {size}", mechanism.name);
                assert!(mechanism.l7(&farm, Entropy::new(0, "test")).is_ok(), "{} {size}", mechanism.name);
            }
        }
        let ids: Vec<_> = mechanisms().iter().filter_map(|mechanism| mechanism.id.as_deref()).collect();
        for number in 1..=20 {
            let id = format!("M{number}");
            assert_eq!(ids.iter().filter(|&&it| it == id).count(), 1, "{id}");
        }
        let names = names();
        assert!(names.contains(&"haproxy-safe") && names.contains(&"shared-pool"));
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name} is there twice");
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        let error = find("Pin_on_401").unwrap_err();
        assert_eq!(error.to_string(), "there is no balancer called `Pin_on_401`; did you mean `pin-on-401`?");
        let family = find("haproxy").unwrap_err().to_string();
        assert!(family.contains("did you mean one of haproxy-") && family.contains("haproxy-safe,"), "{family}");
        let told = |name: &str| find(name).err().map_or(0, |error| error.to_string().len());
        assert!(names().iter().all(|name| told(&name[..name.len() / 2]) < 700), "no message is a page");
        assert!(find("nosuch").unwrap_err().to_string().contains("; `stickler list` shows the "));
        assert_eq!(find("zzz").unwrap_err().nearest, None);
        assert_eq!(find("shared").unwrap_err().nearest, Some("shared-pool"));
        assert!(find(&"x".repeat(100_000)).unwrap_err().to_string().len() < 4096);
    }

    #[test]
    fn defects_are_appended_in_any_order_and_named_in_theirs() {
        let mechanism = find("pin-on-401+b20+B6+host-not-pinned").unwrap();
        assert_eq!(mechanism.name, "pin-on-401+B6+B20");
        assert_eq!(mechanism.defects, ["B6", "B20"]);
        assert_eq!(find(&mechanism.name).unwrap(), mechanism);
        assert_ne!(mechanism.kind, find("pin-on-401").unwrap().kind);
    }

    #[test]
    fn a_defect_that_is_unknown_or_out_of_place_says_where_it_belongs() {
        let told = |name: &str| find(name).unwrap_err().to_string();
        assert_eq!(
            told("pin-on-401+B99"),
            "there is no balancer called `pin-on-401+B99`: there is no defect called `B99`; the defects are B1 to B20, \
             and are used as in `pin-on-401+B6`"
        );
        let has_it = told("pin-on-401+B1");
        assert!(
            has_it.contains("cannot be put on `pin-on-401`: ")
                && has_it.contains("so that it has this weakness already; it can"),
            "{has_it}"
        );
        let out_of_place = told("shared-pool+B6");
        assert!(out_of_place.contains("cannot be put on `shared-pool`: "), "{out_of_place}");
        assert!(out_of_place.contains("pin-on-401"), "{out_of_place}");
        assert_eq!(find("shared+B6").unwrap_err().nearest, Some("shared-pool"));
    }
}
