#!/bin/sh
# Prints its arguments, and the way in which it gets the password.
echo "$# arguments: $1 $2 $3 $4 $5"
echo "password: ${STICKLER_CHECK_PASSWORD-none}" >&2
exit 3
