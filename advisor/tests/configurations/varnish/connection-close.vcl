vcl 4.1;

import std;

backend default {
    .host = "10.1.0.11";
    .first_byte_timeout = 300s;
}

sub vcl_backend_fetch {
    set bereq.http.Connection = "close";
}

sub vcl_backend_error {
    if (bereq.retries < std.integer(bereq.http.X-Retries, 2)) {
        return (retry);
    }
    synthetic({"<html>"} + beresp.reason + {"</html>"});
    return (deliver);
}
