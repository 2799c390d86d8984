vcl 4.1;

import dynamic;

backend default none;

sub vcl_init {
    new d = dynamic.director(port = "80", ttl = 30s);
}

sub vcl_recv {
    set req.backend_hint = d.backend("iis.corp.example");
}
