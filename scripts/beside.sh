#!/usr/bin/env bash
# Runs two commands side by side, of which at least one mostly waits. What the first says is shown when both have ended.
#
#   scripts/beside.sh FIRST SECOND
set -uo pipefail
said=$(mktemp)
bash -c "$1" >"$said" 2>&1 </dev/null &
first=$!
trap 'kill "$first" 2>/dev/null; wait; rm -f "$said"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
bash -c "$2"
second_code=$?
wait "$first"
first_code=$?
cat "$said"
[ "$first_code" = 0 ] || printf 'FAILED, with exit code %s: %s\n' "$first_code" "$1" >&2
[ "$second_code" = 0 ] || printf 'FAILED, with exit code %s: %s\n' "$second_code" "$2" >&2
[ "$first_code" = 0 ] && [ "$second_code" = 0 ]
