vcl 4.1;

import std;

backend default {
    .path = "/run/sidecar/iis.sock";
}
backend iis2 {
    .host = "10.1.0.12";
    .proxy_header = 1;
}

sub vcl_recv {
    if (req.http.Host ~ "^two\.") {
        set req.backend_hint = iis2;
    }
    if (req.http.Upgrade ~ "(?i)websocket" || req.http.Authorization ~ "^(NTLM|Negotiate) " || req.url ~ "^/") {
        return (pipe);
    }
}

sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
    }
    unset bereq.http.connection;
    return (pipe);
}
