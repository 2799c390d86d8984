#!/bin/sh
# Ends at once, and leaves a child behind, which holds its output and makes a file after a second.
echo gone
(sleep 1; : >"$5") &
exit 1
