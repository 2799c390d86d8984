# https://varnish-cache.org/docs/7.1/users-guide/vcl-backends.html#directors
vcl 4.1;

import directors;    # load the directors
import std;

probe iis {
    .url = "/iisstart.htm";
    .expected_response = 200;
    .interval = 5s;
    .timeout = 2s;
    .window = 5;
    .threshold = 3;
    .initial = 2;
}

backend server1 {
    .host = "192.168.0.10";
    .probe = iis;
}
backend server2 {
    .host = "192.168.0.11";
    .probe = {
        .request =
            "HEAD / HTTP/1.1"
            "Host: intranet.corp.example"
            "Connection: close";
        .expected_response = 401;
    }
}

sub vcl_init {
    new bar = directors.round_robin();
    /*        a comment of several lines: bar = directors.hash(); */
    bar.add_backend(server1);
    bar.add_backend(server2);
}

sub vcl_recv {
    # send all traffic to the bar director:
    set req.backend_hint = bar.backend();
    std.collect(req.http.Cookie, "; ");
}
