//! The description of the balancer between the clients and the servers of a run.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A balancer, described so completely that a run can be repeated from its file alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BalancerSpec {
    /// A mechanism or product profile of the catalogue, by name.
    Mechanism {
        /// The mechanism's name, for example `pin-on-401`.
        name: String,
        /// The ids of the defects on the mechanism, for example `B6`, in ascending order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        defects: Vec<String>,
    },
    /// A product profile that the catalogue does not have.
    Profile {
        /// The profile's name.
        name: String,
        /// The profile itself: a TOML document that contains the complete description, including what the profile
        /// inherits from others.
        toml: String,
        /// The ids of the defects on the profile, in ascending order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        defects: Vec<String>,
    },
    /// A real product, which an arm on real sockets starts.
    Product {
        /// The product's name, for example `haproxy`.
        name: String,
        /// The version that was found; `None` if it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// The text of its configuration.
        configuration: String,
        /// The profile that the product was started with. The product's configuration is made from the template of this
        /// profile. `None`: the product cannot be started again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        like: Option<Box<BalancerSpec>>,
    },
    /// A balancer from outside Stickler, under the name that its author gave it. Only an arm that was built with this
    /// balancer can run it.
    Foreign(String),
    /// A balancer that somebody else runs, and of which only the address is known. Only an arm that was built for this
    /// balancer can use it.
    Target {
        /// The address to which clients connect.
        address: SocketAddr,
        /// The balancer that the target is said to behave like. The target takes over the declarations of that
        /// balancer. `None`: nothing is said about the target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        like: Option<Box<BalancerSpec>>,
    },
}

impl BalancerSpec {
    /// Reads a name as users write it: a mechanism followed by its defects, for example `pin-on-401+B6+B9`. It does not
    /// check that the catalogue contains them.
    pub fn named(text: &str) -> Self {
        let mut parts = text.split('+').map(|part| part.trim().to_owned());
        let name = parts.next().unwrap_or_default();
        Self::Mechanism { name, defects: parts.collect() }
    }
}

impl fmt::Display for BalancerSpec {
    /// Writes the name in the form in which users write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanism { name, defects } | Self::Profile { name, defects, .. } => {
                f.write_str(name)?;
                defects.iter().try_for_each(|defect| write!(f, "+{defect}"))
            }
            Self::Product { name, version: Some(version), .. } => write!(f, "{name} {version}"),
            Self::Product { name, version: None, .. } | Self::Foreign(name) => f.write_str(name),
            Self::Target { address, .. } => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_written_alike() {
        for text in ["l4-nat", "pin-on-401+B6", "shared-pool+B1+B19"] {
            assert_eq!(BalancerSpec::named(text).to_string(), text);
        }
        let spec = BalancerSpec::named("pin-on-401+B6");
        assert_eq!(spec, BalancerSpec::Mechanism { name: "pin-on-401".into(), defects: vec!["B6".into()] });
    }

    #[test]
    fn every_kind_can_be_read_back() {
        let product = |version: Option<String>| {
            let like = version.as_ref().map(|_| Box::new(BalancerSpec::named("haproxy-safe")));
            BalancerSpec::Product { name: "haproxy".into(), version, configuration: "x\n".into(), like }
        };
        for spec in [
            BalancerSpec::named("l4-nat"),
            BalancerSpec::Profile { name: "mine".into(), toml: "[mine]\n".into(), defects: vec!["B6".into()] },
            product(None),
            product(Some("2.6".into())),
            BalancerSpec::Foreign("yours".into()),
            BalancerSpec::Target { address: ([127, 0, 0, 1], 8081).into(), like: None },
            BalancerSpec::Target {
                address: ([127, 0, 0, 1], 8081).into(),
                like: Some(Box::new(BalancerSpec::named("l4-nat"))),
            },
        ] {
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<BalancerSpec>(&json).unwrap(), spec, "{json}");
        }
    }
}
