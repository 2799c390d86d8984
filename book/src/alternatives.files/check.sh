#!/bin/sh
# The check with curl, in a loop: check.sh URL TIMES
url=$1
times=$2
i=0
while [ "$i" -lt "$times" ]; do
    answer=$(curl --silent --show-error --ntlm --user 'CORP\alice:Alice-Pa55word' --write-out '\n%{http_code}' "$url/inbox") || exit 1
    case "$answer" in
        *alice*200) ;;
        *) echo "alice is not served: $answer" >&2; exit 1 ;;
    esac
    status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' "$url/inbox") || exit 1
    if [ "$status" != 401 ]; then
        echo "mallory is served: $status" >&2
        exit 1
    fi
    i=$((i + 1))
done
