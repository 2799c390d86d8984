//! The parts of HAProxy's configuration that a run may have, and the reasons for leaving out the rest.
//!
//! The lists follow the configuration manuals of 2.6 to 3.3: <https://docs.haproxy.org/3.3/configuration.html>. A
//! keyword that is in none of them is not known to be safe, and is left out.

pub(super) use crate::reasons::{CONTACTS, EXECUTES, PROCESS, UNKNOWN};

/// Whether a line is in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The line stays.
    Keep,
    /// The line is left out for this reason.
    Leave(&'static str),
    /// The line is left out for this reason, and the verdict may depend on it.
    LeaveMatters(&'static str),
}

const ADDRESS: &str = "it names one of the operator's addresses or networks";
const LOGS: &str = "it sends log lines elsewhere";

/// The sections that stay; any other section is left out as a whole.
const SECTIONS: [&str; 9] =
    ["global", "defaults", "frontend", "backend", "listen", "peers", "userlist", "cache", "http-errors"];

/// Returns why a section is left out; `None` if it stays.
pub(super) fn section(kind: &str) -> Option<&'static str> {
    match kind {
        kind if SECTIONS.contains(&kind) => None,
        "program" | "fcgi-app" => Some(EXECUTES),
        "resolvers" | "mailers" | "acme" => Some(CONTACTS),
        "ring" | "log-forward" | "log-profile" | "traces" => Some(LOGS),
        "crt-store" => Some("the run has its own certificates"),
        _ => Some(UNKNOWN),
    }
}

/// Returns the rule for a line in `peers` (section 3.5). Its tables belong to proxies; without a peer, they belong to
/// this process alone.
pub(super) fn peers(keyword: &str) -> Rule {
    if keyword == "table" { Rule::Keep } else { Rule::Leave(CONTACTS) }
}

/// Returns the rule for a line in `userlist`, `http-errors` or `cache` (sections 3.4, 3.8 and 6).
pub(super) fn other(kind: &str, keyword: &str) -> Rule {
    match (kind, keyword) {
        ("userlist", "user" | "group")
        | ("http-errors", "errorfile")
        | ("cache", "total-max-size" | "max-object-size" | "max-age" | "process-vary" | "max-secondary-entries") => {
            Rule::Keep
        }
        _ => Rule::Leave(UNKNOWN),
    }
}

/// Returns the rule for a line in `global` (section 3).
#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn global(keyword: &str) -> Rule {
    const KEEP: [&str; 37] = [
        "busy-polling",
        "ca-base",
        "crt-base",
        "description",
        "expose-deprecated-directives",
        "expose-experimental-directives",
        "h1-accept-payload-with-any-method",
        "h1-case-adjust",
        "h1-do-not-close-on-insecure-transfer-encoding",
        "h2-workaround-bogus-websocket-clients",
        "hard-stop-after",
        "http-err-codes",
        "http-fail-codes",
        "log-send-hostname",
        "log-tag",
        "max-spread-checks",
        "maxconnrate",
        "maxpipes",
        "maxsessrate",
        "maxsslconn",
        "maxsslrate",
        "maxzlibmem",
        "nbthread",
        "node",
        "noepoll",
        "nogetaddrinfo",
        "nopoll",
        "noreuseport",
        "nosplice",
        "resetenv",
        "setenv",
        "presetenv",
        "spread-checks",
        "ssl-server-verify",
        "ssl-skip-self-issued-ca",
        "thread-groups",
        "unsetenv",
    ];
    const PREFIXES: [&str; 4] = ["tune.", "ssl-default-bind-", "ssl-default-server-", "profiling."];
    match keyword {
        keyword if keyword.starts_with("tune.lua") => Rule::Leave(EXECUTES),
        keyword if KEEP.contains(&keyword) || PREFIXES.iter().any(|prefix| keyword.starts_with(prefix)) => Rule::Keep,
        keyword if keyword.starts_with("lua-") => Rule::LeaveMatters(EXECUTES),
        "external-check"
        | "insecure-fork-wanted"
        | "insecure-setuid-wanted"
        | "ssl-engine"
        | "ssl-provider"
        | "ssl-propquery"
        | "ssl-provider-path" => Rule::Leave(EXECUTES),
        "log" => Rule::Leave(LOGS),
        // HAProxy does not start if the host does not provide the file descriptors that these need (3.2 `maxconn`,
        // `strict-limits`).
        "maxconn" | "prealloc-fd" | "strict-limits" => {
            Rule::Leave("the number of connections of the run is limited by this host")
        }
        "ssl-dh-param-file" => Rule::Leave("the run has its own certificates"),
        "stats"
        | "chroot"
        | "user"
        | "group"
        | "uid"
        | "gid"
        | "daemon"
        | "master-worker"
        | "pidfile"
        | "localpeer"
        | "cpu-map"
        | "cpu-policy"
        | "cpu-set"
        | "nbproc"
        | "numa-cpu-mapping"
        | "set-dumpable"
        | "server-state-base"
        | "server-state-file"
        | "setcap"
        | "ulimit-n"
        | "fd-hard-limit"
        | "unix-bind"
        | "mworker-max-reloads"
        | "quiet"
        | "debug"
        | "grace"
        | "default-path"
        | "ssl-load-extra-files"
        | "ssl-load-extra-del-ext"
        | "ssl-mode-async"
        | "anonkey"
        | "cluster-secret"
        | "wurfl-data-file"
        | "thread-group"
        | "stats-file"
        | "shm-stats-file"
        | "zero-warning" => Rule::Leave(PROCESS),
        _ => Rule::Leave(UNKNOWN),
    }
}

