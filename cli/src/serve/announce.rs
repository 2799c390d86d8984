//! Announces the addresses of a site, and commands to try.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use serde::Serialize;
use stickler_model::topology::ServerSpec;
use stickler_model::{SENDER_HEADER, Topology};
use stickler_wire::Site;

use crate::args::{LocalAccount, Serve};

pub(super) fn announce(site: &Site, topology: &Topology, balancer: &str, arguments: &Serve) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let curl = Curl::of(site, arguments);
    writeln!(out, "balancer  {balancer:<18} {}://{}/", curl.scheme, site.front_end)?;
    let (_, scheme) = schemes(site);
    for (name, address) in &site.servers {
        writeln!(out, "server    {name:<18} {scheme}://{address}/")?;
    }
    let workgroup = topology.servers.iter().all(|server| server.workgroup);
    let domain = if workgroup { "." } else { &topology.domain.netbios };
    if workgroup {
        writeln!(out, "no domain {:<18} each server has the users as local accounts", "")?;
    } else {
        writeln!(out, "DC        {:<18} {}", topology.domain.dns, site.dc)?;
        writeln!(out, "KDC       {:<18} {}, TCP and UDP", site.kdc.realm, site.kdc.address)?;
        for service in &topology.domain.services {
            writeln!(out, "service   {domain}\\{:<13} {}", service.account, service.spns.join(" "))?;
        }
    }
    for LocalAccount { server, name, password } in &arguments.accounts.account {
        writeln!(out, "account   {}/{name} {password}", server.as_deref().unwrap_or("every server"))?;
    }
    for user in topology.domain.users.iter().take_while(|user| !user.name.ends_with("01")) {
        let note = if user.forbidden { "  (the application refuses this user)" } else { "" };
        writeln!(out, "user      {domain}\\{:<13} {}{note}", user.name, user.password)?;
    }
    let numbered = topology.domain.users.iter().filter(|user| user.name.starts_with("user")).count();
    writeln!(out, "          and {numbered} more: user01 to user{numbered:02}, passwords User01-Pa55word and so on")?;
    if let Some(user) = topology.domain.users.first() {
        writeln!(
            out,
            "try       {} --ntlm -u '{domain}\\{}:{}' {}://{}/",
            curl.command, user.name, user.password, curl.scheme, site.front_end
        )?;
    }
    if topology.servers.iter().any(ServerSpec::takes_tickets) {
        try_kerberos(&mut out, &curl, site, topology, arguments)?;
    }
    if site.tls.is_some() && arguments.tls.ca_file.is_none() {
        writeln!(
            out,
            "          --ca-file FILE writes the authority's certificate, for curl --cacert in place of --insecure"
        )?;
    }
    if arguments.log {
        writeln!(out, "{}", stickler_mock_iis::log::FIELDS)?;
    }
    writeln!(out, "          -H '{SENDER_HEADER}: bob' says who sends a request; service as another user is reported")?;
    writeln!(out, "Ctrl-C ends it")?;
    out.flush()
}

/// Returns the announcement as a value for JSON.
pub(super) fn value<'a>(site: &'a Site, topology: &'a Topology, balancer: &'a str) -> impl Serialize + use<'a> {
    let (front, back) = schemes(site);
    let domain = &topology.domain;
    SiteValue {
        balancer,
        front_end: format!("{front}://{}/", site.front_end),
        servers: site
            .servers
            .iter()
            .map(|(name, address)| Named { name: name.as_str(), url: format!("{back}://{address}/") })
            .collect(),
        dc: site.dc,
        kdc: site.kdc.address,
        realm: &site.kdc.realm,
        domain: &domain.netbios,
        users: domain
            .users
            .iter()
            .map(|user| User { name: &user.name, password: &user.password, forbidden: user.forbidden })
            .collect(),
    }
}

#[derive(Serialize)]
struct SiteValue<'a> {
    balancer: &'a str,
    front_end: String,
    servers: Vec<Named<'a>>,
    dc: SocketAddr,
    kdc: SocketAddr,
    realm: &'a str,
    domain: &'a str,
    users: Vec<User<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    url: String,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    password: &'a str,
    forbidden: bool,
}

/// Returns the URL schemes of the balancer and of the servers.
fn schemes(site: &Site) -> (&'static str, &'static str) {
    let scheme = |secure| if secure { "https" } else { "http" };
    (scheme(site.tls.is_some()), scheme(site.tls.as_ref().is_some_and(|tls| tls.servers)))
}

/// Writes the commands for a client with Kerberos tickets.
fn try_kerberos(
    out: &mut impl io::Write,
    curl: &Curl,
    site: &Site,
    topology: &Topology,
    arguments: &Serve,
) -> io::Result<()> {
    let Some(file) = &arguments.kerberos.krb5_conf else {
        return writeln!(out, "          --krb5-conf FILE writes what kinit and curl --negotiate need");
    };
    let environment = format!("KRB5_CONFIG={}", file.display());
    if let Some(user) = topology.domain.users.first() {
        writeln!(out, "try       {environment} kinit {}@{}   # {}", user.name, site.kdc.realm, user.password)?;
    }
    let (Curl { command, scheme }, port) = (curl, site.front_end.port());
    writeln!(out, "          {environment} {command} --negotiate -u : {scheme}://localhost:{port}/")
}

/// The curl command that reaches the balancer.
struct Curl {
    command: String,
    scheme: &'static str,
}

impl Curl {
    fn of(site: &Site, arguments: &Serve) -> Self {
        let command = match (&site.tls, &arguments.tls.ca_file) {
            (Some(_), Some(file)) => format!("curl --cacert {}", file.display()),
            // Without the authority's certificate, curl cannot verify the server, so verification is turned off (-k).
            (Some(_), None) => "curl --insecure".to_owned(),
            (None, _) => "curl".to_owned(),
        };
        Self { command, scheme: schemes(site).0 }
    }
}
