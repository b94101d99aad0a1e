#!/usr/bin/env bash
# Runs one step of a make target: one line for people, with the time it took; all it says goes into a file.
#
#   scripts/step.sh NAME COMMAND...
#
# What scripts/install-deps.sh warns of is shown, and when it fails, how it ended. VERBOSE=1 lets it say everything at once.
set -euo pipefail
name=$1
shift
[ -z "${VERBOSE:-}" ] || exec "$@"
cd "$(dirname "$0")/.."
logs=target/steps
mkdir -p "$logs"
log=$logs/${name//[!a-zA-Z0-9]/-}.log
shown=''
[ ! -t 2 ] || shown=yes

# What it tells whoever waits goes to 3.
"$@" 3>&2 >"$log" 2>&1 </dev/null &
command=$!
trap 'kill "$command" 2>/dev/null || true' INT TERM HUP
while [ -n "$shown" ] && kill -0 "$command" 2>/dev/null; do
    width=$(tput cols 2>/dev/null || echo 80)
    doing=$(tail -n 1 "$log" | tr -d '\r' | sed 's/^ *//')
    line="$name: $SECONDS s  $doing"
    printf '\r\033[K%s' "${line:0:width-1}" >&2
    sleep 1
done
code=0
wait "$command" || code=$?
[ -z "$shown" ] || printf '\r\033[K' >&2
if [ "$code" != 0 ]; then
    printf '%s: failed after %s s. All of it is in %s; its end:\n' "$name" "$SECONDS" "$log" >&2
    tail -n 30 "$log" >&2
    exit "$code"
fi
grep -h '^install-deps: WARNING' "$log" >&2 || true
printf '%s: %s s\n' "$name" "$SECONDS" >&2
