"""The check with Python and pyspnego, in a loop: check.py HOST PORT TIMES"""

import base64
import http.client
import sys

import spnego

host, port, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def get(connection, token=None):
    headers = {} if token is None else {"Authorization": "NTLM " + base64.b64encode(token).decode()}
    connection.request("GET", "/inbox", headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


for _ in range(times):
    alice = http.client.HTTPConnection(host, port)
    logon = spnego.client("CORP\\alice", "Alice-Pa55word", hostname=host, service="http", protocol="ntlm")
    answer, _ = get(alice)
    assert answer.status == 401, answer.status
    answer, _ = get(alice, logon.step())
    challenge = answer.headers["WWW-Authenticate"].removeprefix("NTLM ")
    answer, body = get(alice, logon.step(base64.b64decode(challenge)))
    assert answer.status == 200 and b"alice" in body, (answer.status, body)
    alice.close()
    mallory = http.client.HTTPConnection(host, port)
    answer, _ = get(mallory)
    assert answer.status == 401, f"mallory is served: {answer.status}"
    mallory.close()
