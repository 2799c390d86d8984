#!/bin/sh
# Ends well after a second. A child of it makes a file then, if it lives so long.
echo began
(sleep 1; : >"$5") &
wait
