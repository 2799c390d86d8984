//! The site that is served: the standard one, set up according to the arguments, or that of a script.

use stickler_model::topology::{
    AppPool, Checking, ControllerSpec, ProtectionSpec, Provider, ServerSpec, ServiceSpec, SiteSpec, TlsSpec,
    UpstreamTls, UserSpec,
};
use stickler_model::{Topology, standard};

use crate::args::{LocalAccount, LocalAccounts, PoolIdentity, Protection, Serve, Tls, TokenChecking, Upstream};
use crate::{Failure, jobs};

/// The name and the password of the service account that the servers share.
const SERVICE: &str = "svc-web";
const SERVICE_PASSWORD: &str = "Svc-web-Pa55word";

/// The SPNs under which clients know the balancer.
const SPNS: [&str; 2] = ["HTTP/localhost", "HTTP/www.corp.example"];

/// The default number of servers.
const USUAL_SERVERS: u32 = 2;

/// Returns the topology that the arguments describe.
pub(super) fn topology(arguments: &Serve) -> Result<Topology, Failure> {
    let topology = match &arguments.site {
        Some(script) => of_script(script)?,
        None => standard_site(arguments)?,
    };
    let (servers, named) = (topology.servers.len(), arguments.servers.len());
    if named > servers {
        return Err(Failure::Wrong(format!("--servers names {named} addresses, but the site has {servers} servers")));
    }
    Ok(topology)
}

/// Returns the topology of a script or of a shipped scenario.
fn of_script(name: &str) -> Result<Topology, Failure> {
    let cases = jobs::cases(&[name.to_owned()])?;
    let [case] = &cases[..] else {
        return Err(Failure::Wrong(format!("`{name}` has {} scripts: --site needs exactly one", cases.len())));
    };
    stickler_scenarios::site(&case.scenario).map_err(|error| Failure::Wrong(error.to_string()))
}

/// Returns the standard topology, set up according to the arguments.
fn standard_site(arguments: &Serve) -> Result<Topology, Failure> {
    let listed = u32::try_from(arguments.servers.len()).unwrap_or(u32::MAX);
    let servers = arguments.iis.unwrap_or(if listed == 0 { USUAL_SERVERS } else { listed });
    let mut topology = standard::site(servers);
    let kerberos = &arguments.kerberos;
    let (pool, account) = match kerberos.pool_identity {
        PoolIdentity::Machine => (AppPool::Machine, topology.servers.first().map(|server| format!("{}$", server.name))),
        PoolIdentity::Service => (AppPool::Service(SERVICE.into()), Some(SERVICE.into())),
    };
    let names: Vec<String> = SPNS.into_iter().map(str::to_owned).chain(kerberos.spn.iter().cloned()).collect();
    topology.domain.users.push(UserSpec::new(SERVICE, SERVICE_PASSWORD));
    topology.domain.services.extend(account.map(|account| ServiceSpec {
        account,
        spns: names.clone(),
        trusted_for_delegation: false,
    }));
    for server in &mut topology.servers {
        server.providers.clone_from(&arguments.provider);
        if server.providers.is_empty() {
            server.providers = vec![Provider::Negotiate, Provider::Ntlm];
        }
        server.site = SiteSpec {
            pool: pool.clone(),
            kernel_mode: kerberos.kernel_mode.is_on(),
            app_pool_credentials: kerberos.app_pool_credentials.is_on(),
            persist_non_ntlm: kerberos.persist_non_ntlm.is_on(),
            protection: protection(&arguments.protection, &names),
            ..SiteSpec::default()
        };
    }
    topology.controllers = vec![ControllerSpec {
        requires_checksum: kerberos.kdc_requires_checksum.is_on(),
        ..ControllerSpec::new("dc".into())
    }];
    add_accounts(&mut topology, &arguments.accounts)?;
    topology.tls = tls(&arguments.tls);
    Ok(topology)
}

/// Gives the servers local accounts.
fn add_accounts(topology: &mut Topology, arguments: &LocalAccounts) -> Result<(), Failure> {
    let users = topology.domain.users.iter().filter(|user| user.name != SERVICE);
    let users: Vec<UserSpec> = users.filter(|_| arguments.workgroup).cloned().collect();
    for server in &mut topology.servers {
        server.workgroup = arguments.workgroup;
        server.accounts.clone_from(&users);
    }
    for LocalAccount { server, name, password } in &arguments.account {
        let meant = |spec: &ServerSpec| server.as_ref().is_none_or(|server| spec.name.as_str() == server);
        if !topology.servers.iter().any(meant) {
            let server = server.as_deref().unwrap_or_default();
            let known: Vec<&str> = topology.servers.iter().map(|server| server.name.as_str()).collect();
            return Err(Failure::Wrong(format!("there is no server `{server}`; there are: {}", known.join(", "))));
        }
        for spec in topology.servers.iter_mut().filter(|spec| meant(spec)) {
            spec.accounts.retain(|user| !user.name.eq_ignore_ascii_case(name));
            spec.accounts.push(UserSpec::new(name, password));
        }
    }
    Ok(())
}

/// Returns the settings of extended protection. The names of the site are in its list, as an administrator would enter
/// them, because a server knows only its own name.
fn protection(arguments: &Protection, names: &[String]) -> ProtectionSpec {
    let checking = match arguments.token_checking {
        None => return ProtectionSpec::default(),
        Some(TokenChecking::None) => Checking::None,
        Some(TokenChecking::Allow) => Checking::Allow,
        Some(TokenChecking::Require) => Checking::Require,
    };
    let flags = arguments.protection_flag.iter().fold(0, |flags, flag| flags | flag);
    ProtectionSpec { checking, flags, service_names: names.to_vec() }
}

fn tls(arguments: &Tls) -> Option<TlsSpec> {
    let upstream = match arguments.upstream? {
        Upstream::Own => UpstreamTls::Own,
        Upstream::Same => UpstreamTls::Same,
        Upstream::Plain => UpstreamTls::Plain,
    };
    Some(TlsSpec { upstream, http2: arguments.http2, ..TlsSpec::default() })
}
