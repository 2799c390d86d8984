#!/usr/bin/env python3
"""Writes a haproxy.cfg of more than 5,000 lines, the same one each time.

    make.py             to standard output
    make.py FILE        to FILE

It is what a hosting department has after ten years: a front end with a rule for each customer, and a backend for each of them, most of them by one of six
templates. The site that is asked about is `backend intranet`, far down. `haproxy-5000.expected.toml` says what is to be found in the file.
"""

import sys

CUSTOMERS = 400


def main():
    lines = list(configuration())
    text = "\n".join(lines) + "\n"
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


def configuration():
    yield from HEAD.strip("\n").split("\n")
    yield ""
    yield "frontend customers"
    yield "    bind :80"
    yield "    bind :8000-8009"
    yield "    unique-id-format %{+X}o\\ %ci:%cp_%fi:%fp_%Ts_%rt"
    for number in range(CUSTOMERS):
        yield f"    acl host-{number:03} hdr(host) -i customer-{number:03}.example www.customer-{number:03}.example"
        yield f"    use_backend customer-{number:03} if host-{number:03}"
    yield "    acl intranet hdr_end(host) -i .corp.example"
    yield "    use_backend intranet if intranet"
    yield "    default_backend customer-000"
    for number in range(CUSTOMERS):
        yield ""
        yield from customer(number)
        if number == 350:
            yield ""
            yield from INTRANET.strip("\n").split("\n")


def customer(number):
    """A backend of 9 to 13 lines; every sixth is the same but for its numbers."""
    kind = number % 6
    yield f"backend customer-{number:03}" + ("" if kind else " from shared")
    yield f"    # Kunde {number}: {'Übergabe an Müller' if kind == 2 else 'no change without a ticket'}"
    yield f"    balance {['roundrobin', 'leastconn', 'source', 'uri', 'random', 'hdr(host)'][kind]}"
    if kind:
        yield f"    http-reuse {['', 'never', 'safe', 'aggressive', 'always', 'safe'][kind]}"
    if kind == 1:
        yield f"    cookie C{number:03} insert indirect nocache"
    if kind == 3:
        yield "    option http-server-close"
    if kind == 4:
        yield "    stick-table type ip size 10k expire 30m"
        yield "    stick on src"
    yield f"    http-request set-header X-Customer {number:03}"
    yield "    http-response del-header Server"
    yield f"    option httpchk GET /health-{number:03}"
    yield f"    fullconn {100 + number}"
    for server in range(3):
        cookie = f" cookie s{server}" if kind == 1 else ""
        yield f"    server s{server} 10.{100 + number // 200}.{number % 200}.{10 + server}:{8000 + number} check{cookie} weight {10 + server}"


HEAD = """
# Ten years of customers. Written by make.py
global
    maxconn 100000
    nbthread 4
    tune.maxaccept 200

defaults shared
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option redispatch
"""

INTRANET = """
backend intranet from shared
    description the site that is asked about
    balance leastconn
    http-reuse aggressive
    server iis1 10.200.0.11:80 check
    server iis2 10.200.0.12:80 check
    server iis3 10.200.0.13:80 check backup
"""

if __name__ == "__main__":
    main()
