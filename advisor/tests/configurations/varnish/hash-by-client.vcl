vcl 4.1;

import directors;
import std;
import cookie;
include "./hash-by-client/acl.inc";
include +glob "./hash-by-client/more*.inc";

backend iis1 { .host = "10.1.0.11"; .port = "80"; }
backend iis2 { .host = "10.1.0.12"; .port = "80"; }
backend none none;

sub vcl_init {
    new farm = directors.hash();
    farm.add_backend(iis1, 1);
    farm.add_backend(iis2, 1.5);
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) { return (synth(405)); }
        return (purge);
    }
    set req.backend_hint = farm.backend(client.identity);
    if (req.url ~ "(?i)^/(rpc|mapi)/") {
        return (pass);
    }
    if (req.http.Host == "down.corp.example") {
        set req.backend_hint = none;
    }
    std.syslog(9, {"long string with "quotes" and } braces, from "} + client.ip);
}

sub vcl_deliver {
    if (obj.hits > 0) { set resp.http.X-Cache = """HIT "x" }"""; }
    unset resp.http.Via;
}
