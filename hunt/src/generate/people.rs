//! Draws the clients and their users.

use stickler_model::agent::Agent;
use stickler_model::topology::{Http2, Provider};
use stickler_model::{ClientSpec, Identity, Name, Principal, Profile, Topology, standard};

use super::site::{PARTNER, STRANGER};
use super::{Draw, Features};

/// The users who send requests.
const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// The user agents that are drawn unless the plan may use any. Adding one changes the plan of every seed, and therefore
/// the seeds that tests name.
const AGENTS: [Agent; 3] = [Agent::Curl, Agent::CurlNegotiate, Agent::Browser];

/// Returns whether a user agent is one of those that are drawn unless the plan may use any.
pub(super) fn is_usual(agent: Agent) -> bool {
    AGENTS.contains(&agent)
}

/// The port that clients share.
const PORT: u16 = 40_000;

/// Draws two to four clients, of which at least one has valid credentials.
pub(super) fn draw(draw: &Draw, features: &Features, topology: &Topology) -> Vec<ClientSpec> {
    let agents = fitting_agents(features, topology);
    let count = draw.between(2, 4) as usize;
    let mut clients: Vec<ClientSpec> = Vec::new();
    for (number, user) in USERS.iter().enumerate().take(count) {
        let user = if features.same_user && draw.chance(30) { USERS[0] } else { user };
        let identity = match number {
            0 => Some(standard::identity(user)),
            _ if features.anonymous && draw.chance(40) => None,
            _ if features.wrong_password && draw.chance(30) => Some(mistyped(user)),
            3 if features.partner => Some(stranger()),
            _ => Some(standard::identity(user)),
        };
        let name = Name::from(format!("client{}", number + 1));
        let mut spec = ClientSpec::new(name, Profile::of(*draw.one_of(&agents)), identity);
        if features.shared_address && number > 0 && draw.chance(50) {
            spec.at = Some(clients[0].name.clone());
        }
        if features.shared_port && (number == 0 || draw.chance(50)) {
            spec.at = clients.first().map(|first| first.name.clone());
            spec.port = Some(PORT);
        }
        if features.http2 {
            spec.http2 = *draw.one_of(&[Http2::Never, Http2::UntilChallenged, Http2::Always]);
        }
        clients.push(spec);
    }
    clients
}

/// Returns the user agents that can log on at the site. The refusal of any other would be correct.
fn fitting_agents(features: &Features, topology: &Topology) -> Vec<Agent> {
    let all = || Agent::ALL.iter().map(|(_, agent)| *agent).collect();
    let drawn: Vec<Agent> = if features.any_agent { all() } else { AGENTS.into() };
    let can_log_on = |agent: &Agent, provider: Provider| {
        let capabilities = agent.capabilities();
        capabilities.has_ntlm_for(provider) || capabilities.has_kerberos_for(provider)
    };
    let providers = topology.servers.first().map(|server| server.providers.clone()).unwrap_or_default();
    let fits = |agent: &Agent| providers.iter().any(|provider| can_log_on(agent, *provider));
    drawn.into_iter().filter(fits).collect()
}

/// Returns the user of the trusted domain.
fn stranger() -> Identity {
    Identity { principal: Principal::new(PARTNER, STRANGER), password: standard::password(STRANGER) }
}

fn mistyped(user: &str) -> Identity {
    Identity { password: "mistyped".to_owned(), ..standard::identity(user) }
}
