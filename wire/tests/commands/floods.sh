#!/bin/sh
# Says far more than anybody wants to hear, ill-behaved to a terminal, and then ends.
head -c 5000000 /dev/zero | tr '\0' x
printf '\033[2Jthe end' >&2
exit 1
