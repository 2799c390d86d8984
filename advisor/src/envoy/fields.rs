//! The parts of Envoy's configuration that a run may have, and the reasons for leaving out the rest.
//!
//! The lists follow <https://www.envoyproxy.io/docs/envoy/latest/api-v3/api>. A field that is in none of them is not
//! known to be safe, and is left out. A field that is kept contains data only ([`is_plain`]).

use super::yaml::{Node, snake};
pub(super) use crate::reasons::{CONTACTS, EXECUTES, PROCESS, UNKNOWN};

/// Whether a field is in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The field stays.
    Keep,
    /// The run has its own field instead.
    Own,
    /// The field is left out for this reason.
    Leave(&'static str),
    /// The field is left out for this reason, and the verdict may depend on it.
    LeaveMatters(&'static str),
}

use Rule::{Keep, Leave, LeaveMatters, Own};

const LOGS: &str = "the run keeps no logs and no statistics of requests";

/// Returns the rule for a field of the bootstrap configuration.
pub(super) fn bootstrap(name: &str) -> Rule {
    match name {
        "static_resources" => Own,
        "dynamic_resources"
        | "hds_config"
        | "cluster_manager"
        | "xds_delegate_extension"
        | "xds_config_tracker_extension"
        | "config_sources"
        | "default_config_source"
        | "typed_dns_resolver_config"
        | "dns_resolution_config"
        | "certificate_provider_instances"
        | "listener_manager" => Leave(CONTACTS),
        "stats_sinks" | "tracing" | "stats_config" | "application_log_config" | "stats_flush_interval" => {
            // Sinks are addresses.
            Leave(if name == "stats_sinks" || name == "tracing" { CONTACTS } else { LOGS })
        }
        "admin"
        | "node"
        | "flags_path"
        | "watchdog"
        | "watchdogs"
        | "layered_runtime"
        | "runtime"
        | "overload_manager"
        | "use_tcp_for_dns_lookups"
        | "enable_dispatcher_stats"
        | "header_prefix"
        | "fatal_actions"
        | "default_socket_interface"
        | "memory_allocator_manager" => Leave(PROCESS),
        "bootstrap_extensions" | "perf_tracing_file_path" => Leave(EXECUTES),
        _ => Leave(UNKNOWN),
    }
}

/// Returns the rule for a field of a listener.
pub(super) fn listener(name: &str) -> Rule {
    match name {
        "name"
        | "address"
        | "additional_addresses"
        | "filter_chains"
        | "default_filter_chain"
        | "per_connection_buffer_limit_bytes"
        | "stat_prefix" => Own,
        "listener_filters" => Leave("every connection is for the judged farm"),
        "access_log" => Leave(LOGS),
        "socket_options"
        | "transparent"
        | "freebind"
        | "reuse_port"
        | "enable_reuse_port"
        | "bind_to_port"
        | "tcp_backlog_size"
        | "connection_balance_config"
        | "traffic_direction"
        | "drain_type"
        | "listener_filters_timeout"
        | "metadata"
        | "continue_on_listener_filters_timeout"
        | "tcp_fast_open_queue_length" => Leave("the run has its own listeners"),
        "udp_listener_config" => Leave("the run has no QUIC"),
        _ => Leave(UNKNOWN),
    }
}

/// Returns the rule for a field of `HttpConnectionManager`.
pub(super) fn http(name: &str) -> Rule {
    match name {
        "codec_type"
        | "use_remote_address"
        | "xff_num_trusted_hops"
        | "stream_idle_timeout"
        | "request_timeout"
        | "request_headers_timeout"
        | "drain_timeout"
        | "delayed_close_timeout"
        | "max_request_headers_kb"
        | "upgrade_configs"
        | "common_http_protocol_options"
        | "http_protocol_options"
        | "http2_protocol_options"
        | "normalize_path"
        | "merge_slashes"
        | "server_header_transformation"
        | "server_name"
        | "preserve_external_request_id"
        | "generate_request_id"
        | "skip_xff_append"
        | "via"
        | "path_with_escaped_slashes_action"
        | "strip_any_host_port"
        | "strip_matching_host_port"
        | "forward_client_cert_details"
        | "set_current_client_cert_details"
        | "proxy_100_continue"
        | "stream_error_on_invalid_http_message"
        | "always_set_request_id_in_response"
        | "represent_ipv4_remote_address_as_ipv4_mapped_ipv6"
        | "scheme_header_transformation"
        | "add_user_agent"
        | "add_proxy_protocol_connection_state" => Keep,
        "@type" | "stat_prefix" | "route_config" | "http_filters" => Own,
        "access_log" | "tracing" | "access_log_options" => Leave(LOGS),
        "rds" | "scoped_routes" => LeaveMatters(CONTACTS),
        "local_reply_config" => Leave("the run uses Envoy's own answers"),
        "http3_protocol_options" => Leave("the run has no QUIC"),
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns the rule for a field of `TcpProxy`.
pub(super) fn tcp(name: &str) -> Rule {
    match name {
        "idle_timeout"
        | "max_connect_attempts"
        | "hash_policy"
        | "downstream_idle_timeout"
        | "upstream_idle_timeout"
        | "max_downstream_connection_duration" => Keep,
        "@type" | "stat_prefix" | "cluster" | "weighted_clusters" => Own,
        "access_log" | "access_log_options" => Leave(LOGS),
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns the rule for a field of a route configuration, a virtual host, or a route.
pub(super) fn route(name: &str) -> Rule {
    match name {
        "request_headers_to_add"
        | "request_headers_to_remove"
        | "response_headers_to_add"
        | "response_headers_to_remove"
        | "retry_policy"
        | "hedge_policy"
        | "include_request_attempt_count"
        | "include_attempt_count_in_response" => Keep,
        "name"
        | "virtual_hosts"
        | "domains"
        | "routes"
        | "match"
        | "route"
        | "most_specific_header_mutations_wins"
        | "ignore_port_in_host_matching"
        | "max_direct_response_body_size_bytes" => Own,
        "require_tls" => Leave("the run's clients use the same protocol as the site's"),
        "validate_clusters" | "metadata" | "decorator" | "stat_prefix" | "virtual_clusters" | "tracing" => Leave(LOGS),
        "vhds" => LeaveMatters(CONTACTS),
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns the rule for a field of a route's action.
pub(super) fn action(name: &str) -> Rule {
    match name {
        "timeout"
        | "idle_timeout"
        | "retry_policy"
        | "hash_policy"
        | "priority"
        | "max_stream_duration"
        | "upgrade_configs"
        | "hedge_policy"
        | "cluster_not_found_response_code"
        | "append_x_forwarded_host" => Keep,
        "cluster" | "weighted_clusters" => Own,
        "prefix_rewrite"
        | "regex_rewrite"
        | "host_rewrite_literal"
        | "auto_host_rewrite"
        | "host_rewrite_header"
        | "host_rewrite_path_regex"
        | "path_rewrite_policy" => Leave("the run has its own names and paths"),
        "request_mirror_policies" => LeaveMatters(CONTACTS),
        "metadata_match" => LeaveMatters("the choice among several farms belongs to the file"),
        "rate_limits" | "cors" => Leave("it limits what the run's clients may do"),
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns the rule for a field of a cluster.
pub(super) fn cluster(name: &str) -> Rule {
    match name {
        "connect_timeout"
        | "lb_policy"
        | "ring_hash_lb_config"
        | "maglev_lb_config"
        | "least_request_lb_config"
        | "round_robin_lb_config"
        | "common_lb_config"
        | "connection_pool_per_downstream_connection"
        | "max_requests_per_connection"
        | "circuit_breakers"
        | "outlier_detection"
        | "common_http_protocol_options"
        | "http_protocol_options"
        | "http2_protocol_options"
        | "upstream_connection_options"
        | "per_connection_buffer_limit_bytes"
        | "preconnect_policy"
        | "close_connections_on_host_health_failure"
        | "ignore_health_on_host_removal"
        | "upstream_http_protocol_options"
        | "protocol_selection" => Keep,
        "name"
        | "type"
        | "load_assignment"
        | "transport_socket"
        | "typed_extension_protocol_options"
        | "health_checks"
        | "eds_cluster_config"
        | "hosts"
        | "tls_context" => Own,
        "alt_stat_name"
        | "metadata"
        | "track_cluster_stats"
        | "track_timeout_budgets"
        | "cleanup_interval"
        | "wait_for_warm_on_init" => Leave(LOGS),
        "dns_lookup_family"
        | "dns_refresh_rate"
        | "dns_failure_refresh_rate"
        | "respect_dns_ttl"
        | "dns_resolvers"
        | "use_tcp_for_dns_lookups"
        | "dns_resolution_config"
        | "typed_dns_resolver_config"
        | "dns_jitter"
        | "lrs_server"
        | "lrs_report_endpoint_metrics" => Leave(CONTACTS),
        "upstream_bind_config" => Leave("it names one of the operator's addresses"),
        "load_balancing_policy" | "lb_subset_config" | "original_dst_lb_config" => {
            LeaveMatters("the server is not chosen by one of Envoy's own policies")
        }
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns the rule for a field of a health check.
pub(super) fn check(name: &str) -> Rule {
    match name {
        "timeout"
        | "interval"
        | "initial_jitter"
        | "interval_jitter"
        | "interval_jitter_percent"
        | "unhealthy_threshold"
        | "healthy_threshold"
        | "reuse_connection"
        | "no_traffic_interval"
        | "no_traffic_healthy_interval"
        | "unhealthy_interval"
        | "unhealthy_edge_interval"
        | "healthy_edge_interval"
        | "tcp_health_check" => Keep,
        "http_health_check" => Own,
        "event_log_path"
        | "event_logger"
        | "always_log_health_check_failures"
        | "always_log_health_check_success"
        | "event_service" => Leave(LOGS),
        "alt_port" | "tls_options" | "transport_socket_match_criteria" => Leave("checks go to the servers of the run"),
        _ => LeaveMatters(UNKNOWN),
    }
}

/// Returns whether an HTTP filter may stay, because it contacts no other host, and executes nothing from the file.
pub(super) fn is_safe_filter(config: &str) -> bool {
    ["stateful_session.v3.StatefulSession", "buffer.v3.Buffer", "cors.v3.Cors"]
        .iter()
        .any(|kind| is_type(config, &format!("filters.http.{kind}")))
}

/// Returns whether a `@type` is that of an extension of Envoy.
pub(super) fn is_type(url: &str, name: &str) -> bool {
    let own = url.rsplit_once('/').map_or(url, |(_, own)| own);
    own.strip_prefix("envoy.extensions.") == Some(name)
}

/// Returns whether the operators in a text describe only a request and its connections
/// (<https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter>), and not the content
/// of a file, a secret or the environment.
fn has_safe_operators(text: &str) -> bool {
    const SAFE: [&str; 15] = [
        "BYTES",
        "CONNECTION",
        "DOWNSTREAM",
        "DURATION",
        "HOSTNAME",
        "PROTOCOL",
        "REQ",
        "REQUESTED",
        "RESP",
        "RESPONSE",
        "ROUTE",
        "START",
        "STREAM",
        "TRAILER",
        "UPSTREAM",
    ];
    text.split('%').skip(1).all(|after| {
        let name = after.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap_or_default();
        name.is_empty() || SAFE.contains(&name.split('_').next().unwrap_or_default())
    })
}

/// Returns whether a value consists of data only: it contains no extension, no file and no address.
pub(super) fn is_plain(node: &Node) -> bool {
    const MORE: [&str; 27] = [
        "@type",
        "typed_config",
        "grpc_service",
        "envoy_grpc",
        "google_grpc",
        "filename",
        "watched_directory",
        "environment_variable",
        "uri",
        "http_uri",
        "cluster",
        "cluster_name",
        "address",
        "socket_address",
        "pipe",
        "config_source",
        "config_discovery",
        "event_log_path",
        "filters",
        "config",
        "type_url",
        "ads",
        "monitors",
        "internal_listener",
        "server_listener_name",
        "envoy_internal_address",
        "trusted_ca",
    ];
    let is_more = |name: &str| {
        MORE.contains(&name) || ["_path", "_file", "_service", "_config_source"].iter().any(|end| name.ends_with(end))
    };
    has_safe_operators(node.text())
        && node.items().iter().all(is_plain)
        && node.fields().iter().all(|(key, value)| !is_more(&snake(key.text())) && is_plain(value))
}
