#!/bin/sh
# Prints very much text with control characters, and then ends.
head -c 5000000 /dev/zero | tr '\0' x
printf '\033[2Jthe end' >&2
exit 1
