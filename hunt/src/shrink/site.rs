//! Shrinks the site: fewer servers, simpler clients, simpler settings.

use stickler_model::topology::{LinkSpec, TlsSpec};
use stickler_model::{Action, ClientSpec, Plan, Profile, Topology, standard};

use super::Shrinking;

/// A change to the site. A change without effect is not tried.
type Change = fn(&mut Topology);

/// Removes parts of the site, the largest first. Clients are steps like any other, so removing them has been tried
/// before.
pub(super) fn shrink(shrinking: &mut Shrinking<'_>) {
    while shrinking.plan.topology.servers.len() > 1 {
        let mut plan = shrinking.plan.clone();
        plan.topology.servers.pop();
        if !shrinking.take(plan) {
            break;
        }
    }
    let changes: [Change; 10] = [
        |site| *site = standard::site(site.servers.len() as u32),
        |site| site.tls = None,
        |site| site.tls = site.tls.map(|tls| TlsSpec { upstream: tls.upstream, ..TlsSpec::default() }),
        |site| {
            site.partner = None;
            site.domain.trusts.clear();
        },
        |site| site.controllers = Vec::new(),
        |site| site.front = None,
        |site| site.link = LinkSpec::default(),
        |site| site.domain.lockout_threshold = None,
        |site| {
            let plain = standard::domain();
            site.domain.users.retain(|user| !user.forbidden || plain.users.contains(user));
            site.domain.services.clear();
        },
        |site| site.servers.iter_mut().for_each(|server| *server = standard::server(server.name.clone())),
    ];
    for change in changes {
        let mut plan = shrinking.plan.clone();
        change(&mut plan.topology);
        shrinking.take(plan);
    }
    plain_servers(shrinking);
    plain_clients(shrinking);
}

/// Gives one server after another the settings of the first one, or the default settings.
fn plain_servers(shrinking: &mut Shrinking<'_>) {
    for index in 0..shrinking.plan.topology.servers.len() {
        let mut plan = shrinking.plan.clone();
        let server = &mut plan.topology.servers[index];
        *server = standard::server(server.name.clone());
        if shrinking.take(plan) {
            continue;
        }
        let mut plan = shrinking.plan.clone();
        let site = &mut plan.topology.servers[index].site;
        *site = stickler_model::topology::SiteSpec {
            pool: site.pool.clone(),
            kernel_mode: site.kernel_mode,
            ..Default::default()
        };
        shrinking.take(plan);
    }
}

/// Makes clients simpler, one after the other.
fn plain_clients(shrinking: &mut Shrinking<'_>) {
    let plain = |spec: &ClientSpec| ClientSpec::new(spec.name.clone(), spec.profile, spec.identity.clone());
    let changes: [&dyn Fn(&ClientSpec) -> ClientSpec; 6] = [
        &|spec| ClientSpec { profile: Profile::BROWSER, ..plain(spec) },
        &plain,
        &|spec| ClientSpec { at: None, port: None, ..spec.clone() },
        &|spec| ClientSpec { port: None, ..spec.clone() },
        &|spec| ClientSpec { http2: stickler_model::topology::Http2::Never, ..spec.clone() },
        &|spec| ClientSpec { profile: Profile::BROWSER, ..spec.clone() },
    ];
    seat_users(shrinking);
    for index in 0..shrinking.plan.steps.len() {
        for change in changes {
            let Some(Action::AddClient(spec)) = shrinking.plan.steps.get(index) else { break };
            let mut steps = shrinking.plan.steps.clone();
            steps[index] = Action::AddClient(change(spec));
            shrinking.take(Plan { steps, ..shrinking.plan.clone() });
        }
    }
}

/// Puts users at their clients from the start, instead of the users whom they replace later.
fn seat_users(shrinking: &mut Shrinking<'_>) {
    let switches = |steps: &[Action]| steps.iter().rposition(|step| matches!(step, Action::SwitchUser(..)));
    let mut end = shrinking.plan.steps.len();
    while let Some(at) = switches(&shrinking.plan.steps[..end.min(shrinking.plan.steps.len())]) {
        let mut steps = shrinking.plan.steps.clone();
        if let Action::SwitchUser(client, identity) = steps.remove(at) {
            let added = steps.iter_mut().find_map(|step| match step {
                Action::AddClient(spec) if spec.name == client => Some(spec),
                _ => None,
            });
            if let Some(spec) = added {
                spec.identity = Some(identity);
                shrinking.take_steps(steps);
            }
        }
        end = at;
    }
}
