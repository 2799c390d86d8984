//! The parts of a Caddyfile that a run may have, and the reasons for leaving out the rest.
//!
//! The lists follow <https://caddyserver.com/docs/caddyfile/directives> and its pages on `reverse_proxy`, matchers and
//! global options. A directive that is in none of them is not known to be safe, and is left out.

use super::parse::Directive;
pub(super) use crate::reasons::{CERTIFICATES, CONTACTS, EXECUTES, PROCESS, UNKNOWN};

/// Whether a line is in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The line stays, with its block.
    Keep,
    /// The line stays if Caddy speaks TLS to the servers of the run.
    KeepWithServersTls,
    /// Each line of the block has its own rule.
    Inside,
    /// The line is left out for this reason.
    Leave(&'static str),
    /// The line is left out for this reason, and the verdict may depend on it.
    LeaveMatters(&'static str),
}

use Rule::{Inside, Keep, KeepWithServersTls, Leave, LeaveMatters};

const LOGS: &str = "the run keeps no logs of requests";
const ANSWERS: &str = "it answers itself, but in the run every request is for the servers";
const AUTHENTICATES: &str = "clients would be authenticated by a service that the run does not have";

/// Returns the rule for a line of the global options.
pub(super) fn option(name: &str) -> Rule {
    match name {
        "servers" => Inside,
        "timeouts" | "max_header_size" => Keep,
        "admin"
        | "storage"
        | "storage_clean_interval"
        | "persist_config"
        | "debug"
        | "grace_period"
        | "shutdown_delay"
        | "http_port"
        | "https_port"
        | "default_bind"
        | "order"
        | "local_certs"
        | "skip_install_trust"
        | "auto_https"
        | "default_sni"
        | "fallback_sni"
        | "name"
        | "metrics"
        | "pki"
        | "filesystem"
        | "protocols"
        | "listener_wrappers" => Leave(PROCESS),
        "email" | "acme_ca" | "acme_ca_root" | "acme_dns" | "acme_eab" | "cert_issuer" | "cert_lifetime"
        | "ocsp_stapling" | "ocsp_interval" | "on_demand_tls" | "preferred_chains" | "key_type" | "renew_interval"
        | "ech" | "dns" => Leave(CONTACTS),
        "log" => Leave(LOGS),
        "events" => Leave(EXECUTES),
        _ => Leave(UNKNOWN),
    }
}

/// Returns the rule for a directive of a site.
pub(super) fn directive(name: &str) -> Rule {
    match name {
        "encode" | "request_body" | "header" | "request_header" | "vars" => Keep,
        "tls" => Leave(CERTIFICATES),
        "bind" => Leave("the run has its own listeners"),
        "log" | "skip_log" | "log_skip" | "log_append" | "log_name" => Leave(LOGS),
        "handle" | "handle_path" | "route" | "reverse_proxy" => {
            Leave("it is for other requests, but in the run every request goes to the judged servers")
        }
        "redir" | "respond" | "error" | "abort" | "file_server" | "templates" | "handle_errors" | "metrics"
        | "root" | "fs" | "try_files" | "push" | "browse" => Leave(ANSWERS),
        "rewrite" | "uri" | "method" | "map" => Leave("it changes paths, on which nothing depends in the run"),
        "php_fastcgi" | "exec" | "cgi" => Leave(EXECUTES),
        "basicauth" | "basic_auth" | "forward_auth" | "authenticate" | "authorize" => LeaveMatters(AUTHENTICATES),
        "acme_server" | "tracing" => Leave(CONTACTS),
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns the rule for a line of `reverse_proxy`.
pub(super) fn proxy(name: &str) -> Rule {
    match name {
        "lb_policy"
        | "lb_retries"
        | "lb_try_duration"
        | "lb_try_interval"
        | "health_uri"
        | "health_path"
        | "health_interval"
        | "health_timeout"
        | "health_status"
        | "health_body"
        | "health_headers"
        | "health_passes"
        | "health_fails"
        | "health_follow_redirects"
        | "health_method"
        | "health_request_body"
        | "fail_duration"
        | "max_fails"
        | "unhealthy_status"
        | "unhealthy_latency"
        | "unhealthy_request_count"
        | "flush_interval"
        | "buffer_requests"
        | "buffer_responses"
        | "max_buffer_size"
        | "request_buffers"
        | "response_buffers"
        | "stream_timeout"
        | "stream_close_delay"
        | "header_up"
        | "header_down"
        | "trusted_proxies" => Keep,
        "transport" => Inside,
        "to" => Leave("the run has Stickler's servers"),
        "dynamic" => LeaveMatters(CONTACTS),
        "health_port" | "health_upstream" => Leave("checks go to the servers of the run"),
        "handle_response" | "replace_status" | "lb_retry_match" | "rewrite" | "method" => {
            LeaveMatters("requests and answers would take another path than those of the run")
        }
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns the rule for a line of `transport http`.
pub(super) fn transport(name: &str) -> Rule {
    match name {
        "read_buffer"
        | "write_buffer"
        | "max_response_header"
        | "dial_timeout"
        | "dial_fallback_delay"
        | "response_header_timeout"
        | "expect_continue_timeout"
        | "read_timeout"
        | "write_timeout"
        | "keepalive"
        | "keepalive_interval"
        | "keepalive_idle_conns"
        | "keepalive_idle_conns_per_host"
        | "versions"
        | "compression"
        | "max_conns_per_host" => Keep,
        "tls_timeout" | "tls_renegotiation" | "tls_except_ports" => KeepWithServersTls,
        "tls"
        | "tls_insecure_skip_verify"
        | "tls_client_auth"
        | "tls_trusted_ca_certs"
        | "tls_trust_pool"
        | "tls_server_name"
        | "tls_curves" => Leave(CERTIFICATES),
        "resolvers" => Leave(CONTACTS),
        "forward_proxy_url" | "network_proxy" => LeaveMatters(CONTACTS),
        "local_address" => Leave("it names one of the operator's addresses"),
        "proxy_protocol" => LeaveMatters("IIS does not read the PROXY protocol"),
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns whether a matcher decides by the request alone. It has either one kind with its arguments, or a block whose
/// lines are matchers.
pub(super) fn is_safe_matcher(arguments: &[String], body: Option<&[Directive]>) -> bool {
    let of_line = |line: &Directive| {
        let words: Vec<String> = std::iter::once(&line.name).chain(&line.arguments).cloned().collect();
        is_safe_matcher(&words, line.body.as_deref())
    };
    match (arguments.split_first(), body) {
        (None, body) => body.unwrap_or_default().iter().all(of_line),
        // The argument of `not` is a matcher itself, and may be a block of matchers.
        (Some((kind, more)), body) if kind == "not" => is_safe_matcher(more, body),
        (Some((kind, _)), body) => is_safe_kind(kind) && body.is_none(),
    }
}

/// Returns whether a line that stays may have a block, because the lines of the block are settings, or fields with
/// their names.
pub(super) fn has_block(name: &str) -> bool {
    let known = ["encode", "request_body", "header", "vars", "timeouts", "health_headers"].contains(&name);
    known || name.starts_with('@')
}

/// Returns whether a placeholder describes a request or its server, and not the content of a file or the environment
/// (<https://caddyserver.com/docs/caddyfile/concepts#placeholders>). A placeholder that consists of digits belongs to a
/// regular expression.
pub(super) fn is_safe_placeholder(inside: &str) -> bool {
    const GROUPS: [&str; 11] =
        ["http", "header", "cookie", "query", "path", "re", "vars", "rp", "err", "labels", "time"];
    const WHOLE: [&str; 20] = [
        "dir",
        "file",
        "host",
        "hostport",
        "port",
        "method",
        "path",
        "query",
        "remote",
        "remote_host",
        "remote_port",
        "client_ip",
        "scheme",
        "uri",
        "tls_cipher",
        "tls_version",
        "tls_client_subject",
        "tls_client_issuer",
        "tls_client_serial",
        "upstream_hostport",
    ];
    let is_name = inside.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    let group = inside.split_once('.').map(|(group, _)| group);
    inside.chars().all(|c| c.is_ascii_digit() || c == ',')
        || WHOLE.contains(&inside)
        || (is_name && group.is_some_and(|group| GROUPS.contains(&group)))
}

fn is_safe_kind(kind: &str) -> bool {
    let kinds = [
        "path",
        "path_regexp",
        "header",
        "header_regexp",
        "host",
        "method",
        "protocol",
        "query",
        "remote_ip",
        "client_ip",
        "vars",
        "vars_regexp",
    ];
    kinds.contains(&kind)
}

/// Returns whether these lists contain a directive of a site.
pub(super) fn is_known(name: &str) -> bool {
    directive(name) != LeaveMatters(UNKNOWN)
}

/// Returns whether these lists contain a line of `reverse_proxy`.
pub(super) fn is_known_in_proxy(name: &str) -> bool {
    proxy(name) != LeaveMatters(UNKNOWN)
}
