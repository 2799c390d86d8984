vcl 4.1;

import directors;

backend iis1 { .host = "10.1.0.11"; }
backend iis2 { .host = "10.1.0.12"; }

sub vcl_init {
    new farm = directors.fallback(sticky = true);
    farm.add_backend(iis1);
    farm.add_backend(iis2);
}

sub vcl_recv {
    set req.backend_hint = farm.backend();
    # NTLM
    return (pipe);
}
