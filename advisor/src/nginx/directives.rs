//! The parts of nginx's configuration that a run may have, and the reasons for leaving out the rest.
//!
//! The lists follow <https://nginx.org/en/docs/dirindex.html>. A directive that is in none of them is not known to be
//! safe, and is left out.

pub(super) use crate::reasons::{CERTIFICATES, CONTACTS, EXECUTES, PROCESS, UNKNOWN};

/// The treatment of a directive when the copy of a configuration is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The directive stays, with those in its braces that may stay.
    Keep,
    /// The directive is left out for this reason.
    Leave(&'static str),
    /// The directive is left out for this reason, and the verdict may depend on it.
    LeaveMatters(&'static str),
    /// The directive names a file or a folder that nginx writes to, which is moved into the run's folder.
    Moved,
}

const LOGS: &str = "it writes or sends log lines elsewhere";

/// Returns the rule for a directive with this name.
#[expect(clippy::too_many_lines, reason = "it is a table")]
pub(super) fn rule(name: &str) -> Rule {
    match name {
        name if KEEP.contains(&name) || KEEP_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) => Rule::Keep,
        "access_log" | "error_log" | "log_subrequest" => Rule::Leave(LOGS),
        "pid"
        | "lock_file"
        | "user"
        | "daemon"
        | "master_process"
        | "working_directory"
        | "worker_rlimit_core"
        | "worker_rlimit_nofile"
        | "worker_priority"
        | "worker_cpu_affinity"
        | "worker_shutdown_timeout"
        | "debug_points"
        | "env"
        | "timer_resolution"
        | "thread_pool"
        | "pcre_jit"
        | "debug_connection"
        | "client_body_temp_path"
        | "proxy_temp_path"
        | "fastcgi_temp_path"
        | "uwsgi_temp_path"
        | "scgi_temp_path"
        | "grpc_temp_path"
        | "accept_mutex"
        | "quic_bpf" => Rule::Leave(PROCESS),
        "proxy_cache_path" | "fastcgi_cache_path" | "uwsgi_cache_path" | "scgi_cache_path" | "proxy_store"
        | "state" => Rule::Moved,
        "load_module" | "ssl_engine" | "google_perftools_profiles" => Rule::Leave(EXECUTES),
        name if name.starts_with("perl")
            || name.starts_with("js_")
            || name.contains("lua")
            || name.starts_with("passenger") =>
        {
            Rule::LeaveMatters(EXECUTES)
        }
        "ssl_certificate"
        | "ssl_certificate_key"
        | "ssl_client_certificate"
        | "ssl_trusted_certificate"
        | "ssl_crl"
        | "ssl_verify_client"
        | "ssl_verify_depth"
        | "ssl_password_file"
        | "ssl_dhparam"
        | "ssl_session_ticket_key"
        | "ssl_certificate_cache"
        | "ssl"
        | "ssl_early_data" => Rule::Leave(CERTIFICATES),
        name if name.starts_with("proxy_ssl_") => Rule::Leave(CERTIFICATES),
        "mail"
        | "ssl_stapling"
        | "ssl_stapling_file"
        | "ssl_stapling_responder"
        | "ssl_stapling_verify"
        | "ssl_ocsp"
        | "ssl_ocsp_responder"
        | "ssl_ocsp_cache"
        | "resolver"
        | "resolver_timeout"
        | "mgmt"
        | "otel_exporter"
        | "otel_trace"
        | "proxy_bind" => Rule::Leave(CONTACTS),
        "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "grpc_pass" | "memcached_pass" | "tunnel_pass" => {
            Rule::LeaveMatters(CONTACTS)
        }
        "autoindex" | "dav_methods" | "dav_access" | "create_full_put_path" | "mp4" | "flv" | "perl_set" => {
            Rule::Leave(UNKNOWN)
        }
        _ => Rule::LeaveMatters(UNKNOWN),
    }
}

/// Returns whether this list contains a directive.
pub(super) fn is_known(name: &str) -> bool {
    !matches!(rule(name), Rule::LeaveMatters(UNKNOWN))
}

/// The prefixes of directives that only read, count or change messages.
const KEEP_PREFIXES: [&str; 12] = [
    "gzip",
    "limit_conn",
    "limit_req",
    "open_file_cache",
    "ssl_session_",
    "ssl_conf_",
    "fastcgi_param",
    "uwsgi_param",
    "scgi_param",
    "http2_",
    "sub_filter",
    "grpc_set_header",
];

