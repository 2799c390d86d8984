//! The parts of httpd's configuration that a run may have, and the reasons for leaving out the rest.
//!
//! The lists follow <https://httpd.apache.org/docs/2.4/mod/directives.html>. A directive that is in none of them is not
//! known to be safe, and is left out. Names are in lower case.

pub(super) use crate::reasons::{CERTIFICATES, EXECUTES, PROCESS, UNKNOWN};

/// Whether a directive is in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The directive stays.
    Keep,
    /// The directive stays if the clients of the run speak TLS to httpd.
    KeepWithTls,
    /// The directive stays if httpd speaks TLS to the servers of the run.
    KeepWithServersTls,
    /// The directive is left out for this reason.
    Leave(&'static str),
    /// The directive is left out for this reason, and the verdict may depend on it.
    LeaveMatters(&'static str),
    /// The directive decides where requests go; `sandbox` writes one for the run.
    Routing,
}

use Rule::{Keep, KeepWithServersTls, KeepWithTls, Leave, LeaveMatters, Routing};

pub(super) const CONTACTS: &str = "it contacts, or listens to, another address";
const LOGS: &str = "the run has its own logs";
const FILES: &str = "the run serves no files, and passes requests on";
const AUTHENTICATES: &str = "httpd itself would authenticate clients, but it does not know the run's users";

/// The rules for directives, whatever their arguments.
const LISTS: [(Rule, &[&str]); 14] = [
    (Leave("the run decides which answers count as alive, and 401 is one of them"), &["proxyhcexpr"]),
    (Leave(LOGS), &["logformat", "loglevel", "errorlogformat", "bufferedlogs", "logiotrackttfb"]),
    (
        Keep,
        &[
            "keepalive",
            "keepalivetimeout",
            "maxkeepaliverequests",
            "timeout",
            "proxytimeout",
            "proxypreservehost",
            "proxyvia",
            "proxyerroroverride",
            "proxyiobuffersize",
            "proxyreceivebuffersize",
            "proxyaddheaders",
            "proxybadheader",
            "proxymaxforwards",
            "proxystatus",
            "proxyhctemplate",
            "proxyhctpsize",
            "balancergrowth",
            "balancerinherit",
            "setenv",
            "unsetenv",
            "setenvif",
            "setenvifnocase",
            "browsermatch",
            "browsermatchnocase",
            "protocols",
            "protocolshonororder",
            "limitrequestbody",
            "limitrequestfields",
            "limitrequestfieldsize",
            "limitrequestline",
            "requestreadtimeout",
            "servertokens",
            "serversignature",
            "usecanonicalname",
            "usecanonicalphysicalport",
            "traceenable",
            "allowencodedslashes",
            "mergeslashes",
            "httpprotocoloptions",
            "adddefaultcharset",
            "fileetag",
            "proxy100continue",
            "proxyfcgibackendtype",
            "h2direct",
            "h2upgrade",
            "h2maxsessionstreams",
            "h2windowsize",
            "h2push",
            "h2moderntlsonly",
            "h2maxworkers",
            "h2minworkers",
            "h2maxworkeridleseconds",
            "h2streammaxmemsize",
            "h2serializeheaders",
            "deflatecompressionlevel",
            "deflatebuffersize",
            "deflatememlevel",
            "deflatewindowsize",
            "flushmaxthreshold",
            "acceptpathinfo",
            "contentdigest",
            "expiresactive",
            "expiresdefault",
            "expiresbytype",
        ],
    ),
    (
        KeepWithTls,
        &[
            "sslengine",
            "sslprotocol",
            "sslciphersuite",
            "sslhonorcipherorder",
            "sslcompression",
            "sslsessiontickets",
            "ssloptions",
            "sslinsecurerenegotiation",
        ],
    ),
    (KeepWithServersTls, &["sslproxyengine", "sslproxyprotocol", "sslproxyciphersuite"]),
    (
        Leave(EXECUTES),
        &[
            "sslpassphrasedialog",
            "sslcryptodevice",
            "loadfile",
            "scriptalias",
            "scriptaliasmatch",
            "action",
            "script",
            "scriptsock",
            "scriptlog",
            "cgidscripttimeout",
            "cgipassauth",
            "cgivar",
            "extfilterdefine",
            "extfilteroptions",
            "addhandler",
            "sethandler",
            "removehandler",
            "passenv",
            "suexecusergroup",
        ],
    ),
    (
        Leave(CONTACTS),
        &[
            "sslusestapling",
            "managedomain",
            "heartbeatlisten",
            "heartbeataddress",
            "heartbeatstorage",
            "hostnamelookups",
            "extendedstatus",
            "proxyrequests",
            "allowconnect",
            "proxyblock",
            "noproxy",
            "proxydomain",
            "proxysourceaddress",
        ],
    ),
    (
        Routing,
        &[
            "proxypass",
            "proxypassmatch",
            "rewriterule",
            "rewritecond",
            "rewriteengine",
            "rewriteoptions",
            "rewritemap",
            "rewritebase",
            "balancermember",
            "proxyset",
            "proxypassreverse",
            "proxypassreversecookiedomain",
            "proxypassreversecookiepath",
            "proxypassinterpolateenv",
            "proxypassinherit",
        ],
    ),
    (
        Leave("it answers itself, so that no request goes to a server"),
        &["redirect", "redirectmatch", "redirectpermanent", "redirecttemp", "errordocument"],
    ),
    (LeaveMatters(CONTACTS), &["proxyremote", "proxyremotematch"]),
    (LeaveMatters(AUTHENTICATES), &["authtype", "authname", "authmerging"]),
    (Leave("it may not admit the run's clients"), &["order", "allow", "deny", "satisfy"]),
    (
        Leave(FILES),
        &[
            "documentroot",
            "directoryindex",
            "directoryslash",
            "options",
            "allowoverride",
            "allowoverridelist",
            "alias",
            "aliasmatch",
            "accessfilename",
            "typesconfig",
            "addtype",
            "addencoding",
            "addlanguage",
            "addcharset",
            "addoutputfilter",
            "addoutputfilterbytype",
            "setoutputfilter",
            "setinputfilter",
            "languagepriority",
            "forcelanguagepriority",
            "forcetype",
            "defaulttype",
            "indexoptions",
            "indexignore",
            "addicon",
            "addiconbyencoding",
            "addiconbytype",
            "defaulticon",
            "readmename",
            "headername",
            "mimemagicfile",
            "userdir",
            "enablemmap",
            "enablesendfile",
            "fallbackresource",
            "adddescription",
            "virtualdocumentroot",
            "deflatefilternote",
        ],
    ),
    (
        Leave(PROCESS),
        &[
            "serverroot",
            "servername",
            "serveralias",
            "serverpath",
            "serveradmin",
            "listen",
            "pidfile",
            "user",
            "group",
            "mutex",
            "defaultruntimedir",
            "scoreboardfile",
            "coredumpdirectory",
            "chrootdir",
            "startservers",
            "serverlimit",
            "threadsperchild",
            "threadlimit",
            "maxrequestworkers",
            "maxclients",
            "minsparethreads",
            "maxsparethreads",
            "minspareservers",
            "maxspareservers",
            "maxconnectionsperchild",
            "maxrequestsperchild",
            "asyncrequestworkerfactor",
            "listenbacklog",
            "listencoresbucketsratio",
            "receivebuffersize",
            "sendbuffersize",
            "acceptfilter",
            "gracefulshutdowntimeout",
            "maxmemfree",
            "namevirtualhost",
            "balancerpersist",
            "rlimitcpu",
            "rlimitmem",
            "rlimitnproc",
            "exceptionhook",
            "enableexceptionhook",
            "threadstacksize",
            "seerequesttail",
            "stricthostcheck",
            "regexdefaultoptions",
            "remoteipheader",
            "remoteipinternalproxy",
            "remoteiptrustedproxy",
            "remoteipproxyprotocol",
        ],
    ),
];

/// Returns the rule for a directive that is not a section.
pub(super) fn rule(name: &str, arguments: &[String]) -> Rule {
    let listed = || LISTS.iter().find(|(_, names)| names.contains(&name)).map(|(rule, _)| *rule);
    by_argument(name, arguments).or_else(listed).or_else(|| by_prefix(name)).unwrap_or(LeaveMatters(UNKNOWN))
}

/// Returns the rule for a directive that depends on its arguments.
fn by_argument(name: &str, arguments: &[String]) -> Option<Rule> {
    let first = arguments.first().map_or("", String::as_str);
    let has = |text: &str| arguments.iter().any(|word| word.contains(text));
    let rule = match name {
        // The log is piped to a program.
        "errorlog" | "customlog" | "transferlog" | "forensiclog" | "globallog" | "sslcustomlog" => {
            Leave(if first.starts_with('|') { EXECUTES } else { LOGS })
        }
        // An expression can read files, and request other URLs (<https://httpd.apache.org/docs/2.4/expr.html>).
        "header" | "requestheader" if arguments.iter().any(|word| word.to_ascii_lowercase().starts_with("expr=")) => {
            LeaveMatters(UNKNOWN)
        }
        "header" | "requestheader" => Keep,
        "require" if arguments.iter().map(|word| word.to_ascii_lowercase()).eq(["all", "granted"]) => Keep,
        "require" => Leave("it may not admit the run's clients"),
        "sslverifyclient" if !first.eq_ignore_ascii_case("none") => {
            LeaveMatters("the run's clients have no certificates")
        }
        "sslrandomseed" if has("exec:") => Leave(EXECUTES),
        "rewritemap" if has("prg:") => Leave(EXECUTES),
        "rewritemap" if has("dbd:") => Leave(CONTACTS),
        _ => return None,
    };
    Some(rule)
}

/// Returns the rule for the directives of whole modules.
fn by_prefix(name: &str) -> Option<Rule> {
    let rules = [
        (Leave(CONTACTS), &["sslocsp", "sslstapling", "sslusestapling", "md", "managedomain"][..]),
        (Leave(CERTIFICATES), &["ssl"]),
        (LeaveMatters(EXECUTES), &["lua"]),
        (LeaveMatters(AUTHENTICATES), &["auth", "gssapi", "ldap", "krb", "session"]),
    ];
    let found = rules.into_iter().find(|(_, prefixes)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    found.map(|(rule, _)| rule)
}

/// Returns whether this list contains a directive.
pub(super) fn is_known(name: &str) -> bool {
    name == "loadmodule" || rule(name, &[]) != LeaveMatters(UNKNOWN)
}

/// The folder in which Debian has httpd's own modules.
pub(super) const MODULES: &str = "/usr/lib/apache2/modules";

/// Returns whether a module is one of httpd's own (`ssl_module`) and provides only directives of the list above.
pub(super) fn is_safe_module(identifier: &str) -> bool {
    const SAFE: [&str; 33] = [
        "authz_core",
        "authz_host",
        "authn_core",
        "access_compat",
        "alias",
        "deflate",
        "dir",
        "env",
        "expires",
        "filter",
        "headers",
        "http2",
        "lbmethod_bybusyness",
        "lbmethod_byrequests",
        "lbmethod_bytraffic",
        "mime",
        "mpm_event",
        "mpm_prefork",
        "mpm_worker",
        "negotiation",
        "proxy",
        "proxy_balancer",
        "proxy_hcheck",
        "proxy_http",
        "proxy_http2",
        "proxy_wstunnel",
        "reqtimeout",
        "request",
        "rewrite",
        "setenvif",
        "slotmem_shm",
        "socache_shmcb",
        "ssl",
    ];
    identifier.strip_suffix("_module").is_some_and(|name| SAFE.contains(&name))
}

/// The parameters of servers that stay. Others are left out.
pub(super) const MEMBER: [&str; 30] = [
    "acquire",
    "connectiontimeout",
    "disablereuse",
    "enablereuse",
    "flushpackets",
    "flushwait",
    "iobuffersize",
    "responsefieldsize",
    "keepalive",
    "lbset",
    "ping",
    "loadfactor",
    "max",
    "min",
    "smax",
    "retry",
    "route",
    "status",
    "timeout",
    "ttl",
    "hcmethod",
    "hcpasses",
    "hcfails",
    "hcinterval",
    "hcuri",
    "hctemplate",
    "receivebuffersize",
    "redirect",
    "upgrade",
    "addressttl",
];

/// The parameters of templates of checks that stay. The run itself sets which answers count as alive.
pub(super) const CHECK: [&str; 5] = ["hcmethod", "hcpasses", "hcfails", "hcinterval", "hcuri"];

/// The parameters of balancers that stay.
pub(super) const BALANCER: [&str; 11] = [
    "lbmethod",
    "maxattempts",
    "nofailover",
    "stickysession",
    "stickysessionsep",
    "scolonpathdelim",
    "timeout",
    "failonstatus",
    "failontimeout",
    "forcerecovery",
    "growth",
];