/// Returns the rule for a line in a proxy (section 4). Listeners, servers, and lines whose arguments must be examined
/// are treated elsewhere.
#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn proxy(keyword: &str, arguments: &[&str]) -> Rule {
    const KEEP: [&str; 54] = [
        "acl",
        "backlog",
        "balance",
        "capture",
        "clitcpka-cnt",
        "clitcpka-idle",
        "clitcpka-intvl",
        "compression",
        "cookie",
        "declare",
        "default_backend",
        "description",
        "disabled",
        "enabled",
        "errorfile",
        "errorfiles",
        "errorloc",
        "errorloc302",
        "errorloc303",
        "force-persist",
        "fullconn",
        "guid",
        "hash-balance-factor",
        "hash-preserve-affinity",
        "hash-type",
        "http-error",
        "http-reuse",
        "http-send-name-header",
        "id",
        "ignore-persist",
        "log-format",
        "log-format-sd",
        "error-log-format",
        "log-tag",
        "max-keep-alive-queue",
        "max-session-srv-conns",
        "maxconn",
        "mode",
        "monitor",
        "monitor-net",
        "monitor-uri",
        "persist",
        "rate-limit",
        "redirect",
        "retries",
        "retry-on",
        "srvtcpka-cnt",
        "srvtcpka-idle",
        "srvtcpka-intvl",
        "stick",
        "timeout",
        "unique-id-format",
        "unique-id-header",
        "use-server",
    ];
    let first = arguments.first().copied().unwrap_or_default();
    match keyword {
        keyword if KEEP.contains(&keyword) => Rule::Keep,
        "use_backend" | "http-response" | "http-after-response" | "http-request" | "tcp-request" | "tcp-response" => {
            rule(first, arguments)
        }
        "stats" if matches!(first, "socket" | "bind-process") => Rule::Leave(PROCESS),
        "stats" | "bind" | "server" | "server-template" | "default-server" | "dispatch" | "stick-table"
        | "http-check" | "tcp-check" => Rule::Keep,
        "option" => option(first),
        "log" | "log-steps" => Rule::Leave(LOGS),
        "external-check" => Rule::Leave(EXECUTES),
        "email-alert" => Rule::Leave(CONTACTS),
        "source" if arguments.contains(&"usesrc") => Rule::LeaveMatters(ADDRESS),
        "source" => Rule::Leave(ADDRESS),
        "use-fcgi-app" => Rule::LeaveMatters(EXECUTES),
        "filter" if matches!(first, "compression" | "cache" | "trace" | "bwlim-in" | "bwlim-out") => Rule::Keep,
        "filter" => Rule::LeaveMatters(CONTACTS),
        "load-server-state-from-file" | "server-state-file-name" | "bind-process" | "grace" => Rule::Leave(PROCESS),
        _ => Rule::LeaveMatters(UNKNOWN),
    }
}

/// Returns the treatment of a rule on messages, such as `http-request` (section 4.4 of the manual of HAProxy 3.3,
/// section 4.2 of earlier manuals).
fn rule(action: &str, arguments: &[&str]) -> Rule {
    let has = |what: &str| arguments.iter().any(|argument| argument.contains(what));
    // The action has its arguments in parentheses.
    match action.split('(').next().unwrap_or_default() {
        action if action.starts_with("lua.") || has("lua.") => Rule::LeaveMatters(EXECUTES),
        "use-service" => Rule::LeaveMatters(EXECUTES),
        action if contacts(action) => Rule::LeaveMatters(CONTACTS),
        _ if arguments.iter().skip(1).any(|word| contacts(word)) => Rule::LeaveMatters(CONTACTS),
        _ => Rule::Keep,
    }
}

