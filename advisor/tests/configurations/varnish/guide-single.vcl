# https://varnish-cache.org/docs/7.1/users-guide/vcl-backends.html: one backend, with a server that is IIS
vcl 4.1;

backend default {
    .host = "10.1.0.11";
    .port = "8080";
    .connect_timeout = 3.5s;
    .between_bytes_timeout = 10m;
    .max_connections = 300;
    .host_header = "intranet.corp.example";
}

sub vcl_hash {
    hash_data(req.http.Authorization);
}

sub vcl_backend_response {
    if (beresp.status == 401) {
        set beresp.uncacheable = true;
        return (deliver);
    }
}
