#!/bin/sh
# Reports up only if the password is in the environment and in no process's arguments. The pattern does not match itself.
[ "$STICKLER_CHECK_PASSWORD" = "Probe-Pa55""word" ] || exit 1
{ ps -A -o args= 2>/dev/null || cat /proc/[0-9]*/cmdline; } | grep -q 'Probe-Pa55[w]ord' && exit 2
exit 0