/// Returns whether an action makes the balancer contact a host that is not one of its servers.
fn contacts(action: &str) -> bool {
    let name = action.split('(').next().unwrap_or_default();
    matches!(name, "do-resolve" | "set-dst" | "set-dst-port" | "send-spoe-group" | "attach-srv")
}

/// Returns the rule for `option` (section 4.2, "option ...").
fn option(name: &str) -> Rule {
    const KEEP: [&str; 51] = [
        "abortonclose",
        "accept-invalid-http-request",
        "accept-invalid-http-response",
        "accept-unsafe-violations-in-http-request",
        "accept-unsafe-violations-in-http-response",
        "allbackups",
        "checkcache",
        "clitcpka",
        "contstats",
        "disable-h2-upgrade",
        "dontlog-normal",
        "dontlognull",
        "forwardfor",
        "forwarded",
        "h1-case-adjust-bogus-client",
        "h1-case-adjust-bogus-server",
        "http-buffer-request",
        "http-drop-request-trailers",
        "http-drop-response-trailers",
        "http-ignore-probes",
        "http-keep-alive",
        "http-no-delay",
        "http-pretend-keepalive",
        "http-restrict-req-hdr-names",
        "http-server-close",
        "http-use-htx",
        "http-use-proxy-header",
        "httpchk",
        "httpclose",
        "forceclose",
        "httplog",
        "httpslog",
        "independent-streams",
        "ldap-check",
        "log-health-checks",
        "log-separate-errors",
        "logasap",
        "mysql-check",
        "nolinger",
        "originalto",
        "persist",
        "pgsql-check",
        "prefer-last-server",
        "redis-check",
        "redispatch",
        "smtpchk",
        "socket-stats",
        "splice-auto",
        "splice-request",
        "splice-response",
        "srvtcpka",
    ];
    const KEEP_TOO: [&str; 7] = [
        "idle-close-on-response",
        "ssl-hello-chk",
        "tcp-check",
        "tcp-smart-accept",
        "tcp-smart-connect",
        "tcpka",
        "tcplog",
    ];
    match name {
        name if KEEP.contains(&name) || KEEP_TOO.contains(&name) => Rule::Keep,
        "external-check" => Rule::Leave(EXECUTES),
        "transparent" | "http_proxy" | "spop-check" => Rule::LeaveMatters(CONTACTS),
        _ => Rule::LeaveMatters(UNKNOWN),
    }
}

/// Returns whether this list contains a proxy's keyword.
pub(super) fn is_known(keyword: &str) -> bool {
    proxy(keyword, &[]) != Rule::LeaveMatters(UNKNOWN) || keyword == "option"
}

/// The number of values of an argument of `server` or `bind`, and whether it is in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Argument {
    /// The number of its values.
    pub(super) values: usize,
    pub(super) treatment: Treatment,
}