/// The directives that stay.
const KEEP: [&str; 192] = [
    // Blocks.
    "events",
    "http",
    "stream",
    "server",
    "upstream",
    "location",
    "if",
    "limit_except",
    "types",
    "map",
    "geo",
    "split_clients",
    // The process.
    "worker_processes",
    "worker_connections",
    "multi_accept",
    "use",
    "accept_mutex_delay",
    "worker_aio_requests",
    // Which server and location.
    "listen",
    "server_name",
    "server_name_in_redirect",
    "server_names_hash_max_size",
    "server_names_hash_bucket_size",
    "alias",
    "root",
    "try_files",
    "index",
    "internal",
    "error_page",
    "recursive_error_pages",
    "return",
    "rewrite",
    "rewrite_log",
    "set",
    "break",
    "satisfy",
    "allow",
    "deny",
    "port_in_redirect",
    "absolute_redirect",
    "merge_slashes",
    "chunked_transfer_encoding",
    "default_type",
    "types_hash_max_size",
    "types_hash_bucket_size",
    "variables_hash_max_size",
    "variables_hash_bucket_size",
    "uninitialized_variable_warn",
    "map_hash_max_size",
    "map_hash_bucket_size",
    "underscores_in_headers",
    "ignore_invalid_headers",
    "request_pool_size",
    "connection_pool_size",
    "output_buffers",
    "postpone_output",
    "max_ranges",
    "disable_symlinks",
    "etag",
    "if_modified_since",
    // Clients.
    "client_body_buffer_size",
    "client_body_in_file_only",
    "client_body_in_single_buffer",
    "client_body_timeout",
    "client_header_buffer_size",
    "client_header_timeout",
    "client_max_body_size",
    "keepalive_disable",
    "keepalive_requests",
    "keepalive_time",
    "keepalive_timeout",
    "keepalive_min_timeout",
    "large_client_header_buffers",
    "lingering_close",
    "lingering_time",
    "lingering_timeout",
    "reset_timedout_connection",
    "send_lowat",
    "send_timeout",
    "sendfile",
    "sendfile_max_chunk",
    "server_tokens",
    "tcp_nodelay",
    "tcp_nopush",
    "aio",
    "aio_write",
    "directio",
    "read_ahead",
    "http2",
    "real_ip_header",
    "real_ip_recursive",
    "set_real_ip_from",
    "preread_buffer_size",
    "preread_timeout",
    "ssl_preread",
    "proxy_protocol_timeout",
    "msie_padding",
    "msie_refresh",
    "max_headers",
    // Answers.
    "add_header",
    "add_header_inherit",
    "add_trailer",
    "expires",
    "charset",
    "charset_types",
    "source_charset",
    "override_charset",
    "stub_status",
    "empty_gif",
    "log_format",
    "log_not_found",
    "auth_basic",
    "auth_basic_user_file",
    "auth_delay",
    "auth_request",
    "auth_request_set",
    "mirror",
    "mirror_request_body",
    "slice",
    "random_index",
    "referer_hash_max_size",
    "valid_referers",
    "userid",
    // TLS.
    "ssl_protocols",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_ecdh_curve",
    "ssl_buffer_size",
    "ssl_handshake_timeout",
    "ssl_reject_handshake",
    "ssl_alpn",
    // Upstreams.
    "zone",
    "keepalive",
    "ip_hash",
    "least_conn",
    "hash",
    "random",
    "least_time",
    "queue",
    "ntlm",
    "sticky",
    // Passing on.
    "proxy_pass",
    "proxy_buffer_size",
    "proxy_buffering",
    "proxy_buffers",
    "proxy_busy_buffers_size",
    "proxy_cache",
    "proxy_cache_bypass",
    "proxy_cache_key",
    "proxy_cache_lock",
    "proxy_cache_methods",
    "proxy_cache_min_uses",
    "proxy_cache_revalidate",
    "proxy_cache_use_stale",
    "proxy_cache_valid",
    "proxy_connect_timeout",
    "proxy_cookie_domain",
    "proxy_cookie_flags",
    "proxy_cookie_path",
    "proxy_force_ranges",
    "proxy_headers_hash_bucket_size",
    "proxy_headers_hash_max_size",
    "proxy_hide_header",
    "proxy_http_version",
    "proxy_ignore_client_abort",
    "proxy_ignore_headers",
    "proxy_intercept_errors",
    "proxy_limit_rate",
    "proxy_max_temp_file_size",
    "proxy_method",
    "proxy_next_upstream",
    "proxy_next_upstream_timeout",
    "proxy_next_upstream_tries",
    "proxy_no_cache",
    "proxy_pass_header",
    "proxy_pass_request_body",
    "proxy_pass_request_headers",
    "proxy_protocol",
    "proxy_read_timeout",
    "proxy_redirect",
    "proxy_request_buffering",
    "proxy_requests",
    "proxy_responses",
    "proxy_send_lowat",
    "proxy_send_timeout",
    "proxy_set_body",
    "proxy_set_header",
    "proxy_socket_keepalive",
    "proxy_temp_file_write_size",
    "proxy_timeout",
    "proxy_upload_rate",
    "proxy_download_rate",
];
