vcl 4.1;

C{
#include <stdlib.h>
}C

backend default { .host = "10.1.0.11"; }

sub vcl_recv {
    C{ setenv("KRB5_KTNAME", "/etc/krb5.keytab", 1); }C
}