/// Whether an argument is in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// The argument stays.
    Keep,
    /// The argument stays if the run uses TLS there.
    KeepWithTls,
    /// The argument is left out, because the run has its own TLS certificates.
    Certificates,
    /// The argument is left out for this reason.
    Leave(&'static str),
    /// The argument is left out for this reason, and the verdict may depend on it.
    LeaveMatters(&'static str),
}

use Treatment::{Certificates, Keep, KeepWithTls, Leave, LeaveMatters};

/// Returns the rule for an argument of `server` or `default-server` (section 5.2); `None` if it is not known.
pub(super) fn server(name: &str) -> Option<Argument> {
    let (values, treatment) = match name {
        "check" | "no-check" | "backup" | "no-backup" | "disabled" | "enabled" | "non-stick" | "stick" | "tfo"
        | "no-tfo" | "no-send-proxy" | "no-send-proxy-v2" | "no-agent-check" => (0, Keep),
        "send-proxy" | "send-proxy-v2" | "send-proxy-v2-ssl" | "send-proxy-v2-ssl-cn" => {
            (0, LeaveMatters("the servers of the run do not read the PROXY protocol"))
        }
        "weight" | "maxconn" | "minconn" | "maxqueue" | "inter" | "fastinter" | "downinter" | "rise" | "fall"
        | "cookie" | "slowstart" | "observe" | "error-limit" | "on-error" | "on-marked-down" | "on-marked-up"
        | "pool-max-conn" | "pool-low-conn" | "pool-purge-delay" | "pool-conn-name" | "max-reuse" | "id" | "proto"
        | "check-proto" | "ws" | "track" | "tcp-ut" | "init-state" | "hash-key" | "shard" | "guid" | "redir"
        | "log-bufsize" | "idle-ping" => (1, Keep),
        "ssl" => (0, KeepWithTls),
        "alpn" | "check-alpn" | "npn" => (1, KeepWithTls),
        "check-ssl" | "no-check-ssl" | "ssl-reuse" | "no-ssl-reuse" | "no-ssl" | "tls-tickets" | "no-tls-tickets"
        | "no-verifyhost" | "force-sslv3" | "force-tlsv10" | "force-tlsv11" | "force-tlsv12" | "force-tlsv13"
        | "no-sslv3" | "no-tlsv10" | "no-tlsv11" | "no-tlsv12" | "no-tlsv13" | "check-sni-auto" | "sni-auto"
        | "no-sni-auto" => (0, Certificates),
        "verify" | "verifyhost" | "ca-file" | "crt" | "crl-file" | "sni" | "check-sni" | "ciphers" | "ciphersuites"
        | "ssl-min-ver" | "ssl-max-ver" | "curves" | "sigalgs" | "client-sigalgs" | "ech" | "renegotiate" => {
            (1, Certificates)
        }
        "agent-check" | "check-send-proxy" | "check-via-socks4" => (0, Leave(CONTACTS)),
        "addr"
        | "port"
        | "agent-addr"
        | "agent-port"
        | "agent-inter"
        | "agent-send"
        | "socks4"
        | "resolvers"
        | "resolve-prefer"
        | "resolve-net"
        | "resolve-opts"
        | "init-addr"
        | "proxy-v2-options"
        | "set-proxy-v2-tlv-fmt"
        | "log-proto" => (1, Leave(CONTACTS)),
        "usesrc" => (1, LeaveMatters(ADDRESS)),
        "source" | "interface" | "namespace" => (1, Leave(ADDRESS)),
        _ => return None,
    };
    Some(Argument { values, treatment })
}

/// Returns the rule for an argument of `bind` (section 5.1); `None` if it is not known.
pub(super) fn bind(name: &str) -> Option<Argument> {
    const SOCKET: Treatment = Leave("it concerns an address or a socket that the run does not have");
    let (values, treatment) = match name {
        "defer-accept" | "tfo" => (0, Keep),
        "maxconn" | "backlog" | "nice" | "id" | "name" | "proto" | "thread" | "shards" | "tcp-ut" => (1, Keep),
        "alpn" | "npn" | "ciphers" | "ciphersuites" | "curves" | "ssl-min-ver" | "ssl-max-ver" | "sigalgs" => {
            (1, KeepWithTls)
        }
        "ssl"
        | "no-sslv3"
        | "no-tlsv10"
        | "no-tlsv11"
        | "no-tlsv12"
        | "no-tlsv13"
        | "no-tls-tickets"
        | "prefer-client-ciphers"
        | "force-tlsv12"
        | "force-tlsv13"
        | "no-alpn" => (0, KeepWithTls),
        "strict-sni"
        | "generate-certificates"
        | "allow-0rtt"
        | "no-ca-names"
        | "force-sslv3"
        | "force-tlsv10"
        | "force-tlsv11" => (0, Certificates),
        "crt" | "crt-list" | "ca-file" | "ca-verify-file" | "ca-sign-file" | "ca-sign-pass" | "crl-file" | "verify"
        | "crt-ignore-err" | "ca-ignore-err" | "client-sigalgs" | "ecdhe" | "tls-ticket-keys" | "default-crt"
        | "ocsp-update" | "ech" => (1, Certificates),
        "accept-proxy" | "transparent" | "v4v6" | "v6only" | "quic-force-retry" => (0, SOCKET),
        "accept-netscaler-cip"
        | "interface"
        | "mss"
        | "namespace"
        | "user"
        | "group"
        | "uid"
        | "gid"
        | "mode"
        | "level"
        | "expose-fd"
        | "severity-output"
        | "process"
        | "guid-prefix"
        | "quic-cc-algo"
        | "quic-socket" => (1, SOCKET),
        _ => return None,
    };
    Some(Argument { values, treatment })
}
