#!/bin/sh
# Ends successfully after a second. A child makes a file at that time, if it still lives.
echo began
(sleep 1; : >"$5") &
wait
