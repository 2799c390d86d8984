//! Finds the cures of a violation, both those that apply to every product and those for one product.

use indexmap::IndexMap;
use stickler_catalogue::explanation;
use stickler_catalogue::explanation::Cure;
use stickler_oracle::Requirement;

/// Returns the cures of these requirements over a product. Each cure occurs once, with the requirements that it is for.
///
/// A product has the cures for its own name. If there are none, it has those for the longest product name that its name
/// starts with, word by word: "Google Cloud Application Load Balancer" has the cures for "Google Cloud".
pub fn over(product: &str, requirements: &[Requirement]) -> Vec<(&'static Cure, Vec<Requirement>)> {
    let mut found: IndexMap<&str, (&Cure, Vec<Requirement>)> = IndexMap::new();
    for &requirement in requirements {
        let Some(explanation) = explanation(requirement.id()) else { continue };
        let named = |cure: &&Cure| cure.product.as_deref().is_some_and(|name| is_of(product, name));
        let longest = explanation
            .cures
            .iter()
            .filter(named)
            .filter_map(|cure| cure.product.as_deref())
            .max_by_key(|name| name.len());
        for cure in explanation.cures.iter().filter(|cure| cure.product.is_some() && cure.product.as_deref() == longest)
        {
            found.entry(&cure.text).or_insert((cure, Vec::new())).1.push(requirement);
        }
    }
    found.into_values().collect()
}

/// Returns the cures of a requirement that apply to every product.
pub fn of_all(requirement: Requirement) -> impl Iterator<Item = &'static Cure> {
    explanation(requirement.id()).into_iter().flat_map(|it| &it.cures).filter(|cure| cure.product.is_none())
}

/// Returns whether a product's name is this name, or starts with it, word by word.
fn is_of(product: &str, name: &str) -> bool {
    product.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stickler_catalogue::{explanations, profiles};

    use super::*;

    fn texts(product: &str, requirement: Requirement) -> Vec<&'static str> {
        over(product, &[requirement]).into_iter().map(|(cure, _)| &*cure.text).collect()
    }

    #[test]
    fn a_product_has_its_own_cures_and_no_other_ones() {
        let [haproxy] = texts("HAProxy", Requirement::Id1)[..] else { panic!("one cure") };
        assert!(haproxy.contains("`http-reuse never`"), "{haproxy}");
        let [cloud] = texts("Google Cloud Application Load Balancer", Requirement::Id1)[..] else { panic!("one cure") };
        assert!(cloud.contains("Network Load Balancer"), "{cloud}");
        let [module] = texts("nginx with the third-party NTLM module", Requirement::Id1)[..] else {
            panic!("one cure")
        };
        assert!(module.contains("`keepalive 0`"), "that of nginx itself does not help: {module}");
        for none in ["", "M12", "ingress-nginx", "NGINX", "HAProxyish"] {
            assert_eq!(texts(none, Requirement::Id1), [""; 0], "{none}");
        }
    }

    #[test]
    fn a_cure_of_several_requirements_stands_once() {
        let cures = over("HAProxy", &[Requirement::Id1, Requirement::Id2]);
        assert_eq!(cures.len(), 1);
        assert_eq!(cures[0].1, [Requirement::Id1, Requirement::Id2]);
        assert!(of_all(Requirement::Id1).count() > 0);
    }

    /// The cures of a product without a profile would appear on no page. LVS is the only such product.
    #[test]
    fn the_products_of_cures_are_those_of_profiles() {
        let named: BTreeSet<&str> =
            explanations().iter().flat_map(|it| &it.cures).filter_map(|cure| cure.product.as_deref()).collect();
        let unknown: Vec<&str> =
            named.into_iter().filter(|name| !profiles().iter().any(|profile| is_of(&profile.product, name))).collect();
        assert_eq!(unknown, ["the Linux kernel's LVS"]);
    }
}
